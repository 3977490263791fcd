import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ModelGuard } from '../../../serving/published/model-guard.js';

const LIMITS = { budgetMs: 10, pauseMs: 1_000 };

describe('the guard of a model', () => {
  it('leaves out a model that fails three times in a row, and tries it again after the pause', () => {
    const guard = new ModelGuard(LIMITS);
    expect([guard.failed(0), guard.failed(1), guard.failed(2)]).toEqual([false, false, true]);
    expect(guard.leftOut(1_001)).toBe('failing');
    expect(guard.leftOut(1_002)).toBeUndefined();
    // On trial one fault is enough.
    expect(guard.failed(1_002)).toBe(true);
    expect(guard.leftOut(2_001)).toBe('failing');
    expect(guard.answered(1, 2_002)).toBe(false);
    expect(guard.failed(2_003)).toBe(false);
  });

  it('forgets faults with the next good answer', () => {
    const guard = new ModelGuard(LIMITS);
    for (let n = 0; n < 20; n++) {
      guard.failed(n);
      guard.failed(n);
      guard.answered(1, n);
    }
    expect(guard.leftOut(20)).toBeUndefined();
  });

  it('leaves out a model whose mean answer is over the budget, not one with a single slow answer', () => {
    const guard = new ModelGuard(LIMITS);
    for (let n = 0; n < 50; n++) expect(guard.answered(5, n)).toBe(false);
    expect(guard.answered(40, 50)).toBe(false);
    let until = 51;
    while (!guard.answered(40, until)) until++;
    expect(until).toBeLessThan(60);
    expect(guard.leftOut(until)).toBe('slow');
  });

  it('never leaves out a model that always answers within its budget', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 10, noNaN: true }), { maxLength: 200 }), (times) => {
        const guard = new ModelGuard(LIMITS);
        return times.every((elapsed, now) => !guard.answered(elapsed, now) && guard.leftOut(now) === undefined);
      }),
      { seed: 3 },
    );
  });
});
