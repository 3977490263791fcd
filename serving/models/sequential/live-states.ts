/**
 * People's states for the live path under a bound of memory: a click costs one position, not the whole window.
 *
 * A state (for the transformer keys and values of every layer) belongs to one person and remembers which items it took.
 * `advance` is given the person's history with the new items at its end: where the state holds all but those, they are
 * taken one after the other; else the state is built again from the newest items. A full window is cut to its newest half
 * and recomputed. The state longest unused is dropped when there is no room.
 *
 * Invariant: the hidden row equals the encoder's over the same window (`windowOf`) within 1e-4, whatever was kept, dropped
 * or cut on the way; memory of states never exceeds `bytesMax`.
 */
import { EngineError } from '../../../schemas/errors.js';
import type { LiveUsage } from '../model.js';
import type { EncoderSteps } from './encoder.js';

interface LiveState {
  readonly values: Float32Array;
  /** Items taken, oldest first; `count` of them are filled. */
  readonly items: Int32Array;
  count: number;
  /** Length of the history it was last advanced to. */
  historyLength: number;
  /** Row after the last item. */
  readonly hidden: Float32Array;
}

export class LiveStates {
  readonly bytesPerUser: number;
  private readonly states = new Map<string, LiveState>();
  private readonly usersMax: number;
  private hits = 0;
  private misses = 0;

  constructor(
    private readonly steps: EncoderSteps,
    private readonly options: { readonly length: number; readonly dimensions: number; readonly bytesMax: number },
  ) {
    this.bytesPerUser = 4 * (steps.stateFloats + options.length + options.dimensions);
    this.usersMax = Math.floor(options.bytesMax / this.bytesPerUser);
    if (this.usersMax < 1) {
      throw new EngineError(
        'MODEL_TOO_LARGE',
        `A person's state takes ${this.bytesPerUser} bytes, allowed for all are ${options.bytesMax}.`,
      );
    }
  }

  /**
   * Takes what is new in the history (oldest first, not empty) and returns the hidden row after its last item. A
   * history without anything new costs nothing. The row is overwritten by the person's next call.
   */
  advance(user: string, history: Int32Array): Float32Array {
    const state = this.states.get(user) ?? this.create();
    this.states.delete(user);
    this.states.set(user, state);
    const known = newItemsFrom(state, history);
    state.historyLength = history.length;
    if (known >= 0) {
      this.hits++;
      for (let i = known; i < history.length; i++) this.takeOne(state, history[i]!);
      return state.hidden;
    }
    this.misses++;
    const { length } = this.options;
    const kept = history.length >= length ? this.steps.keptItems : history.length;
    this.rebuild(state, history.slice(history.length - kept));
    return state.hidden;
  }

  /** The items the person's state stands on now, oldest first. */
  windowOf(user: string): Int32Array | undefined {
    const state = this.states.get(user);
    return state?.items.slice(0, state.count);
  }

  forget(user: string): void {
    this.states.delete(user);
  }

  usage(): LiveUsage {
    const asked = this.hits + this.misses;
    return {
      users: this.states.size,
      bytesPerUser: this.bytesPerUser,
      bytes: this.states.size * this.bytesPerUser,
      hits: this.hits,
      misses: this.misses,
      hitRate: asked === 0 ? 0 : this.hits / asked,
    };
  }

  private takeOne(state: LiveState, item: number): void {
    if (this.steps.isFull(state.count)) {
      const kept = state.items.slice(state.count - this.steps.keptItems + 1, state.count);
      this.rebuild(state, Int32Array.from([...kept, item]));
      return;
    }
    this.steps.take(state.values, state.count, Int32Array.of(item), state.hidden);
    state.items[state.count++] = item;
  }

  private rebuild(state: LiveState, items: Int32Array): void {
    state.items.set(items);
    state.count = items.length;
    this.steps.take(state.values, 0, items, state.hidden);
  }

  private create(): LiveState {
    const [oldest] = this.states.entries();
    if (this.states.size < this.usersMax || oldest === undefined) {
      const values = new Float32Array(this.steps.stateFloats);
      const hidden = new Float32Array(this.options.dimensions);
      return { values, items: new Int32Array(this.options.length), count: 0, historyLength: 0, hidden };
    }
    const [user, state] = oldest;
    this.states.delete(user);
    state.count = 0;
    return state;
  }
}

/**
 * Place in the history of the first item the state has not taken, or −1 when the state is of another story. A history is
 * itself cut to the latest items: one whose beginning was cut off goes on from the state when what is left agrees with
 * its end.
 */
function newItemsFrom({ items, count, historyLength }: LiveState, history: Int32Array): number {
  // A hit is a history that goes on by a few items; further back the window itself has passed.
  const least = Math.max(0, history.length - historyLength);
  for (let added = least; added <= Math.min(NEW_ITEMS_MAX, history.length); added++) {
    const end = history.length - added;
    const overlap = Math.min(count, end);
    if (overlap === 0 || overlap < Math.min(count, OVERLAP_MIN)) return -1;
    let i = 1;
    while (i <= overlap && items[count - i] === history[end - i]) i++;
    if (i > overlap) return end;
  }
  return -1;
}

/** More than these at once are cheaper to take in one batch. */
const NEW_ITEMS_MAX = 4;
/** Items that must agree where the beginning of a history was cut off: fewer could be another story's. */
const OVERLAP_MIN = 8;
