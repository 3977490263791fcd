/**
 * Feed subscribers of a bench: one WebSocket each, as a client app opens it.
 *
 * The second importer of `ws` beside the feed server: a feed can only be measured from its other end. Most messages are
 * not parsed as a whole — only the causes at the end are cut out — so that 1,000 clients fit beside the engine;
 * one in `WHOLE_EVERY` is, and must be what the protocol says.
 */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { EngineError } from '../../schemas/errors.js';
import { FEED_PATH, FEED_SUBPROTOCOL } from '../../serving/feed/protocol.js';

export interface SubscribersOptions {
  readonly url: string;
  readonly userIds: readonly string[];
  readonly placement: string;
  /** Items a feed. */
  readonly limit: number;
  /** Called for every feed as it arrives, with the events that it names as its causes. */
  readonly onFeed: (eventIds: readonly string[]) => void;
}

/** Handshakes under way at once: a listen queue holds a few hundred. */
const OPENING_MAX = 50;
const WHOLE_EVERY = 64;
const CAUSES = Buffer.from('"eventIds":[');
const PING = Buffer.from('{"type":"ping"');
const PONG = '{"type":"pong"}';

export class Subscribers {
  private readonly sockets: WebSocket[] = [];
  private first: (() => void) | undefined;
  private waitingForFirst = 0;
  feeds = 0;
  feedBytes = 0;

  private constructor(private readonly options: SubscribersOptions) {}

  /** Resolves when every subscriber has its first feed. */
  static async open(options: SubscribersOptions): Promise<Subscribers> {
    const subscribers = new Subscribers(options);
    const { userIds } = options;
    subscribers.waitingForFirst = userIds.length;
    const complete = new Promise<void>((resolve) => (subscribers.first = resolve));
    for (let i = 0; i < userIds.length; i += OPENING_MAX) {
      await Promise.all(userIds.slice(i, i + OPENING_MAX).map((userId) => subscribers.openOne(userId)));
    }
    if (userIds.length > 0) await complete;
    return subscribers;
  }

  async close(): Promise<void> {
    await Promise.all(
      this.sockets.map(async (socket) => {
        if (socket.readyState === WebSocket.CLOSED) return;
        const closed = once(socket, 'close');
        socket.close();
        await closed;
      }),
    );
  }

  private async openOne(userId: string): Promise<void> {
    const { url, placement, limit } = this.options;
    const socket = new WebSocket(`${url.replace('http', 'ws')}${FEED_PATH}`, FEED_SUBPROTOCOL, {
      perMessageDeflate: false,
    });
    this.sockets.push(socket);
    let hasFirst = false;
    socket.on('message', (data: Buffer) => {
      if (data.indexOf(PING) === 0) return socket.send(PONG);
      this.receive(data);
      if (hasFirst) return;
      hasFirst = true;
      if (--this.waitingForFirst === 0) this.first?.();
    });
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'subscribe', userId, placement, limit }));
  }

  private receive(data: Buffer): void {
    const at = data.lastIndexOf(CAUSES);
    if (at < 0 || (this.feeds % WHOLE_EVERY === 0 && !isFeed(data))) {
      throw new EngineError('FEED_PROTOCOL', `Not a feed: ${data.toString('latin1', 0, 200)}`);
    }
    this.feeds++;
    this.feedBytes += data.length;
    const from = at + CAUSES.length;
    const causes = data.toString('latin1', from, data.indexOf(']', from));
    this.options.onFeed(causes === '' ? [] : causes.slice(1, -1).split('","'));
  }
}

function isFeed(data: Buffer): boolean {
  const { type, items, version } = JSON.parse(data.toString()) as Record<string, unknown>;
  return type === 'feed' && Array.isArray(items) && items.length > 0 && typeof version === 'string';
}
