/**
 * How much each type of interaction counts: once for taste and co-visitation (any size), once as a bandit's reward (in
 * [-1, 1]). One table each, so that the stream, the features and the documentation cannot disagree.
 */
import { INTERACTION_TYPES, type Interaction, type InteractionType } from '../../schemas/records.js';

export type EventWeights = Readonly<Record<InteractionType, number>>;

/** Strength of interest. A view is the unit; `rate` is replaced by the rating, see `interestWeight`. */
export const DEFAULT_INTEREST_WEIGHTS: EventWeights = {
  view: 1,
  click: 1,
  like: 3,
  dislike: -4,
  share: 3,
  bookmark: 3,
  comment: 3,
  follow: 3,
  addToCart: 4,
  removeFromCart: -2,
  purchase: 8,
  rate: 1,
  skip: -0.5,
  block: -8,
};

/** Reward of feedback on a viewed place; `rate` scales how far the rating lies from the middle. */
export const DEFAULT_REWARD_WEIGHTS: EventWeights = {
  view: 0.2,
  click: 0.3,
  like: 0.6,
  dislike: -0.7,
  share: 0.8,
  bookmark: 0.6,
  comment: 0.6,
  follow: 0.6,
  addToCart: 0.7,
  removeFromCart: -0.2,
  purchase: 1,
  rate: 0.5,
  skip: -0.2,
  block: -1,
};

/** Ratings run from 1 to 5; the middle one says nothing. */
const RATING_MIDDLE = 3;
const RATING_REACH = 2;

/** Weight of one interaction: that of its type, times (value − 3), clipped to ±2, for a rating. */
export function eventWeight(weights: EventWeights, type: InteractionType, value: number | null): number {
  if (type !== 'rate') return weights[type];
  if (value === null) return 0;
  return weights.rate * Math.max(-RATING_REACH, Math.min(RATING_REACH, value - RATING_MIDDLE));
}

export function interestWeight(weights: EventWeights, record: Interaction): number {
  return eventWeight(weights, record.type, record.value);
}

const TYPE_INDEXES = Object.fromEntries(INTERACTION_TYPES.map((type, index) => [type, index])) as Record<
  InteractionType,
  number
>;

/** Place of a type in INTERACTION_TYPES: what states store. Types are only ever appended to the schema's enum. */
export function typeIndex(type: InteractionType): number {
  return TYPE_INDEXES[type];
}

export function typeAt(index: number): InteractionType {
  return INTERACTION_TYPES[index] ?? 'view';
}
