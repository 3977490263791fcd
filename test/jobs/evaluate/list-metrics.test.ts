import { describe, expect, it } from 'vitest';
import { LIST_METRICS, listQuality } from '../../../jobs/evaluate/list-metrics.js';

const hitsOf = (list: string, right: string): boolean[] => [...list].map((item) => right.includes(item));

describe('metrics of one list', () => {
  // Right: a, b. List: x a y b, so hits at ranks 2 and 4.
  const hits = hitsOf('xayb', 'ab');

  it.for([
    ['hr', 1],
    ['precision', 2 / 4],
    ['recall', 2 / 2],
    ['f1', (2 * 0.5 * 1) / 1.5],
    ['ndcg', (1 / Math.log2(3) + 1 / Math.log2(5)) / (1 + 1 / Math.log2(3))],
    ['mrr', 1 / 2],
    ['map', (1 / 2 + 2 / 4) / 2],
  ] as const)('%s of hits at ranks 2 and 4 with two right items is %d', ([metric, expected]) => {
    expect(listQuality(metric, hits, 4, 2)).toBeCloseTo(expected, 12);
  });

  it.for([
    ['hr', 0],
    ['precision', 0],
    ['recall', 0],
    ['f1', 0],
    ['ndcg', 0],
    ['mrr', 0],
    ['map', 0],
  ] as const)('%s looks no further than the cut', ([metric, expected]) => {
    expect(listQuality(metric, hits, 1, 2)).toBe(expected);
  });

  it('counts the missing places of a short list as misses', () => {
    expect(listQuality('precision', [true], 10, 1)).toBe(0.1);
    expect(listQuality('ndcg', [true], 10, 1)).toBe(1);
    // 20 right items, but only 10 places: the ideal list has 10 hits.
    expect(listQuality('ndcg', Array<boolean>(10).fill(true), 10, 20)).toBe(1);
    expect(listQuality('map', Array<boolean>(10).fill(true), 10, 20)).toBe(1);
    expect(listQuality('recall', Array<boolean>(10).fill(true), 10, 20)).toBe(0.5);
  });

  it('is 0 for an empty list, whatever the metric', () => {
    for (const metric of LIST_METRICS) expect(listQuality(metric, [], 10, 3)).toBe(0);
  });
});
