import { describe, expect, it } from 'vitest';
import { categoryPopularity } from '../../../../serving/models/category-popularity/category-popularity.js';
import { fitContext } from '../fit-context.js';
import { describeModel } from '../model-conformance.js';
import { trainingSetOf } from '../small-world.js';
import { catalogueOf, describedWorld } from '../content/described-world.js';

describeModel(categoryPopularity, { set: describedWorld() });

describe('popularity by category', () => {
  // Drama: items 0 and 1, met three times and once; comedy: item 2, met once, and item 3, never.
  const set = {
    ...trainingSetOf([[0, 1], [0], [0, 2]], 4),
    itemContent: catalogueOf([['drama'], ['drama'], ['comedy'], ['comedy', 'drama']]),
  };

  it('is the mean of the items met, by the share of the history, also for items nobody met', async () => {
    const model = await categoryPopularity.fit(set, {}, fitContext());
    // Drama 4 / 2 = 2 is the greatest, so 1; comedy 1 / 1, so ½. The history is half drama and half comedy.
    const query = { user: -1, items: Int32Array.of(1, 2) };
    expect([...model.score(query, Int32Array.of(0, 2, 3))]).toEqual([0.5, 0.25, 0.75]);
    expect(model.explain(query, 3)).toEqual([{ kind: 'popular-category', strength: 0.5, detail: 'drama' }]);
  });

  it('takes in an item by its categories', async () => {
    const model = await categoryPopularity.fit(set, {}, fitContext());
    expect(model.foldInItem({ itemId: 'new', categories: ['comedy', 'unheard of'] })).toBe(4);
    expect([...model.score({ user: -1, items: new Int32Array(0) }, Int32Array.of(4))]).toEqual([0.5]);
  });
});
