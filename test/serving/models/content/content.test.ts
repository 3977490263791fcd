import { describe, expect, it } from 'vitest';
import { typeIndex } from '../../../../operators/user/event-weights.js';
import { content } from '../../../../serving/models/content/content.js';
import type { ContentModel } from '../../../../serving/models/content/content-model.js';
import { parseSettings } from '../../../../serving/models/fitting.js';
import type { Model, ModelQuery } from '../../../../serving/models/model.js';
import type { TrainingSet } from '../../../../serving/models/training-set.js';
import { fitContext } from '../fit-context.js';
import { describeModel } from '../model-conformance.js';
import { trainingSetOf } from '../small-world.js';
import { describedWorld, plainPicture, wordsOfTaste } from './described-world.js';

const SMALL = { textDimensions: 8 };

describeModel(content, { set: describedWorld(), settings: SMALL });
describeModel(content, { set: describedWorld(), settings: { ...SMALL, metric: 'manhattan', imageWeight: 0 } });

function fit(raw: Readonly<Record<string, unknown>> = {}, set: TrainingSet = describedWorld()): Promise<Model> {
  return content.fit(set, parseSettings(content, { ...SMALL, ...raw }), fitContext());
}

/** Somebody who met three items of a taste. */
function fanOf(taste: number): ModelQuery {
  return { user: -1, items: Int32Array.of(taste + 4, taste + 8, taste + 12) };
}

const only = (name: string): Record<string, number> => ({
  textWeight: 0,
  imageWeight: 0,
  categoricalWeight: 0,
  numericalWeight: 0,
  [`${name}Weight`]: 1,
});

