/**
 * Timers of one batch: those loaded from the store because the batch's event times make them due, plus those set
 * while the batch runs. Fires in order of (time, operator, key); remembers what to add to and remove from the store.
 *
 * Timers beyond the batch's horizon are never held in memory; they only pass through to the commit.
 */
import { compareTimers } from '../memory/key-order.js';
import type { TimerEntry } from '../state/state-store.js';

interface QueuedTimer extends TimerEntry {
  readonly id: string;
}

export class TimerQueue {
  private readonly heap: QueuedTimer[] = [];
  private readonly queued = new Set<string>();
  private readonly cleared = new Set<string>();
  /** Ids that are in the store now, whatever the batch does with them. */
  private readonly stored = new Set<string>();
  private readonly added = new Map<string, TimerEntry>();
  private readonly removed = new Map<string, TimerEntry>();
  private horizon = -Infinity;
  private last: TimerEntry | undefined;

  /** Starts a batch: `due` are all stored timers with time < horizon and, given `last`, all up to and with that one. */
  begin(due: readonly TimerEntry[], horizon: number, last?: TimerEntry): void {
    this.heap.length = 0;
    this.queued.clear();
    this.cleared.clear();
    this.stored.clear();
    this.added.clear();
    this.removed.clear();
    this.horizon = horizon;
    this.last = last;
    for (const timer of due) {
      const id = timerId(timer);
      this.stored.add(id);
      this.push({ ...timer, id });
    }
  }

  set(timer: TimerEntry): void {
    const id = timerId(timer);
    this.cleared.delete(id);
    this.removed.delete(id);
    if (this.isInReach(timer) && !this.queued.has(id)) this.push({ ...timer, id });
    if (!this.stored.has(id)) this.added.set(id, timer);
  }

  /** Whether every stored timer that comes before this one is loaded. */
  private isInReach(timer: TimerEntry): boolean {
    return timer.time < this.horizon || (this.last !== undefined && compareTimers(timer, this.last) <= 0);
  }

  clear(timer: TimerEntry): void {
    const id = timerId(timer);
    this.added.delete(id);
    if (this.queued.has(id)) this.cleared.add(id);
    // It may or may not be in the store: removing an absent timer is harmless.
    this.removed.set(id, timer);
  }

  /** The next timer with time < before, removed from the queue and from the store; undefined when none is due. */
  next(before: number): TimerEntry | undefined {
    for (;;) {
      const top = this.heap[0];
      if (top === undefined || top.time >= before) return undefined;
      this.pop();
      this.queued.delete(top.id);
      if (this.cleared.delete(top.id)) continue;
      this.added.delete(top.id);
      if (this.stored.has(top.id)) this.removed.set(top.id, top);
      return top;
    }
  }

  get additions(): readonly TimerEntry[] {
    return [...this.added.values()];
  }

  get removals(): readonly TimerEntry[] {
    return [...this.removed.values()];
  }

  private push(timer: QueuedTimer): void {
    this.queued.add(timer.id);
    const { heap } = this;
    let i = heap.push(timer) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (compareTimers(timer, heap[parent]!) >= 0) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = timer;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop()!;
    const size = heap.length;
    if (size === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= size) break;
      if (child + 1 < size && compareTimers(heap[child + 1]!, heap[child]!) < 0) child++;
      if (compareTimers(heap[child]!, last) >= 0) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function timerId(timer: TimerEntry): string {
  return `${timer.time}/${timer.operator}/${timer.key}`;
}
