import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../streams/random.js';
import { evaluationSchema } from '../../../jobs/evaluate/evaluation-schema.js';
import type { Protocol } from '../../../jobs/evaluate/evaluation-schema.js';
import { splitByProtocol } from '../../../jobs/evaluate/protocols.js';
import type { Split } from '../../../jobs/evaluate/protocols.js';
import type { TrainingSet } from '../../../serving/models/training-set.js';
import { smallWorld, trainingSetOf } from '../../serving/models/small-world.js';

const protocolOf = (raw: object): Protocol =>
  evaluationSchema.parse({ name: 'x', data: { file: 'f', mapping: 'm' }, models: [{ algorithm: 'a' }], protocol: raw })
    .protocol;

const split = (set: TrainingSet, raw: object): Split => splitByProtocol(set, protocolOf(raw), seededRandom('split'));

const rowOf = (set: TrainingSet, user: number): number[] => [
  ...set.items.subarray(set.rowStart[user], set.rowStart[user + 1]),
];

const casesOf = ({ cases }: Split): { user: number; history: number[]; relevant: number[] }[] =>
  Array.from({ length: cases.count }, (_, c) => ({
    user: cases.query(c).user,
    history: [...cases.query(c).items],
    relevant: [...cases.relevant(c)],
  }));

describe('leave-last-out', () => {
  const set = trainingSetOf([[0, 1, 2, 3], [4, 5], [6]], 8);

  it('asks for the last of each user, and leaves users of one interaction in training', () => {
    const result = split(set, { name: 'leave-last-out' });
    expect(casesOf(result)).toEqual([
      { user: 0, history: [0, 1, 2], relevant: [3] },
      { user: 1, history: [4], relevant: [5] },
    ]);
    expect([0, 1, 2].map((user) => rowOf(result.train, user))).toEqual([[0, 1, 2], [4], [6]]);
  });

  it('keeps the one before the last for validation: not trained on, but known when the last is asked for', () => {
    const result = split(set, { name: 'leave-last-out', validation: 'next-to-last' });
    expect(casesOf(result)).toEqual([{ user: 0, history: [0, 1, 2], relevant: [3] }]);
    expect([0, 1, 2].map((user) => rowOf(result.train, user))).toEqual([[0, 1], [4, 5], [6]]);
    expect(result.train.validation).toEqual({ users: Int32Array.of(0), items: Int32Array.of(2) });
  });

  it('does not ask for what the history holds, and counts it; for sessions it may be told to', () => {
    const repeated = trainingSetOf([[0, 1, 0]], 2);
    const without = split(repeated, { name: 'leave-last-out' });
    expect([without.cases.count, without.cases.leftOut.inHistory]).toEqual([0, 1]);
    expect(split(repeated, { name: 'leave-last-out', excludesHistory: false }).cases.count).toBe(1);
  });
});

describe('splits by time', () => {
  it('per user keep back the last share of each row', () => {
    const result = split(
      trainingSetOf(
        [
          [0, 1, 2, 3, 4],
          [5, 6],
        ],
        7,
      ),
      { name: 'per-user-temporal', testShare: 0.4 },
    );
    expect(casesOf(result)).toEqual([
      { user: 0, history: [0, 1, 2], relevant: [3, 4] },
      { user: 1, history: [5], relevant: [6] },
    ]);
  });

  it('at one moment keep back everything from it on, and leave out who was not there before', () => {
    const set = { ...trainingSetOf([[0, 1], [2, 3], [4]], 5), times: Float64Array.of(10, 20, 30, 90, 95) };
    const result = split(set, { name: 'global-temporal', testShare: 0.4 });
    expect(casesOf(result)).toEqual([{ user: 1, history: [2], relevant: [3] }]);
    const withCold = split(set, { name: 'global-temporal', testShare: 0.4, coldUsers: true });
    expect(casesOf(withCold)[1]).toEqual({ user: -1, history: [], relevant: [4] });
  });

  it('refuse data without times', () => {
    const set = { ...trainingSetOf([[0, 1]], 2), hasTimes: false };
    expect(() => split(set, { name: 'global-temporal' })).toThrow(/times/);
  });

  it('prequentially ask in order of time, with everything before known', () => {
    const set = {
      ...trainingSetOf(
        [
          [0, 1, 2],
          [3, 4],
        ],
        5,
      ),
      times: Float64Array.of(10, 60, 80, 50, 70),
    };
    const result = split(set, { name: 'prequential', testShare: 0.6 });
    expect(rowOf(result.train, 0)).toEqual([0]);
    expect(casesOf(result)).toEqual([
      { user: 0, history: [0], relevant: [1] },
      { user: 1, history: [3], relevant: [4] },
      { user: 0, history: [0, 1], relevant: [2] },
    ]);
  });
});

describe('random', () => {
  it('draws the share of each user, the same for the same seed, and puts every interaction on one side', () => {
    const set = smallWorld();
    const [first, second] = [0, 1].map(() => split(set, { name: 'random', testShare: 0.25 }));
    expect(casesOf(second!)).toEqual(casesOf(first!));
    for (const { user, history, relevant } of casesOf(first!)) {
      expect(relevant.length).toBe(2);
      expect([...history, ...relevant].sort()).toEqual(rowOf(set, user).sort());
    }
    // Not simply the last ones.
    const isLast = casesOf(first!).filter(
      ({ user, relevant }) => rowOf(set, user).slice(-2).sort().join() === relevant.join(),
    );
    expect(isLast.length).toBeLessThan(20);
  });

  it('takes only well-rated items as right ones when told so', () => {
    const set = { ...trainingSetOf([[0, 1, 2, 3]], 4), weights: Float32Array.of(1, 2, 4, 5), hasWeights: true };
    const result = split(set, { name: 'per-user-temporal', testShare: 0.5, relevantFrom: 5 });
    expect(casesOf(result)).toEqual([{ user: 0, history: [0, 1], relevant: [3] }]);
  });
});

describe('session-prefixes', () => {
  it('ask for each next item of the latest sessions, by strangers, without items nobody trained on', () => {
    const set = {
      ...trainingSetOf(
        [
          [0, 1],
          [1, 2, 0],
          [2, 9, 1],
        ],
        10,
      ),
      times: Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    };
    const result = split(set, { name: 'session-prefixes', testShare: 0.3 });
    expect(casesOf(result)).toEqual([{ user: -1, history: [2, 9], relevant: [1] }]);
    expect(result.cases.leftOut.untrained).toBe(1);
    expect(result.cases.query(0).excluded).toBeUndefined();
  });
});

describe('cold-items', () => {
  it('takes all interactions with some items out, and ranks only those', () => {
    const set = smallWorld();
    const result = split(set, { name: 'cold-items', testShare: 0.25 });
    const cold = new Set(result.cases.candidates);
    expect(cold.size).toBe(10);
    expect([...result.train.items].filter((item) => cold.has(item))).toEqual([]);
    for (const { relevant } of casesOf(result)) for (const item of relevant) expect(cold.has(item)).toBe(true);
  });
});
