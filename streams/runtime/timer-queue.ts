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
}

export class TimerQueue {
  private readonly heap: Slot[] = [];
  private slots = new Map<string, Slot[]>();
  /** About as many timers as the commit will add and remove. */
  changes = 0;
  /** All stored timers with time < horizon are here. */
  horizon = -Infinity;
  private last: TimerEntry | undefined;

  /** Starts a batch; nothing is in reach. */
  begin(): void {
    this.heap.length = 0;
    this.slots = new Map();
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
      const known = this.find(timer);
      if (known === undefined) this.push(this.add(timer, true));
      else known.isStored = true;
    }
  }

  set(timer: TimerEntry): void {
    const slot = this.find(timer) ?? this.addChange(timer);
    slot.isSet = true;
    if (!slot.isQueued) this.push(slot);
  }

  clear(timer: TimerEntry): void {
    const slot = this.find(timer) ?? this.addChange(timer);
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
    return this.entries((slot) => slot.isSet && !slot.isStored);
  }

  /** Timers to remove from the store; of those out of reach it is not known whether they are in it. */
  get removals(): readonly TimerEntry[] {
    return this.entries((slot) => !slot.isSet && (slot.isStored || !this.isInReach(slot)));
  }

  private entries(isWanted: (slot: Slot) => boolean): TimerEntry[] {
    const found: TimerEntry[] = [];
    for (const slots of this.slots.values()) {
      for (const slot of slots) if (isWanted(slot)) found.push(slot);
    }
    return found;
  }

  private find({ key, time, operator }: TimerEntry): Slot | undefined {
    const slots = this.slots.get(key);
    if (slots === undefined) return undefined;
    for (const slot of slots) if (slot.time === time && slot.operator === operator) return slot;
    return undefined;
  }

  private addChange(timer: TimerEntry): Slot {
    this.changes++;
    return this.add(timer, false);
  }

  private add({ time, operator, key }: TimerEntry, isStored: boolean): Slot {
    const slot: Slot = { time, operator, key, isStored, isSet: true, isQueued: false };
    const slots = this.slots.get(key);
    if (slots === undefined) this.slots.set(key, [slot]);
    else slots.push(slot);
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
