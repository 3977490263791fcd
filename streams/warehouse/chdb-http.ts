/**
 * The part of ClickHouse's HTTP interface that @clickhouse/client uses, over any SqlEngine.
 *
 * It runs in the child process (chdb-process.ts) on a loopback port, so that one client implementation serves the
 * embedded engine and a real server. Every request but /ping needs the password: other users of the machine can
 * reach the port too.
 *
 * Invariant: a response is either complete, or an error status, or ends in the in-band exception block (ClickHouse
 * 25.11+) or a broken connection; never a silently shortened result.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemRandom } from '../random.js';
import { firstWord, hasSecondStatement } from './statement.js';

/** One statement with everything that must hold for it alone. */
export interface EngineStatement {
  readonly sql: string;
  readonly database: string;
  readonly settings: ReadonlyMap<string, string>;
  /** Values as ClickHouse's escaped text, the way `param_<name>` carries them. */
  readonly params: ReadonlyMap<string, string>;
}

export interface SqlEngine {
  /** Chunks of whole rows. Only SELECT. Leaving the loop stops the statement. */
  rows(statement: EngineStatement, format: string): AsyncIterable<Uint8Array>;
  /** Any statement; its output as a whole. */
  run(statement: EngineStatement, format: string): Promise<Uint8Array>;
  /** `statement.sql` is the INSERT up to its FORMAT, `body` the rows. Returns the number of rows written. */
  insert(statement: EngineStatement, body: Buffer): Promise<number>;
}

export interface ChdbHttpOptions {
  readonly engine: SqlEngine;
  readonly username: string;
  readonly password: string;
}

/** One block of rows fits many times; what is larger is a mistake and would only cost memory. */
const BODY_BYTES_MAX = 256 * 1024 * 1024;
/** Parameters travel in the URL; ClickHouse's own limit. */
const HEADER_BYTES_MAX = 1024 * 1024;
/** URL parameters that are no settings. */
const RESERVED = new Set(
  'query query_id database default_format session_id session_timeout session_check user password role compress decompress wait_end_of_query buffer_size'.split(
    ' ',
  ),
);
/** Formats whose chunks can simply be put one behind the other. */
const ROW_FORMATS = /^(JSONEachRow|JSONCompactEachRow|TabSeparated|TSV|CSV)$/;
const UNAUTHENTICATED = 516;
const ALREADY_RUNNING = 216;
const BAD_REQUEST = 36;
const SYNTAX_ERROR = 62;
/** Used when chDB gives none: ClickHouse's UNKNOWN_EXCEPTION. */
const UNKNOWN = 1002;

/** Listens on 127.0.0.1, on a free port. The caller closes the server. */
export async function serveChdbHttp(options: ChdbHttpOptions): Promise<{ server: Server; port: number }> {
  // Ids of statements under way, also of those whose caller is gone: a retry must not overtake the attempt before it.
  const runningIds = new Set<string>();
  const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: 0 }, (request, response) => {
    answer(options, runningIds, request, response).catch((error: unknown) => fail(response, error));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return { server, port: (server.address() as AddressInfo).port };
}

async function answer(
  options: ChdbHttpOptions,
  runningIds: Set<string>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  if (url.pathname === '/ping') return void response.end('Ok.\n');
  if (!isAuthorized(options, request)) throw new StatementError(UNAUTHENTICATED, 'Authentication failed');
  const body = await readBody(request);
  const queryId = url.searchParams.get('query_id') ?? '';
  if (runningIds.has(queryId))
    throw new StatementError(ALREADY_RUNNING, `Query with id = ${queryId} is already running`);
  runningIds.add(queryId);
  try {
    await execute(options.engine, url.searchParams, body, response);
  } finally {
    runningIds.delete(queryId);
  }
}

