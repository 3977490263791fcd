/**
 * A model of another training set, asked in this one's indexes: how a published model answers the questions that a new one
 * is measured by.
 *
 * Items it does not know are dropped from histories and score −Infinity; people it does not know are strangers with a
 * history. Nothing of the model is changed.
 */
import type { Model, ModelQuery } from '../../serving/models/model.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import type { Scorer } from '../evaluate/ranking.js';
import { IdIndex } from './interaction-table.js';

export interface Asked {
  readonly model: Model;
  readonly itemIds: readonly string[];
  readonly userIds: readonly string[];
}

export function alignModel({ model, itemIds, userIds }: Asked, set: Pick<TrainingSet, 'itemIds' | 'userIds'>): Scorer {
  const knownItems = new IdIndex(itemIds);
  const knownUsers = new IdIndex(userIds);
  const itemOf = Int32Array.from(set.itemIds, (id) => knownItems.indexOf(id));
  const userOf = Int32Array.from(set.userIds, (id) => knownUsers.indexOf(id));
  const translate = (query: ModelQuery): ModelQuery => translateQuery(query, itemOf, userOf);
  const spread = (scores: Float32Array, into: Float32Array): void => {
    for (let item = 0; item < itemOf.length; item++) {
      const known = itemOf[item]!;
      into[item] = known < 0 ? -Infinity : scores[known]!;
    }
  };
  return {
    itemCount: itemOf.length,
    score: (query, items) => {
      const known = items.filter((item) => itemOf[item]! >= 0);
      const scores = model.score(
        translate(query),
        known.map((item) => itemOf[item]!),
      );
      let next = 0;
      return Float32Array.from(items, (item) => (itemOf[item]! < 0 ? -Infinity : scores[next++]!));
    },
    scoreAll: async (queries, into) => {
      const rows = new Float32Array(queries.length * model.itemCount);
      await model.scoreAll(queries.map(translate), rows);
      queries.forEach((_, q) => {
        const row = rows.subarray(q * model.itemCount, (q + 1) * model.itemCount);
        spread(row, into.subarray(q * itemOf.length, (q + 1) * itemOf.length));
      });
    },
  };
}

function translateQuery(query: ModelQuery, itemOf: Int32Array, userOf: Int32Array): ModelQuery {
  const kept: number[] = [];
  query.items.forEach((item, place) => {
    if (itemOf[item]! >= 0) kept.push(place);
  });
  const pick = <A extends Float32Array | Float64Array | Uint8Array>(
    array: A | undefined,
    into: (n: number) => A,
  ): A | undefined => {
    if (array === undefined) return undefined;
    const picked = into(kept.length);
    kept.forEach((place, i) => (picked[i] = array[place]!));
    return picked;
  };
  return {
    ...query,
    user: query.user < 0 ? -1 : userOf[query.user]!,
    items: Int32Array.from(kept, (place) => itemOf[query.items[place]!]!),
    times: pick(query.times, (n) => new Float64Array(n)),
    weights: pick(query.weights, (n) => new Float32Array(n)),
    types: pick(query.types, (n) => new Uint8Array(n)),
    excluded: undefined,
  };
}
