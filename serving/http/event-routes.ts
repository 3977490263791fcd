/**
 * `POST /v1/events`: events from producers, one, a list, or a stream of lines.
 */
import { EngineError } from '../../schemas/errors.js';
import { EVENT_SCHEMA } from './event-fields.js';
import type { Ingest, ListResult } from './ingest.js';
import type { Route, RouteReply, RouteRequest } from './route.js';

export function createEventRoutes(ingest: Ingest): Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/events',
      summary: 'Publish events: one object, a list, or lines of JSON (application/x-ndjson)',
      tag: 'events',
      access: 'write',
      body: 'json-or-lines',
      bodySchema: EVENT_SCHEMA,
      answers: {
        202: 'Durable. Of one event {eventId, status}; of a list {accepted, rejected, results}, in order; of lines {accepted, rejected, errors}, the first 100.',
      },
      handle: (request) => takeBody(ingest, request),
    },
  ];
}

/** Shared by the bulk routes. One refused object is an error; of many, each is told by itself. */
export async function takeBody(ingest: Ingest, request: RouteRequest): Promise<RouteReply> {
  const { body, lines, producerId } = request;
  if (lines !== undefined) return answerOf(await ingest.stream(lines, producerId));
  if (Array.isArray(body)) return answerOf(await ingest.list(body, producerId));
  return { status: 202, body: await ingest.one(body, producerId) };
}

/** Nothing taken is no success: a client that only looks at the status would lose everything. */
function answerOf(
  result: { accepted: number; rejected: number } & Partial<ListResult> & {
      errors?: readonly { code?: string; reason?: string }[];
    },
): RouteReply {
  if (result.accepted > 0 || result.rejected === 0) return { status: 202, body: result };
  const message = `All ${result.rejected} were rejected; see results for the reasons`;
  const { code, retriable } = new EngineError('EVENT_INVALID', message);
  return { status: 400, body: { error: { code, message, retriable }, ...result } };
}
