import { describe, expect, it } from 'vitest';
import { calibrate, confidenceOf } from '../../../../serving/models/sequential/calibration.js';
import { searchBeam } from '../../../../serving/models/sequential/beam-search.js';
import { categoriesOf, explain } from '../../../../serving/models/sequential/explanations.js';
import { planOf } from '../../../../serving/models/sequential/settings.js';
import type { SequenceModel } from '../../../../serving/models/sequential/sequence-model.js';
import { holdOut } from '../../../../serving/models/sequential/validation.js';
import { Successors } from '../../../../serving/models/sequential/successors.js';
import { parseSettings } from '../../../../serving/models/fitting.js';
import { transformer } from '../../../../serving/models/transformer/transformer.js';
import { seededRandom } from '../../../../streams/random.js';
import { fitContext } from '../fit-context.js';
import { queryOf, smallWorld, trainingSetOf } from '../small-world.js';

const PEOPLE = trainingSetOf(
  [
    [0, 1, 2],
    [0, 1, 3],
    [0, 2, 1],
    [4, 0, 1],
  ],
  5,
);

describe('successors', () => {
  it('mix what followed with popularity, five observations of it', () => {
    const successors = Successors.of(PEOPLE);
    const chances = new Float32Array(5);
    successors.chancesAfter(0, chances);
    // 0 was followed by 1 three times and by 2 once; item 1 is 4 of 12 interactions.
    expect(chances[1]).toBeCloseTo((3 + 5 * (4 / 12)) / 9, 6);
    expect(chances.reduce((sum, chance) => sum + chance)).toBeCloseTo(1, 6);
    expect(successors.shareAfter(0, 1)).toBe(0.75);
    expect(successors.shareAfter(3, 0)).toBe(0);
  });
});

describe('short histories', () => {
  it('are ranked by what follows the last item too, and say so; strangers get what is popular', async () => {
    const settings = parseSettings(transformer, { dimensions: 8, layers: 1, heads: 1, feedForward: 8, epochsMax: 1 });
    const model = await transformer.fit(smallWorld(), settings, fitContext());
    const ask = (...items: number[]): string => model.retrieve({ user: -1, items: Int32Array.from(items) }, 3).basis;
    expect([ask(), ask(1), ask(1, 2), ask(1, 2, 3)]).toEqual(['popular', 'short_sequence', 'short_sequence', 'model']);
  });
});

describe('reasons', () => {
  const NOON_MONDAY = Date.UTC(2024, 0, 1, 12);
  const set = {
    ...PEOPLE,
    itemContent: {
      ...{ titles: [], texts: [], brands: [], tags: [], numbers: {} },
      categories: [['shoes'], ['socks'], ['socks'], ['hats'], []],
    },
  };
  const known = { successors: Successors.of(set), categories: categoriesOf(set) };

  it('are what followed what, from which category to which, and when, strongest first', () => {
    const items = Int32Array.of(1, 1, 1, 3, 0);
    const times = Float64Array.of(0, 1, 2, 50, 60).map((hours) => NOON_MONDAY - 60 * 3_600_000 + hours * 3_600_000);
    const now = NOON_MONDAY - 59 * 3_600_000;
    const reasons = explain({ user: -1, items, times, now }, 1, known);
    // Shoes led to socks in 4 of 4 steps; item 1 followed item 0 in 3 of 4.
    expect(reasons).toEqual([
      { kind: 'temporal-habit', strength: 1, items: [1, 1, 1], detail: 'socks' },
      { kind: 'category-progression', strength: 1, items: [0], detail: 'shoes → socks' },
      { kind: 'sequential-pattern', strength: 0.75, items: [0] },
    ]);
    expect(explain({ user: -1, items }, 4, known)).toEqual([]);
  });
});

describe('beam search', () => {
  /** A chain: after item i comes i + 1 with a good chance, i + 2 with a smaller one. */
  const scoreChain = (histories: readonly Int32Array[], rows: Float32Array): void => {
    rows.fill(-20);
    histories.forEach((items, h) => {
      for (const step of [1, 2]) {
        const next = items.at(-1)! + step;
        if (next < 6) rows[h * 6 + next] = -step;
      }
    });
  };

  it('finds the likeliest ways, each item once, with the mean log-chance at the temperature', () => {
    const query = { user: -1, items: Int32Array.of(0), excluded: Int32Array.of(0) };
    const [best, second] = searchBeam(query, { steps: 2 }, scoreChain, 6);
    expect(best!.items).toEqual([1, 2]);
    expect(second!.items).toEqual([1, 3]);
    // Two items with scores −1 and −2 at temperature .8: the better one's log-chance.
    expect(best!.score).toBeCloseTo(-Math.log(1 + Math.exp(-1 / 0.8)), 3);
  });

  it('ends when nothing is left to add, and keeps to its bounds', () => {
    const query = { user: -1, items: Int32Array.of(0), excluded: Int32Array.of(0) };
    const all = searchBeam(query, { beams: 10, steps: 50 }, scoreChain, 6);
    expect(all.length).toBeLessThanOrEqual(10);
    for (const { items } of all) {
      expect(items).toHaveLength(5);
      expect(new Set(items).size).toBe(5);
    }
  });
});

