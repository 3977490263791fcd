/**
 * The OpenAPI 3.1 document, built from the routes that are served: it cannot name one that does not exist.
 */
import { ERROR_CODES } from '../../schemas/errors.js';
import type { JsonSchema } from './check.js';
import type { Route } from './route.js';

const ERROR_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'retriable'],
      properties: {
        code: {
          type: 'string',
          enum: [...Object.keys(ERROR_CODES), 'INTERNAL'],
          description: 'Branch on this, never on the message.',
        },
        message: { type: 'string' },
        retriable: { type: 'boolean', description: 'Whether the same request may succeed later; see Retry-After.' },
        field: { type: 'string', description: 'Path of the field that is at fault.' },
      },
      additionalProperties: true,
    },
  },
};

export function buildOpenApi(routes: readonly Route[], version: string): JsonSchema {
  const paths: Record<string, Record<string, JsonSchema>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[route.method.toLowerCase()] = operationOf(route);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Freshet',
      version,
      description: 'Events in, refreshed recommendations out. Feeds are pushed at /v1/feed; see /docs/asyncapi.json.',
    },
    paths,
    components: {
      schemas: { Error: ERROR_SCHEMA },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        key: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
      },
    },
  };
}

function operationOf(route: Route): JsonSchema {
  const named = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const queried = Object.entries(route.query?.fields ?? {}).map(([name, { schema }]) => ({
    name,
    in: 'query',
    required: false,
    schema,
  }));
  const responses: Record<string, JsonSchema> = {};
  for (const [status, description] of Object.entries(route.answers)) responses[status] = { description };
  responses['default'] = {
    description: 'What went wrong.',
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
  };
  return {
    summary: route.summary,
    tags: [route.tag],
    ...(named.length + queried.length > 0 && { parameters: [...named, ...queried] }),
    ...(route.bodySchema !== undefined && {
      requestBody: { required: true, content: bodyContent(route, route.bodySchema) },
    }),
    ...(route.access !== 'public' && { security: [{ bearer: [] }, { key: [] }] }),
    responses,
  };
}

function bodyContent(route: Route, schema: JsonSchema): JsonSchema {
  if (route.body !== 'json-or-lines') return { 'application/json': { schema } };
  return {
    'application/json': { schema: { oneOf: [schema, { type: 'array', items: schema }] } },
    'application/x-ndjson': { schema: { type: 'string', description: 'One JSON object a line, of the same form.' } },
  };
}
