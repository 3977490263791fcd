/**
 * Features: what models and the ensemble see of a person and an item, each declared once.
 *
 * A declaration says where its state lives (`states`), which records move it (`writes`), whose state a reader must have
 * at hand (`reads`), and how its value follows (`value`). The stream maintains the states, serving and training compute
 * the values by this one function, so a model is served exactly what it was trained on.
 *
 * Invariants: a value is a finite number, computed from state and `request.now` alone; what is unknown has a stated
 * neutral value, so that a vector never has holes.
 */
import type { ItemCtrState, ItemPopularityState, RecordKind } from '../schemas/records.js';
import { hash32 } from '../schemas/ids.js';
import { decayedValue, decayFactor } from './decay.js';
import { CTR_HALF_LIFE_MS, smoothedCtr } from './item/ctr.js';
import { POPULARITY_HALF_LIVES_MS } from './item/popularity.js';
import { DEFAULT_AFFINITY, type AffinityTable } from './user/affinity.js';
import { hasSeen } from './user/profile-state.js';
import type { UserSnapshot } from './user/read-user.js';
import { DEFAULT_SESSION } from './user/session.js';
import type { Session } from './user/session-state.js';

export interface FeatureRequest {
  /** ms since epoch; event time in training, the clock in serving. */
  readonly now: number;
}

/** What is known of one item; parts that are not known are undefined. */
export interface ItemValues {
  readonly itemId: string;
  readonly categories: readonly string[];
  readonly brand: string | null;
  readonly tags: readonly string[];
  readonly price: number | null;
  readonly publishedAt: number | null;
  readonly popularity: ItemPopularityState | undefined;
  readonly ctr: ItemCtrState | undefined;
  readonly vector: Float32Array | undefined;
  /** Space of `vector`. */
  readonly space: string | undefined;
}

export interface FeatureValues {
  readonly user: UserSnapshot | undefined;
  /** Absent when only features that read the user are asked for. */
  readonly item: ItemValues | undefined;
}

/** Whose state a value needs: features of the user alone are computed once a request, not once a candidate. */
export type FeatureReads = 'user' | 'item' | 'user and item';