describe('calibration', () => {
  it('turns chances into the shares of hits that were seen', () => {
    const random = seededRandom('calibration');
    const chances = Array.from({ length: 5_000 }, () => 0.02 + 0.3 * random.float());
    // The network says twice what happens.
    const hits = chances.map((chance) => random.float() < chance / 2);
    const calibration = calibrate(chances, hits);
    expect(confidenceOf(calibration, 0.2)).toBeGreaterThan(0.08);
    expect(confidenceOf(calibration, 0.2)).toBeLessThan(0.12);
  });
});

describe('presets', () => {
  it('go by the number of interactions, and what is set wins', () => {
    const numbers = { dropout: 0.4, batchSize: 128, learningRate: 1, warmupSteps: 0, epochsMax: 1 };
    const presets = { small: { ...numbers, dimensions: 64 }, full: { ...numbers, dimensions: 128 } };
    const settings = parseSettings(transformer, {});
    const little = { interactions: 1_000, rows: 100 };
    expect(planOf(settings, little, presets).dimensions).toBe(64);
    expect(planOf(settings, { interactions: 50_000_000, rows: 1_000_000 }, presets).dimensions).toBe(128);
    expect(planOf({ ...settings, dimensions: 32, dropout: 0 }, little, presets)).toMatchObject({
      dimensions: 32,
      dropout: 0,
    });
  });
});

describe('small data', () => {
  const numbers = { dimensions: 64, dropout: 0.4, batchSize: 128, learningRate: 1, warmupSteps: 0, epochsMax: 1 };
  const planFor = (interactions: number, rows: number): { batchSize: number; epochsMax: number } =>
    planOf(parseSettings(transformer, {}), { interactions, rows }, { small: numbers, full: numbers });

  it('are gone through often, in batches so small that an epoch has steps', () => {
    expect(planFor(1_000, 100)).toMatchObject({ batchSize: 4, epochsMax: 40 });
    expect(planFor(100_000, 943)).toMatchObject({ batchSize: 29, epochsMax: 40 });
    expect(planFor(1_000_000, 6_000)).toMatchObject({ batchSize: 128, epochsMax: 8 });
    expect(planFor(40_000_000, 500_000)).toMatchObject({ batchSize: 128, epochsMax: 2 });
  });

  it('teach a transformer the tastes of a hundred people, with every setting left open', async () => {
    const set = smallWorld({ users: 100 });
    const model = await transformer.fit(set, parseSettings(transformer, {}), fitContext());
    const firsts = set.userIds.map((_, user) => model.retrieve(queryOf(set, user), 1).items[0]!);
    // One of four tastes: by chance it would be 25.
    expect(firsts.filter((item, user) => item % 4 === user % 4).length).toBeGreaterThan(70);
  });

  it('keep up to half of the rows for validation, where a share would be too few to decide by', () => {
    const heldOutOf = (rows: number, share: number): number => {
      const set = trainingSetOf(
        Array.from({ length: rows }, () => [0, 1, 2, 3]),
        4,
      );
      return holdOut(set, seededRandom('held-out'), { share, most: 4_000 }).questions.length;
    };
    expect(heldOutOf(100, 0.1)).toBeGreaterThan(30);
    expect(heldOutOf(100, 0.1)).toBeLessThan(70);
    expect(heldOutOf(5_000, 0.1)).toBeLessThan(600);
    expect(heldOutOf(100, 0)).toBe(0);
  });
});

describe('continuations', () => {
  it('of a fitted model are sequences of items not met before', async () => {
    const settings = parseSettings(transformer, { dimensions: 8, layers: 1, heads: 1, feedForward: 8, epochsMax: 1 });
    const model = (await transformer.fit(smallWorld(), settings, fitContext())) as SequenceModel;
    const items = Int32Array.of(1, 5, 9);
    const ways = model.continuations({ user: -1, items, excluded: items }, { beams: 3, steps: 4 });
    expect(ways).toHaveLength(3);
    for (const way of ways) expect(way.items.some((item) => items.includes(item))).toBe(false);
    expect(ways.map(({ score }) => score)).toEqual(ways.map(({ score }) => score).sort((left, right) => right - left));
  });
});
