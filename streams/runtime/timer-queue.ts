/**
 * Timers of one batch: those loaded from the store because the batch's event times make them due, plus those set
 * while the batch runs. Fires in order of (time, operator, key); remembers what to add to and remove from the store.
 *
 * The horizon moves on while the batch does; what is set beyond it waits in the heap, and mostly passes through to the
 * commit. A timer is found by its key, of which the batch has few, so no identity has to be built and hashed for each.
 */
import { compareTimers } from '../memory/key-order.js';
import type { TimerEntry } from '../state/state-store.js';

/** What the batch knows of one timer. */
interface Slot extends TimerEntry {
  /** It is in the store now, whatever the batch does with it. */
  isStored: boolean;
  /** It is to be there after the batch. */
  isSet: boolean;
  isQueued: boolean;
  /** Another timer of the same key. */
  readonly next: Slot | undefined;
}

export class TimerQueue {
  private readonly heap: Slot[] = [];
  /** All there are, and by key the one that came last. */
  private slots: Slot[] = [];
  private byKey = new Map<string, Slot>();
  /** About as many timers as the commit will add and remove. */
  changes = 0;
  /** All stored timers with time < horizon are here. */
  horizon = -Infinity;
  private last: TimerEntry | undefined;

  /** Starts a batch; nothing is in reach. */
  begin(): void {
    this.heap.length = 0;
    this.slots = [];
    this.byKey = new Map();
    this.changes = 0;
    this.horizon = -Infinity;
    this.last = undefined;
  }

  /**
   * Moves the horizon: `due` are all stored timers from the old horizon on with time < the new one and, given `last`,
   * all up to and with that one. Timers that were loaded before may be among them; they are as they were left.
   */
  extend(due: readonly TimerEntry[], horizon: number, last?: TimerEntry): void {
    this.horizon = horizon;
    this.last = last;
    for (const timer of due) {
      const known = this.find(timer.time, timer.operator, timer.key);
      if (known === undefined) this.push(this.add(timer.time, timer.operator, timer.key, true));
      else known.isStored = true;
    }
  }

  set(time: number, operator: string, key: string): void {
    const slot = this.find(time, operator, key) ?? this.addChange(time, operator, key);
    slot.isSet = true;
    if (!slot.isQueued) this.push(slot);
  }

  clear(time: number, operator: string, key: string): void {
    const slot = this.find(time, operator, key) ?? this.addChange(time, operator, key);
    slot.isSet = false;
  }

  /** The next timer in reach with time < before, no longer set; undefined when none is due. */
  next(before: number): TimerEntry | undefined {
    for (;;) {
      const top = this.heap[0];
      if (top === undefined || top.time >= before || !this.isInReach(top)) return undefined;
      this.pop();
      top.isQueued = false;
      if (!top.isSet) continue;
      top.isSet = false;
      if (top.isStored) this.changes++;
      return top;
    }
  }

  /** Timers to add to the store; one that is there already is not among them unless it lies beyond the horizon. */
  get additions(): readonly TimerEntry[] {
    return this.slots.filter((slot) => slot.isSet && !slot.isStored);
  }

  /** Timers to remove from the store; of those out of reach it is not known whether they are in it. */
  get removals(): readonly TimerEntry[] {
    return this.slots.filter((slot) => !slot.isSet && (slot.isStored || !this.isInReach(slot)));
  }

  private find(time: number, operator: string, key: string): Slot | undefined {
    let slot = this.byKey.get(key);
    while (slot !== undefined && (slot.time !== time || slot.operator !== operator)) slot = slot.next;
    return slot;
  }

  private addChange(time: number, operator: string, key: string): Slot {
    this.changes++;
    return this.add(time, operator, key, false);
  }

  private add(time: number, operator: string, key: string, isStored: boolean): Slot {
    const next = this.byKey.get(key);
    const slot: Slot = { time, operator, key, isStored, isSet: true, isQueued: false, next };
    this.byKey.set(key, slot);
    this.slots.push(slot);
    return slot;
  }

  /** Whether every stored timer that comes before this one is loaded. */
  private isInReach(timer: TimerEntry): boolean {
    return timer.time < this.horizon || (this.last !== undefined && compareTimers(timer, this.last) <= 0);
  }

  private push(slot: Slot): void {
    slot.isQueued = true;
    const { heap } = this;
    let i = heap.push(slot) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (compareTimers(slot, heap[parent]!) >= 0) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = slot;
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
