/**
 * A history as weights: how much each interaction counts towards what a person likes.
 *
 * | profile | weight of interaction n of N, oldest first |
 * |---|---|
 * | average | 1 |
 * | weighted_average | weight of its type, or the rating given, × 2^(−age / half-life), age before the latest |
 * | decay | decay^(N − n) |
 */
import { DEFAULT_INTEREST_WEIGHTS, typeAt } from '../../../operators/user/event-weights.js';
import type { ModelQuery } from '../model.js';
import type { ContentSettings } from './content-settings.js';
import type { WeightedHistory } from './modality.js';

const DAY_MS = 86_400_000;

export type ProfileSettings = Pick<ContentSettings, 'profile' | 'halfLifeDays' | 'decay'>;

export function weightedHistory(query: ModelQuery, settings: ProfileSettings): WeightedHistory {
  const { items } = query;
  const weights = new Float64Array(items.length);
  for (let h = 0; h < items.length; h++) {
    switch (settings.profile) {
      case 'average':
        weights[h] = 1;
        break;
      case 'decay':
        weights[h] = settings.decay ** (items.length - 1 - h);
        break;
      case 'weighted_average':
        weights[h] = strengthOf(query, h) * freshness(query, h, settings.halfLifeDays);
    }
  }
  return { items, weights };
}

/** A rating or strength as it was given; else what the type of event counts; else 1. */
function strengthOf({ weights, types }: ModelQuery, h: number): number {
  if (weights !== undefined) return weights[h]!;
  return types === undefined ? 1 : DEFAULT_INTEREST_WEIGHTS[typeAt(types[h]!)];
}

function freshness({ times }: ModelQuery, h: number, halfLifeDays: number): number {
  if (times === undefined || halfLifeDays === 0) return 1;
  return 2 ** ((times[h]! - times[times.length - 1]!) / (halfLifeDays * DAY_MS));
}
