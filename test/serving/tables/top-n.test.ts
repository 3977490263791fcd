/** The n best of what is offered, whatever the order and however many are alike. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Accumulator, TopN } from '../../../serving/tables/top-n.js';

const byNumber = { precedes: (left: number, right: number) => left < right };

interface Offer {
  readonly item: number;
  readonly score: number;
}

function listOf(list: TopN): Offer[] {
  return Array.from({ length: list.length }, (_, i) => ({ item: list.items[i]!, score: list.scores[i]! }));
}

const better = (left: Offer, right: Offer): number => right.score - left.score || left.item - right.item;

/** Few scores, so that many are alike; each item once. */
const offers = fc
  .uniqueArray(fc.integer({ min: 0, max: 999 }), { maxLength: 200 })
  .chain((items) =>
    fc
      .array(fc.integer({ min: 0, max: 20 }), { minLength: items.length, maxLength: items.length })
      .map((scores) => items.map((item, i) => ({ item, score: scores[i]! / 4 }))),
  );
const capacity = fc.integer({ min: 1, max: 20 });
const orders = fc.constantFrom<(list: Offer[]) => Offer[]>(
  (list) => list,
  (list) => [...list].sort(better),
  (list) => [...list].sort((left, right) => better(right, left)),
);

it('keeps the best in order, of equal scores those that the tie break puts first', () => {
  fc.assert(
    fc.property(offers, orders, capacity, (offered, ordered, n) => {
      const list = new TopN(n, byNumber);
      for (const { item, score } of ordered(offered)) list.offer(item, score);
      list.sort();
      expect(listOf(list)).toEqual([...offered].sort(better).slice(0, n));
    }),
    { numRuns: 500 },
  );
});

it('never turns away what would be among the best, and holds less than twice as many', () => {
  fc.assert(
    fc.property(offers, capacity, (offered, n) => {
      const list = new TopN(n, byNumber);
      offered.forEach(({ item, score }, i) => {
        if (score >= list.threshold) list.offer(item, score);
        const best = offered.slice(0, i + 1).sort(better);
        expect(list.threshold).toBeLessThanOrEqual(best[n - 1]?.score ?? -Infinity);
        expect(list.length).toBeLessThan(2 * n);
      });
      list.sort();
      expect(listOf(list)).toEqual([...offered].sort(better).slice(0, n));
    }),
    { numRuns: 500 },
  );
});

it('is offered sums, each divided, without those left out', () => {
  const list = new TopN(4, byNumber);
  const sums = new Accumulator();
  const added = fc.array(fc.record({ item: fc.integer({ min: 0, max: 9 }), amount: fc.integer({ min: 0, max: 8 }) }));
  fc.assert(
    fc.property(added, fc.array(fc.integer({ min: 0, max: 9 })), (amounts, excluded) => {
      sums.clear(10);
      list.clear();
      const expected = new Map<number, number>();
      for (const { item, amount } of amounts) {
        sums.add(item, amount);
        expected.set(item, (expected.get(item) ?? 0) + amount);
      }
      for (const item of excluded) {
        sums.exclude(item);
        expected.delete(item);
      }
      sums.offerTo(list, 2);
      list.sort();
      const offered = [...expected].map(([item, sum]) => ({ item, score: sum / 2 }));
      expect(listOf(list)).toEqual(offered.sort(better).slice(0, 4));
    }),
    { numRuns: 500 },
  );
});
