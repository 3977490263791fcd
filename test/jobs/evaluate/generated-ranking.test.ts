import { describe, expect, it } from 'vitest';
import { CaseList } from '../../../jobs/evaluate/case-list.js';
import { rankGenerated } from '../../../jobs/evaluate/generated-ranking.js';
import { rankCases } from '../../../jobs/evaluate/ranking.js';
import { parseSettings } from '../../../serving/models/fitting.js';
import { ials } from '../../../serving/models/ials/ials.js';
import { ManualClock } from '../../../streams/clock.js';
import { seededRandom } from '../../../streams/random.js';
import { fitContext } from '../../serving/models/fit-context.js';
import { smallWorld, trainingSetOf } from '../../serving/models/small-world.js';

const options = (over: object = {}) => ({
  ...{ depth: 5, random: seededRandom('rank'), clock: new ManualClock(), signal: new AbortController().signal },
  ...over,
});

/** The last item of each row is what would have been right. */
function casesOf(set: ReturnType<typeof smallWorld>): CaseList {
  const cases = new CaseList(set, { excludesHistory: true });
  set.userIds.forEach((_, user) => {
    const [from, to] = [set.rowStart[user]!, set.rowStart[user + 1]! - 1];
    cases.add({ user, from, to, relevant: [set.items[to]!] });
  });
  return cases;
}

describe('ranking of generated candidates', () => {
  it('is full ranking where every item is a candidate, and tells what the candidates reach', async () => {
    const set = smallWorld({ items: 16, tastes: 2 });
    const model = await ials.fit(set, parseSettings(ials, { factors: 4, epochs: 3 }), fitContext());
    const cases = casesOf(set);
    const { ranking, generated } = await rankGenerated(model, set, cases, options());
    const full = await rankCases(model, cases, { ...options(), withAuc: false });
    expect(ranking.lists).toEqual(full.lists);
    // Seven of sixteen were met, the others are all somebody's.
    expect(generated).toEqual({ recall: 1, items: 9 });
  });

  it('counts as not found what may not be ranked', async () => {
    const set = trainingSetOf(
      Array.from({ length: 24 }, (_, user) => (user % 2 === 0 ? [0, 1, 2] : [4, 5, 6])),
      7,
    );
    const model = await ials.fit(set, parseSettings(ials, { factors: 2, epochs: 3 }), fitContext());
    const cases = new CaseList(set, { excludesHistory: true }).among(Int32Array.of(1, 2, 5));
    cases.add({ user: 0, from: 0, to: 1, relevant: [1, 2] });
    cases.add({ user: 1, from: 3, to: 4, relevant: [5, 6] });
    const { ranking, generated } = await rankGenerated(model, set, cases, options({ depth: 3 }));
    // Only 1, 2 and 5 may be ranked: 6 counts as not found.
    expect(generated.recall).toBe(0.75);
    expect(ranking.lists.subarray(0, 2).toSorted()).toEqual(Int32Array.of(1, 2));
    expect([...ranking.auc]).toEqual([NaN, NaN]);
  });
});
