/**
 * One subscription of one connection, and what the hub needs of the connection.
 *
 *   idle ──hint, withdrawal──▶ dirty ──user read, socket free, interval over──▶ sent ──▶ idle
 *                               │ ▲
 *                               └─┘ further causes are merged
 *
 * There is never a queue: a dirty subscription holds the merged causes, and the feed is made when it can be sent.
 */
import type { RankedList, RequestContext } from '../node/ports.js';

/** What a subscription writes to. */
export interface FeedSink {
  /** Bytes handed over and not yet taken by the network. */
  readonly bufferedBytes: number;
  readonly isOpen: boolean;
  send(text: string): void;
}

export interface SentFeed {
  readonly requestId: string;
  readonly userId: string;
  readonly placement: string;
  readonly list: RankedList;
  readonly eligibleCount: number;
  /** Published models that took part: `model/NAME` -> version. */
  readonly models: Readonly<Record<string, string>> | undefined;
}

export interface SubscriptionOptions {
  readonly sink: FeedSink;
  readonly userId: string;
  readonly placement: string;
  readonly limit: number;
  readonly context: RequestContext | undefined;
  readonly minIntervalMs: number;
}

/** Event ids that a feed names as its causes; the latest are kept. */
export const CAUSES_MAX = 16;
/** Feeds of a subscription that `viewed` can still name. */
const SENT_FEEDS_MAX = 8;

export class Subscription {
  readonly sink: FeedSink;
  readonly userId: string;
  readonly placement: string;
  readonly limit: number;
  readonly context: RequestContext | undefined;
  readonly minIntervalMs: number;
  /** Subscriptions of one user with equal keys get the same text. */
  readonly shareKey: string;
  isClosed = false;
  isDirty = false;
  /** Send even when the user's state has not moved: the first feed, or an item was withdrawn. */
  isForced = false;
  causes: string[] = [];
  /** Of the feed the client has: offset of the user's state, −1 before the first; and the revision. */
  offset = -1;
  revision = 0;
  sentAt = -Infinity;
  readonly sent: SentFeed[] = [];

  constructor(options: SubscriptionOptions) {
    this.sink = options.sink;
    this.userId = options.userId;
    this.placement = options.placement;
    this.limit = options.limit;
    this.context = options.context;
    this.minIntervalMs = options.minIntervalMs;
    const { placement, limit, context } = options;
    this.shareKey = `${limit}\n${placement}\n${context === undefined ? '' : JSON.stringify(context)}`;
  }

  markDirty(eventIds: readonly string[]): void {
    this.isDirty = true;
    for (const eventId of eventIds) if (!this.causes.includes(eventId)) this.causes.push(eventId);
    if (this.causes.length > CAUSES_MAX) this.causes.splice(0, this.causes.length - CAUSES_MAX);
  }

  markClean(): void {
    this.isDirty = false;
    this.isForced = false;
    this.causes = [];
  }

  remember(feed: SentFeed): void {
    this.sent.push(feed);
    if (this.sent.length > SENT_FEEDS_MAX) this.sent.shift();
  }

  shows(items: ReadonlySet<string>): boolean {
    const shown = this.sent.at(-1);
    return shown !== undefined && someId(shown.list, (itemId) => items.has(itemId));
  }
}

/** Whether the test holds for the id of an item of the list. */
export function someId(list: RankedList, test: (itemId: string) => boolean): boolean {
  for (let place = 0; place < list.length; place++) if (test(list.idAt(place))) return true;
  return false;
}
