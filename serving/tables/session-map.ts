/**
 * Session reference → slot: an open-addressing hash map in two typed arrays.
 *
 * Linear probing, at most half full, deletion by shifting back (Knuth, TAOCP 6.4, algorithm R), so there are no
 * tombstones and lookups stay short however many sessions have come and gone. References are 53-bit integers; they
 * are hashes already, but their low bits are mixed once more, as callers may pass small numbers.
 */

const EMPTY = -1;

export class SessionMap {
  private keys: Float64Array;
  private slots: Int32Array;
  private mask: number;
  private entries = 0;

  constructor(entriesMin = 1024) {
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(16, entriesMin * 2)));
    this.keys = new Float64Array(capacity).fill(EMPTY);
    this.slots = new Int32Array(capacity);
    this.mask = capacity - 1;
  }

  get size(): number {
    return this.entries;
  }

  get bytes(): number {
    return this.keys.byteLength + this.slots.byteLength;
  }

  /** Slot of a reference, or −1. */
  get(ref: number): number {
    const { keys, mask } = this;
    let place = homeOf(ref) & mask;
    while (keys[place] !== EMPTY) {
      if (keys[place] === ref) return this.slots[place]!;
      place = (place + 1) & mask;
    }
    return -1;
  }

  set(ref: number, slot: number): void {
    if (this.entries * 2 >= this.keys.length) this.grow();
    const { keys, mask } = this;
    let place = homeOf(ref) & mask;
    while (keys[place] !== EMPTY && keys[place] !== ref) place = (place + 1) & mask;
    if (keys[place] === EMPTY) this.entries++;
    keys[place] = ref;
    this.slots[place] = slot;
  }

  delete(ref: number): void {
    const { keys, slots, mask } = this;
    let place = homeOf(ref) & mask;
    while (keys[place] !== ref) {
      if (keys[place] === EMPTY) return;
      place = (place + 1) & mask;
    }
    this.entries--;
    let hole = place;
    for (;;) {
      place = (place + 1) & mask;
      if (keys[place] === EMPTY) break;
      // An entry moves back unless its home lies cyclically between the hole and itself.
      const home = homeOf(keys[place]!) & mask;
      if (((place - home) & mask) < ((place - hole) & mask)) continue;
      keys[hole] = keys[place]!;
      slots[hole] = slots[place]!;
      hole = place;
    }
    keys[hole] = EMPTY;
  }

  private grow(): void {
    const { keys, slots } = this;
    this.keys = new Float64Array(keys.length * 2).fill(EMPTY);
    this.slots = new Int32Array(keys.length * 2);
    this.mask = this.keys.length - 1;
    this.entries = 0;
    for (let i = 0; i < keys.length; i++) if (keys[i] !== EMPTY) this.set(keys[i]!, slots[i]!);
  }
}

function homeOf(ref: number): number {
  const low = (ref % 2 ** 32) | 0;
  const high = (ref / 2 ** 32) | 0;
  const mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b9) ^ (low >>> 16), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}
