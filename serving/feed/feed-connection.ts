/**
 * One client on the feed: reads its messages, holds its subscriptions, keeps it within its limits.
 *
 *   open ──rubbish, flood, silence, draining──▶ closing ──▶ closed (subscriptions are gone)
 */
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { ViewedReport } from '../http/recommendations.js';
import type { FeedHub } from './feed-hub.js';
import { CLOSE, errorText, parseClientMessage, PING_TEXT } from './protocol.js';
import type { SubscribeMessage } from './protocol.js';
import { type FeedSink, type SentFeed, Subscription } from './subscription.js';

/** The socket, without its library. `send` calls `onFlushed` of the connection when the network took the bytes. */
export interface FeedSocket {
  readonly bufferedBytes: number;
  readonly isOpen: boolean;
  send(text: string): void;
  close(code: number, reason: string): void;
  terminate(): void;
}

export interface FeedLimits {
  readonly subscriptionsPerConnectionMax: number;
  readonly subscriptionsPerUserMax: number;
  readonly messagesPerSecondMax: number;
}

export interface FeedConnectionOptions {
  readonly socket: FeedSocket;
  readonly producerId: string;
  readonly hub: FeedHub;
  readonly limits: FeedLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly viewed: (report: ViewedReport) => Promise<void>;
}

const LIMIT_DEFAULT = 10;
/** Malformed messages after which a connection is closed. */
const FAULTS_MAX = 5;
/** Pings without any message of the client after which it is given up. */
const SILENT_PINGS_MAX = 2;

export class FeedConnection {
  private readonly byPlacement = new Map<string, Subscription>();
  private readonly sink: FeedSink;
  private faults = 0;
  private silentPings = 0;
  private tokens: number;
  private tokensAt: number;

  constructor(private readonly options: FeedConnectionOptions) {
    this.sink = options.socket;
    this.tokens = options.limits.messagesPerSecondMax * 2;
    this.tokensAt = options.clock.monotonic();
  }

  /** A message of the client. Never throws. */
  receive(data: string): void {
    const { socket } = this.options;
    if (!socket.isOpen) return;
    this.silentPings = 0;
    if (!this.takeToken()) {
      socket.close(CLOSE.limit, `more than ${this.options.limits.messagesPerSecondMax} messages a second`);
      return;
    }
    try {
      this.handle(data);
    } catch (error) {
      this.refuse(error);
    }
  }

  /** The network took what was sent. */
  onFlushed(): void {
    this.options.hub.onFlushed(this.byPlacement.values());
  }

  /** Once a heartbeat. */
  beat(): void {
    const { socket } = this.options;
    if (this.silentPings > SILENT_PINGS_MAX) return socket.terminate();
    if (this.silentPings++ === SILENT_PINGS_MAX) return socket.close(CLOSE.silent, 'no message within two heartbeats');
    if (socket.isOpen) socket.send(PING_TEXT);
  }

  drain(reconnectMs: number): void {
    this.options.socket.close(CLOSE.draining, `reconnect in ${reconnectMs} ms`);
  }

  /** The socket is gone. Idempotent. */
  closed(): void {
    for (const subscription of this.byPlacement.values()) this.options.hub.remove(subscription);
    this.byPlacement.clear();
  }

  private handle(data: string): void {
    const message = parseClientMessage(data);
    switch (message.type) {
      case 'subscribe':
        return this.subscribe(message);
      case 'unsubscribe':
        return this.unsubscribe(message.placement);
      case 'viewed':
        return this.viewed(message.requestId, message.itemIds);
      case 'pong':
        return;
    }
  }

  private subscribe(message: SubscribeMessage): void {
    const { hub, limits } = this.options;
    const { userId, placement, limit = LIMIT_DEFAULT, context, minIntervalMs = 0, sinceVersion } = message;
    const previous = this.byPlacement.get(placement);
    if (previous === undefined && this.byPlacement.size >= limits.subscriptionsPerConnectionMax) {
      throw tooMany('subscriptions on this connection', limits.subscriptionsPerConnectionMax);
    }
    const ofUser = hub.subscriptionsOf(userId) - (previous?.userId === userId ? 1 : 0);
    if (ofUser >= limits.subscriptionsPerUserMax)
      throw tooMany('subscriptions of this user', limits.subscriptionsPerUserMax);
    if (previous !== undefined) hub.remove(previous);
    const subscription = new Subscription({ sink: this.sink, userId, placement, limit, context, minIntervalMs });
    this.byPlacement.set(placement, subscription);
    hub.add(subscription, sinceVersion);
  }

  private unsubscribe(placement: string): void {
    const subscription = this.byPlacement.get(placement);
    if (subscription === undefined)
      throw new EngineError('FEED_PROTOCOL', `There is no subscription to placement ${JSON.stringify(placement)}`);
    this.byPlacement.delete(placement);
    this.options.hub.remove(subscription);
  }

  private viewed(requestId: string, itemIds: readonly string[]): void {
    const shown = this.findSent(requestId);
    const unknown = itemIds.find((itemId) => shown.list.placeOf(itemId) < 0);
    if (unknown !== undefined)
      throw new EngineError('FEED_PROTOCOL', `Item ${JSON.stringify(unknown)} was not in feed ${requestId}`);
    const { userId, placement } = shown;
    const { producerId, viewed } = this.options;
    const report = { userId, placement, requestId, itemIds, positions: undefined, producerId, shown };
    viewed(report).catch((error: unknown) => this.refuse(error));
  }

  private findSent(requestId: string): SentFeed {
    for (const { sent } of this.byPlacement.values()) {
      const feed = sent.find((candidate) => candidate.requestId === requestId);
      if (feed !== undefined) return feed;
    }
    throw new EngineError('FEED_PROTOCOL', 'requestId is not one of the latest feeds of this connection');
  }

  /** Tells the client; closes on the one who does not listen. */
  private refuse(error: unknown): void {
    const { socket, logger } = this.options;
    if (!socket.isOpen) return;
    if (!isEngineError(error)) {
      logger.error('a feed message failed', { error });
      socket.send(errorText('INTERNAL', 'The message failed unexpectedly; the log of the node says why.'));
      return;
    }
    socket.send(errorText(error.code, error.message));
    if (error.code === 'FEED_PROTOCOL' && ++this.faults >= FAULTS_MAX)
      socket.close(CLOSE.protocol, `${FAULTS_MAX} malformed messages`);
  }

  /** Twice the rate may come at once. */
  private takeToken(): boolean {
    const { clock, limits } = this.options;
    const now = clock.monotonic();
    const rate = limits.messagesPerSecondMax;
    this.tokens = Math.min(rate * 2, this.tokens + ((now - this.tokensAt) / 1_000) * rate);
    this.tokensAt = now;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}

function tooMany(what: string, most: number): EngineError {
  return new EngineError('FEED_LIMIT', `There are ${most} ${what}, which is the limit`);
}
