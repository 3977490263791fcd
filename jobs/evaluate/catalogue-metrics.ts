/**
 * What lists are like beside being right: how much of the catalogue they show, how popular, alike, new, surprising and
 * balanced they are. All at a cut k, over the lists of all questions.
 *
 * - coverage: distinct items shown / items that could be shown.
 * - gini: inequality of how often each item is shown, 0 all alike … 1 one item only: Σ(2i − n − 1)·x_(i) / (n·Σx).
 * - popularity-bias: mean training interactions of items shown / mean of items met in the histories (1 shows what people
 *   are used to, more is more mainstream).
 * - novelty: mean −log2(share of users who met the item) (Zhou et al. 2010); never met counts as half a user.
 * - diversity: mean 1 − cosine between two items of a list (Ziegler et al. 2005). Items are their categories where known,
 *   else the users who met them.
 * - serendipity: right and not among the k most popular that the person does not know, per place (Ge et al. 2010).
 * - calibration: Kullback–Leibler distance of the list's categories q from the history's p, α = .01 of p mixed into q
 *   (Steck 2018); 0 is perfectly balanced. NaN where categories are unknown.
 */
import type { TrainingSet } from '../../serving/models/training-set.js';
import { columnsOf } from '../../serving/models/training-set.js';
import type { CaseList } from './case-list.js';
import type { Ranking } from './ranking.js';

export const CATALOGUE_METRICS = [
  'coverage',
  'gini',
  'popularity-bias',
  'novelty',
  'diversity',
  'serendipity',
  'calibration',
] as const;
export type CatalogueMetric = (typeof CATALOGUE_METRICS)[number];

const SMOOTHING = 0.01;

export class CatalogueMetrics {
  private readonly counts: Float64Array;
  private readonly userCounts: Float64Array;
  private readonly byPopularity: Int32Array;
  private readonly norms: Float64Array;
  private readonly similarity: (left: number, right: number) => number;

  constructor(
    private readonly train: TrainingSet,
    private readonly cases: CaseList,
  ) {
    const { columnStart, users } = columnsOf(train);
    const itemCount = train.itemIds.length;
    this.counts = Float64Array.from({ length: itemCount }, (_, i) => columnStart[i + 1]! - columnStart[i]!);
    const met = Array.from({ length: itemCount }, (_, i) => users.subarray(columnStart[i], columnStart[i + 1]));
    const distinct = met.map((column) => column.filter((user, place) => place === 0 || column[place - 1] !== user));
    this.userCounts = Float64Array.from(distinct, (column) => column.length);
    this.norms = this.userCounts.map(Math.sqrt);
    const all = Int32Array.from(cases.candidates ?? train.itemIds.keys());
    this.byPopularity = all.sort((left, right) => this.counts[right]! - this.counts[left]! || left - right);
    const categories = train.itemContent?.categories;
    this.similarity =
      categories === undefined
        ? (left, right) => overlap(distinct[left]!, distinct[right]!) / (this.norms[left]! * this.norms[right]! || 1)
        : (left, right) => setCosine(categories[left]!, categories[right]!);
  }

  value(metric: CatalogueMetric, { lists, depth }: Ranking, k: number): number {
    const listOf = (c: number): Int32Array => {
      const list = lists.subarray(c * depth, c * depth + Math.min(k, depth));
      const end = list.indexOf(-1);
      return end < 0 ? list : list.subarray(0, end);
    };
    const mean = (value: (list: Int32Array, c: number) => number): number =>
      meanOf(this.cases.count, (c) => value(listOf(c), c));
    switch (metric) {
      case 'coverage':
        return this.shown(listOf).filter((count) => count > 0).length / this.byPopularity.length;
      case 'gini':
        return gini(this.shown(listOf));
      case 'popularity-bias':
        return (
          mean((list) => meanAt(list, this.counts)) / mean((_, c) => meanAt(this.cases.query(c).items, this.counts))
        );
      case 'novelty':
        return mean((list) => meanAt(list, this.surprisals()));
      case 'diversity':
        return mean((list) => this.diversityOf(list));
      case 'serendipity':
        return mean((list, c) => this.serendipityOf(list, c, k));
      case 'calibration':
        return mean((list, c) => this.distanceOf(this.cases.query(c).items, list));
    }
  }

