/**
 * The order of keys and timers that every store promises: UTF-8 bytes, and (time, operator, key).
 *
 * JavaScript compares strings by UTF-16 units, which puts characters beyond U+FFFF before U+E000–U+FFFF; UTF-8 bytes
 * and code points do not. Both comparisons here work on the strings, without encoding them.
 */
import type { TimerEntry } from '../state/state-store.js';

/** Negative, 0 or positive, as the UTF-8 bytes of the two strings compare. */
export function compareKeys(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const a = left.charCodeAt(i);
    const b = right.charCodeAt(i);
    if (a !== b) return codePointRank(a) - codePointRank(b);
  }
  return left.length - right.length;
}

/** Moves surrogates, which start code points above U+FFFF, behind all other units. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}

/** Order in which timers fire. 0 only for the same timer. */
export function compareTimers(left: TimerEntry, right: TimerEntry): number {
  return left.time - right.time || compareKeys(left.operator, right.operator) || compareKeys(left.key, right.key);
}

/** Index of the first element of a sorted list that is not below `target`. */
export function lowerBound<T, U>(sorted: readonly T[], target: U, compare: (element: T, target: U) => number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(sorted[middle]!, target) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
