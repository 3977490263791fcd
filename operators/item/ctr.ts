/**
 * Operator `ctr`: how often an item is clicked where it was shown; decayed exposures, attributed clicks, and exposures
 * discounted by how likely their position is looked at.
 *
 * Only *viewed* impressions arrive here (stage 1 sends no exposure for what was merely served). Position discount:
 * examination(position) = 1 / log2(position + 2), so 1, .63, .5, .43 ... — the usual DCG prior, used as the
 * examination probability of the position-based click model (Craswell et al., WSDM 2008). The smoothed rate is computed by
 * whoever reads the table, see `smoothedCtr`.
 *
 * Published when exposures or clicks moved by more than `epsilon` from the published value, decayed alike.
 */
import { encodeRecord } from '../../schemas/codec.js';
import type { Cell, Context, Operator } from '../../streams/runtime/operator.js';
import { addDecayed, decayFactor } from '../decay.js';
import type { ItemEvent } from './item-events.js';
import { createLayoutCodec } from '../state-layout.js';
import { tableKey, WITHDRAWN } from './table-key.js';

const DAY_MS = 86_400_000;
export const CTR_HALF_LIFE_MS = 3 * DAY_MS;

export interface CtrConfig {
  readonly topic: string;
  readonly halfLifeMs?: number;
  /** Relative change that is published; 0 publishes every change. */
  readonly epsilon?: number;
}

export interface CtrState {
  refTime: number;
  exposures: number;
  clicks: number;
  weightedExposures: number;
  publishedTime: number;
  publishedExposures: number;
  publishedClicks: number;
}

/** A Beta prior: `mean` with the weight of `strength` exposures. */
export interface CtrPrior {
  readonly mean: number;
  readonly strength: number;
}

export const CTR_PRIOR: CtrPrior = { mean: 0.03, strength: 50 };

/**
 * Mean of Beta(mean × strength + clicks, ...): (clicks + mean × strength) / (weightedExposures + strength).
 * Worked example: 3 clicks on 20 weighted exposures, prior .03 × 50: (3 + 1.5) / 70 = .064. Capped at 1, since
 * discounted exposures may be fewer than clicks.
 */
export function smoothedCtr(clicks: number, weightedExposures: number, prior: CtrPrior = CTR_PRIOR): number {
  return Math.min(1, (clicks + prior.mean * prior.strength) / (weightedExposures + prior.strength));
}

/** How likely a 0-based position is looked at, relative to the first. */
export function examination(position: number): number {
  return 1 / Math.log2(Math.max(0, position) + 2);
}

export function createCtrOperator(config: CtrConfig): Operator<ItemEvent, CtrState> {
  const { topic, halfLifeMs = CTR_HALF_LIFE_MS, epsilon = 0.02 } = config;
  return {
    name: 'ctr',
    purity: 'log-pure',
    state: stateCodec,
    process(record, cell, context) {
      switch (record.kind) {
        case 'ItemDelete':
          cell.remove();
          context.publish(topic, tableKey(context.key, 'ctr'), WITHDRAWN);
          return;
        case 'ItemExposure':
          return add(cell, context, 1, 0, examination(record.position));
        case 'ItemInteraction':
          // The answer to a slate is a click or a view; a later purchase of the same item is not a second click.
          if (record.attributed && (record.type === 'click' || record.type === 'view')) add(cell, context, 0, 1, 0);
          return;
        default:
      }
    },
    publish(state, context) {
      const value = encodeRecord('ItemCtrState', {
        itemId: context.key,
        version: context.offset,
        refTime: state.refTime,
        exposures: state.exposures,
        clicks: state.clicks,
        weightedExposures: state.weightedExposures,
      });
      context.publish(topic, tableKey(context.key, 'ctr'), value);
    },
  };

  function add(cell: Cell<CtrState>, context: Context, exposures: number, clicks: number, weighted: number): void {
    const state = cell.getOr(emptyState);
    const { refTime } = state;
    const { time } = context;
    state.exposures = addDecayed(state.exposures, refTime, exposures, time, halfLifeMs);
    state.clicks = addDecayed(state.clicks, refTime, clicks, time, halfLifeMs);
    state.weightedExposures = addDecayed(state.weightedExposures, refTime, weighted, time, halfLifeMs);
    state.refTime = Math.max(refTime, time);
    cell.changed();
    const left = decayFactor(state.refTime - state.publishedTime, halfLifeMs);
    const servedExposures = state.publishedExposures * left;
    const servedClicks = state.publishedClicks * left;
    const moved =
      Math.abs(state.exposures - servedExposures) > epsilon * servedExposures ||
      Math.abs(state.clicks - servedClicks) > epsilon * servedClicks;
    if (!moved) return;
    state.publishedTime = state.refTime;
    state.publishedExposures = state.exposures;
    state.publishedClicks = state.clicks;
    context.publishLater();
  }
}

const emptyState = (): CtrState => ({
  refTime: 0,
  exposures: 0,
  clicks: 0,
  weightedExposures: 0,
  publishedTime: 0,
  publishedExposures: 0,
  publishedClicks: 0,
});

const stateCodec = createLayoutCodec<CtrState>({
  name: 'ctr',
  version: 1,
  write(state, writer) {
    writer.writeLong(state.refTime);
    writer.writeDouble(state.exposures);
    writer.writeDouble(state.clicks);
    writer.writeDouble(state.weightedExposures);
    writer.writeLong(state.publishedTime);
    writer.writeDouble(state.publishedExposures);
    writer.writeDouble(state.publishedClicks);
  },
  read: (reader) => ({
    refTime: reader.readLong(),
    exposures: reader.readDouble(),
    clicks: reader.readDouble(),
    weightedExposures: reader.readDouble(),
    publishedTime: reader.readLong(),
    publishedExposures: reader.readDouble(),
    publishedClicks: reader.readDouble(),
  }),
});
