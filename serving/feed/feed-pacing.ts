/**
 * Subscriptions that must wait before their next feed: one timer for all of them, set to the earliest.
 */
import type { Clock, TimerHandle } from '../../streams/clock.js';
import type { Subscription } from './subscription.js';

/** Least time between two firings, ms: a thousand subscriptions due one after another cost few looks. */
const LOOK_MS_MIN = 5;

export class FeedPacing {
  private waiting = new Set<Subscription>();
  private timer: TimerHandle | undefined;
  private dueMs = Infinity;
  private isClosed = false;

  /** @param onDue gets all that wait; those that are not due yet are expected back through `delay`. */
  constructor(
    private readonly clock: Clock,
    private readonly onDue: (subscriptions: Iterable<Subscription>) => void,
  ) {}

  /** @param dueMs monotonic time */
  delay(subscription: Subscription, dueMs: number): void {
    if (this.isClosed) return;
    this.waiting.add(subscription);
    if (dueMs >= this.dueMs) return;
    this.timer?.cancel();
    this.dueMs = dueMs;
    this.timer = this.clock.setTimer(Math.max(LOOK_MS_MIN, dueMs - this.clock.monotonic()), () => this.fire());
  }

  forget(subscription: Subscription): void {
    this.waiting.delete(subscription);
  }

  close(): void {
    this.isClosed = true;
    this.timer?.cancel();
    this.waiting.clear();
  }

  private fire(): void {
    this.dueMs = Infinity;
    const due = this.waiting;
    this.waiting = new Set();
    this.onDue(due);
  }
}