  private shown(listOf: (c: number) => Int32Array): Float64Array {
    const shown = new Float64Array(this.counts.length);
    for (let c = 0; c < this.cases.count; c++) for (const item of listOf(c)) shown[item]!++;
    return Float64Array.from(this.byPopularity, (item) => shown[item]!);
  }

  private surprisalTable: Float64Array | undefined;

  private surprisals(): Float64Array {
    const users = this.train.userIds.length;
    return (this.surprisalTable ??= this.userCounts.map((count) => -Math.log2(Math.max(count, 0.5) / users)));
  }

  private diversityOf(list: Int32Array): number {
    if (list.length < 2) return NaN;
    let sum = 0;
    for (let a = 0; a < list.length; a++) {
      for (let b = 0; b < a; b++) sum += 1 - this.similarity(list[a]!, list[b]!);
    }
    return sum / ((list.length * (list.length - 1)) / 2);
  }

  private serendipityOf(list: Int32Array, c: number, k: number): number {
    const right = new Set(this.cases.relevant(c));
    const hits = list.filter((item) => right.has(item));
    if (hits.length === 0) return 0;
    const excluded = new Set(this.cases.query(c).excluded);
    const expected = new Set<number>();
    for (const item of this.byPopularity) {
      if (expected.size === k) break;
      if (!excluded.has(item)) expected.add(item);
    }
    return hits.filter((item) => !expected.has(item)).length / k;
  }

  private distanceOf(history: Int32Array, list: Int32Array): number {
    const categories = this.train.itemContent?.categories;
    if (categories === undefined) return NaN;
    const p = categoryShares(history, categories);
    const q = categoryShares(list, categories);
    if (p.size === 0 || q.size === 0) return NaN;
    let distance = 0;
    for (const [category, share] of p) {
      distance += share * Math.log(share / ((1 - SMOOTHING) * (q.get(category) ?? 0) + SMOOTHING * share));
    }
    return distance;
  }
}

/** Share of each category: each item spreads one over its own. Items without categories count nothing. */
function categoryShares(items: Int32Array, categories: readonly (readonly string[])[]): Map<string, number> {
  const shares = new Map<string, number>();
  let total = 0;
  for (const item of items) {
    const own = categories[item] ?? [];
    if (own.length > 0) total++;
    for (const category of own) shares.set(category, (shares.get(category) ?? 0) + 1 / own.length);
  }
  for (const [category, sum] of shares) shares.set(category, sum / total);
  return shares;
}

/** Over a copy, ascending. 0 when nothing was shown. */
export function gini(counts: Float64Array): number {
  const ascending = counts.slice().sort();
  const n = ascending.length;
  let weighted = 0;
  let total = 0;
  ascending.forEach((count, index) => {
    weighted += (2 * (index + 1) - n - 1) * count;
    total += count;
  });
  return total === 0 ? 0 : weighted / (n * total);
}

/** Mean of what is a number; NaN when nothing is. */
export function meanOf(count: number, valueAt: (index: number) => number): number {
  let sum = 0;
  let n = 0;
  for (let i = 0; i < count; i++) {
    const value = valueAt(i);
    if (Number.isNaN(value)) continue;
    sum += value;
    n++;
  }
  return n === 0 ? NaN : sum / n;
}

function meanAt(items: Int32Array, values: Float64Array): number {
  return meanOf(items.length, (place) => values[items[place]!]!);
}

/** Elements in both of two ascending arrays. */
function overlap(left: Int32Array, right: Int32Array): number {
  let [a, b, both] = [0, 0, 0];
  while (a < left.length && b < right.length) {
    if (left[a] === right[b]) both++;
    if (left[a]! <= right[b]!) a++;
    else b++;
    // After a match both were meant to move; the next comparison moves the other one, as ids are distinct.
  }
  return both;
}

function setCosine(left: readonly string[], right: readonly string[]): number {
  const both = left.filter((category) => right.includes(category)).length;
  return both === 0 ? 0 : both / Math.sqrt(left.length * right.length);
}
