/**
 * What a route is, without the HTTP library: declared once, served by server.ts, described by openapi.ts.
 */
import type { JsonSchema, ObjectCheck, Fields } from './check.js';

/** How the body is taken. `bytes` hands over the stream unread. */
export type BodyKind = 'none' | 'json' | 'json-or-lines';

export interface RouteRequest {
  readonly params: Readonly<Record<string, string>>;
  /** Raw texts of the query; routes read them with `readQuery`. */
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
  /** The unread body of a request of type application/x-ndjson. */
  readonly lines: AsyncIterable<Buffer> | undefined;
  /** Who writes: from the API key and the header x-freshet-producer. */
  readonly producerId: string;
}

export interface RouteReply {
  readonly status: number;
  /** Objects are sent as JSON. */
  readonly body: unknown;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With `:name` parameters. */
  readonly path: string;
  readonly summary: string;
  readonly tag: string;
  /** `key`: needs an API key where keys are configured. `write`: that, and admission. */
  readonly access: 'public' | 'key' | 'write';
  readonly body: BodyKind;
  readonly bodySchema?: JsonSchema;
  readonly query?: QueryCheck;
  /** Successful answers by status, in words. */
  readonly answers: Readonly<Record<number, string>>;
  handle(request: RouteRequest): RouteReply | Promise<RouteReply>;
}

export type QueryCheck = ObjectCheck<Fields, never>;

export const ok = (body: unknown): RouteReply => ({ status: 200, body });
