/**
 * Who may talk to the node: API keys, and what keeps a web page of somebody else from using an open one.
 *
 * With keys: every request but public ones needs one, as `Authorization: Bearer <secret>` or `X-Api-Key`, on a
 * WebSocket also as subprotocol `freshet.key.<secret>` (browsers cannot set headers there). Secrets are compared as
 * digests in constant time, all of them every time. No CORS header is ever sent.
 *
 * Without keys the node is open, and therefore only to its own machine: it must be bound to a loopback address, `Host`
 * must name one (a rebound DNS name does not), `Origin` must be the node itself, and a browser that says
 * `Sec-Fetch-Site: cross-site` is refused. So no page on the web can read from it or post to it.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { EngineError } from '../../schemas/errors.js';
import { requireProducerId } from '../../schemas/ids.js';
import type { IncomingHttpHeaders } from 'node:http';

export interface AccessOptions {
  /** Each `name:secret`. */
  readonly apiKeys: readonly string[];
  readonly host: string;
  /** Origins besides the node's own that may open feeds and post, such as `https://shop.example`. */
  readonly allowedOrigins: readonly string[];
}

/** `name:secret`; the secret fits a header and a WebSocket subprotocol. */
export const API_KEY_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}:[A-Za-z0-9_-]{16,256}$/;
export const KEY_PROTOCOL_PREFIX = 'freshet.key.';
const PRODUCER_HEADER = 'x-freshet-producer';
const OPEN_PRODUCER = 'http';

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/;

export const isLoopback = (host: string): boolean => LOOPBACK.test(host);

export class Access {
  private readonly keys: readonly { readonly name: string; readonly digest: Buffer }[];
  private readonly origins: ReadonlySet<string>;

  /** @throws CONFIG_INVALID when there are no keys and the address is not a loopback one */
  constructor(options: AccessOptions) {
    this.keys = options.apiKeys.map((key) => {
      const separator = key.indexOf(':');
      return { name: key.slice(0, separator), digest: digestOf(key.slice(separator + 1)) };
    });
    this.origins = new Set(options.allowedOrigins);
    if (this.isOpen && !isLoopback(options.host)) {
      throw new EngineError(
        'CONFIG_INVALID',
        `serving.host is "${options.host}" and serving.apiKeys is empty: whoever reaches the port could read and write. Set keys, or bind to 127.0.0.1.`,
      );
    }
  }

  get isOpen(): boolean {
    return this.keys.length === 0;
  }

  /** Checks where a request comes from. Public pages too: a rebound name must not even load them. */
  requireOrigin(headers: IncomingHttpHeaders): void {
    const { origin, host } = headers;
    if (this.isOpen && !isLoopback(hostName(host)))
      throw refused('Host', host, 'a loopback name; the node runs without keys');
    if (origin === undefined) {
      if (this.isOpen && headers['sec-fetch-site'] === 'cross-site')
        throw refused('Sec-Fetch-Site', 'cross-site', 'a request of the page itself');
      return;
    }
    if (originHost(origin) !== host && !this.origins.has(origin)) {
      throw refused('Origin', origin, "the node's own, or one of serving.allowedOrigins");
    }
  }

  /** Producer id of the caller. @throws UNAUTHORIZED */
  requireCaller(headers: IncomingHttpHeaders): string {
    const name = this.isOpen ? undefined : this.requireKey(secretOf(headers));
    const header = headers[PRODUCER_HEADER];
    if (typeof header !== 'string') return name ?? OPEN_PRODUCER;
    return requireProducerId(name === undefined ? header : `${name}/${header}`, PRODUCER_HEADER);
  }

  private requireKey(secret: string | undefined): string {
    if (secret === undefined) {
      throw new EngineError('UNAUTHORIZED', 'No API key was sent; expected Authorization: Bearer <key>, or X-Api-Key');
    }
    const digest = digestOf(secret);
    let found: string | undefined;
    // No early exit: the time says nothing about which key nearly fits.
    for (const key of this.keys) if (timingSafeEqual(key.digest, digest)) found = key.name;
    if (found === undefined) throw new EngineError('UNAUTHORIZED', 'The API key is not known');
    return found;
  }
}

function secretOf(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers;
  if (authorization?.slice(0, 7).toLowerCase() === 'bearer ') return authorization.slice(7).trim();
  const key = headers['x-api-key'];
  if (typeof key === 'string') return key;
  const protocols = headers['sec-websocket-protocol']?.split(',') ?? [];
  const protocol = protocols.map((name) => name.trim()).find((name) => name.startsWith(KEY_PROTOCOL_PREFIX));
  return protocol?.slice(KEY_PROTOCOL_PREFIX.length);
}

const digestOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();

/** `[::1]:8080` → `[::1]`. */
function hostName(host: string | undefined): string {
  return host?.replace(/:\d+$/, '') ?? '';
}

function originHost(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).host : '';
}

function refused(header: string, value: string | undefined, expected: string): EngineError {
  return new EngineError('FORBIDDEN', `${header} is ${JSON.stringify(value ?? '')}; expected ${expected}`);
}
