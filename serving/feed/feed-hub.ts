/**
 * Turns hints into pushed feeds: 'this user moved' → read the row once → rank for each subscription → send.
 *
 * Users wait in one ordered set, so a user that moves ten times while waiting is read once. Users are taken in small
 * groups with one read each; between slices of `SLICE_MS` the event loop gets a turn. A subscription whose socket has
 * not taken what was sent, or whose interval is not over, stays dirty and is made when it may be sent: always from the
 * latest state. One timer serves all intervals.
 */
import { partitionFor } from '../../schemas/ids.js';
import type { Clock } from '../../streams/clock.js';
import type { Hint } from '../../streams/log/event-log.js';
import type { Logger } from '../../streams/logger.js';
import type { Counter, Histogram, Metrics } from '../../streams/metrics.js';
import type { Catalogue, Recommender, UserReader, UserView } from '../node/ports.js';
import type { EventArrivals } from './event-arrivals.js';
import { RecentFeeds } from './recent-feeds.js';
import { FeedPacing } from './feed-pacing.js';
import type { FeedVersion } from './feed-version.js';
import { makeFeed, type Made } from './make-feed.js';
import { someId, type Subscription } from './subscription.js';

export interface FeedHubOptions {
  readonly users: UserReader;
  readonly recommender: Recommender;
  readonly catalogue: Catalogue;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly arrivals: EventArrivals;
  readonly generation: () => number;
  readonly newId: () => string;
  /** Feeds of closed connections remembered for resuming. */
  readonly resumableMax: number;
}

/** A socket that holds more than this is slow: it gets its next feed when it has taken this one. */
export const BUFFERED_BYTES_MAX = 16_384;
const SLICE_MS = 4;
/** Users of one read. */
const READ_USERS_MAX = 64;
/** Pause before users that could not be read are tried again. */
const RETRY_MS = 1_000;
/** Withdrawn items remembered while a scan is under way; more than this renews every feed. */
const WITHDRAWN_MAX = 10_000;
/** Users seen in hints lately, for the page. */
const ACTIVE_USERS_MAX = 20;

export class FeedHub {
  private readonly byUser = new Map<string, Set<Subscription>>();
  /** Users to be read, in the order in which they moved. */
  private readonly moved = new Set<string>();
  private readonly pacing: FeedPacing;
  private readonly active = new Set<string>();
  private readonly recent: RecentFeeds;
  private withdrawn = new Set<string>();
  private running: Promise<void> | undefined;
  private isClosed = false;
  private readonly pushedTotal: Counter;
  private readonly conflatedTotal: Counter;
  private readonly latency: Histogram;
  subscriptionCount = 0;

  constructor(private readonly options: FeedHubOptions) {
    const { metrics } = options;
    this.recent = new RecentFeeds(options.resumableMax);
    this.pacing = new FeedPacing(options.clock, (due) => this.onFlushed(due));
    this.pushedTotal = metrics.counter('feeds_pushed_total', 'Feeds sent to subscribers.');
    this.conflatedTotal = metrics.counter(
      'feeds_conflated_total',
      'Moves merged into a later feed: slow client or interval.',
    );
    this.latency = metrics.histogram('feed_push_latency_ms', 'From the event at this edge to its feed on the socket.');
    metrics.gaugeOf('feed_subscriptions', 'Open subscriptions.', () => this.subscriptionCount);
    metrics.gaugeOf('feed_users_waiting', 'Users that moved and are not read yet.', () => this.moved.size);
  }

  get pushed(): number {
    return this.pushedTotal.value;
  }

  get pushLatency(): { p50: number; p99: number } {
    return { p50: this.latency.quantile(0.5), p99: this.latency.quantile(0.99) };
  }

  /** Latest first. */
  activeUsers(): string[] {
    return [...this.active].reverse();
  }

  subscriptionsOf(userId: string): number {
    return this.byUser.get(userId)?.size ?? 0;
  }

