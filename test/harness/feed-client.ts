/** A client of the feed over a real socket: keeps what it was sent, and waits for it by events, never by time. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { tryParseVersion } from '../../serving/feed/feed-version.js';

export interface ReceivedFeed {
  readonly type: 'feed';
  readonly v: number;
  readonly placement: string;
  readonly version: string;
  readonly requestId: string;
  readonly items: readonly {
    readonly itemId: string;
    readonly score: number;
    readonly confidence: number;
    readonly reasons: string[];
  }[];
  readonly cause: { readonly eventIds: readonly string[] };
}

export type ReceivedMessage =
  | ReceivedFeed
  | { readonly type: 'error'; readonly code: string; readonly message: string }
  | { readonly type: 'ping' };

export class FeedClient {
  readonly received: ReceivedMessage[] = [];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  private next = 0;
  private wake: (() => void) | undefined;

  constructor(readonly socket: WebSocket) {
    socket.on('message', (data: Buffer) => {
      this.received.push(JSON.parse(data.toString()) as ReceivedMessage);
      this.wake?.();
    });
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      socket.on('close', (code: number, reason: Buffer) => resolve({ code, reason: reason.toString() }));
    });
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  subscribe(userId: string, options: Record<string, unknown> = {}): void {
    this.send({ type: 'subscribe', userId, placement: 'home', limit: 5, ...options });
  }

  /** The next message of any kind, in order. */
  async message(): Promise<ReceivedMessage> {
    while (this.next >= this.received.length) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.received[this.next++]!;
  }

  async feed(): Promise<ReceivedFeed> {
    const message = await this.message();
    if (message.type !== 'feed') throw new Error(`expected a feed, got ${JSON.stringify(message)}`);
    return message;
  }

  /** The next feed of such a version; what comes before it, pings too, is passed over. */
  async feedOf(isWanted: (version: string) => boolean): Promise<ReceivedFeed> {
    for (;;) {
      const message = await this.message();
      if (message.type === 'feed' && isWanted(message.version)) return message;
    }
  }

  async error(): Promise<{ readonly code: string; readonly message: string }> {
    const message = await this.message();
    if (message.type !== 'error') throw new Error(`expected an error, got ${JSON.stringify(message)}`);
    return message;
  }

  /** Resolves when the server has read everything that was sent so far. */
  async flushed(): Promise<void> {
    this.socket.ping();
    await once(this.socket, 'pong');
  }

  async close(): Promise<void> {
    this.socket.terminate();
    await this.closed;
  }
}

export async function connectFeed(
  url: string,
  options: { protocols?: string[]; headers?: Record<string, string> } = {},
): Promise<FeedClient> {
  const socket = new WebSocket(url, options.protocols ?? [], { headers: options.headers ?? {} });
  const client = new FeedClient(socket);
  await once(socket, 'open');
  return client;
}

/** The generation of partitions that a feed or a recommendation was made in. */
export function generationOf(version: string): number {
  const parsed = tryParseVersion(version);
  if (parsed === undefined) throw new Error(`'${version}' is no version`);
  return parsed.generation;
}
