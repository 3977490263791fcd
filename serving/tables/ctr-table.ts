/**
 * Click-through counts by item on the serving node.
 */
import type { CtrPrior } from '../../operators/item/ctr.js';
import { CTR_HALF_LIFE_MS, CTR_PRIOR, smoothedCtr } from '../../operators/item/ctr.js';
import { decayFactor } from '../../operators/decay.js';
import type { ItemCtrState } from '../../schemas/records.js';
import { grown } from '../../streams/typed-growth.js';

export class CtrTable {
  private refTimes = new Float64Array(256);
  private clicks = new Float64Array(256);
  private exposures = new Float64Array(256);
  private weightedExposures = new Float64Array(256);

  constructor(
    private readonly halfLifeMs = CTR_HALF_LIFE_MS,
    private readonly prior: CtrPrior = CTR_PRIOR,
  ) {}

  apply(item: number, record: ItemCtrState): void {
    this.refTimes = grown(this.refTimes, item + 1);
    this.clicks = grown(this.clicks, item + 1);
    this.exposures = grown(this.exposures, item + 1);
    this.weightedExposures = grown(this.weightedExposures, item + 1);
    this.refTimes[item] = record.refTime;
    this.clicks[item] = record.clicks;
    this.exposures[item] = record.exposures;
    this.weightedExposures[item] = record.weightedExposures;
  }

  remove(item: number): void {
    if (item >= this.refTimes.length) return;
    this.clicks[item] = 0;
    this.exposures[item] = 0;
    this.weightedExposures[item] = 0;
  }

  /** Smoothed click rate at `now`; the prior's mean for an item that was never shown. */
  rateAt(item: number, now: number): number {
    if (item >= this.refTimes.length) return this.prior.mean;
    const left = decayFactor(now - this.refTimes[item]!, this.halfLifeMs);
    return smoothedCtr(this.clicks[item]! * left, this.weightedExposures[item]! * left, this.prior);
  }

  /** Decayed exposures at `now`. */
  exposuresAt(item: number, now: number): number {
    if (item >= this.refTimes.length) return 0;
    return this.exposures[item]! * decayFactor(now - this.refTimes[item]!, this.halfLifeMs);
  }

  get bytes(): number {
    return this.refTimes.byteLength * 4;
  }
}