export interface Feature {
  /** Lower-case kebab; part of models' manifests. */
  readonly name: string;
  readonly reads: FeatureReads;
  /** `users/<operator>`, or the record kind of the item-state table. */
  readonly states: readonly string[];
  /** Records that move the states. */
  readonly writes: readonly RecordKind[];
  value(request: FeatureRequest, values: FeatureValues): number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Minutes since the last event when there was none: a week. */
const LONG_AGO_MINUTES = 7 * 24 * 60;
const { gapMs } = DEFAULT_SESSION;
const { halfLifeMs: AFFINITY_HALF_LIFE_MS } = DEFAULT_AFFINITY;

export const USER_FEATURES: readonly Feature[] = [
  userFeature('session-minutes', ['users/session'], ({ now }, user) => {
    const session = user.openSessionAt(now, gapMs);
    return session === undefined ? 0 : (session.end - session.start) / MINUTE_MS;
  }),
  userFeature('session-interactions', ['users/session'], ({ now }, user) =>
    Math.log1p(user.openSessionAt(now, gapMs)?.interactions ?? 0),
  ),
  userFeature('session-items', ['users/session'], ({ now }, user) => openItems(user.openSessionAt(now, gapMs)).length),
  userFeature('minutes-since-last-event', ['users/profile'], ({ now }, user) => {
    const lastAt = user.profile?.lastAt;
    return lastAt === undefined ? LONG_AGO_MINUTES : clamp((now - lastAt) / MINUTE_MS, 0, LONG_AGO_MINUTES);
  }),
  userFeature('interactions', ['users/profile'], (_request, user) => {
    let sum = 0;
    for (const count of user.profile?.counts ?? []) sum += count;
    return Math.log1p(sum);
  }),
  userFeature('embedding-updates', ['users/user-embedding'], (_request, user) =>
    Math.log1p(user.embedding?.updates ?? 0),
  ),
];

export const ITEM_FEATURES: readonly Feature[] = [
  ...POPULARITY_HALF_LIVES_MS.map((halfLifeMs, index) =>
    itemFeature(
      `popularity-${durationName(halfLifeMs)}`,
      ['ItemPopularityState'],
      ['ItemInteraction'],
      ({ now }, item) => {
        const count = item.popularity?.counts[index];
        return count === undefined
          ? 0
          : Math.log1p(Math.max(0, decayedValue(count, item.popularity!.refTime, now, halfLifeMs)));
      },
    ),
  ),
  itemFeature('ctr', ['ItemCtrState'], ['ItemInteraction', 'ItemExposure'], ({ now }, { ctr }) => {
    if (ctr === undefined) return smoothedCtr(0, 0);
    const left = decayFactor(now - ctr.refTime, CTR_HALF_LIFE_MS);
    return smoothedCtr(ctr.clicks * left, ctr.weightedExposures * left);
  }),
  /** Days since publication, log(1 + d); 0 also for items that do not say. */
  itemFeature('age', ['ItemCatalogueState'], ['ItemUpsert'], ({ now }, { publishedAt }) =>
    publishedAt === null ? 0 : Math.log1p(Math.max(0, now - publishedAt) / DAY_MS),
  ),
  itemFeature('price', ['ItemCatalogueState'], ['ItemUpsert'], (_request, { price }) =>
    Math.log1p(Math.max(0, price ?? 0)),
  ),
];

export const PAIR_FEATURES: readonly Feature[] = [
  pairFeature('category-affinity', 'users/affinity', ({ now }, user, item) =>
    affinityOf(user, 'categories', { names: item.categories, now }),
  ),
  pairFeature('brand-affinity', 'users/affinity', ({ now }, user, item) =>
    item.brand === null ? 0 : affinityOf(user, 'brands', { names: [item.brand], now }),
  ),
  pairFeature('tag-affinity', 'users/affinity', ({ now }, user, item) =>
    affinityOf(user, 'tags', { names: item.tags, now }),
  ),
  pairFeature('embedding-dot', 'users/user-embedding', (_request, user, item) => {
    const { embedding } = user;
    if (embedding === undefined || item.vector === undefined || embedding.space !== item.space) return 0;
    let sum = 0;
    for (let k = 0; k < item.vector.length; k++) sum += embedding.vector[k]! * item.vector[k]!;
    return sum;
  }),
  pairFeature('seen', 'users/profile', (_request, user, item) =>
    user.profile !== undefined && hasSeen(user.profile, hash32(item.itemId)) ? 1 : 0,
  ),
  pairFeature('in-session', 'users/session', ({ now }, user, item) =>
    openItems(user.openSessionAt(now, gapMs)).includes(item.itemId) ? 1 : 0,
  ),
  pairFeature('category-in-session', 'users/session', ({ now }, user, item) => {
    const categories = user.openSessionAt(now, gapMs)?.categories.names ?? [];
    return item.categories.some((category) => categories.includes(category)) ? 1 : 0;
  }),
];

/** In the order of vectors. */
export const FEATURES: readonly Feature[] = [...USER_FEATURES, ...ITEM_FEATURES, ...PAIR_FEATURES];

/** Writes the features' values into `target` from `offset` on, in order; allocates nothing of its own. */
export function computeFeatures(
  features: readonly Feature[],
  request: FeatureRequest,
  { values, target, offset = 0 }: { values: FeatureValues; target: Float32Array; offset?: number },
): void {
  for (let i = 0; i < features.length; i++) target[offset + i] = features[i]!.value(request, values);
}

function userFeature(
  name: string,
  states: readonly string[],
  value: (request: FeatureRequest, user: UserSnapshot) => number,
): Feature {
  return {
    name,
    reads: 'user',
    states,
    writes: ['Interaction', 'StateMerge', 'Erase'],
    value: (request, { user }) => (user === undefined ? neutralOf(name) : value(request, user)),
  };
}

/** Without a person only the time since the last event is not 0. */
function neutralOf(name: string): number {
  return name === 'minutes-since-last-event' ? LONG_AGO_MINUTES : 0;
}

function itemFeature(
  name: string,
  states: readonly string[],
  writes: readonly RecordKind[],
  value: (request: FeatureRequest, item: ItemValues) => number,
): Feature {
  return {
    name,
    reads: 'item',
    states,
    writes,
    value: (request, { item }) => (item === undefined ? 0 : value(request, item)),
  };
}

function pairFeature(
  name: string,
  state: string,
  value: (request: FeatureRequest, user: UserSnapshot, item: ItemValues) => number,
): Feature {
  return {
    name,
    reads: 'user and item',
    states: [state, state === 'users/user-embedding' ? 'ItemEmbeddingState' : 'ItemCatalogueState'],
    writes: ['Interaction', 'ItemUpsert', 'StateMerge', 'Erase'],
    value: (request, { user, item }) => (user === undefined || item === undefined ? 0 : value(request, user, item)),
  };
}

/**
 * How strongly the names pull, in (−1, 1): tanh(Σ affinity / scale) at `now`, with the sum over the item's names and
 * scale 8, the weight of a purchase. Worked example: one category, bought in just now: tanh(1) = .76.
 */
function affinityOf(
  user: UserSnapshot,
  kind: 'categories' | 'brands' | 'tags',
  { names, now }: { readonly names: readonly string[]; readonly now: number },
): number {
  const { affinity } = user;
  if (affinity === undefined) return 0;
  const sum = sumOf(affinity[kind], names);
  return sum === 0 ? 0 : Math.tanh((sum * decayFactor(now - affinity.refTime, AFFINITY_HALF_LIFE_MS)) / AFFINITY_SCALE);
}

const AFFINITY_SCALE = 8;

function sumOf(table: AffinityTable, names: readonly string[]): number {
  let sum = 0;
  for (const name of names) {
    const index = table.names.indexOf(name);
    if (index >= 0) sum += table.weights[index]!;
  }
  return sum;
}

const NO_ITEMS: readonly string[] = [];

function openItems(session: Session | undefined): readonly string[] {
  return session?.items.names ?? NO_ITEMS;
}

/** 10m, 6h. */
function durationName(ms: number): string {
  return ms < HOUR_MS ? `${ms / MINUTE_MS}m` : `${ms / HOUR_MS}h`;
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
