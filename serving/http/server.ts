/**
 * The HTTP server: puts the routes on the wire. The only file that knows the HTTP library.
 *
 * A request is checked from the outside in: where it comes from, who it is, whether there is room, then its body. Every
 * failure becomes {error: {code, message, …}} with the status of its code. Closing stops taking, lets what is under way
 * finish, then closes idle connections.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Counter, Histogram, Metrics } from '../../streams/metrics.js';
import type { Access } from './access.js';
import type { Admission } from './admission.js';
import { errorBody, RETRY_AFTER_S, toEngineError, UNEXPECTED_BODY } from './error-body.js';
import type { Route, RouteReply } from './route.js';

export interface HttpServerOptions {
  readonly routes: readonly Route[];
  readonly access: Access;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly bodyBytesMax: number;
  /** Reading a request may take this long, ms. */
  readonly requestTimeoutMs: number;
  /** Takes over WebSocket upgrades of its path. */
  readonly upgrade?: { readonly path: string; accept(request: IncomingMessage, socket: Duplex, head: Buffer): void };
}

/** Sent with everything: a page of ours loads nothing from elsewhere and is framed by nobody. */
const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};
const LINES_TYPE = 'application/x-ndjson';
/** Of a refused body this much is read and thrown away, so that a client that writes first still sees the answer. */
const DISCARD_BYTES_MAX = 64 << 20;
/** While closing: time between two looks for idle connections, and until those that are not are cut. */
const SWEEP_MS = 50;
const CLOSE_MS_MAX = 10_000;
const URL_PARAMETER_MAX = 1_024;

interface Answer {
  readonly status: number;
  readonly payload: string;
}

export class HttpServer {
  private readonly app: FastifyInstance;
  private readonly callers = new WeakMap<FastifyRequest, string>();
  private readonly entered = new WeakSet<FastifyRequest>();

  constructor(private readonly options: HttpServerOptions) {
    this.app = fastify({
      logger: false,
      bodyLimit: options.bodyBytesMax,
      requestTimeout: options.requestTimeoutMs,
      forceCloseConnections: 'idle',
      return503OnClosing: false,
      routerOptions: { maxParamLength: URL_PARAMETER_MAX },
      frameworkErrors: (error, _request, reply) => void this.fail(error, reply),
    });
    this.app.setValidatorCompiler(() => () => true);
    this.app.setErrorHandler((error, request, reply) => this.fail(error, reply, request));
    this.app.setNotFoundHandler((request, reply) => this.fail(notFound(request), reply));
    this.readBodies();
    this.app.addHook('onRequest', (request, reply, done) => {
      try {
        options.access.requireOrigin(request.headers);
        done();
      } catch (error) {
        done(error as Error);
      }
      void reply.headers(SECURITY_HEADERS);
    });
    this.app.addHook('onResponse', (request, _reply, done) => {
      if (this.entered.delete(request)) options.admission.leave();
      done();
    });
    for (const route of options.routes) this.add(route);
    const { upgrade } = options;
    this.node.on('upgrade', (request, socket, head) => {
      if (upgrade === undefined || pathOnly(request.url) !== upgrade.path) socket.destroy();
      else upgrade.accept(request, socket, head);
    });
  }

