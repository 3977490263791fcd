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

/**
 * A list, best first, as long as what is offered comes in that order, as it does from a list that is kept sorted; from the first
 * offer out of order on a bounded binary heap with the worst at the root, in parallel arrays. Offer, then `sort` once, then read.
 */
export class TopN {
  length = 0;
  readonly items: Int32Array;
  readonly scores: Float64Array;
  private isHeap = false;

  constructor(
    readonly capacity: number,
    private readonly tieBreak: TieBreak,
  ) {
    this.items = new Int32Array(capacity);
    this.scores = new Float64Array(capacity);
  }

  clear(): void {
    this.length = 0;
    this.isHeap = false;
  }

  /** Score an item must beat once the list is full; −Infinity before. */
  get threshold(): number {
    return this.length < this.capacity ? -Infinity : this.scores[this.isHeap ? 0 : this.length - 1]!;
  }

  offer(item: number, score: number): void {
    const { items, scores, length, capacity } = this;
    if (!this.isHeap) {
      if (length === 0 || this.isWorse(score, item, scores[length - 1]!, items[length - 1]!)) {
        if (length === capacity) return;
        scores[length] = score;
        items[length] = item;
        this.length++;
        return;
      }
      this.heapify();
    }
    if (length < capacity) {
      let place = this.length++;
      while (place > 0) {
        const parent = (place - 1) >> 1;
        if (!this.isWorse(score, item, scores[parent]!, items[parent]!)) break;
        scores[place] = scores[parent]!;
        items[place] = items[parent]!;
        place = parent;
      }
      scores[place] = score;
      items[place] = item;
    } else if (this.isWorse(scores[0]!, items[0]!, score, item)) {
      this.sift(item, score, length);
    }
  }

  /** Turns the heap into a list, best first. After it only `clear` and reading are allowed. */
  sort(): void {
    if (!this.isHeap) return;
    const { items, scores } = this;
    for (let last = this.length - 1; last > 0; last--) {
      const item = items[last]!;
      const score = scores[last]!;
      items[last] = items[0]!;
      scores[last] = scores[0]!;
      this.sift(item, score, last);
    }
  }

  /** Worst first is a heap with the worst at the root. */
  private heapify(): void {
    this.items.subarray(0, this.length).reverse();
    this.scores.subarray(0, this.length).reverse();
    this.isHeap = true;
  }

  private sift(item: number, score: number, length: number): void {
    const { items, scores } = this;
    let place = 0;
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
