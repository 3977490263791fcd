import { describe, expect, it } from 'vitest';
import { CandidateGenerator, CANDIDATE_LIMITS } from '../../../../serving/models/candidates/candidate-generator.js';
import { ease } from '../../../../serving/models/ease/ease.js';
import { parseSettings } from '../../../../serving/models/fitting.js';
import { svd } from '../../../../serving/models/svd/svd.js';
import type { TrainingSet } from '../../../../serving/models/training-set.js';
import { fitContext } from '../fit-context.js';
import { queryOf, smallWorld } from '../small-world.js';

const world = smallWorld();
const none = world.itemIds.map(() => '');
const set: TrainingSet = {
  ...world,
  itemContent: {
    titles: none,
    texts: none,
    categories: world.itemIds.map((_, item) => [`taste-${item % 4}`]),
    brands: none,
    tags: world.itemIds.map(() => []),
    numbers: {},
  },
};
const nextTurn = (): Promise<void> => Promise.resolve();
const model = await svd.fit(set, parseSettings(svd, { factors: 6 }), fitContext());

describe('candidates', () => {
  it('come from similar people, similar items and own categories, each once and none that was met', async () => {
    const generator = await CandidateGenerator.build(set, model, { nextTurn });
    const query = queryOf(set, 3);
    const found = generator.candidates(query);
    const met = new Set(query.items);
    expect(found.length).toBeGreaterThan(5);
    expect(new Set(found.map(({ item }) => item)).size).toBe(found.length);
    expect(found.filter(({ item }) => met.has(item))).toEqual([]);
    const sources = new Set(found.flatMap((candidate) => candidate.sources));
    expect([...sources].sort()).toEqual(['popular-in-category', 'similar-items', 'similar-users']);
    // What people of the same taste have left unmet is the person's own taste first.
    const own = found.slice(0, 4).filter(({ item }) => item % 4 === 3);
    expect(own.length).toBeGreaterThanOrEqual(2);
  });

  it('stay within their limits', async () => {
    expect(CANDIDATE_LIMITS).toMatchObject({ similarUsers: 50, itemsPerUser: 20, similarItems: 20, total: 1000 });
    const limits = { total: 7 };
    const generator = await CandidateGenerator.build(set, model, { nextTurn, limits });
    expect(generator.candidates(queryOf(set, 3))).toHaveLength(7);
    const excluded = Int32Array.from(set.itemIds.keys());
    expect(generator.candidates({ ...queryOf(set, 3), excluded })).toEqual([]);
  });

  it('of a model without vectors are popular ones of the own categories', async () => {
    const linear = await ease.fit(set, parseSettings(ease, {}), fitContext());
    const generator = await CandidateGenerator.build(set, linear, { nextTurn });
    const found = generator.candidates({ user: -1, items: Int32Array.of(1) });
    expect(found.map(({ sources }) => sources)).toEqual(found.map(() => ['popular-in-category']));
    expect(found.every(({ item }) => item % 4 === 1)).toBe(true);
    const counts = found.map(({ item }) => set.items.filter((other) => other === item).length);
    expect(counts).toEqual(counts.toSorted((left, right) => right - left));
  });
});
