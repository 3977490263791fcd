import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideRetrain, type RetrainFacts } from '../../../jobs/train/retrain-decision.js';

const LIMITS = { everyMs: 1_000, restMs: 100 };
const time = fc.option(fc.integer({ min: 0, max: 5_000 }), { nil: undefined });
const facts: fc.Arbitrary<RetrainFacts> = fc.record({
  now: fc.integer({ min: 5_000, max: 10_000 }),
  publishedAt: time,
  triedAt: time,
  hasDrifted: fc.boolean(),
});

describe('the decision to train', () => {
  it('follows the schedule, from the first version on', () => {
    const at = (now: number, publishedAt?: number) =>
      decideRetrain({ now, publishedAt, triedAt: undefined, hasDrifted: false }, LIMITS);
    expect([at(0), at(999, 0), at(1_000, 0)]).toEqual(['schedule', undefined, 'schedule']);
  });

  it('follows drift before the schedule does, but never without a published version', () => {
    const drifted = { now: 500, triedAt: undefined, hasDrifted: true };
    expect(decideRetrain({ ...drifted, publishedAt: 0 }, LIMITS)).toBe('drift');
    expect(decideRetrain({ ...drifted, publishedAt: undefined }, { ...LIMITS, everyMs: 0 })).toBeUndefined();
  });

  it('rests after every try, whatever became of it', () => {
    fc.assert(
      fc.property(facts, fc.integer({ min: 0, max: 99 }), (known, since) => {
        expect(decideRetrain({ ...known, triedAt: known.now - since }, LIMITS)).toBeUndefined();
      }),
    );
  });

  it('never forgets: once due, a model stays due until it is trained', () => {
    fc.assert(
      fc.property(facts, fc.integer({ min: 0, max: 1e6 }), (known, later) => {
        if (decideRetrain(known, LIMITS) === undefined) return;
        expect(decideRetrain({ ...known, now: known.now + later }, LIMITS)).toBeDefined();
      }),
    );
  });

  it('does nothing without a schedule and without drift', () => {
    fc.assert(
      fc.property(facts, (known) => {
        expect(decideRetrain({ ...known, hasDrifted: false }, { ...LIMITS, everyMs: 0 })).toBeUndefined();
      }),
    );
  });
});
