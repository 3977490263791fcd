import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { addDecayed, decayedValue, decayFactor, movedBeyond } from '../../operators/decay.js';

const HOUR = 3_600_000;
const time = fc.integer({ min: 0, max: 100 * HOUR });
const amount = fc.double({ min: 0.01, max: 100, noNaN: true });

describe('decay', () => {
  it('halves a count every half-life', () => {
    expect(decayedValue(8, 0, HOUR, HOUR)).toBeCloseTo(4, 12);
    expect(decayedValue(8, 0, 3 * HOUR, HOUR)).toBeCloseTo(1, 12);
  });

  it('leaves a count as it is when time would run backwards', () => {
    expect(decayFactor(-1, HOUR)).toBe(1);
    expect(decayFactor(0, HOUR)).toBe(1);
  });

  it('decays in two steps as in one', () => {
    fc.assert(
      fc.property(time, time, (a, b) => {
        expect(decayFactor(a, HOUR) * decayFactor(b, HOUR)).toBeCloseTo(decayFactor(a + b, HOUR), 10);
      }),
    );
  });

  it('adds up to the same whatever the order records arrive in', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(time, amount), { minLength: 1, maxLength: 20 }), (events) => {
        const fold = (ordered: readonly (readonly [number, number])[]): number => {
          let value = 0;
          let refTime = 0;
          for (const [at, weight] of ordered) {
            value = addDecayed(value, refTime, weight, at, HOUR);
            refTime = Math.max(refTime, at);
          }
          return decayedValue(value, refTime, 100 * HOUR, HOUR);
        };
        const forward = fold(events);
        const sorted = fold([...events].sort((a, b) => a[0] - b[0]));
        expect(Math.abs(forward - sorted)).toBeLessThanOrEqual(1e-9 * Math.max(forward, sorted, 1e-300));
      }),
    );
  });

  it('calls any difference a move when epsilon is 0, and only a larger one otherwise', () => {
    expect(movedBeyond(1.0001, 1, 0)).toBe(true);
    expect(movedBeyond(1, 1, 0)).toBe(false);
    expect(movedBeyond(1.04, 1, 0.05)).toBe(false);
    expect(movedBeyond(1.06, 1, 0.05)).toBe(true);
  });
});
