/**
 * The simulation finds every bug that is planted: each undoes one promise that exactly-once state rests on.
 *
 * The number in a test's name is the seeds it took when the bug was planted.
 */
import { describe, expect, it } from 'vitest';
import { PLANTED_BUGS } from './planted-bugs.js';
import { simulate } from './simulation.js';

const SEEDS_MAX = 1_000;
const TIMEOUT_MS = 300_000;

describe('the simulation finds it when', () => {
  for (const { name, mutation, foundAfter, harm } of PLANTED_BUGS) {
    it(`${name} (${foundAfter} ${foundAfter === 1 ? 'seed' : 'seeds'})`, { timeout: TIMEOUT_MS }, async () => {
      let found: string | undefined;
      for (let seed = 1; seed <= SEEDS_MAX && found === undefined; seed++) {
        const { violations } = await simulate(seed, mutation);
        found = harm === undefined ? violations[0] : violations.find((violation) => harm.test(violation));
      }
      expect(found).toBeDefined();
    });
  }

  it('nothing is planted: then it finds nothing', async () => {
    expect((await simulate(1)).violations).toEqual([]);
  });
});
