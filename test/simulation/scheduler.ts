/**
 * The simulation's only source of time: a queue of events in virtual milliseconds, run one after the other.
 *
 * Nothing waits for the machine: time jumps to the next event. After each event every promise reaction it caused is
 * run before the next one, so a run is a function of its seed. Wall time (`now`) can be made to jump, as a bad clock
 * does; virtual time, which orders events, cannot.
 */
import { systemClock } from '../../streams/clock.js';

interface ScheduledEvent {
  readonly at: number;
  readonly sequence: number;
  readonly run: () => void;
}

/** Wall time at virtual time 0. */
export const START_MS = Date.UTC(2024, 0, 1);

/** Events between two looks at whether a run is done. */
const LOOK_EVERY_STEPS = 16;

export class Scheduler {
  private readonly heap: ScheduledEvent[] = [];
  private sequence = 0;
  private wallOffsetMs = 0;
  /** Virtual ms since the start. */
  elapsedMs = 0;
  /** Events run so far. */
  steps = 0;

  now(): number {
    return START_MS + this.wallOffsetMs + this.elapsedMs;
  }

  /** Moves the wall clock, in either direction. */
  jumpWallClock(byMs: number): void {
    this.wallOffsetMs += byMs;
  }

  /** Runs `run` after `ms` of virtual time; events of one instant run in the order in which they were scheduled. */
  after(ms: number, run: () => void): void {
    this.push({ at: this.elapsedMs + Math.max(0, Math.round(ms)), sequence: this.sequence++, run });
  }

  /** Runs events until virtual time `untilMs`, or until `isDone` says so; false when time ran out. */
  async runUntil(untilMs: number, isDone?: () => boolean): Promise<boolean> {
    await settle();
    for (;;) {
      if (this.steps % LOOK_EVERY_STEPS === 0 && isDone?.() === true) return true;
      const next = this.heap[0];
      if (next === undefined || next.at > untilMs) {
        this.elapsedMs = untilMs;
        return isDone?.() === true;
      }
      this.pop();
      this.elapsedMs = next.at;
      this.steps++;
      next.run();
      await settle();
    }
  }

  private push(event: ScheduledEvent): void {
    const { heap } = this;
    let i = heap.push(event) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function isBefore(left: ScheduledEvent, right: ScheduledEvent): boolean {
  return left.at < right.at || (left.at === right.at && left.sequence < right.sequence);
}

/** Resolves when every promise reaction that is ready, and every one that those cause, has run. */
function settle(): Promise<void> {
  return systemClock.nextTurn();
}