  /** The first feed follows soon, unless the client has it already. */
  add(subscription: Subscription, since?: FeedVersion): void {
    const own = this.byUser.get(subscription.userId) ?? new Set<Subscription>();
    this.byUser.set(subscription.userId, own);
    own.add(subscription);
    this.subscriptionCount++;
    const { catalogue } = this.options;
    const generation = this.options.generation();
    subscription.isForced = true;
    if (since?.generation === generation) {
      subscription.offset = since.offset;
      subscription.revision = since.revision;
      const held = this.recent.resumable(subscription, since, generation);
      if (held !== undefined && !someId(held.feed.list, (itemId) => !catalogue.isServable(itemId))) {
        subscription.remember(held.feed);
        subscription.isForced = false;
        return;
      }
      // Sent by another node, or forgotten: the offset of the user's state decides once it is read.
      if (held === undefined) subscription.isForced = false;
    }
    subscription.markDirty([]);
    this.enqueue(subscription.userId);
  }

  remove(subscription: Subscription): void {
    if (subscription.isClosed) return;
    subscription.isClosed = true;
    this.pacing.forget(subscription);
    this.subscriptionCount--;
    const own = this.byUser.get(subscription.userId);
    own?.delete(subscription);
    if (own?.size === 0) this.byUser.delete(subscription.userId);
    this.recent.keep(subscription, this.options.generation());
  }

  /** Listener of the hint topic. Cheap for users nobody subscribed to. */
  onHints(hints: readonly Hint[]): void {
    for (const { key, eventIds } of hints) {
      this.active.delete(key);
      this.active.add(key);
      this.recent.forgetUser(key);
      const subscriptions = this.byUser.get(key);
      if (subscriptions === undefined) continue;
      for (const subscription of subscriptions) {
        if (subscription.isDirty) this.conflatedTotal.inc();
        subscription.markDirty(eventIds);
      }
      this.enqueue(key);
    }
    for (const userId of this.active) {
      if (this.active.size <= ACTIVE_USERS_MAX) break;
      this.active.delete(userId);
    }
  }

  /**
   * Users of a partition with an open feed that waits for nothing, and the offset of the state that the oldest of their
   * feeds was made from: a hint may have been lost where the store has a later one.
   */
  watched(partition: number, partitions: number): { key: string; version: number }[] {
    const watched = [];
    for (const [key, subscriptions] of this.byUser) {
      if (this.moved.has(key) || partitionFor(key, partitions) !== partition) continue;
      let version = Infinity;
      for (const { isDirty, offset } of subscriptions) if (!isDirty) version = Math.min(version, offset);
      if (version !== Infinity) watched.push({ key, version });
    }
    return watched;
  }

  /** Items that may not be shown any more: feeds that show one are renewed. */
  onWithdrawn(itemIds: Iterable<string>): void {
    if (this.byUser.size === 0) return;
    for (const itemId of itemIds) if (this.withdrawn.size < WITHDRAWN_MAX) this.withdrawn.add(itemId);
    this.run();
  }

  /** The sink took what was sent: what waited for that may go on. */
  onFlushed(subscriptions: Iterable<Subscription>): void {
    for (const subscription of subscriptions) if (subscription.isDirty) this.enqueue(subscription.userId);
  }

  /** Resolves when no user waits to be read; for tests and for closing. */
  async settled(): Promise<void> {
    while (this.running !== undefined) await this.running;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.pacing.close();
    this.moved.clear();
    await this.settled();
  }

  private enqueue(userId: string): void {
    this.moved.add(userId);
    this.run();
  }

  private run(): void {
    if (this.running !== undefined || this.isClosed) return;
    this.running = this.drain()
      .catch((error: unknown) => this.options.logger.error('feeds could not be made', { error }))
      .finally(() => {
        this.running = undefined;
        // A failed read leaves its users out; those that came meanwhile are taken up again.
        if (this.moved.size > 0 || this.withdrawn.size > 0) this.run();
      });
  }

  private async drain(): Promise<void> {
    const { clock, users } = this.options;
    let sliceStart = clock.monotonic();
    while ((this.moved.size > 0 || this.withdrawn.size > 0) && !this.isClosed) {
      if (this.withdrawn.size > 0) await this.markWithdrawn();
      const userIds = this.take();
      if (userIds.length === 0) continue;
      const now = clock.now();
      const views = await users.read(userIds, now).catch((error: unknown) => this.retryLater(userIds, error));
      for (let i = 0; i < views.length; i++) {
        this.tryPush(userIds[i]!, views[i]!, now);
        if (clock.monotonic() - sliceStart < SLICE_MS) continue;
        await clock.nextTurn();
        sliceStart = clock.monotonic();
      }
    }
  }

