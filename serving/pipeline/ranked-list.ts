/**
 * The items of a ranking as numbers, each told when somebody asks for it.
 *
 * A node keeps thousands of lists that were served or sent, of which few are ever looked at again: as numbers an item takes
 * 24 bytes where the told one takes 300, and the collector has nothing to copy. Score, sources and the argument of each
 * sentence are those of the request; a title that changed meanwhile is told as it is now.
 */
import type { ToldReason } from '../retrieval/source.js';
import type { RankedList as RankedListPort, RecommendedItem } from '../node/ports.js';

/** One item of a ranking, as numbers. */
export interface RankedItem {
  readonly item: number;
  readonly score: number;
  /** Numbers of the sources that contributed most; the second may be NO_SOURCE. */
  readonly source: number;
  readonly second: number;
  /** Of the sentences for the two; see reasons.ts. */
  readonly argument: number;
  readonly secondArgument: number;
}

/** Turns a ranked item into what is shown. */
export interface ItemTeller {
  tell(ranked: RankedItem, told: readonly (ToldReason | undefined)[]): RecommendedItem;
  idOf(item: number): string;
}

const SCORE_BYTES = 8;
/** Item, both sources, both arguments. */
const NUMBERS = 4;
const NUMBER_BYTES = 4;

export class RankedList implements RankedListPort {
  private readonly scores: Float64Array;
  private readonly numbers: Int32Array;
  /** What sources said themselves, by place. */
  private told: Map<number, readonly (ToldReason | undefined)[]> | undefined;

  constructor(
    readonly length: number,
    private readonly teller: ItemTeller,
  ) {
    const bytes = new ArrayBuffer(length * (SCORE_BYTES + NUMBERS * NUMBER_BYTES));
    this.scores = new Float64Array(bytes, 0, length);
    this.numbers = new Int32Array(bytes, length * SCORE_BYTES, length * NUMBERS);
  }

  set(place: number, ranked: RankedItem, told: readonly (ToldReason | undefined)[]): void {
    const at = place * NUMBERS;
    this.scores[place] = ranked.score;
    this.numbers[at] = ranked.item;
    this.numbers[at + 1] = ranked.source | (ranked.second << 8);
    this.numbers[at + 2] = ranked.argument;
    this.numbers[at + 3] = ranked.secondArgument;
    if (told.length > 0) (this.told ??= new Map()).set(place, told);
  }

  at(place: number): RecommendedItem {
    const at = place * NUMBERS;
    const sources = this.numbers[at + 1]!;
    const ranked = {
      item: this.numbers[at]!,
      score: this.scores[place]!,
      source: sources & 0xff,
      second: sources >> 8,
      argument: this.numbers[at + 2]!,
      secondArgument: this.numbers[at + 3]!,
    };
    return this.teller.tell(ranked, this.told?.get(place) ?? []);
  }

  idAt(place: number): string {
    return this.teller.idOf(this.numbers[place * NUMBERS]!);
  }

  placeOf(itemId: string): number {
    for (let place = 0; place < this.length; place++) {
      if (this.idAt(place) === itemId) return place;
    }
    return -1;
  }
}
