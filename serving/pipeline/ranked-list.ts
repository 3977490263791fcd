/**
 * The items of a ranking as numbers, each told when somebody asks for it.
 *
 * A node keeps thousands of lists that were served or sent, of which few are ever looked at again: as numbers an item takes
 * 40 bytes where the told one takes 300, and the collector has nothing to look at. Score, sources and the argument of each
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

/** Of an item: its score, itself, both sources in one, both arguments. */
const NUMBERS = 5;

export class RankedList implements RankedListPort {
  /** Item after item. A typed array would be memory outside of the heap, which thousands of short lists are not worth. */
  private readonly numbers: number[] = [];
  /** What sources said themselves, by place. */
  private told: Map<number, readonly (ToldReason | undefined)[]> | undefined;

  constructor(
    readonly length: number,
    private readonly teller: ItemTeller,
  ) {}

  /** Places follow one another. */
  add(ranked: RankedItem, told: readonly (ToldReason | undefined)[]): void {
    const sources = ranked.source | (ranked.second << 8);
    const place = this.numbers.length / NUMBERS;
    this.numbers.push(ranked.score, ranked.item, sources, ranked.argument, ranked.secondArgument);
    if (told.length > 0) (this.told ??= new Map()).set(place, told);
  }

  at(place: number): RecommendedItem {
    const at = place * NUMBERS;
    const sources = this.numbers[at + 2]!;
    const ranked = {
      score: this.numbers[at]!,
      item: this.numbers[at + 1]!,
      source: sources & 0xff,
      second: sources >> 8,
      argument: this.numbers[at + 3]!,
      secondArgument: this.numbers[at + 4]!,
    };
    return this.teller.tell(ranked, this.told?.get(place) ?? []);
  }

  idAt(place: number): string {
    return this.teller.idOf(this.numbers[place * NUMBERS + 1]!);
  }

  placeOf(itemId: string): number {
    for (let place = 0; place < this.length; place++) {
      if (this.idAt(place) === itemId) return place;
    }
    return -1;
  }
}
