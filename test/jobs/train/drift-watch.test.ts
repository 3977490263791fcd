import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DriftWatch } from '../../../jobs/train/drift-watch.js';
import { seededRandom } from '../../../streams/random.js';

const LIMITS = { recent: 500, baseline: 5_000, drop: 0.2 };

function watched(trials: readonly boolean[], watch = new DriftWatch(LIMITS)): DriftWatch {
  for (const isHit of trials) watch.observe('v1', isHit);
  return watch;
}

/** Trials of which this share hits. */
function draws(seed: string, rate: number, count: number): boolean[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => random.float() < rate);
}

describe('the watch over a model', () => {
  it('tells when a model falls to half of its own level, within two thousand trials', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.double({ min: 0.3, max: 0.9, noNaN: true }), (seed, rate) => {
        const watch = watched(draws(`${seed}`, rate, 6_000));
        let after = 0;
        for (const isHit of draws(`${seed}-fallen`, rate / 2, 2_000)) {
          watch.observe('v1', isHit);
          after++;
          if (watch.hasDrifted()) break;
        }
        return watch.hasDrifted() && after < 2_000;
      }),
      { numRuns: 20, seed: 11 },
    );
  });

  it('keeps silent as long as a model stays as good as it was', () => {
    for (let seed = 0; seed < 10; seed++) {
      const watch = new DriftWatch(LIMITS);
      for (const isHit of draws(`steady-${seed}`, 0.3, 10_000)) {
        watch.observe('v1', isHit);
        // An expectation each would take longer than the watching.
        if (watch.hasDrifted()) throw new Error(`drift without a fall, seed ${seed}`);
      }
    }
  });

  it('keeps silent when a model becomes better', () => {
    const watch = watched([...draws('low', 0.1, 6_000), ...draws('high', 0.5, 6_000)]);
    expect(watch.hasDrifted()).toBe(false);
  });

  it('decides nothing before its level is known, and begins anew with another version', () => {
    const watch = watched([...draws('good', 0.8, 3_000), ...Array.from({ length: 1_900 }, () => false)]);
    expect(watch.hasDrifted()).toBe(false);
    watched(
      Array.from({ length: 200 }, () => false),
      watch,
    );
    expect(watch.hasDrifted()).toBe(true);
    watch.observe('v2', false);
    expect(watch.hasDrifted()).toBe(false);
    expect(watch.current).toEqual({ version: 'v2', trials: 1, recentMean: 0, baselineMean: 0 });
  });

  it('has means between 0 and 1 whatever comes, and plain ones at first', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 300 }), (trials) => {
        const { recentMean, baselineMean } = watched(trials).current!;
        expect(Math.min(recentMean, baselineMean)).toBeGreaterThanOrEqual(0);
        expect(Math.max(recentMean, baselineMean)).toBeLessThanOrEqual(1);
        const share = trials.filter(Boolean).length / trials.length;
        expect(baselineMean).toBeCloseTo(share, 9);
      }),
      { seed: 5 },
    );
  });
});
