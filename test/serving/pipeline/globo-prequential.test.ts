import { describe, expect, it } from 'vitest';

import { createRecommender } from '../../../serving/pipeline/recommender.js';
import { hasGlobo, readGlobo, replay } from './globo-prequential.js';

/** A short piece: the whole protocol (300,000 clicks) is a matter of minutes and belongs to a command. */
const CLICKS = 15_000;

describe.skipIf(!hasGlobo())('next click on public news clicks (skipped where the data are not present)', () => {
  it('is found among ten recommendations about as often as in the full replay', async () => {
    const variants = (['full', 'push'] as const).map((pipeline) => ({
      name: pipeline,
      pipeline,
      create: (tables: Parameters<typeof createRecommender>[1]) => createRecommender({}, tables),
    }));
    const { scores } = replay(await readGlobo(CLICKS), variants, { stride: 4 });
    for (const { tests, hitRate, reciprocalRank } of scores) {
      expect(tests).toBeGreaterThan(1000);
      expect(hitRate).toBeGreaterThan(0.5);
      expect(reciprocalRank).toBeGreaterThan(0.22);
    }
  });
});
