/**
 * Joins the candidate lists of all sources into one ranking.
 *
 * `rank`: weighted reciprocal rank fusion (Cormack, Clarke, Büttcher, SIGIR 2009): score = Σ_s w_s / (k + rank_s),
 * ranks from 1. It needs no calibration between sources. `mass`: score = Σ_s w_s × score_s / Σ list_s, each
 * list taken as a distribution over its items, so a source that is sure of one item says so; for sources whose scores
 * are shares, as ours are. Either is divided by what an item first (or alone) in every list would get, so that scores
 * lie in [0, 1] whatever the weights.
 *
 * Worked example, rank, k = 1, weights 1 and .5: first and third: 1/2 + .5/4 = .625, over 1/2 + .5/2 = .75: .83.
 */
import type { ItemTables } from '../tables/item-tables.js';
import { Accumulator, TopN } from '../tables/top-n.js';
import type { CandidateBuffer } from '../retrieval/source.js';
import type { Slate } from './slate.js';
import { NO_SOURCE } from './slate.js';
import { grown } from '../../streams/typed-growth.js';

export type FusionMode = 'rank' | 'mass';

export interface FusionConfig {
  readonly mode?: FusionMode;
  /** The k of reciprocal rank fusion: small trusts first places, large levels them. */
  readonly rankConstant?: number;
}

export class Fusion {
  private readonly mode: FusionMode;
  private readonly rankConstant: number;
  private readonly sums = new Accumulator();
  private readonly sorted: TopN;
  /** By item: greatest and second greatest contribution and whose they were. */
  private best = new Float64Array(0);
  private bestSource = new Uint8Array(0);
  private secondSource = new Uint8Array(0);
  private second = new Float64Array(0);

  constructor(
    private readonly tables: ItemTables,
    capacity: number,
    config: FusionConfig = {},
  ) {
    this.mode = config.mode ?? 'rank';
    this.rankConstant = config.rankConstant ?? 1;
    this.sorted = new TopN(capacity, tables.items);
  }

  /** Fills the slate from sorted lists; list s is source number s with weight `weights[s]`; 0 leaves it out. */
  fuse(lists: readonly CandidateBuffer[], weights: Float64Array, slate: Slate): void {
    this.begin();
    let possible = 0;
    for (let s = 0; s < lists.length; s++) {
      const list = lists[s]!;
      const weight = weights[s]!;
      if (!(weight > 0) || list.length === 0) continue;
      possible += this.mode === 'rank' ? weight / (this.rankConstant + 1) : weight;
      this.addList(list, weight, s);
    }
    const { sums, sorted } = this;
    sorted.clear();
    sums.offerTo(sorted);
    sorted.sort();
    slate.clear();
    for (let i = 0; i < sorted.length; i++) {
      const item = sorted.items[i]!;
      slate.push(item, sorted.scores[i]! / possible, this.bestSource[item]!, this.secondSource[item]!);
    }
  }

  private begin(): void {
    const count = this.tables.items.count;
    this.sums.clear(count);
    if (this.best.length >= count) return;
    this.best = grown(this.best, count);
    this.second = grown(this.second, this.best.length);
    this.bestSource = grown(this.bestSource, this.best.length);
    this.secondSource = grown(this.secondSource, this.best.length);
  }

  private addList(list: CandidateBuffer, weight: number, source: number): void {
    const { items, scores, length } = list;
    if (this.mode === 'rank') {
      for (let i = 0; i < length; i++) this.add(items[i]!, weight / (this.rankConstant + i + 1), source);
      return;
    }
    let sum = 0;
    for (let i = 0; i < length; i++) sum += scores[i]!;
    if (!(sum > 0)) return;
    for (let i = 0; i < length; i++) this.add(items[i]!, (weight * scores[i]!) / sum, source);
  }

  private add(item: number, amount: number, source: number): void {
    if (!this.sums.has(item)) {
      this.best[item] = amount;
      this.bestSource[item] = source;
      this.second[item] = 0;
      this.secondSource[item] = NO_SOURCE;
    } else if (amount > this.best[item]!) {
      this.second[item] = this.best[item]!;
      this.secondSource[item] = this.bestSource[item]!;
      this.best[item] = amount;
      this.bestSource[item] = source;
    } else if (amount > this.second[item]!) {
      this.second[item] = amount;
      this.secondSource[item] = source;
    }
    this.sums.add(item, amount);
  }
}
