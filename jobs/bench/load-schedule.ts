/**
 * Open-loop load: what is sent, and when, does not depend on the answers.
 *
 * A generator that waits for an answer sends less while the engine is slow and so measures the good moments (coordinated
 * omission). Here every request has a time at which it is due, `rate` a second at even distances, and its latency counts
 * from then, whether the generator, a connection or the engine was late.
 */
import type { Clock } from '../../streams/clock.js';

export interface Schedule {
  readonly ratePerSecond: number;
  /** Infinity: until `signal`. */
  readonly count: number;
  readonly signal?: AbortSignal;
  /** Called once for each i in order, as soon as it is due. Times are monotonic. */
  readonly fire: (i: number, dueMs: number) => void;
}

/** Timers are this fine: what falls due in between is sent with the next, and its wait counts. */
const TICK_MS = 1;

/** Resolves with the time at which the first one was due, after the last one was fired. */
export async function runSchedule(clock: Clock, { ratePerSecond, count, signal, fire }: Schedule): Promise<number> {
  const startMs = clock.monotonic() + TICK_MS;
  const stepMs = 1_000 / ratePerSecond;
  for (let i = 0; i < count && signal?.aborted !== true;) {
    const now = clock.monotonic();
    for (; i < count && startMs + i * stepMs <= now; i++) fire(i, startMs + i * stepMs);
    if (i < count) await clock.sleep(TICK_MS);
  }
  return startMs;
}