  /** Users whose state could not be read are looked at again after a pause. */
  private retryLater(userIds: readonly string[], error: unknown): readonly UserView[] {
    this.options.logger.warn('users could not be read for their feeds', { users: userIds.length, error });
    const dueMs = this.options.clock.monotonic() + RETRY_MS;
    for (const userId of userIds) {
      for (const subscription of this.byUser.get(userId) ?? []) this.pacing.delay(subscription, dueMs);
    }
    return [];
  }

  private tryPush(userId: string, view: UserView, now: number): void {
    try {
      this.push(userId, view, now);
    } catch (error) {
      this.options.logger.error('a feed could not be made', { userId, error });
    }
  }

  private take(): string[] {
    const taken: string[] = [];
    for (const userId of this.moved) {
      if (taken.length >= READ_USERS_MAX) break;
      this.moved.delete(userId);
      if (this.hasSendable(userId)) taken.push(userId);
    }
    return taken;
  }

  /** Subscriptions that must wait do not cost a read. */
  private hasSendable(userId: string): boolean {
    let sendable = false;
    for (const subscription of this.byUser.get(userId) ?? []) {
      if (subscription.isDirty && this.maySend(subscription)) sendable = true;
    }
    return sendable;
  }

  private maySend(subscription: Subscription): boolean {
    const { sink, minIntervalMs, sentAt } = subscription;
    if (!sink.isOpen || sink.bufferedBytes > BUFFERED_BYTES_MAX) return false;
    if (minIntervalMs === 0) return true;
    const dueMs = sentAt + minIntervalMs;
    if (dueMs <= this.options.clock.monotonic()) return true;
    this.pacing.delay(subscription, dueMs);
    return false;
  }

  private push(userId: string, view: UserView, now: number): void {
    const subscriptions = this.byUser.get(userId);
    if (subscriptions === undefined) return;
    let made: Map<string, Made> | undefined;
    for (const subscription of subscriptions) {
      if (!subscription.isDirty || !this.maySend(subscription)) continue;
      // A feed made between the commit of an event and its hint shows the event but does not name it.
      const isNamed = subscription.causes.length === 0;
      if (!subscription.isForced && isNamed && view.offset === subscription.offset) {
        subscription.markClean();
        continue;
      }
      const revision = view.offset === subscription.offset ? subscription.revision + 1 : 0;
      // Causes of a waiting subscription may be more than those of its sister: they are part of what is shared.
      const key =
        subscriptions.size === 1 ? '' : `${revision}\n${subscription.causes.join()}\n${subscription.shareKey}`;
      let feed = made?.get(key);
      if (feed === undefined) {
        feed = makeFeed(this.options, subscription, { view, revision, now });
        if (subscriptions.size > 1) (made ??= new Map()).set(key, feed);
      }
      this.deliver(subscription, feed, { offset: view.offset, revision });
    }
  }

  private deliver(subscription: Subscription, feed: Made, version: { offset: number; revision: number }): void {
    const { clock, arrivals } = this.options;
    const { userId, placement, causes } = subscription;
    subscription.sink.send(feed.text);
    const sentAt = clock.monotonic();
    this.pushedTotal.inc();
    const latest = causes.length === 0 ? undefined : arrivals.get(causes[causes.length - 1]!);
    if (latest !== undefined) this.latency.observe(sentAt - latest);
    subscription.sentAt = sentAt;
    subscription.offset = version.offset;
    subscription.revision = version.revision;
    const { requestId, list, eligibleCount, models } = feed;
    subscription.remember({ requestId, userId, placement, list, eligibleCount, models });
    subscription.markClean();
  }

  private async markWithdrawn(): Promise<void> {
    const items = this.withdrawn;
    this.withdrawn = new Set();
    const { clock } = this.options;
    const all = items.size >= WITHDRAWN_MAX;
    let sliceStart = clock.monotonic();
    for (const [userId, subscriptions] of [...this.byUser]) {
      for (const subscription of subscriptions) {
        if (!all && !subscription.shows(items)) continue;
        subscription.isForced = true;
        subscription.markDirty([]);
        this.moved.add(userId);
      }
      if (clock.monotonic() - sliceStart < SLICE_MS) continue;
      await clock.nextTurn();
      sliceStart = clock.monotonic();
    }
  }
}
