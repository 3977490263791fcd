import { describe, expect, it } from 'vitest';
import { parseSettings } from '../../../../serving/models/fitting.js';
import { popularity } from '../../../../serving/models/popularity/popularity.js';
import { fitContext } from '../fit-context.js';
import { describeModel } from '../model-conformance.js';
import { trainingSetOf } from '../small-world.js';

describeModel(popularity, { isPersonal: false });

describe('popularity', () => {
  const set = trainingSetOf([[0, 1], [1], [2, 2, 1]], 4);
  const all = Int32Array.of(0, 1, 2, 3);
  const nobody = { user: -1, items: new Int32Array(0) };

  it('counts interactions, repeated ones too, and divides by the greatest', async () => {
    const model = await popularity.fit(set, parseSettings(popularity, {}), fitContext());
    expect([...model.score(nobody, all)]).toEqual([1 / 3, 1, 2 / 3, 0].map(Math.fround));
  });

  it('lets old interactions fade by their age before the latest', async () => {
    // Item 1: days 1, 0 and 2; item 2: days 0 and 1; item 0: day 0. With a half-life of a day the weights are ½, ¼ and 1.
    const model = await popularity.fit(set, parseSettings(popularity, { halfLifeDays: 1 }), fitContext());
    expect([...model.score(nobody, all)]).toEqual([0.25 / 1.75, 1, 0.75 / 1.75, 0].map(Math.fround));
  });

  it('refuses settings out of bounds', () => {
    expect(() => parseSettings(popularity, { halfLifeDays: -1 })).toThrow(/halfLifeDays/);
    expect(() => parseSettings(popularity, { halfLife: 1 })).toThrow(/halfLife/);
  });
});
