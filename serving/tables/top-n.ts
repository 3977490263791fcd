/**
 * The n best of many scored items, and sums by item: the two inner loops of retrieval, without allocation.
 *
 * Order is score descending, then as `TieBreak` says; it is total, so the same offers in any order give the same list.
 */
import { grown } from '../../streams/typed-growth.js';

/** Decides between equal scores; the item interner and the session table are. */
export interface TieBreak {
  precedes(left: number, right: number): boolean;
}

/** Up to this many are sorted by insertion. */
const FEW = 12;

/**
 * In parallel arrays: a list, best first, as long as what is offered comes in that order, as it does from a list that is kept
 * sorted; from the first offer out of order on a pile of up to twice the capacity, of which the better half stays when it is full.
 * So an offer mostly costs a comparison with the worst that stayed. Offer, then `sort` once, then read.
 */
export class TopN {
  /** At most `capacity` once sorted. */
  length = 0;
  readonly items: Int32Array;
  readonly scores: Float64Array;
  /** What was offered with a lower score is not among the best; an equal one may be. */
  threshold = -Infinity;
  private isSorted = true;

  constructor(
    readonly capacity: number,
    readonly tieBreak: TieBreak,
  ) {
    this.items = new Int32Array(2 * capacity);
    this.scores = new Float64Array(2 * capacity);
  }

  clear(): void {
    this.length = 0;
    this.threshold = -Infinity;
    this.isSorted = true;
  }

  offer(item: number, score: number): void {
    const { items, scores, length, capacity } = this;
    if (score < this.threshold) return;
    if (this.isSorted) {
      this.isSorted = length === 0 || this.isWorse(score, item, scores[length - 1]!, items[length - 1]!);
      if (this.isSorted && length === capacity) return;
    }
    scores[length] = score;
    items[length] = item;
    this.length = length + 1;
    if (this.length === 2 * capacity) this.keepBest();
  }

  /** Puts the list in order, best first. After it only `clear` and reading are allowed. */
  sort(): void {
    if (this.length > this.capacity) this.keepBest();
    if (!this.isSorted) this.sortRange(0, this.length - 1);
  }

  /** Moves the best to the front, in any order, and forgets the others. */
  private keepBest(): void {
    const { capacity } = this;
    selectBest(this, this.length, capacity);
    this.length = capacity;
    this.threshold = this.scores[capacity - 1]!;
  }

  /** Hoare's quicksort. */
  private sortRange(from: number, to: number): void {
    let low = from;
    let high = to;
    while (high - low >= FEW) {
      const [left, right] = partition(this, low, high);
      // The smaller part by itself, the larger one here: the depth stays logarithmic whatever is sorted.
      if (right - low < high - left) {
        this.sortRange(low, right);
        low = left;
      } else {
        this.sortRange(left, high);
        high = right;
      }
    }
    this.insertRange(low, high);
  }

  private insertRange(from: number, to: number): void {
    const { items, scores } = this;
    for (let next = from + 1; next <= to; next++) {
      const score = scores[next]!;
      const item = items[next]!;
      let place = next;
      for (; place > from && this.isWorse(scores[place - 1]!, items[place - 1]!, score, item); place--) {
        scores[place] = scores[place - 1]!;
        items[place] = items[place - 1]!;
      }
      scores[place] = score;
      items[place] = item;
    }
  }

  private isWorse(score: number, item: number, otherScore: number, otherItem: number): boolean {
    return isWorse(this.tieBreak, score, item, otherScore, otherItem);
  }
}

/** Scored items in parallel arrays. */
export interface ScoredItems {
  readonly items: Int32Array;
  readonly scores: Float64Array;
  readonly tieBreak: TieBreak;
}

/** Moves the `kept` best of the first `count` to the front, in any order, the worst of them last (Hoare's quickselect). */
export function selectBest(list: ScoredItems, count: number, kept: number): void {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const [left, right] = partition(list, low, high);
    if (kept - 1 <= right) high = right;
    else if (kept - 1 >= left) low = left;
    else return;
  }
}

/**
 * Moves what is no worse than the pivot before what is no better: up to the second of the places returned, and from the first.
 * The pivot is the middle: what several sorted lists were added up to is nearly in order.
 */
function partition(list: ScoredItems, low: number, high: number): readonly [left: number, right: number] {
  const { items, scores, tieBreak } = list;
  const middle = (low + high) >> 1;
  const pivotScore = scores[middle]!;
  const pivotItem = items[middle]!;
  let left = low;
  let right = high;
  while (left <= right) {
    while (isWorse(tieBreak, pivotScore, pivotItem, scores[left]!, items[left]!)) left++;
    while (isWorse(tieBreak, scores[right]!, items[right]!, pivotScore, pivotItem)) right--;
    if (left > right) break;
    const score = scores[left]!;
    const item = items[left]!;
    scores[left] = scores[right]!;
    items[left] = items[right]!;
    scores[right] = score;
    items[right] = item;
    left++;
    right--;
  }
  return [left, right];
}

function isWorse(tieBreak: TieBreak, score: number, item: number, otherScore: number, otherItem: number): boolean {
  return score < otherScore || (score === otherScore && tieBreak.precedes(otherItem, item));
}

/** Sums by item index. Dense values with generation stamps: `clear` costs nothing, reading only what was touched. */
export class Accumulator {
  /** Items added since `clear`, in order of their first addition; `length` of them. */
  touched = new Int32Array(1024);
  length = 0;
  private values = new Float64Array(1024);
  private stamps = new Uint32Array(1024);
  private generation = 1;

  /** Starts over for indexes below `size`. */
  clear(size: number): void {
    this.length = 0;
    if (this.values.length < size) {
      this.values = grown(this.values, size);
      this.stamps = grown(this.stamps, size);
      this.touched = grown(this.touched, size);
    }
    if (++this.generation === 0xffffffff) {
      this.stamps.fill(0);
      this.generation = 1;
    }
  }

  add(item: number, amount: number): void {
    if (this.stamps[item] === this.generation) {
      this.values[item] = this.values[item]! + amount;
    } else {
      this.stamps[item] = this.generation;
      this.values[item] = amount;
      this.touched[this.length++] = item;
    }
  }

  has(item: number): boolean {
    return this.stamps[item] === this.generation;
  }

  get(item: number): number {
    return this.stamps[item] === this.generation ? this.values[item]! : 0;
  }

  /** Leaves an item out of what is offered. */
  exclude(item: number): void {
    if (this.has(item)) this.values[item] = NaN;
  }

  /** Offers every item with its sum, divided. */
  offerTo(list: TopN, divisor = 1): void {
    const { touched, values, length } = this;
    for (let i = 0; i < length; i++) {
      const item = touched[i]!;
      const score = values[item]! / divisor;
      // False for what is excluded. Most of many cannot get on the list: asked here, because a call costs more.
      if (score >= list.threshold) list.offer(item, score);
    }
  }
}
