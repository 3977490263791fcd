/**
 * What followed what in the training rows: the fallback for short sequences, and the evidence for explanations.
 *
 * For each item the most frequent direct successors with their counts, and how often items were met at all. The chance of
 * j after i is (count(i → j) + μ·popularity(j)) / (count(i) + μ): Dirichlet smoothing, so that an item seen twice does
 * not decide everything.
 *
 * Invariant: successors of an item are in order of item index; counts are positive.
 */
import type { ModelArtefact, ModelFiles } from '../model.js';
import { bytesOf, readFloats, readInts } from '../model-files.js';
import type { TrainingSet } from '../training-set.js';

/** Successors kept of an item: later ones are rarer than their smoothing. */
const SUCCESSORS_MAX = 64;
/** Weight of popularity, in observations. */
const SMOOTHING = 5;

export class Successors {
  private constructor(
    /** Share of all interactions by item. */
    readonly popularity: Float32Array,
    private readonly rowStart: Int32Array,
    private readonly items: Int32Array,
    private readonly counts: Float32Array,
    private readonly totals: Float32Array,
  ) {}

  static of({ rowStart, items, itemIds }: TrainingSet): Successors {
    const followers = Array.from({ length: itemIds.length }, () => new Map<number, number>());
    const popularity = new Float32Array(itemIds.length);
    const totals = new Float32Array(itemIds.length);
    for (let row = 0; row + 1 < rowStart.length; row++) {
      for (let p = rowStart[row]!; p < rowStart[row + 1]!; p++) {
        popularity[items[p]!]! += 1 / items.length;
        if (p + 1 === rowStart[row + 1]) continue;
        const after = followers[items[p]!]!;
        after.set(items[p + 1]!, (after.get(items[p + 1]!) ?? 0) + 1);
        totals[items[p]!]!++;
      }
    }
    const kept = followers.map((after) =>
      [...after]
        .sort((left, right) => right[1] - left[1] || left[0] - right[0])
        .slice(0, SUCCESSORS_MAX)
        .sort((left, right) => left[0] - right[0]),
    );
    const starts = new Int32Array(itemIds.length + 1);
    kept.forEach((after, item) => (starts[item + 1] = starts[item]! + after.length));
    const flat = kept.flat();
    return new Successors(
      popularity,
      starts,
      Int32Array.from(flat, ([item]) => item),
      Float32Array.from(flat, ([, count]) => count),
      totals,
    );
  }

  /** Chance of every item after this one, into `into` [items]; popularity alone for −1. */
  chancesAfter(item: number, into: Float32Array): void {
    const total = item < 0 ? 0 : this.totals[item]!;
    const rest = SMOOTHING / (total + SMOOTHING);
    for (let i = 0; i < into.length; i++) into[i] = rest * this.popularity[i]!;
    if (item < 0) return;
    for (let p = this.rowStart[item]!; p < this.rowStart[item + 1]!; p++) {
      into[this.items[p]!]! += this.counts[p]! / (total + SMOOTHING);
    }
  }

  /** Share of the times when `item` was met and something followed that it was `next`. */
  shareAfter(item: number, next: number): number {
    for (let p = this.rowStart[item]!; p < this.rowStart[item + 1]!; p++) {
      if (this.items[p] === next) return this.counts[p]! / this.totals[item]!;
    }
    return 0;
  }

  save(): ModelFiles {
    return {
      'popularity.f32': bytesOf(this.popularity),
      'successor-starts.i32': bytesOf(this.rowStart),
      'successors.i32': bytesOf(this.items),
      'successor-counts.f32': bytesOf(this.counts),
      'successor-totals.f32': bytesOf(this.totals),
    };
  }

  static load(artefact: ModelArtefact): Successors {
    const { itemCount } = artefact;
    const starts = readInts(artefact, 'successor-starts.i32', itemCount + 1);
    const length = starts[itemCount]!;
    return new Successors(
      readFloats(artefact, 'popularity.f32', itemCount),
      starts,
      readInts(artefact, 'successors.i32', length),
      readFloats(artefact, 'successor-counts.f32', length),
      readFloats(artefact, 'successor-totals.f32', itemCount),
    );
  }
}
