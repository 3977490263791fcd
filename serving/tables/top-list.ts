/**
 * The best items by a score that changes one item at a time, kept sorted: reading the top costs nothing.
 *
 * Decayed counts of one half-life keep their order while nobody adds to them, so a list over
 *   score = log2(count) + refTime / halfLife
 * needs no clock and only ever moves the item that was signalled. The list is exact for as many places as it holds:
 * an item enters only above the present tail, and one that falls below it leaves (it might belong behind items
 * outside). Leaving shrinks the list; `isShort` tells its owner to rebuild it from all items.
 */
import type { TieBreak } from './top-n.js';

export class TopList {
  readonly items: Int32Array;
  readonly scores: Float64Array;
  length = 0;
  private readonly counts: Float64Array;
  /** Places of `counts` that are up to date. */
  private counted = 0;
  /** Whether an item may exist that is not on the list. */
  private isPartial = false;

  constructor(
    readonly capacity: number,
    private readonly tieBreak: TieBreak,
  ) {
    this.items = new Int32Array(capacity);
    this.scores = new Float64Array(capacity);
    this.counts = new Float64Array(capacity);
  }

  /**
   * Count of each item relative to the first, 2^(score − first score), for the first `places` at least; valid until the
   * list changes. Kept, because many requests read a list between two changes and powers are what reading it costs.
   */
  relativeCounts(places: number): Float64Array {
    const { counts, scores } = this;
    const wanted = Math.min(places, this.length);
    for (let i = this.counted; i < wanted; i++) counts[i] = 2 ** (scores[i]! - scores[0]!);
    this.counted = Math.max(this.counted, wanted);
    return counts;
  }

  clear(): void {
    this.length = 0;
    this.counted = 0;
    this.isPartial = false;
  }

  /** Whether so many places were lost that a rebuild is worth it. */
  get isShort(): boolean {
    return this.isPartial && this.length < this.capacity / 2;
  }

  /** Sets an item's score; −Infinity takes it off. */
  update(item: number, score: number): void {
    const place = this.placeOf(item);
    if (place < 0) {
      if (score > -Infinity) this.enter(item, score);
      return;
    }
    if (score === -Infinity) return this.removeAt(place);
    if (this.ranksBefore(score, item, this.scores[place]!, item)) return this.moveUp(place, item, score);
    const last = this.length - 1;
    const belowTail = place !== last && this.ranksBefore(this.scores[last]!, this.items[last]!, score, item);
    if (this.isPartial && (belowTail || place === last) && score !== this.scores[place]) return this.removeAt(place);
    this.moveDown(place, item, score);
  }

  private enter(item: number, score: number): void {
    const last = this.length - 1;
    if (last >= 0 && this.isPartial && !this.ranksBefore(score, item, this.scores[last]!, this.items[last]!)) return;
    if (last < 0 && this.isPartial) return;
    if (this.length < this.capacity) {
      this.moveUp(this.length++, item, score);
      return;
    }
    this.isPartial = true;
    if (this.ranksBefore(score, item, this.scores[last]!, this.items[last]!)) this.moveUp(last, item, score);
  }

  private moveUp(from: number, item: number, score: number): void {
    const { items, scores } = this;
    let place = from;
    while (place > 0 && this.ranksBefore(score, item, scores[place - 1]!, items[place - 1]!)) {
      items[place] = items[place - 1]!;
      scores[place] = scores[place - 1]!;
      place--;
    }
    items[place] = item;
    scores[place] = score;
    this.changedFrom(place);
  }

  private moveDown(from: number, item: number, score: number): void {
    const { items, scores } = this;
    this.changedFrom(from);
    let place = from;
    while (place < this.length - 1 && this.ranksBefore(scores[place + 1]!, items[place + 1]!, score, item)) {
      items[place] = items[place + 1]!;
      scores[place] = scores[place + 1]!;
      place++;
    }
    items[place] = item;
    scores[place] = score;
  }

  private removeAt(place: number): void {
    this.changedFrom(place);
    this.items.copyWithin(place, place + 1, this.length);
    this.scores.copyWithin(place, place + 1, this.length);
    this.length--;
  }

  /** Everything is relative to the first place. */
  private changedFrom(place: number): void {
    this.counted = place === 0 ? 0 : Math.min(this.counted, place);
  }

  private placeOf(item: number): number {
    const { items, length } = this;
    for (let i = 0; i < length; i++) if (items[i] === item) return i;
    return -1;
  }

  private ranksBefore(score: number, item: number, otherScore: number, otherItem: number): boolean {
    return score > otherScore || (score === otherScore && this.tieBreak.precedes(item, otherItem));
  }
}
