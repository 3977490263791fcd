import { describe, expect, it } from 'vitest';
import { parseSettings } from '../../../../serving/models/fitting.js';
import { sessionKnn } from '../../../../serving/models/session-knn/session-knn.js';
import { fitContext } from '../fit-context.js';
import { describeModel } from '../model-conformance.js';
import { smallWorld, trainingSetOf } from '../small-world.js';

// A session of the small world rests on few others; people are not older for having a lower number.
describeModel(sessionKnn, { set: smallWorld({ users: 200 }), settings: { recencyHalf: 0 }, tolerance: 1e-6 });

/** The plain formula, without what rare items and recent sessions count more, and nobody coming back. */
const PLAIN = { rarity: 0, recencyHalf: 0, contextDecay: 0.6, stepDecay: 0.75, lengthNorm: 0.5, repeatItems: 0 };

describe('session_knn', () => {
  const [a, b, c, d] = [0, 1, 2, 3];
  const all = Int32Array.of(a, b, c, d);

  it('scores the worked example of its header', async () => {
    const set = trainingSetOf(
      [
        [a, c, d],
        [b, c],
      ],
      4,
    );
    const settings = parseSettings(sessionKnn, PLAIN);
    const model = await sessionKnn.fit(set, settings, fitContext());
    const [x, y] = [1 / Math.sqrt(3), 0.6 / Math.SQRT2];
    const scores = model.score({ user: -1, items: Int32Array.of(b, a) }, all);
    expect(scores[c]).toBeCloseTo((x + y) / (1.75 * x + y), 6);
    expect(scores[d]).toBeCloseTo((0.75 * x) / (1.75 * x + y), 6);
    expect([scores[a], scores[b]]).toEqual([0, 0]);
  });

  it('counts what stood before the shared item less', async () => {
    const set = trainingSetOf([[d, a, c]], 4);
    const model = await sessionKnn.fit(set, parseSettings(sessionKnn, { ...PLAIN, backwardShare: 0.25 }), fitContext());
    const scores = model.score({ user: -1, items: Int32Array.of(a) }, all);
    expect([scores[c], scores[d]]).toEqual([Math.fround(0.8), Math.fround(0.2)]);
  });

  it('keeps the latest of equally similar sessions', async () => {
    const sessions = trainingSetOf(
      [
        [a, b],
        [a, c],
        [a, d],
      ],
      4,
    );
    const set = { ...sessions, times: Float64Array.of(1, 2, 9, 10, 5, 6) };
    const model = await sessionKnn.fit(set, parseSettings(sessionKnn, { ...PLAIN, neighbours: 1 }), fitContext());
    expect([...model.retrieve({ user: -1, items: Int32Array.of(a) }, 1).items]).toEqual([c]);
  });

  it('lets rare items and recent sessions say more', async () => {
    const set = trainingSetOf(
      [
        [a, c],
        [a, c],
        [a, c],
        [b, d],
      ],
      4,
    );
    const query = { user: -1, items: Int32Array.of(a, b) };
    const settings = { ...PLAIN, contextDecay: 1 };
    const rare = await sessionKnn.fit(set, parseSettings(sessionKnn, { ...settings, rarity: 1 }), fitContext());
    // idf of a: log(5/4); of b: log(5/2). Three sessions vote for c, one for d.
    const [common, seldom] = [Math.log(5 / 4), Math.log(5 / 2)];
    expect(rare.score(query, all)[d]).toBeCloseTo(seldom / (3 * common + seldom), 6);
    const recent = await sessionKnn.fit(
      set,
      parseSettings(sessionKnn, { ...settings, recencyHalf: 0.25 }),
      fitContext(),
    );
    // Sessions are 3, 2, 1 and 0 quarters old: ⅛ + ¼ + ½ against 1.
    expect(recent.score(query, all)[d]).toBeCloseTo(1 / 1.875, 6);
  });

  it('gives items of the session the share of times that people came back to them', async () => {
    // 40 times a→b→a, 10 times a→b→c: where they are never comes next (of 100 places), what was before it 40 times of 50.
    const sessions = Array.from({ length: 50 }, (_, s) => (s < 40 ? [a, b, a] : [a, b, c]));
    const set = trainingSetOf(sessions, 4);
    const model = await sessionKnn.fit(set, parseSettings(sessionKnn, { ...PLAIN, repeatItems: 5 }), fitContext());
    const scores = model.score({ user: -1, items: Int32Array.of(d, b) }, all);
    const back = 40 / (50 + 10);
    expect(scores[d]).toBeCloseTo(back, 6);
    expect(scores[a]! + scores[c]!).toBeCloseTo(1 - back, 6);
    expect(scores.reduce((sum, score) => sum + score, 0)).toBeCloseTo(1, 6);
  });

  it('expects nobody to come back where nobody did', async () => {
    const set = trainingSetOf(
      Array.from({ length: 50 }, () => [a, b, c]),
      4,
    );
    const model = await sessionKnn.fit(set, parseSettings(sessionKnn, {}), fitContext());
    const scores = model.score({ user: -1, items: Int32Array.of(d, c) }, all);
    expect([scores[c], scores[d]]).toEqual([0, 0]);
  });

  it('looks no further back than it is told', async () => {
    const set = trainingSetOf(
      [
        [a, b],
        [c, d],
      ],
      4,
    );
    const model = await sessionKnn.fit(set, parseSettings(sessionKnn, { ...PLAIN, contextItems: 1 }), fitContext());
    const scores = model.score({ user: -1, items: Int32Array.of(a, c) }, all);
    expect([scores[b], scores[d]]).toEqual([0, 1]);
  });
});
