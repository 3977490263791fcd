/**
 * Drawing an index in proportion to weights: cumulative sums and a binary search.
 *
 * A table is written once and read many times; one array can hold several tables behind each other (see demand.ts).
 */
import type { Random } from '../../streams/random.js';

/** Index in [from, to) with probability proportional to its step in the running sums; `to` > `from`. */
export function drawFromSums(sums: Float64Array, from: number, to: number, random: Random): number {
  const base = from === 0 ? 0 : sums[from - 1]!;
  const target = base + random.float() * (sums[to - 1]! - base);
  let low = from;
  let high = to - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sums[middle]! > target) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Running sums of weights, for `drawFromSums`. */
export function sumsOf(weights: ArrayLike<number>): Float64Array {
  const sums = new Float64Array(weights.length);
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sums[i] = sum += weights[i]!;
  return sums;
}

/**
 * A number in [0, 1) made of up to four integers, always the same one: lets a value be looked up in any order instead
 * of being drawn in one. Multiply and shift as in MurmurHash3's finaliser (Appleby).
 */
export function hashFloat(a: number, b: number, c = 0, d = 0): number {
  let h = mix(a ^ 0x9e3779b9);
  h = mix(h ^ b);
  h = mix(h ^ c);
  h = mix(h ^ d);
  return h / 2 ** 32;
}

function mix(word: number): number {
  let h = (word + 0x6d2b79f5) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
