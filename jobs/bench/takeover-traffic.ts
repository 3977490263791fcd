/**
 * The outside world of `bench takeover`: people who act at a steady rate, open loop, one event a request; feeds that some of
 * them hold open; and the books of what was acknowledged.
 *
 * After a kill each subscriber of a dead partition acts once more; the feed is current once it names that act.
 */
import { EngineError } from '../../schemas/errors.js';
import { partitionFor } from '../../schemas/ids.js';
import type { Clock } from '../../streams/clock.js';
import { Subscribers } from './load-client.js';
import type { HttpClient } from './load-http.js';
import { runSchedule } from './load-schedule.js';
import type { LoadWorld } from './load-world.js';
import { requireTaken } from './load-world.js';

export interface TakeoverTrafficOptions {
  readonly clock: Clock;
  readonly http: HttpClient;
  readonly world: LoadWorld;
  /** Events a second; every second one is a subscriber's. */
  readonly rate: number;
  readonly subscribers: number;
  /** Of each user, before the traffic began. */
  readonly historyEvents: number;
}

export interface FeedFigures {
  /** Ms from the kill until `CURRENT_SHARE` of the feeds were current; Infinity: never. */
  readonly feedsMs: number;
  /** Of the feeds that were asked for, in the end. */
  readonly currentShare: number;
  readonly feeds: number;
}

export interface Miscount {
  readonly userId: string;
  readonly expected: number;
  readonly counted: number;
}

const PLACEMENT = 'home';
const FEED_ITEMS = 10;
const CURRENT_SHARE = 0.99;
const LOOK_MS = 20;
/** People asked for at once when the books are checked. */
const CHECK_LANES = 16;

export class TakeoverTraffic {
  acknowledged = 0;
  failed = 0;
  firstFailure: unknown;
  private feeds: Subscribers | undefined;
  /** Acknowledged since the history, by user. */
  private readonly books = new Map<number, number>();
  /** Users with an event of which nobody knows whether it was taken. */
  private readonly unknown = new Set<number>();
  /** Monotonic times of feeds that named what is waited for. */
  private readonly named = new Map<string, number>();
  private readonly waiting = new Set<string>();
  private readonly subscribed: readonly number[];
  private readonly stopping = new AbortController();
  private running: Promise<unknown> = Promise.resolve();
  private readonly requests = new Set<Promise<void>>();

  constructor(private readonly options: TakeoverTrafficOptions) {
    const { world, subscribers } = options;
    const users = world.userIds.length;
    const count = Math.min(users, subscribers);
    this.subscribed = Array.from({ length: count }, (_, i) => Math.floor((i * users) / count));
  }

  /** Opens the feeds, then sends until `stop`. */
  async start(url: string): Promise<void> {
    const { clock, world, rate } = this.options;
    const userIds = this.subscribed.map((user) => world.userIds[user]!);
    const onFeed = (eventIds: readonly string[]): void => this.onFeed(eventIds);
    this.feeds = await Subscribers.open({ url, userIds, placement: PLACEMENT, limit: FEED_ITEMS, onFeed });
    this.running = runSchedule(clock, {
      ...{ ratePerSecond: rate, count: Infinity, signal: this.stopping.signal },
      fire: (i) => {
        const user = i % 2 === 0 ? world.randomUser() : this.subscribed[(i >> 1) % this.subscribed.length]!;
        this.post(user, `steady-${i}`);
      },
    });
  }

  /** Resolves when everything that was sent has its answer, feeds closed. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
    await Promise.all(this.requests);
    await this.feeds?.close();
  }

  /**
   * One act of each subscriber of these partitions, and how long their feeds took to name it.
   * @param kill names the acts; monotonic time from which is counted
   */
  async refresh(
    partitions: { readonly dead: ReadonlySet<number>; readonly count: number },
    kill: { readonly name: string; readonly atMs: number; readonly waitMsMax: number },
  ): Promise<FeedFigures> {
    const { clock, world } = this.options;
    const users = this.subscribed.filter((user) =>
      partitions.dead.has(partitionFor(world.userIds[user]!, partitions.count)),
    );
    this.named.clear();
    for (const user of users) this.waiting.add(`${kill.name}-${user}`);
    for (const user of users) this.post(user, `${kill.name}-${user}`);
    while (this.waiting.size > 0 && clock.monotonic() - kill.atMs < kill.waitMsMax) await clock.sleep(LOOK_MS);
    this.waiting.clear();
    const times = [...this.named.values()].map((ms) => ms - kill.atMs);
    return { ...currentAfter(times, users.length), feeds: users.length };
  }

  /** People whose counts differ from the books; everybody who acted is asked for, one unknown answer apart. */
  async check(): Promise<{ readonly checkedUsers: number; readonly miscounts: readonly Miscount[] }> {
    const { world, historyEvents } = this.options;
    const open = [...this.books].filter(([user]) => !this.unknown.has(user));
    const miscounts: Miscount[] = [];
    const checkedUsers = open.length;
    const lane = async (): Promise<void> => {
      for (let next = open.pop(); next !== undefined; next = open.pop()) {
        const [user, acknowledged] = next;
        const userId = world.userIds[user]!;
        const [expected, counted] = [historyEvents + acknowledged, await this.countOf(userId)];
        if (counted !== expected) miscounts.push({ userId, expected, counted });
      }
    };
    await Promise.all(Array.from({ length: CHECK_LANES }, lane));
    return { checkedUsers, miscounts };
  }

  private onFeed(eventIds: readonly string[]): void {
    for (const eventId of eventIds) {
      // A feed may name an event again; the first one counts.
      if (this.waiting.delete(eventId)) this.named.set(eventId, this.options.clock.monotonic());
    }
  }

  private post(user: number, eventId: string): void {
    const { http, world } = this.options;
    const request = http
      .post('/v1/events', world.event(user, eventId))
      .then(requireTaken)
      .then(
        () => {
          this.acknowledged++;
          this.books.set(user, (this.books.get(user) ?? 0) + 1);
        },
        (error: unknown) => {
          this.failed++;
          this.firstFailure ??= error;
          this.unknown.add(user);
        },
      )
      .finally(() => this.requests.delete(request));
    this.requests.add(request);
  }

  /** Interactions that the state of a person holds. */
  private async countOf(userId: string): Promise<number> {
    const answer = await this.options.http.get(`/v1/users/${userId}/state`);
    requireTaken(answer);
    const { operators } = JSON.parse(answer.body.toString()) as {
      readonly operators: { readonly profile?: { readonly counts: readonly number[] } };
    };
    const { profile } = operators;
    if (profile === undefined) throw new EngineError('NOT_FOUND', `The state of ${userId} has no profile.`);
    return profile.counts.reduce((sum, count) => sum + count, 0);
  }
}

/** @param times ms of those that came, in any order @param expected how many were to come */
export function currentAfter(times: readonly number[], expected: number): Omit<FeedFigures, 'feeds'> {
  const needed = Math.ceil(expected * CURRENT_SHARE);
  const sorted = [...times].sort((left, right) => left - right);
  const feedsMs = needed === 0 ? 0 : (sorted[needed - 1] ?? Infinity);
  return { feedsMs, currentShare: expected === 0 ? 1 : times.length / expected };
}
