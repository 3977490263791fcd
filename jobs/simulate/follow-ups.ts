/**
 * What a person does with an opened item: how long they stay, and what they do next.
 *
 * Satisfaction s is the hidden liking plus what only shows after opening: s = σ(attraction + 2 + noise), in (0, 1). Good
 * signs grow with s, bad ones with 1 − s, so that feedback says more about taste than clicks alone. Worked example: an
 * item of attraction 0 has s = .88: it is put into the cart with probability .16 · .88 = .14 and bought with .06.
 */
import type { InteractionType } from '../../schemas/records.js';
import type { Random } from '../../streams/random.js';
import type { Taste } from './people.js';
import { sigmoid, type World } from './world.js';

export interface FollowUp {
  /** After the item was opened. */
  readonly afterMs: number;
  readonly detail: {
    readonly type: InteractionType;
    readonly value?: number;
    readonly quantity?: number;
  };
}

export interface FollowUps {
  readonly dwellMs: number;
  /** In order of time, within the dwell. */
  readonly acts: readonly FollowUp[];
}

/** Probability at full satisfaction. */
const GOOD_SIGNS = [
  ['like', 0.16],
  ['bookmark', 0.06],
  ['share', 0.035],
  ['comment', 0.02],
  ['follow', 0.012],
  ['rate', 0.03],
] as const;
const CART = 0.16;
const PURCHASE_AFTER_CART = 0.4;
const REMOVAL_AFTER_CART = 0.15;
/** Probability at no satisfaction at all. */
const DISLIKE = 0.12;
const BLOCK = 0.02;
const SATISFACTION_BIAS = 2;
const DWELL_MEDIAN_MS = 9_000;
const DWELL_MOST_MS = 600_000;

export function createFollowUps(
  world: World,
  { taste, item, random }: { taste: Taste; item: number; random: Random },
): FollowUps {
  const satisfaction = sigmoid(world.attractionOf(taste, item) + SATISFACTION_BIAS + random.gaussian());
  const stay = DWELL_MEDIAN_MS * (0.3 + 1.7 * satisfaction) * Math.exp(0.7 * random.gaussian());
  const dwellMs = Math.round(Math.min(DWELL_MOST_MS, 500 + stay));
  const details = drawDetails(satisfaction, world.catalogue.price[item]!, random);
  return {
    dwellMs,
    acts: details.map((detail, i) => ({ afterMs: Math.round((dwellMs * (i + 1)) / (details.length + 1)), detail })),
  };
}

function drawDetails(satisfaction: number, price: number, random: Random): FollowUp['detail'][] {
  const details: FollowUp['detail'][] = [];
  for (const [type, probability] of GOOD_SIGNS) {
    if (random.float() >= probability * satisfaction) continue;
    details.push(type === 'rate' ? { type, value: 1 + Math.round(4 * satisfaction) } : { type });
  }
  if (random.float() < CART * satisfaction) {
    const quantity = random.float() < 0.15 ? 2 : 1;
    details.push({ type: 'addToCart', value: price, quantity });
    const next = random.float();
    if (next < PURCHASE_AFTER_CART) details.push({ type: 'purchase', value: price * quantity, quantity });
    else if (next < PURCHASE_AFTER_CART + REMOVAL_AFTER_CART) details.push({ type: 'removeFromCart', quantity });
  }
  if (random.float() < DISLIKE * (1 - satisfaction)) details.push({ type: 'dislike' });
  if (random.float() < BLOCK * (1 - satisfaction)) details.push({ type: 'block' });
  return details;
}
