/**
 * Quality of one ranked list against the items that were right, at a cut k.
 *
 * With hits h(r) ∈ {0, 1} at rank r ≤ k, n right items, and m = min(k, n):
 *   hr = [Σh > 0]   precision = Σh / k   recall = Σh / n   f1 = 2·P·R / (P + R)
 *   mrr = 1 / rank of the first hit   map = Σ_r h(r) · (Σ_{s ≤ r} h(s) / r) / m
 *   ndcg = Σ_r h(r) / log2(r + 1)  /  Σ_{r ≤ m} 1 / log2(r + 1)     (Järvelin & Kekäläinen 2002, binary gains)
 * A list shorter than k misses its last places. With one right item hr = recall, and what the literature on sessions calls
 * P@k.
 * Worked example: right {a, b}, list [x, a, y, b], k = 4: precision ½, recall 1, mrr ½, map (½ + ½)/2 = ½,
 * ndcg (1/log2 3 + 1/log2 5) / (1 + 1/log2 3) = .6509.
 */
export const LIST_METRICS = ['hr', 'precision', 'recall', 'f1', 'ndcg', 'mrr', 'map'] as const;
export type ListMetric = (typeof LIST_METRICS)[number];

/** Gain of a hit at a rank, from 1. */
export function gainAt(rank: number): number {
  return 1 / Math.log2(rank + 1);
}

/** @param hits by place of the list, best first, whether the item is right */
export function listQuality(metric: ListMetric, hits: readonly boolean[], k: number, relevantCount: number): number {
  const depth = Math.min(k, hits.length);
  let found = 0;
  let gain = 0;
  let precisions = 0;
  let first = 0;
  for (let place = 0; place < depth; place++) {
    if (!hits[place]!) continue;
    found++;
    gain += gainAt(place + 1);
    precisions += found / (place + 1);
    if (first === 0) first = place + 1;
  }
  switch (metric) {
    case 'hr':
      return found > 0 ? 1 : 0;
    case 'precision':
      return found / k;
    case 'recall':
      return found / relevantCount;
    case 'f1':
      return found === 0 ? 0 : (2 * found) / (k + relevantCount);
    case 'ndcg':
      return gain / idealGain(Math.min(k, relevantCount));
    case 'mrr':
      return first === 0 ? 0 : 1 / first;
    case 'map':
      return precisions / Math.min(k, relevantCount);
  }
}

const IDEAL_GAINS: number[] = [0];

/** Gain of hits at the first `count` ranks. */
function idealGain(count: number): number {
  for (let rank = IDEAL_GAINS.length; rank <= count; rank++) IDEAL_GAINS.push(IDEAL_GAINS[rank - 1]! + gainAt(rank));
  return IDEAL_GAINS[count]!;
}