  /** Resolves with the port; 0 picks a free one. */
  async listen(host: string, port: number): Promise<number> {
    await this.app.listen({ host, port });
    const address = this.node.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  /** Finishes what is under way, then lets go of connections; those that never come to an end are cut. */
  async close(): Promise<void> {
    const { admission, clock } = this.options;
    admission.close();
    const deadlineMs = clock.monotonic() + CLOSE_MS_MAX;
    // Connections that were busy when closing began are idle a moment later.
    const sweep = clock.setInterval(SWEEP_MS, () => {
      if (clock.monotonic() < deadlineMs) this.node.closeIdleConnections();
      else this.node.closeAllConnections();
    });
    await this.app.close();
    sweep.cancel();
  }

  /** A request without a socket, for tests. */
  async inject(request: InjectedRequest): Promise<Answer & { headers: Record<string, unknown> }> {
    const { method, url, headers = {}, body } = request;
    const answer = await this.app.inject({
      method,
      url,
      headers: { host: 'localhost', ...headers },
      ...(body !== undefined && { payload: body }),
    });
    return { status: answer.statusCode, payload: answer.payload, headers: answer.headers };
  }

  private get node(): Server {
    return this.app.server;
  }

  private readBodies(): void {
    this.app.removeAllContentTypeParsers();
    this.app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
      try {
        done(null, body === '' ? undefined : JSON.parse(body as string));
      } catch (error) {
        done(new EngineError('REQUEST_INVALID', `The body is not JSON: ${(error as Error).message}`, { cause: error }));
      }
    });
    this.app.addContentTypeParser(LINES_TYPE, (_request, _stream, done) => done(null, undefined));
  }

  private add(route: Route): void {
    const { metrics, clock, access, admission } = this.options;
    const series = new RouteSeries(metrics, `${route.method} ${route.path}`);
    this.app.route({
      method: route.method,
      url: route.path,
      exposeHeadRoute: false,
      onRequest: (request, _reply, done) => {
        try {
          if (route.access !== 'public') {
            this.callers.set(request, access.requireCaller(request.headers));
            admission.enter();
            this.entered.add(request);
          }
          if (route.access === 'write') admission.requireRoomToWrite();
          done();
        } catch (error) {
          series.count(toEngineError(error)?.status ?? 500);
          done(error as Error);
        }
      },
      handler: async (request, reply) => {
        const startedMs = clock.monotonic();
        try {
          const answer = await route.handle(this.toRouteRequest(route, request));
          series.observe(answer.status, clock.monotonic() - startedMs);
          return send(answer, reply);
        } catch (error) {
          series.observe(toEngineError(error)?.status ?? 500, clock.monotonic() - startedMs);
          throw error;
        }
      },
    });
  }

  private toRouteRequest(route: Route, request: FastifyRequest) {
    const isLines = request.headers['content-type']?.startsWith(LINES_TYPE) ?? false;
    if (isLines && route.body !== 'json-or-lines') {
      throw new EngineError('REQUEST_INVALID', `${LINES_TYPE} is not taken here; expected application/json`);
    }
    return {
      params: request.params as Record<string, string>,
      query: request.query as Record<string, unknown>,
      body: request.body,
      lines: isLines ? (request.raw as AsyncIterable<Buffer>) : undefined,
      producerId: this.callers.get(request) ?? '',
    };
  }

  private fail(error: unknown, reply: FastifyReply, request?: FastifyRequest): FastifyReply {
    const known = toEngineError(error);
    if (known === undefined) this.options.logger.error('a request failed', { url: request?.url ?? '', error });
    if (request !== undefined) this.discardBody(request, reply);
    if (known !== undefined && known.retriable) void reply.header('retry-after', String(RETRY_AFTER_S));
    return reply.code(known?.status ?? 500).send(known === undefined ? UNEXPECTED_BODY : errorBody(known));
  }

  /** Reads on without keeping, as far as that is sensible, so the answer is not lost in a reset connection. */
  private discardBody(request: FastifyRequest, reply: FastifyReply): void {
    const { raw } = request;
    if (raw.readableEnded || raw.complete) return;
    if (Number(request.headers['content-length'] ?? Infinity) > DISCARD_BYTES_MAX) return;
    reply.removeHeader('connection');
    raw.resume();
  }
}

export interface InjectedRequest {
  readonly method: Route['method'];
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** Counts a route's requests by status; its handles are made once. */
class RouteSeries {
  private readonly duration: Histogram;
  private readonly byStatus = new Map<number, Counter>();

  constructor(
    private readonly metrics: Metrics,
    private readonly route: string,
  ) {
    this.duration = metrics.histogram('http_request_duration_ms', 'From the parsed request to its answer.', {
      labels: { route },
    });
  }

  count(status: number): void {
    let counter = this.byStatus.get(status);
    if (counter === undefined) {
      counter = this.metrics.counter('http_requests_total', 'Requests answered.', {
        route: this.route,
        status: String(status),
      });
      this.byStatus.set(status, counter);
    }
    counter.inc();
  }

  observe(status: number, ms: number): void {
    this.count(status);
    this.duration.observe(ms);
  }
}

function send(answer: RouteReply, reply: FastifyReply): FastifyReply {
  if (answer.headers !== undefined) void reply.headers(answer.headers);
  void reply.code(answer.status);
  if (answer.contentType !== undefined) return reply.type(answer.contentType).send(answer.body);
  return reply.type('application/json; charset=utf-8').send(JSON.stringify(answer.body));
}

const pathOnly = (url: string | undefined): string => (url ?? '').split('?', 1)[0]!;

function notFound(request: FastifyRequest): EngineError {
  return new EngineError(
    'NOT_FOUND',
    `There is no ${request.method} ${pathOnly(request.url).slice(0, 200)}; /docs lists what there is`,
  );
}
