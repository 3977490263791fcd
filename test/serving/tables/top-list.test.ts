import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TopList } from '../../../serving/tables/top-list.js';

const byIndex = { precedes: (left: number, right: number): boolean => left < right };

describe('top list', () => {
  it('counts relative to its first item follow every change, however many were asked for before', () => {
    const change = fc.record({
      item: fc.integer({ min: 0, max: 11 }),
      score: fc.oneof(fc.integer({ min: -4, max: 4 }), fc.constant(-Infinity)),
      places: fc.integer({ min: 0, max: 10 }),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const list = new TopList(8, byIndex);
        for (const { item, score, places } of changes) {
          list.update(item, score);
          const asked = Math.min(places, list.length);
          const wanted = Array.from({ length: asked }, (_, i) => 2 ** (list.scores[i]! - list.scores[0]!));
          expect([...list.relativeCounts(places).subarray(0, asked)]).toEqual(wanted);
        }
      }),
    );
  });
});
