import { describe, expect, it } from 'vitest';
import { parseSettings } from '../../../../serving/models/fitting.js';
import { itemKnn } from '../../../../serving/models/item-knn/item-knn.js';
import { fitContext } from '../fit-context.js';
import { describeModel } from '../model-conformance.js';
import { trainingSetOf } from '../small-world.js';

describeModel(itemKnn, { tolerance: 1e-6 });

describe('item_knn', () => {
  const all = Int32Array.of(0, 1, 2);

  it('scores by the cosine of who met what, repetitions counted once', async () => {
    // 0 met by a, b; 1 by b, c; 2 by c.
    const set = trainingSetOf([[0], [0, 1, 1], [1, 2]], 3);
    const model = await itemKnn.fit(set, parseSettings(itemKnn, { shrink: 0 }), fitContext());
    const scores = model.score({ user: -1, items: Int32Array.of(0) }, all);
    expect([...scores]).toEqual([0, 1 / 2, 0]);
    const both = model.score({ user: -1, items: Int32Array.of(0, 1) }, all);
    expect([...both]).toEqual([0.5, 0.5, Math.fround(Math.SQRT1_2)]);
  });

  it('lets the past of a history fade, and shrinks what few people agree on', async () => {
    const set = trainingSetOf([[0], [0, 1], [1, 2]], 3);
    const faded = await itemKnn.fit(set, parseSettings(itemKnn, { shrink: 0, historyDecay: 0.5 }), fitContext());
    expect(faded.score({ user: -1, items: Int32Array.of(0, 1) }, all)[1]).toBe(0.25);
    const shrunk = await itemKnn.fit(set, parseSettings(itemKnn, { shrink: 2 }), fitContext());
    expect(shrunk.score({ user: -1, items: Int32Array.of(0) }, all)[1]).toBe(0.25);
  });

  it('names the items of the history that a recommendation rests on', async () => {
    const set = trainingSetOf(
      [
        [0, 2],
        [1, 2],
        [0, 2],
      ],
      3,
    );
    const model = await itemKnn.fit(set, parseSettings(itemKnn, {}), fitContext());
    const reasons = model.explain({ user: -1, items: Int32Array.of(1, 0) }, 2);
    expect(reasons.map((reason) => [reason.kind, reason.items])).toEqual([
      ['similar-item', [0]],
      ['similar-item', [1]],
    ]);
    expect(reasons[0]!.strength + reasons[1]!.strength).toBeCloseTo(1, 9);
  });
});