describe('content', () => {
  for (const name of ['text', 'image', 'categorical', 'numerical']) {
    it(`finds the own taste by ${name} alone`, async () => {
      const model = await fit({ ...only(name), threshold: 0 });
      for (const taste of [0, 1, 2, 3]) {
        const { items, basis } = model.retrieve(fanOf(taste), 3);
        expect([basis, ...items].map((item) => (typeof item === 'number' ? item % 4 : item))).toEqual([
          'model',
          taste,
          taste,
          taste,
        ]);
      }
    });
  }

  it('scores by the weighted mean over the modalities an item has', async () => {
    const alone = await Promise.all(['text', 'image', 'categorical', 'numerical'].map((name) => fit(only(name))));
    const model = await fit();
    // Item 5 has no picture: the other three weights count.
    for (const [item, weights] of [
      [7, [0.4, 0.3, 0.2, 0.1]],
      [5, [0.4, 0, 0.2, 0.1]],
    ] as const) {
      const sides = alone.map((side) => side.score(fanOf(3), Int32Array.of(item))[0]!);
      const total = weights.reduce<number>((sum, weight) => sum + weight, 0);
      const expected =
        weights.reduce<number>((sum, weight, m) => sum + (weight === 0 ? 0 : weight * sides[m]!), 0) / total;
      expect(model.score(fanOf(3), Int32Array.of(item))[0]).toBeCloseTo(expected, 5);
    }
    expect(alone[1]!.score(fanOf(3), Int32Array.of(5))[0]).toBe(-Infinity);
  });

  it('takes an item in when it arrives, with its picture once that is decoded', async () => {
    const model = (await fit()) as ContentModel;
    const before = model.score(fanOf(1), Int32Array.of(0, 1, 2));
    const item = model.foldInItem({
      itemId: 'new',
      text: wordsOfTaste(1, 3),
      categories: ['space'],
      brand: 'house of space',
      numbers: { price: 21 },
      image: await plainPicture('#2060ff'),
    });
    expect(item).toBe(40);
    const withoutPicture = model.score(fanOf(1), Int32Array.of(item))[0]!;
    await model.settled();
    const withPicture = model.score(fanOf(1), Int32Array.of(item))[0]!;
    expect(withPicture).not.toBe(withoutPicture);
    expect(model.retrieve(fanOf(1), 12).items).toContain(item);
    expect(model.retrieve(fanOf(2), 9).items).not.toContain(item);
    expect(model.score(fanOf(1), Int32Array.of(0, 1, 2))).toEqual(before);
    expect(model.itemVectors().values.length).toBe(41 * model.itemVectors().dimensions);
  });

  it('shows popular content to people with fewer than three interactions', async () => {
    const model = await fit();
    const short = { user: -1, items: Int32Array.of(1, 5) };
    expect(model.retrieve(short, 5).basis).toBe('popular');
    expect(model.retrieve(fanOf(1), 5).basis).toBe('model');
    expect(model.explain(short, 0)[0]!.kind).toBe('popular');
  });

  it('keeps to candidates above the threshold, and to so many', async () => {
    const model = await fit({ threshold: 0.8 });
    const found = model.retrieve(fanOf(0), 40);
    expect(found.items.length).toBeLessThan(15);
    expect(Math.min(...found.scores)).toBeGreaterThanOrEqual(0.8);
    expect((await fit({ threshold: 0, candidatesMax: 7 })).retrieve(fanOf(0), 40).items.length).toBe(7);
    expect((await fit({ threshold: 1 })).retrieve(fanOf(0), 4).basis).toBe('popular');
  });

  it('says what is alike: category, brand, topic by its words, style', async () => {
    const model = await fit();
    const reasons = model.explain(fanOf(1), 17);
    const kinds = new Map(reasons.toReversed().map((reason) => [reason.kind, reason]));
    expect(kinds.get('same-category')?.detail).toBe('space');
    expect(kinds.get('same-brand')?.detail).toBe('house of space');
    expect(kinds.get('related-topic')?.detail).toMatch(/planet|galaxy|robot|alien|star|future|captain|spaceship/);
    expect(kinds.get('similar-style')?.items?.every((item) => item % 4 === 1)).toBe(true);
    expect(reasons[0]!.strength).toBe(1);
  });

  it('lets age and kind of event decide what a profile is made of', async () => {
    const times = Float64Array.of(0, 1, 2, 3, 4, 5).map((day) => day * 200 * 86_400_000);
    // Three crime stories long ago, then three of space.
    const query: ModelQuery = { user: -1, items: Int32Array.of(0, 4, 8, 1, 5, 9), times };
    const gap = async (raw: Record<string, unknown>, asked = query): Promise<number> => {
      const [crime, space] = (await fit(raw)).score(asked, Int32Array.of(12, 13));
      return space! - crime!;
    };
    const average = await gap({ profile: 'average' });
    expect(await gap({ profile: 'weighted_average' })).toBeGreaterThan(average + 0.05);
    expect(await gap({ profile: 'decay', decay: 0.5 })).toBeGreaterThan(average + 0.05);
    const [bought, seen] = [typeIndex('purchase'), typeIndex('view')];
    const types = Uint8Array.of(bought, bought, bought, seen, seen, seen);
    expect(await gap({ profile: 'weighted_average', halfLifeDays: 0 }, { ...query, types })).toBeLessThan(
      average - 0.05,
    );
  });

  it('gives vectors whose product orders items as people like them', async () => {
    const model = await fit();
    const person = model.foldInUser(fanOf(2))!;
    const { values, dimensions } = model.itemVectors()!;
    const products = Array.from({ length: 40 }, (_, item) =>
      person.reduce((sum, value, d) => sum + value * values[item * dimensions + d]!, 0),
    );
    const best = [...products.keys()].sort((left, right) => products[right]! - products[left]!).slice(0, 8);
    expect(best.every((item) => item % 4 === 2)).toBe(true);
  });

  it('refuses data that say nothing of items, and settings that leave nothing to compare', async () => {
    await expect(fit({}, trainingSetOf([[0, 1]], 2))).rejects.toMatchObject({ code: 'TRAINING_SET_INVALID' });
    expect(() => parseSettings(content, { ...only('text'), textWeight: 0 })).toThrow(/at least one weight/);
  });
});
