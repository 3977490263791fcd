/**
 * A seeded world of people with one of a few tastes, small enough for a fit in milliseconds and regular enough that any
 * model that learns anything ranks a person's own taste first.
 */
import { seededRandom } from '../../../streams/random.js';
import type { ModelQuery } from '../../../serving/models/model.js';
import type { TrainingSet } from '../../../serving/models/training-set.js';

export interface WorldOptions {
  readonly users?: number;
  readonly items?: number;
  /** Tastes; item i belongs to taste i mod tastes, user u to taste u mod tastes. */
  readonly tastes?: number;
  readonly interactionsPerUser?: number;
  /** Share of interactions within the own taste. */
  readonly faithfulness?: number;
  readonly seed?: string;
}

const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2024, 0, 1);

/** Users meet distinct items; rows are in time order, an item a day. */
export function smallWorld(options: WorldOptions = {}): TrainingSet {
  const { users = 60, items = 40, tastes = 4, interactionsPerUser = 8, faithfulness = 0.9, seed = 'world' } = options;
  const random = seededRandom(seed);
  const rows = Array.from({ length: users }, (_, user) => {
    const row = new Set<number>();
    while (row.size < Math.min(interactionsPerUser, Math.floor(items / tastes))) {
      const item = random.int(items);
      const isOwn = item % tastes === user % tastes;
      if (isOwn === random.float() < faithfulness) row.add(item);
    }
    return [...row];
  });
  return trainingSetOf(rows, items);
}

/** A training set of these rows of item indexes, oldest first. */
export function trainingSetOf(rows: readonly (readonly number[])[], items: number): TrainingSet {
  const rowStart = new Int32Array(rows.length + 1);
  rows.forEach((row, user) => (rowStart[user + 1] = rowStart[user]! + row.length));
  const flat = Int32Array.from(rows.flat());
  return {
    userIds: rows.map((_, user) => `user-${user}`),
    itemIds: Array.from({ length: items }, (_, item) => `item-${item}`),
    rowStart,
    items: flat,
    times: Float64Array.from(rows.flatMap((row) => row.map((_, place) => START_MS + place * DAY_MS))),
    weights: new Float32Array(flat.length).fill(1),
    types: new Uint8Array(flat.length),
    hasTimes: true,
    hasWeights: false,
    isSessions: false,
  };
}

/** The question 'what next?' of a user of the set, without what the user has met. */
export function queryOf(set: TrainingSet, user: number): ModelQuery {
  const [start, end] = [set.rowStart[user]!, set.rowStart[user + 1]!];
  const items = set.items.slice(start, end);
  return { user, items, times: set.times.slice(start, end), excluded: items };
}
