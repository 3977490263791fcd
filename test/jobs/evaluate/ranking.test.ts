/** Expected figures: scikit-learn 1.9.1 (ndcg_score, roc_auc_score) and trec_eval through pytrec_eval, as stated. */
import { describe, expect, it } from 'vitest';
import { CaseList } from '../../../jobs/evaluate/case-list.js';
import { measureModel, parseMetric } from '../../../jobs/evaluate/measure-model.js';
import { aucOf, rankCases } from '../../../jobs/evaluate/ranking.js';
import type { Scorer } from '../../../jobs/evaluate/ranking.js';
import { seededRandom } from '../../../streams/random.js';
import { trainingSetOf } from '../../serving/models/small-world.js';

const scorerOf = (row: readonly number[]): Scorer => ({
  itemCount: row.length,
  score: (_, items) => Float32Array.from(items, (item) => row[item]!),
  scoreAll: async (queries, into) => queries.forEach((_, q) => into.set(row, q * row.length)),
});

const options = (over: object = {}) => ({
  depth: 8,
  withAuc: true,
  random: seededRandom('rank'),
  signal: new AbortController().signal,
  ...over,
});

/** One question of user 0, who met nothing the scores are about. */
function oneCase(
  itemCount: number,
  relevant: number[],
  met: number[] = [],
): { set: ReturnType<typeof trainingSetOf>; cases: CaseList } {
  const set = trainingSetOf([met], itemCount);
  const cases = new CaseList(set, { excludesHistory: true });
  cases.add({ user: 0, from: 0, to: met.length, relevant });
  return { set, cases };
}

describe('figures of one ranking', () => {
  const scores = [0.1, 0.9, 0.33, 0.8, 0.2, 0.7, 0.35, 0.6];
  const { set, cases } = oneCase(8, [2, 3, 6]);

  it.for([
    ['ndcg@3', 0.2960819109658652],
    ['ndcg@5', 0.4776237035032179],
    ['ndcg@8', 0.6447841584694203],
    ['auc', 0.5333333333333333],
    ['map@3', 0.16666666666666666],
    ['map@5', 0.3],
    ['map@8', 0.4666666666666666],
    ['mrr@8', 0.5],
    ['precision@3', 0.3333333333333333],
    ['precision@5', 0.4],
    ['recall@3', 0.3333333333333333],
    ['recall@5', 0.6666666666666666],
    ['hr@3', 1],
  ] as const)('%s is %d, as the reference implementations say', async ([metric, expected]) => {
    const ranking = await rankCases(scorerOf(scores), cases, options());
    const random = seededRandom('measure');
    const figures = measureModel(ranking, cases, set, {
      metrics: [parseMetric(metric)],
      confidence: 0.95,
      resamples: 100,
      random,
    });
    expect(Math.abs(figures.metrics[metric]! - expected)).toBeLessThan(1e-9);
  });

  it('counts equal scores half in the auc (scikit-learn: .5333 for two level pairs of 15)', () => {
    const level = Float32Array.of(0.1, 0.9, 0.35, 0.8, 0.2, 0.7, 0.35, 0.6);
    expect(aucOf(level, undefined, Int32Array.of(2, 3, 6))).toBeCloseTo(0.5333333333333333, 12);
    expect(aucOf(Float32Array.of(0.5, 0.5), undefined, Int32Array.of(0))).toBe(0.5);
  });
});

describe('ranking', () => {
  it('puts the lower index first among equals, wherever the right item stands', async () => {
    const { cases } = oneCase(4, [3]);
    const { lists } = await rankCases(scorerOf([1, 1, 1, 1]), cases, options({ depth: 3 }));
    expect([...lists]).toEqual([0, 1, 2]);
  });

  it('ranks neither what the history holds nor what cannot be scored', async () => {
    const { cases } = oneCase(4, [3], [0]);
    const { lists } = await rankCases(scorerOf([9, -Infinity, 1, 2]), cases, options({ depth: 4 }));
    expect([...lists]).toEqual([3, 2, -1, -1]);
  });

  it('ranks only the candidates of the case list', async () => {
    const { cases } = oneCase(4, [3]);
    const { lists } = await rankCases(scorerOf([9, 8, 1, 2]), cases.among(Int32Array.of(2, 3)), options({ depth: 2 }));
    expect([...lists]).toEqual([3, 2]);
  });

  it('samples the right items among n drawn ones, never those of the history, the same for every model', async () => {
    const { cases } = oneCase(50, [7], [1, 2, 3]);
    const row = Array.from({ length: 50 }, (_, item) => item);
    const [first, second] = await Promise.all(
      [0, 1].map(() => rankCases(scorerOf(row), cases, options({ depth: 20, sampled: 9 }))),
    );
    const list = [...first!.lists].filter((item) => item >= 0);
    expect(list.length).toBe(10);
    expect(list).toContain(7);
    for (const met of [1, 2, 3]) expect(list).not.toContain(met);
    expect(second!.lists).toEqual(first!.lists);
  });
});
