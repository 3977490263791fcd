/**
 * The n best of many scored items, and sums by item: the two inner loops of retrieval, without allocation.
 *
 * Order is score descending, then as `TieBreak` says; it is total, so the same offers in any order give the same list.
 */
import { grown } from '../../streams/typed-growth.js';

/** Decides between equal scores; the item interner is one. */
export interface TieBreak {
  precedes(left: number, right: number): boolean;
}

/** Up to this many are sorted by insertion. */
const FEW = 12;

/**
 * In parallel arrays: a list, best first, as long as what is offered comes in that order, as it does from a list that is kept
 * sorted; from the first offer out of order on a pile, and once full a heap with the worst at the root, because from then on
 * every offer has to beat it. Offer, then `sort` once, then read.
 */
export class TopN {
  length = 0;
  readonly items: Int32Array;
  readonly scores: Float64Array;
  private isSorted = true;

  constructor(
    readonly capacity: number,
    private readonly tieBreak: TieBreak,
  ) {
    this.items = new Int32Array(capacity);
    this.scores = new Float64Array(capacity);
  }

  clear(): void {
    this.length = 0;
    this.isSorted = true;
  }

  /** Score an item must reach once the list is full; −Infinity before. */
  get threshold(): number {
    return this.length < this.capacity ? -Infinity : this.scores[this.isSorted ? this.length - 1 : 0]!;
  }

  offer(item: number, score: number): void {
    const { items, scores, length, capacity, isSorted } = this;
    const isLast = isSorted && (length === 0 || this.isWorse(score, item, scores[length - 1]!, items[length - 1]!));
    if (length < capacity) {
      scores[length] = score;
      items[length] = item;
      this.length = length + 1;
      this.isSorted = isLast;
      if (!isLast && this.length === capacity) this.heapify();
      return;
    }
    if (isLast) return;
    if (isSorted) this.heapify();
    this.isSorted = false;
    if (this.isWorse(scores[0]!, items[0]!, score, item)) this.sift(0, item, score);
  }

  /** Puts the list in order, best first. After it only `clear` and reading are allowed. */
  sort(): void {
    if (!this.isSorted) this.sortRange(0, this.length - 1);
  }

  /** Worst first is a heap with the worst at the root. */
  private heapify(): void {
    for (let place = (this.length >> 1) - 1; place >= 0; place--) {
      this.sift(place, this.items[place]!, this.scores[place]!);
    }
  }

  /** Puts an entry at a place of the heap or below it, where it belongs. */
  private sift(from: number, item: number, score: number): void {
    const { items, scores, length } = this;
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= length) break;
      const sibling = child + 1;
      if (sibling < length && this.isWorse(scores[sibling]!, items[sibling]!, scores[child]!, items[child]!))
        child = sibling;
      if (!this.isWorse(scores[child]!, items[child]!, score, item)) break;
      scores[place] = scores[child]!;
      items[place] = items[child]!;
      place = child;
    }
    scores[place] = score;
    items[place] = item;
  }

  /** Hoare's quicksort, the middle as the pivot: what several sorted lists were added up to is nearly in order. */
  private sortRange(from: number, to: number): void {
    const { items, scores } = this;
    let low = from;
    let high = to;
    while (high - low >= FEW) {
      const middle = (low + high) >> 1;
      const score = scores[middle]!;
      const item = items[middle]!;
      let left = low;
      let right = high;
      while (left <= right) {
        while (this.isWorse(score, item, scores[left]!, items[left]!)) left++;
        while (this.isWorse(scores[right]!, items[right]!, score, item)) right--;
        if (left > right) break;
        this.swap(left++, right--);
      }
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

  private swap(left: number, right: number): void {
    const { items, scores } = this;
    const score = scores[left]!;
    const item = items[left]!;
    scores[left] = scores[right]!;
    items[left] = items[right]!;
    scores[right] = score;
    items[right] = item;
  }

  private isWorse(score: number, item: number, otherScore: number, otherItem: number): boolean {
    return score < otherScore || (score === otherScore && this.tieBreak.precedes(otherItem, item));
  }
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

  /** Offers every item with its sum. */
  offerTo(list: TopN): void {
    const { touched, values } = this;
    for (let i = 0; i < this.length; i++) list.offer(touched[i]!, values[touched[i]!]!);
  }
}
