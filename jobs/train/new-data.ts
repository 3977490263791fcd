/**
 * The part of a training set that a published model has not seen, for algorithms that go on from it.
 *
 * Taken are whole rows of people who did something after the published model's data ended: what is new of a person only
 * means something beside what the person did before. Items of the published model stay items of the new one, also those
 * nobody met lately.
 *
 * Invariant: indexes of items do not change; rows keep their order.
 */
import type { TrainingSet } from '../../serving/models/training-set.js';

/** @param sinceMs end of what was learnt from; rows without anything later are left out */
export function peopleWithNews(set: TrainingSet, sinceMs: number): TrainingSet {
  const { rowStart, times } = set;
  const users = [...set.userIds.keys()].filter((user) => {
    const end = rowStart[user + 1]!;
    return end > rowStart[user]! && times[end - 1]! > sinceMs;
  });
  const starts = new Int32Array(users.length + 1);
  users.forEach((user, row) => (starts[row + 1] = starts[row]! + rowStart[user + 1]! - rowStart[user]!));
  const count = starts[users.length]!;
  const pick = <A extends Int32Array | Float64Array | Float32Array | Uint8Array>(from: A, into: A): A => {
    users.forEach((user, row) => into.set(from.subarray(rowStart[user], rowStart[user + 1]), starts[row]));
    return into;
  };
  return {
    ...set,
    userIds: users.map((user) => set.userIds[user]!),
    rowStart: starts,
    items: pick(set.items, new Int32Array(count)),
    times: pick(set.times, new Float64Array(count)),
    weights: pick(set.weights, new Float32Array(count)),
    types: pick(set.types, new Uint8Array(count)),
    userTraits:
      set.userTraits &&
      Object.fromEntries(
        Object.entries(set.userTraits).map(([trait, values]) => [trait, users.map((user) => values[user]!)]),
      ),
  };
}

/** The set with further items behind its own, without interactions. Sets with contents of items are left as they are. */
export function withItemsOf(set: TrainingSet, itemIds: readonly string[]): TrainingSet {
  if (set.itemContent !== undefined) return set;
  const known = new Set(set.itemIds);
  const further = itemIds.filter((itemId) => !known.has(itemId));
  return further.length === 0 ? set : { ...set, itemIds: [...set.itemIds, ...further] };
}