async function execute(
  engine: SqlEngine,
  query: URLSearchParams,
  body: Buffer,
  response: ServerResponse,
): Promise<void> {
  const inUrl = query.get('query');
  const statement = buildStatement(inUrl ?? body.toString('utf8'), query);
  response.setHeader('X-ClickHouse-Query-Id', query.get('query_id') ?? '');
  response.setHeader('Content-Type', 'text/plain; charset=UTF-8');
  if (inUrl !== null && body.length > 0) {
    const written = await engine.insert(statement, body);
    response.setHeader('X-ClickHouse-Summary', JSON.stringify({ written_rows: String(written) }));
    return void response.end();
  }
  const format = formatOf(statement.sql) ?? query.get('default_format') ?? 'TabSeparated';
  response.setHeader('X-ClickHouse-Format', format);
  if (ROW_FORMATS.test(format) && ['SELECT', 'WITH'].includes(firstWord(statement.sql))) {
    return streamRows(engine.rows(statement, format), response);
  }
  response.end(await engine.run(statement, format));
}

/** Hashing first makes both sides equally long, which the constant-time comparison needs. */
function isAuthorized(options: ChdbHttpOptions, request: IncomingMessage): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const expected = `Basic ${Buffer.from(`${options.username}:${options.password}`).toString('base64')}`;
  return timingSafeEqual(digest(request.headers.authorization ?? ''), digest(expected));
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new StatementError(BAD_REQUEST, `Body exceeds ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function buildStatement(sql: string, query: URLSearchParams): EngineStatement {
  if (hasSecondStatement(sql)) throw new StatementError(SYNTAX_ERROR, 'Multi-statements are not allowed');
  const settings = new Map<string, string>();
  const params = new Map<string, string>();
  for (const [name, value] of query) {
    if (RESERVED.has(name)) continue;
    if (!/^\w+$/.test(name)) throw new StatementError(BAD_REQUEST, `'${name}' is no setting name`);
    if (name.startsWith('param_')) params.set(name.slice('param_'.length), value);
    else settings.set(name, value);
  }
  return { sql, database: query.get('database') ?? 'default', settings, params };
}

/** The client always writes it last. */
function formatOf(sql: string): string | undefined {
  return /\bFORMAT\s+(\w+)\s*;?\s*$/i.exec(sql)?.[1];
}

async function streamRows(chunks: AsyncIterable<Uint8Array>, response: ServerResponse): Promise<void> {
  const tag = systemRandom().hex(8);
  let wake = (): void => undefined;
  response.on('drain', () => wake());
  response.on('close', () => wake());
  response.setHeader('X-ClickHouse-Exception-Tag', tag);
  try {
    for await (const chunk of chunks) {
      if (response.destroyed) return;
      // The reader's pace is ours: one chunk is written, and the next is computed when it was taken.
      if (!response.write(chunk) && !response.destroyed) await new Promise<void>((resolve) => (wake = resolve));
    }
    response.end();
  } catch (error) {
    if (!response.headersSent) throw error;
    const { text } = describe(error);
    response.end(`\r\n__exception__\r\n${tag}\r\n${text}${Buffer.byteLength(text)} ${tag}\r\n__exception__\r\n`);
  }
}

/** A refusal of our own, dressed as ClickHouse would. */
class StatementError extends Error {
  constructor(
    readonly clickhouseCode: number,
    message: string,
  ) {
    super(message);
  }
}

function describe(error: unknown): { code: number; text: string } {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof StatementError) {
    const type = error.clickhouseCode === UNAUTHENTICATED ? 'AUTHENTICATION_FAILED' : 'BAD_ARGUMENTS';
    return {
      code: error.clickhouseCode,
      text: `Code: ${error.clickhouseCode}. DB::Exception: ${message}. (${type})\n`,
    };
  }
  const start = message.search(/Code:\s*\d/);
  if (start < 0) return { code: UNKNOWN, text: `Code: ${UNKNOWN}. DB::Exception: ${message}. (UNKNOWN_EXCEPTION)\n` };
  const text = message.slice(start).trimEnd() + '\n';
  return { code: Number(/\d+/.exec(text)![0]), text };
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy();
  const { code, text } = describe(error);
  response.removeHeader('X-ClickHouse-Exception-Tag');
  response.writeHead(code === UNAUTHENTICATED ? 401 : 500, { 'X-ClickHouse-Exception-Code': String(code) });
  response.end(text);
}
