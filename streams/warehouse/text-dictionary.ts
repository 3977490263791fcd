/**
 * Texts, each once, numbered in the order in which they came: found by their bytes, so that a known one is never made text.
 *
 * Open addressing with linear probing, at most half full; texts lie one behind the other in one buffer.
 */
import { grownBuffer } from '../typed-growth.js';
import { copySlice, type Utf8Slice } from './utf8-slice.js';

const SLOTS = 64;
const TEXT_BYTES_EXPECTED = 1_024;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export class TextDictionary {
  size = 0;
  /** Text at a place of the table, 1-based; 0 is a free place. */
  private slots = new Int32Array(SLOTS);
  private readonly hashes: number[] = [];
  /** Text `i` lies from `ends[i - 1]` to `ends[i]`. */
  private readonly ends: number[] = [];
  private bytes: Buffer = Buffer.allocUnsafe(TEXT_BYTES_EXPECTED);

  /** Number of the text, which is `size` before the call when it is new. */
  add(text: Utf8Slice): number {
    const hash = hashOf(text);
    const slot = this.slotOf(text, hash);
    const known = this.slots[slot]!;
    if (known > 0) return known - 1;
    this.append(text);
    this.hashes.push(hash);
    this.slots[slot] = ++this.size;
    if (2 * this.size > this.slots.length) this.grow();
    return this.size - 1;
  }

  /** −1 when it is not there. */
  find(text: Utf8Slice): number {
    return this.slots[this.slotOf(text, hashOf(text))]! - 1;
  }

  isText(index: number, { bytes, start, end }: Utf8Slice): boolean {
    const from = this.startOf(index);
    const length = end - start;
    if (this.ends[index]! - from !== length) return false;
    const own = this.bytes;
    for (let i = 0; i < length; i++) if (own[from + i] !== bytes[start + i]) return false;
    return true;
  }

  /** Valid until the next `add`. */
  textAt(index: number): Uint8Array {
    return this.bytes.subarray(this.startOf(index), this.ends[index]);
  }

  /** Keeps its memory. */
  clear(): void {
    this.size = 0;
    this.slots.fill(0);
    this.hashes.length = 0;
    this.ends.length = 0;
  }

  private startOf(index: number): number {
    return index === 0 ? 0 : this.ends[index - 1]!;
  }

  private slotOf(text: Utf8Slice, hash: number): number {
    const { slots, hashes } = this;
    const mask = slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const index = slots[slot]! - 1;
      if (index < 0 || (hashes[index] === hash && this.isText(index, text))) return slot;
    }
  }

  private append(text: Utf8Slice): void {
    const at = this.ends.at(-1) ?? 0;
    const length = at + text.end - text.start;
    this.bytes = grownBuffer(this.bytes, at, length);
    copySlice(text, this.bytes, at);
    this.ends.push(length);
  }

  private grow(): void {
    const slots = new Int32Array(2 * this.slots.length);
    const mask = slots.length - 1;
    this.hashes.forEach((hash, index) => {
      let slot = hash & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    });
    this.slots = slots;
  }
}

/** FNV-1a (Fowler, Noll, Vo) over bytes, its high bits folded into the low ones that choose the slot. */
function hashOf({ bytes, start, end }: Utf8Slice): number {
  let hash = FNV_OFFSET;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, FNV_PRIME);
  return hash ^ (hash >>> 15);
}
