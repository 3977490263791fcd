/**
 * A question's history as collaborative models read it: each item once, ascending, with one strength.
 *
 * Invariant: items the model does not know are left out.
 */
import type { ModelQuery } from '../model.js';
import type { PairValue } from '../kernels/sparse.js';

export interface History {
  readonly items: Int32Array;
  readonly weights: Float32Array;
}

export function historyOf(query: ModelQuery, itemCount: number, value: PairValue = 'binary'): History {
  const met = new Map<number, number>();
  for (let place = 0; place < query.items.length; place++) {
    const item = query.items[place]!;
    if (item < 0 || item >= itemCount) continue;
    const weight = query.weights?.[place] ?? 1;
    met.set(item, value === 'binary' ? 1 : value === 'sum' ? (met.get(item) ?? 0) + weight : weight);
  }
  const items = Int32Array.from(met.keys()).sort();
  return { items, weights: Float32Array.from(items, (item) => met.get(item)!) };
}
