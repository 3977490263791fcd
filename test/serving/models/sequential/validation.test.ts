import { describe, expect, it } from 'vitest';
import type { HistoryScorer } from '../../../../serving/models/sequential/scorer.js';
import { holdOut, validate } from '../../../../serving/models/sequential/validation.js';
import { seededRandom } from '../../../../streams/random.js';
import { smallWorld, trainingSetOf } from '../small-world.js';

/** The same logits after every history. */
const scorerOf = (logits: readonly number[]): HistoryScorer => ({
  ...{ itemCount: logits.length, batch: 2 },
  scoreHistories: (histories, into) => histories.forEach((_, h) => into.set(logits, h * logits.length)),
});

describe('questions held out', () => {
  it('are the last items of a share of rows, which are not trained on', () => {
    const set = smallWorld({ users: 300 });
    const { questions, ends, items } = holdOut(set, seededRandom('held'), { share: 0.5, most: 1_000 });
    expect(items).toBe(set.items);
    const held = set.userIds.flatMap((_, row) => (ends[row] === set.rowStart[row + 1] ? [] : [row]));
    expect(questions).toEqual(
      held.map((row) => ({
        history: set.items.slice(set.rowStart[row], set.rowStart[row + 1]! - 1),
        next: set.items[set.rowStart[row + 1]! - 1],
      })),
    );
    expect(questions.length).toBeGreaterThan(100);
  });

  it('are a drawn fifth of each row for a model of sets, from anywhere in it, and the rest is trained on', () => {
    const set = smallWorld({ users: 300, items: 200, interactionsPerUser: 20 });
    const how = { share: 0.5, most: 1_000, itemsShare: 0.2 };
    const { questions, ends, items } = holdOut(set, seededRandom('held'), how);
    let isLast = 0;
    let asked = 0;
    for (let row = 0; row < ends.length; row++) {
      const [start, end] = [set.rowStart[row]!, set.rowStart[row + 1]!];
      const learnt = items.subarray(start, ends[row]);
      if (ends[row] === end) {
        expect(learnt).toEqual(set.items.subarray(start, end));
        continue;
      }
      const { history, next, others = [] } = questions[asked++]!;
      expect(history).toEqual(learnt);
      const held = [next, ...others];
      expect(held).toHaveLength(4);
      expect([...held, ...learnt].sort()).toEqual([...set.items.subarray(start, end)].sort());
      isLast += held.includes(set.items[end - 1]!) ? 1 : 0;
    }
    expect(asked).toBe(questions.length);
    // One in five has the last item among its four of twenty.
    expect(isLast / asked).toBeGreaterThan(0.08);
    expect(isLast / asked).toBeLessThan(0.35);
  });

  it('leave what a row holds twice out of both sides', () => {
    const set = trainingSetOf(
      Array.from({ length: 40 }, () => [3, 3, 1, 2, 1]),
      5,
    );
    const how = { share: 0.5, most: 100, itemsShare: 0.4 };
    for (const { history, next, others = [] } of holdOut(set, seededRandom(1), how).questions) {
      expect([...history, next, ...others].sort()).toEqual([1, 2, 3]);
    }
  });
});

describe('validation', () => {
  const history = Int32Array.of(0);
  const value = (logits: readonly number[], next: number, others?: number[], isSessions = false): number =>
    validate(scorerOf(logits), [{ history, next, others: others && Int32Array.from(others) }], isSessions);

  it('is NDCG@10 without what the history of a person holds', () => {
    expect(value([9, 3, 2, 1], 2)).toBeCloseTo(1 / Math.log2(3), 12);
    expect(value([9, 3, 2, 1], 2, undefined, true)).toBeCloseTo(1 / Math.log2(4), 12);
  });

  it('counts each of several right items, against the best order of them', () => {
    // Ranked 1, 2, 3: right are the first and the third.
    const ideal = 1 + 1 / Math.log2(3);
    expect(value([9, 3, 2, 1], 3, [1])).toBeCloseTo((1 + 1 / Math.log2(4)) / ideal, 12);
    expect(value([0, 3, 3, 1], 2, [])).toBeCloseTo(1 / Math.log2(3), 12);
  });
});
