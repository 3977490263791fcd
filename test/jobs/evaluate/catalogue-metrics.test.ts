import { describe, expect, it } from 'vitest';
import { CaseList } from '../../../jobs/evaluate/case-list.js';
import { CatalogueMetrics, gini } from '../../../jobs/evaluate/catalogue-metrics.js';
import type { CatalogueMetric } from '../../../jobs/evaluate/catalogue-metrics.js';
import { trainingSetOf } from '../../serving/models/small-world.js';

// Three users; item 0 met by all, 1 by two, 2 by one, 3 by none.
const plain = trainingSetOf([[0, 1], [0, 1, 2], [0]], 4);
const content = {
  titles: ['', '', '', ''],
  texts: ['', '', '', ''],
  categories: [['x'], ['x', 'y'], ['y'], ['y']],
  brands: ['', '', '', ''],
  tags: [[], [], [], []],
  numbers: {},
};

/** User 2 (met 0) is shown 1 and 3, where 3 was right; user 0 (met 0 and 1) is shown 2 and nothing else. */
function valueOf(metric: CatalogueMetric, set = plain): number {
  const cases = new CaseList(set, { excludesHistory: true });
  cases.add({ user: 2, from: 5, to: 6, relevant: [3] });
  cases.add({ user: 0, from: 0, to: 2, relevant: [3] });
  const ranking = { depth: 2, lists: Int32Array.of(1, 3, 2, -1), auc: new Float64Array(2) };
  return new CatalogueMetrics(set, cases).value(metric, ranking, 2);
}

describe('what lists are like', () => {
  it('coverage: three of four items are shown', () => expect(valueOf('coverage')).toBe(0.75));

  it('gini: 0 0 0 1 is as unequal as four can be, 1 1 1 1 not at all', () => {
    expect(gini(Float64Array.of(0, 0, 1, 0))).toBe(0.75);
    expect(gini(Float64Array.of(1, 1, 1, 1))).toBe(0);
    // Shown 0, 1, 1, 1: Σ(2i − 5)x = −1 + 1 + 3 = 3, over 4 · 3.
    expect(valueOf('gini')).toBe(0.25);
  });

  it('popularity-bias: shown (2 + 0)/2 and 1, met 3 and (3 + 2)/2', () => {
    expect(valueOf('popularity-bias')).toBeCloseTo(1 / ((3 + 2.5) / 2), 12);
  });

  it('novelty: bits of surprise, half a user for what nobody met', () => {
    const first = (-Math.log2(2 / 3) - Math.log2(0.5 / 3)) / 2;
    expect(valueOf('novelty')).toBeCloseTo((first - Math.log2(1 / 3)) / 2, 12);
  });

  it('diversity: by who met the items, or by categories where they are known', () => {
    expect(valueOf('diversity')).toBe(1);
    expect(valueOf('diversity', { ...plain, itemContent: content })).toBeCloseTo(1 - 1 / Math.SQRT2, 12);
  });

  it('serendipity: right, and not among the two most popular that are new to the person', () => {
    // User 2 could have been shown 1 and 2; 3 was right and unexpected. User 0 was shown nothing right.
    expect(valueOf('serendipity')).toBe(0.25);
  });

  it('calibration: distance of the categories shown from those met', () => {
    const set = { ...plain, itemContent: content };
    // User 2: p = {x: 1}, q = {x: ¼, y: ¾}. User 0: p = {x: ¾, y: ¼}, q = {y: 1}.
    const first = Math.log(1 / (0.99 * 0.25 + 0.01));
    const second = 0.75 * Math.log(0.75 / (0.01 * 0.75)) + 0.25 * Math.log(0.25 / (0.99 + 0.01 * 0.25));
    expect(valueOf('calibration', set)).toBeCloseTo((first + second) / 2, 12);
    expect(valueOf('calibration')).toBeNaN();
  });
});
