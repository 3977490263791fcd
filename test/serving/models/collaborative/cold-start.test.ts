import { describe, expect, it } from 'vitest';
import { ease } from '../../../../serving/models/ease/ease.js';
import { parseSettings } from '../../../../serving/models/fitting.js';
import type { Model } from '../../../../serving/models/model.js';
import type { TrainingSet } from '../../../../serving/models/training-set.js';
import { fitContext } from '../fit-context.js';
import { queryOf, smallWorld } from '../small-world.js';

const world = smallWorld();
/** People of tastes 0 and 1 are writers, the others are drivers; ages are all different numbers. */
const set: TrainingSet = {
  ...world,
  userTraits: {
    occupation: world.userIds.map((_, user) => (user % 4 < 2 ? 'writer' : 'driver')),
    age: world.userIds.map((_, user) => String(20 + (user % 40))),
    rare: world.userIds.map((_, user) => (user < 3 ? 'yes' : '')),
  },
};
const fit = (learnt: TrainingSet): Promise<Model> => ease.fit(learnt, parseSettings(ease, {}), fitContext());
const stranger = { user: -1, items: new Int32Array(0) };

describe('cold start', () => {
  it('answers people with fewer than five interactions, with confidence .3 and its reason', async () => {
    const model = await fit(set);
    const query = { ...stranger, items: Int32Array.of(0, 4, 8, 12), excluded: Int32Array.of(0) };
    const { items, basis } = model.retrieve(query, 12);
    expect(basis).toBe('cold_start');
    expect(items).toHaveLength(12);
    expect(new Set(items).size).toBe(12);
    expect([...items]).not.toContain(0);
    expect([...model.confidence(query, items)]).toEqual(Array.from(items, () => Math.fround(0.3)));
    expect(model.explain(query, items[0]!)).toMatchObject([{ kind: 'cold_start', strength: 0.3 }]);
    const fifth = { ...query, items: Int32Array.of(0, 4, 8, 12, 16) };
    expect(model.retrieve(fifth, 12).basis).toBe('model');
  });

  it('asks people alike first: by the traits of the question, or by those the training set knows', async () => {
    const model = await fit(set);
    const tasteOf = (context: Record<string, string>): number => {
      const { items } = model.retrieve({ ...stranger, context }, 30);
      // Places 0, 3, 6 … are from people alike: three lists take turns.
      return [0, 3, 6, 9].filter((place) => items[place]! % 4 < 2).length;
    };
    expect(tasteOf({ occupation: 'writer' })).toBe(4);
    expect(tasteOf({ occupation: 'driver' })).toBe(0);
    const known = model.retrieve({ user: 1, items: new Int32Array(0) }, 1);
    expect(known.items[0]! % 4).toBeLessThan(2);
    expect(model.explain({ ...stranger, context: { occupation: 'writer' } }, known.items[0]!)[0]!.detail).toBeDefined();
  });

  it('groups numbers by tens and leaves out groups too small to say anything', async () => {
    const model = await fit(set);
    const groups = JSON.parse(Buffer.from(model.save()['cold-start.json']!).toString()) as {
      groups: { trait: string; value: string }[];
    };
    const values = (trait: string): string[] => groups.groups.filter((g) => g.trait === trait).map((g) => g.value);
    expect(values('age')).toEqual(['20', '30', '40', '50']);
    expect(values('occupation')).toEqual(['driver', 'writer']);
    expect(values('rare')).toEqual([]);
  });

  it('is what is popular and what is gaining where nothing is known of a person', async () => {
    const model = await fit({ ...world, userTraits: undefined });
    const counts = Array.from(world.itemIds, (_, item) => world.items.filter((other) => other === item).length);
    const { items } = model.retrieve(stranger, 40);
    expect(counts[items[0]!]).toBe(Math.max(...counts));
    expect(model.score(stranger, Int32Array.of(items[0]!))[0]).toBe(1);
  });
});

describe('confidence', () => {
  it('is larger for a person’s own taste than for others, and above one half only there', async () => {
    const model = await fit(world);
    let [own, other] = [0, 0];
    for (let user = 0; user < 20; user++) {
      const query = queryOf(world, user);
      const confidences = model.confidence(query, Int32Array.from(world.itemIds.keys()));
      confidences.forEach((confidence, item) => {
        if (query.items.includes(item)) return;
        if (item % 4 === user % 4) own += Number(confidence > 0.5) / 40;
        else other += Number(confidence > 0.5) / 600;
      });
    }
    expect(own).toBeGreaterThan(2 * other);
    expect(other).toBeLessThan(0.4);
  });
});
