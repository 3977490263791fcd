/**
 * Whether to wait for the disk on the spot.
 *
 * A sync handed to the thread pool costs two turns of the event loop besides, several ms where the loop is busy; a good
 * disk answers in less. So syncs are done on the spot while they take under a millisecond on average, and are handed
 * over while they take longer, when standing still would cost more than it saves. Then one in a second is tried on the
 * spot, to see whether the disk is quick again.
 *
 * Quick syncs add up: standing still for more than a small share of the time makes everybody wait on a busy loop. What is
 * above that share is handed over, where the many who wait for one sync make it cheap.
 */
import type { Clock } from '../clock.js';

/** Average of syncs on the spot, ms, above which they are handed over. */
const QUICK_MS = 1;
/** What one sync counts in the average. */
const WEIGHT = 1 / 16;
const RETRY_MS = 1_000;
/** Most of the time that syncs on the spot may take. */
const SHARE_MAX = 0.05;
/** What may be taken at once after a pause, ms. */
const SAVED_MS_MAX = 5;

export class SyncPace {
  private averageMs = 0;
  private triedMs = -Infinity;
  /** Time that may be taken now, ms; below 0 after a long sync. */
  private savedMs = SAVED_MS_MAX;
  private savedAtMs = -Infinity;

  constructor(private readonly clock: Clock) {}

  /** Runs a sync on the spot and takes its time, if that is the thing to do. Returns whether it ran; throws what it throws. */
  tryNow(sync: () => void): boolean {
    const start = this.clock.monotonic();
    const isRetry = this.averageMs > QUICK_MS;
    if (isRetry ? start - this.triedMs < RETRY_MS : !this.mayStand(start)) return false;
    sync();
    this.triedMs = this.clock.monotonic();
    const tookMs = this.triedMs - start;
    this.savedMs -= tookMs;
    this.averageMs = isRetry ? tookMs : this.averageMs + (tookMs - this.averageMs) * WEIGHT;
    return true;
  }

  private mayStand(now: number): boolean {
    this.savedMs = Math.min(SAVED_MS_MAX, this.savedMs + (now - this.savedAtMs) * SHARE_MAX);
    this.savedAtMs = now;
    return this.savedMs > 0;
  }
}
