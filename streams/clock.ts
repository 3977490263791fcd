/**
 * Time as an argument: wall time, monotonic time, sleeping and timers behind one interface.
 *
 * Everything that looks at the time or waits is handed a Clock, so the same code runs on the machine's clock and on
 * a simulated one. This file is the only one allowed to call Date.now, performance.now, setTimeout, setInterval and
 * setImmediate. Wall time only decides when to look; results are decided by event time, which is data.
 *
 * Invariant: a cancelled timer never fires, and timers due at different times fire in the order of those times.
 */
import { invariant } from '../schemas/errors.js';

/** A timer that was set. Whoever set it owns it and cancels it when closing. */
export interface TimerHandle {
  /** Idempotent; after it returns the callback will not be called any more. */
  cancel(): void;
}

export interface Clock {
  /** Wall time in ms since the Unix epoch; may jump in either direction. */
  now(): number;
  /** Ms from an arbitrary origin, with a fraction; never decreases. For durations. */
  monotonic(): number;
  /** Resolves after `ms`. Rejects with the signal's reason, at once, when the signal is or becomes aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back once after `ms`. An open timer keeps the process alive. */
  setTimer(ms: number, callback: () => void): TimerHandle;
  /** Calls back every `ms` (1 to 2^31 - 1) until cancelled, first after one period. Missed ones are not made up for. */
  setInterval(ms: number, callback: () => void): TimerHandle;
  /**
   * Resolves after waiting input and output of the process had a turn: how a long loop stays polite.
   * @param usedMs how long the caller worked since its last turn, where it knows; for clocks that are fair by that.
   */
  nextTurn(usedMs?: number): Promise<void>;
  /** To be told by work that gives way in `nextTurn` when it is through with its input. Absent: nobody cares. */
  caughtUp?(): void;
}

/** Node fires a longer timeout at once instead of late: such a wait is cut into pieces of this length. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** The machine's clock. Stateless; use the shared `systemClock`. */
export class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  setTimer(ms: number, callback: () => void): TimerHandle {
    requireDelay(ms, 0);
    let handle: NodeJS.Timeout;
    const arm = (remainingMs: number): void => {
      handle =
        remainingMs <= TIMEOUT_MS_MAX
          ? setTimeout(callback, remainingMs)
          : setTimeout(() => arm(remainingMs - TIMEOUT_MS_MAX), TIMEOUT_MS_MAX);
    };
    arm(ms);
    return { cancel: () => clearTimeout(handle) };
  }

  setInterval(ms: number, callback: () => void): TimerHandle {
    requireDelay(ms, 1, TIMEOUT_MS_MAX);
    const handle = setInterval(callback, ms);
    return { cancel: () => clearInterval(handle) };
  }

  nextTurn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}

/** The one SystemClock a process needs. */
export const systemClock: Clock = new SystemClock();

interface ManualTimer {
  dueMs: number;
  sequence: number;
  callback: () => void;
  /** Period of an interval; undefined for a one-shot timer. */
  everyMs: number | undefined;
  open: boolean;
}

/** Upper bound of firings in one `advance`: a timer that re-arms itself with 0 ms is a bug, not a long test. */
const FIRINGS_PER_ADVANCE_MAX = 10_000_000;

/**
 * A clock that moves only when told to, for tests and simulation.
 *
 * Timers due at the same time fire in the order in which they were set. After each firing all promise reactions it
 * caused are run before the next timer, so `await clock.advance(1_000)` behaves like a thousand real milliseconds
 * with nothing else to wait for.
 */
export class ManualClock implements Clock {
  private readonly timers: ManualTimer[] = [];
  private elapsedMs = 0;
  private sequence = 0;

  /** @param startMs wall time at the start; a fixed date by default, so that no test depends on today. */
  constructor(private readonly startMs = Date.UTC(2024, 0, 1)) {}

  now(): number {
    return this.startMs + this.elapsedMs;
  }

  monotonic(): number {
    return this.elapsedMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  setTimer(ms: number, callback: () => void): TimerHandle {
    requireDelay(ms, 0);
    return this.add(ms, callback, undefined);
  }

  setInterval(ms: number, callback: () => void): TimerHandle {
    requireDelay(ms, 1, TIMEOUT_MS_MAX);
    return this.add(ms, callback, ms);
  }

  nextTurn(): Promise<void> {
    return this.settle();
  }

  /** Timers that are set and not yet fired or cancelled: a closed component leaves none behind. */
  get pendingTimers(): number {
    return this.timers.length;
  }

  /** Ms until the next timer, or undefined when none is set. */
  get nextTimerInMs(): number | undefined {
    const next = this.timers[0];
    return next === undefined ? undefined : Math.max(0, next.dueMs - this.elapsedMs);
  }

  /** Moves time forward by `ms`, firing what falls due on the way, each timer at its own time. */
  async advance(ms: number): Promise<void> {
    requireDelay(ms, 0);
    const targetMs = this.elapsedMs + ms;
    await this.settle();
    for (let i = 0; i < FIRINGS_PER_ADVANCE_MAX; i++) {
      const next = this.timers[0];
      if (next === undefined || next.dueMs > targetMs) {
        this.elapsedMs = targetMs;
        return;
      }
      this.elapsedMs = Math.max(this.elapsedMs, next.dueMs);
      this.fire(next);
      await this.settle();
    }
    invariant(
      false,
      `More than ${FIRINGS_PER_ADVANCE_MAX} timers fired while advancing by ${ms} ms; one re-arms itself`,
    );
  }

  /** Runs every promise reaction that is ready, without moving time. */
  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  private add(ms: number, callback: () => void, everyMs: number | undefined): TimerHandle {
    const timer = { dueMs: this.elapsedMs + ms, sequence: this.sequence++, callback, everyMs, open: true };
    this.insert(timer);
    return {
      cancel: () => {
        if (!timer.open) return;
        timer.open = false;
        const index = this.timers.indexOf(timer);
        if (index >= 0) this.timers.splice(index, 1);
      },
    };
  }

  /** Keeps `timers` sorted by (due, sequence). Linear is fine: a simulation holds tens of timers, not thousands. */
  private insert(timer: ManualTimer): void {
    let index = this.timers.length;
    while (index > 0 && isBefore(timer, this.timers[index - 1]!)) index--;
    this.timers.splice(index, 0, timer);
  }

  private fire(timer: ManualTimer): void {
    this.timers.shift();
    if (timer.everyMs === undefined) {
      timer.open = false;
    } else {
      timer.dueMs += timer.everyMs;
      timer.sequence = this.sequence++;
      this.insert(timer);
    }
    timer.callback();
  }
}

function isBefore(left: ManualTimer, right: ManualTimer): boolean {
  return left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.sequence < right.sequence);
}

function sleepOn(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return new Promise((resolve) => void clock.setTimer(ms, resolve));
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortReason(signal));
    const onAbort = (): void => {
      timer.cancel();
      reject(abortReason(signal));
    };
    const timer = clock.setTimer(ms, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error('The wait was aborted', { cause: reason });
}

/** NaN and negative delays would fire at once and turn a pause into a busy loop. */
function requireDelay(ms: number, leastMs: number, mostMs = Number.MAX_SAFE_INTEGER): void {
  invariant(ms >= leastMs && ms <= mostMs, `A delay must be a number from ${leastMs} to ${mostMs} ms, got ${ms}`);
}
