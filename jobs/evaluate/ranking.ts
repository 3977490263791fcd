/**
 * A model's answers to all questions of a case list: its best `depth` items for each, and the AUC where asked for.
 *
 * Full ranking scores the whole catalogue in batches (`scoreAll`) and drops what is excluded. Sampled ranking scores the
 * right items among n drawn ones that are neither right nor in the history; every model gets the same draws. Of equal
 * scores the lower item index comes first, so an item gains nothing from being the right one.
 */
import { systemClock } from '../../streams/clock.js';
import type { Random } from '../../streams/random.js';
import type { Model } from '../../serving/models/model.js';
import { TopN } from '../../serving/tables/top-n.js';
import type { CaseList } from './case-list.js';

/** What ranking asks of a model. */
export type Scorer = Pick<Model, 'itemCount' | 'score' | 'scoreAll'>;

export interface Ranking {
  readonly depth: number;
  /** Row c: items of case c, best first, −1 behind the last. */
  readonly lists: Int32Array;
  /** By case: chance that a right item is ranked before a wrong one; NaN unless asked for, or with nothing wrong. */
  readonly auc: Float64Array;
}

export interface RankingOptions {
  readonly depth: number;
  readonly withAuc: boolean;
  /** Number of negatives to draw for each case; undefined is full ranking. */
  readonly sampled?: number | undefined;
  /** For the draws. */
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Called between batches with the share done. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

/** Scores of one batch: large enough for threads and matrix products, small beside any model. */
const BATCH_BYTES = 64 * 2 ** 20;
const BATCH_CASES_MAX = 512;

const LOWER_INDEX_FIRST = { precedes: (left: number, right: number): boolean => left < right };

export async function rankCases(model: Scorer, cases: CaseList, options: RankingOptions): Promise<Ranking> {
  const { depth } = options;
  const ranking = {
    depth,
    lists: new Int32Array(cases.count * depth).fill(-1),
    auc: new Float64Array(cases.count).fill(NaN),
  };
  if (options.sampled === undefined) await rankFully(model, cases, options, ranking);
  else rankSampled(model, cases, options, ranking);
  return ranking;
}

async function rankFully(model: Scorer, cases: CaseList, options: RankingOptions, ranking: Ranking): Promise<void> {
  const { itemCount } = model;
  const rowBytes = itemCount * Float32Array.BYTES_PER_ELEMENT;
  const batch = Math.max(1, Math.min(BATCH_CASES_MAX, Math.floor(BATCH_BYTES / rowBytes)));
  const scores = new Float32Array(batch * itemCount);
  const best = new TopN(options.depth, LOWER_INDEX_FIRST);
  for (let from = 0; from < cases.count; from += batch) {
    options.signal.throwIfAborted();
    const count = Math.min(batch, cases.count - from);
    const queries = Array.from({ length: count }, (_, q) => cases.query(from + q));
    await model.scoreAll(queries, scores.subarray(0, count * itemCount));
    for (let q = 0; q < count; q++) {
      const row = scores.subarray(q * itemCount, (q + 1) * itemCount);
      for (const item of queries[q]!.excluded ?? []) row[item] = -Infinity;
      offerAll(row, cases.candidates, best);
      writeList(best, ranking, from + q);
      if (options.withAuc) ranking.auc[from + q] = aucOf(row, cases.candidates, cases.relevant(from + q));
    }
    options.onProgress?.((from + count) / cases.count);
    // Models may score without ever waiting; timers and connections of the process need their turn.
    await systemClock.nextTurn();
  }
}

function offerAll(row: Float32Array, candidates: Int32Array | undefined, best: TopN): void {
  best.clear();
  const count = candidates === undefined ? row.length : candidates.length;
  // The threshold changes with each item taken only: reading it once an item is what the loop costs.
  let threshold = best.threshold;
  for (let i = 0; i < count; i++) {
    const item = candidates === undefined ? i : candidates[i]!;
    const score = row[item]!;
    // Also false for NaN, and for −Infinity while the list is not full.
    if (!(score > threshold)) continue;
    best.offer(item, score);
    threshold = best.threshold;
  }
}

function writeList(best: TopN, { lists, depth }: Ranking, index: number): void {
  best.sort();
  lists.set(best.items.subarray(0, best.length), index * depth);
}

/**
 * (Wilcoxon–Mann–Whitney) Σ over right items of the wrong items scored lower, half for equal ones, over all pairs.
 * Excluded items (−Infinity) are not ranked; a right item of score −Infinity is last. O(items · log right).
 */
export function aucOf(row: Float32Array, candidates: Int32Array | undefined, relevant: Int32Array): number {
  const right = Float64Array.from(relevant, (item) => row[item]!).sort();
  const isRight = new Set(relevant);
  const count = candidates === undefined ? row.length : candidates.length;
  let wrong = 0;
  let pairs = 0;
  for (let i = 0; i < count; i++) {
    const item = candidates === undefined ? i : candidates[i]!;
    const score = row[item]!;
    if (score === -Infinity || isRight.has(item)) continue;
    wrong++;
    // Right items above this one, and half of those level with it.
    pairs += right.length - (placeOf(right, score, false) + placeOf(right, score, true)) / 2;
  }
  return wrong === 0 ? NaN : pairs / (wrong * right.length);
}

/** How many of the ascending values are below the bound (or, `orEqual`, not above it). */
function placeOf(ascending: Float64Array, bound: number, orEqual: boolean): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const value = ascending[middle]!;
    if (value < bound || (orEqual && value === bound)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function rankSampled(model: Scorer, cases: CaseList, options: RankingOptions, ranking: Ranking): void {
  const draws = options.random.stream('negatives');
  const best = new TopN(options.depth, LOWER_INDEX_FIRST);
  const all = cases.candidates ?? Int32Array.from({ length: model.itemCount }, (_, item) => item);
  for (let c = 0; c < cases.count; c++) {
    options.signal.throwIfAborted();
    const query = cases.query(c);
    const relevant = cases.relevant(c);
    const ranked = drawCandidates(all, new Set([...query.items, ...relevant]), options.sampled!, draws);
    const items = Int32Array.from([...relevant, ...ranked]).sort();
    const scores = model.score(query, items);
    best.clear();
    items.forEach((item, i) => {
      if (scores[i]! > -Infinity) best.offer(item, scores[i]!);
    });
    writeList(best, ranking, c);
    if (options.withAuc) ranking.auc[c] = aucOf(scores, undefined, indexesOf(items, relevant));
    options.onProgress?.((c + 1) / cases.count);
  }
}

function indexesOf(items: Int32Array, relevant: Int32Array): Int32Array {
  return relevant.map((item) => items.indexOf(item));
}

/** `count` distinct items that are not barred; fewer where there are fewer. */
function drawCandidates(all: Int32Array, barred: ReadonlySet<number>, count: number, random: Random): Set<number> {
  const drawn = new Set<number>();
  const free = all.length - barred.size;
  if (free <= count * 2) {
    const rest = random.shuffle(Array.from(all).filter((item) => !barred.has(item)));
    return new Set(rest.slice(0, count));
  }
  while (drawn.size < count) {
    const item = all[random.int(all.length)]!;
    if (!barred.has(item)) drawn.add(item);
  }
  return drawn;
}
