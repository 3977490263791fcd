/** Stand-in for a schema registry: its documented routes, schemas in memory, a check of compatibility that tests set. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface RegistryStandIn {
  readonly url: string;
  /** Method and path of every request. */
  readonly requests: readonly string[];
  readonly authorizations: readonly (string | undefined)[];
  /** Decides whether a subject takes a schema as its next version; all are taken at first. */
  accepts: (subject: string, schema: string) => boolean;
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const notFound = (error_code: number, message: string): Answer => ({ status: 404, body: { error_code, message } });

export async function startRegistry(): Promise<RegistryStandIn> {
  const schemas: string[] = [];
  const subjects = new Map<string, number[]>();
  const requests: string[] = [];
  const authorizations: (string | undefined)[] = [];

  const route = (method: string, path: string, body: { schema?: string }): Answer => {
    const [, first, second, third, fourth] = path.split('/').map(decodeURIComponent);
    if (method === 'GET' && first === 'schemas') {
      const schema = schemas[Number(third) - 1];
      return schema === undefined ? notFound(40_403, 'Schema not found') : { status: 200, body: { schema } };
    }
    if (method === 'GET' && path === '/subjects') return { status: 200, body: [...subjects.keys()] };
    if (first === 'compatibility') {
      if (!subjects.has(third!)) return notFound(40_401, 'Subject not found');
      return { status: 200, body: { is_compatible: standIn.accepts(third!, body.schema!) } };
    }
    if (first === 'subjects' && third === 'versions' && method === 'POST') return register(second!, body.schema!);
    if (first === 'subjects' && third === 'versions' && fourth === 'latest') {
      const ids = subjects.get(second!);
      if (ids === undefined) return notFound(40_401, 'Subject not found');
      const id = ids.at(-1)!;
      return { status: 200, body: { subject: second, id, version: ids.length, schema: schemas[id - 1] } };
    }
    return { status: 404, body: { error_code: 404, message: 'HTTP 404 Not Found' } };
  };

  const register = (subject: string, schema: string): Answer => {
    if (!schema.startsWith('{')) return { status: 422, body: { error_code: 42_201, message: 'Invalid schema' } };
    const ids = subjects.get(subject) ?? [];
    const known = schemas.indexOf(schema) + 1;
    if (known > 0 && ids.includes(known)) return { status: 200, body: { id: known } };
    if (!standIn.accepts(subject, schema)) {
      return { status: 409, body: { error_code: 409, message: 'Schema is incompatible with an earlier schema' } };
    }
    const id = known > 0 ? known : schemas.push(schema);
    subjects.set(subject, [...ids, id]);
    return { status: 200, body: { id } };
  };

  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      requests.push(`${request.method} ${request.url}`);
      authorizations.push(request.headers.authorization);
      const answer = route(request.method!, request.url!, body);
      response.writeHead(answer.status, { 'content-type': 'application/vnd.schemaregistry.v1+json' });
      response.end(JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const standIn: RegistryStandIn = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    authorizations,
    accepts: () => true,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return standIn;
}

async function readBody(request: IncomingMessage): Promise<{ schema?: string }> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return chunks.length === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString()) as { schema?: string });
}
