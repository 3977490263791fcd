import { describe, expect, it } from 'vitest';

import { confidenceOf } from '../../../serving/pipeline/confidence.js';
import { Fusion } from '../../../serving/pipeline/fusion.js';
import { createRecommender, defaultFullPipeline } from '../../../serving/pipeline/recommender.js';
import type { RecommendRequest, WeightedSource } from '../../../serving/pipeline/recommender.js';
import { Slate } from '../../../serving/pipeline/slate.js';
import { TopN } from '../../../serving/tables/top-n.js';
import { deleted, HOUR, met, T0, upserted } from '../../operators/item/item-records.js';
import { person, World } from './world.js';

const NOW = T0 + HOUR;
const ask = (fields: Partial<RecommendRequest> = {}): RecommendRequest => ({
  user: person(),
  placement: 'home',
  limit: 5,
  now: NOW,
  ...fields,
});
const idsOf = (items: readonly { readonly itemId: string }[]): string[] => items.map(({ itemId }) => itemId);

/** Ten readers of a → b → c, three of x → y. */
function smallWorld(world = new World()): World {
  for (let i = 0; i < 10; i++) world.session(`r${i}`, ['a', 'b', 'c'], T0 + i * 1000);
  for (let i = 0; i < 3; i++) world.session(`q${i}`, ['x', 'y'], T0 + i * 1000, ['device/phone']);
  return world;
}

describe('recommend', () => {
  it('puts first what others went on to, in both pipelines', () => {
    const recommender = createRecommender({}, smallWorld().tables);
    for (const pipeline of ['full', 'push'] as const) {
      const { items } = recommender.recommend(ask({ user: person({ sessionItems: ['x'] }), pipeline }));
      expect(items[0]?.itemId).toBe('y');
      expect(idsOf(items)).not.toContain('x');
      expect(items[0]!.confidence).toBeGreaterThan(items.at(-1)!.confidence);
    }
  });

  it('gives somebody new what is trending and popular, and their segment first where it differs', () => {
    const recommender = createRecommender({}, smallWorld().tables);
    const stranger = recommender.recommend(ask());
    expect(stranger.items.length).toBe(5);
    expect(idsOf(stranger.items).slice(0, 3).sort()).toEqual(['a', 'b', 'c']);
    const onPhone = recommender.recommend(
      ask({ user: person({ segments: ['device/phone'] }), sources: ['segment-popularity'] }),
    );
    expect(idsOf(onPhone.items).sort()).toEqual(['x', 'y']);
  });

  it('has what trends at each request, and not what is in the context', () => {
    const world = smallWorld();
    const recommender = createRecommender({}, world.tables);
    const trending = (...sessionItems: string[]): string[] =>
      idsOf(recommender.recommend(ask({ user: person({ sessionItems }), sources: ['trending'], limit: 3 })).items);
    expect(trending().sort()).toEqual(['a', 'b', 'c']);
    expect(trending('a')).not.toContain('a');
    for (let i = 0; i < 30; i++) world.session(`n${i}`, ['new'], NOW);
    expect(trending()[0]).toBe('new');
    world.tell(deleted('new', NOW + 1));
    expect(trending().sort()).toEqual(['a', 'b', 'c']);
  });

  it('lists what is popular in the categories a person cares for', () => {
    const world = smallWorld().tell(upserted('y', NOW, { categories: ['sports'] }));
    const recommender = createRecommender({}, world.tables);
    const user = person({ categoryAffinities: [{ category: 'sports', weight: 2 }] });
    const { items } = recommender.recommend(ask({ user, sources: ['category-popularity'] }));
    expect(idsOf(items)).toEqual(['y']);
    expect(items[0]!.reasons).toEqual(['Popular in sports']);
  });

  it('never shows what is deleted, unavailable, blocked, excluded or seen', () => {
    const world = smallWorld().tell(deleted('a', NOW), upserted('b', NOW, { available: false }));
    const recommender = createRecommender({}, world.tables);
    const user = person({ blockedItems: new Set(['c']), seen: (itemId) => itemId === 'x' });
    expect(recommender.recommend(ask({ user, excluded: new Set(['y']) })).items).toEqual([]);
    expect(idsOf(recommender.recommend(ask({ user })).items)).toEqual(['y']);
  });

  it('names the item that speaks for a recommendation', () => {
    const world = smallWorld().tell(upserted('a', NOW, { title: 'Alpha' }));
    const recommender = createRecommender({ wording: { past: 'read', present: 'read' } }, world.tables);
    const { items } = recommender.recommend(ask({ user: person({ sessionItems: ['a'] }) }));
    expect(items[0]!.reasons).toContain('People who read Alpha also read this');
    expect(items[0]!.reasons).toContain('Because you read Alpha');
  });

  it('lets no category take more than its share while others can fill the list', () => {
    const world = new World();
    for (let i = 0; i < 8; i++) {
      world.tell(upserted(`s${i}`, T0, { categories: ['sports'] }));
      for (let n = 0; n < 20 - i; n++) world.tell(met(`s${i}`, T0 + n, { sessionRef: n }));
    }
    for (let i = 0; i < 4; i++) world.tell(upserted(`n${i}`, T0, { categories: ['news'] }), met(`n${i}`, T0));
    const recommender = createRecommender({ categoryMaxShare: 0.6 }, world.tables);
    const ids = idsOf(recommender.recommend(ask()).items);
    expect(ids.filter((id) => id.startsWith('s')).length).toBe(3);
    expect(
      idsOf(
        recommender.recommend(ask({ limit: 10, user: person({ blockedItems: new Set(['n0', 'n1', 'n2', 'n3']) }) }))
          .items,
      ).length,
    ).toBe(8);
  });

  it('gives fresh items a bounded share of places, the same for the same request', () => {
    const world = smallWorld();
    for (let i = 0; i < 20; i++) world.tell(upserted(`new${i}`, NOW, { publishedAt: NOW - i }));
    for (let i = 0; i < 30; i++) world.session(`w${i}`, [`p${i % 15}`], T0 + i);
    const recommender = createRecommender({}, world.tables);
    const ten = recommender.recommend(ask({ limit: 10 }));
    const fresh = ten.items.filter(({ source }) => source === 'exploration');
    expect(fresh.length).toBe(1);
    expect(fresh[0]!.reasons).toEqual(['New']);
    expect(recommender.recommend(ask({ limit: 10 }))).toEqual(ten);
    expect(recommender.recommend(ask({ limit: 5 })).items.some(({ source }) => source === 'exploration')).toBe(false);
    const chosen = new Set(
      Array.from(
        { length: 40 },
        (_, i) => recommender.recommend(ask({ limit: 10, user: person({ sessionRef: i }) })).items.at(-1)!.itemId,
      ),
    );
    expect(chosen.size).toBeGreaterThan(5);
  });

  it('tells the items of a list, whenever it is asked, as it would have told them at once', () => {
    const world = smallWorld().tell(
      upserted('a', NOW, { title: 'Alpha' }),
      upserted('y', NOW, { categories: ['sports'] }),
      upserted('z', NOW, { publishedAt: NOW }),
    );
    const telling: WeightedSource = {
      weight: 0.5,
      source: {
        name: 'telling',
        reason: 'taste',
        retrieve: (_request, tables, into) => into.offer(tables.items.indexOf('b'), 1),
        tell: () => ({ text: 'Because', source: 'teller', confidence: 0.7 }),
      },
    };
    const { sources } = defaultFullPipeline();
    const recommender = createRecommender(
      { full: { sources: [...sources, telling] }, exploration: { maxShare: 0.2 } },
      world.tables,
    );
    const user = person({ sessionItems: ['a'], categoryAffinities: [{ category: 'sports', weight: 1 }] });
    const whole = recommender.recommend(ask({ user }));
    expect(new Set(whole.items.map(({ source }) => source)).size).toBeGreaterThan(2);
    const { list } = recommender.rank(ask({ user }));
    // Another request shares the working memory and nothing else.
    recommender.recommend(ask({ user: person({ sessionItems: ['x'] }) }));
    expect(Array.from({ length: list.length }, (_, place) => list.at(place))).toEqual(whole.items);
    expect(whole.items.map(({ itemId }) => list.placeOf(itemId))).toEqual(whole.items.map((_, place) => place));
    expect(whole.items.map((_, place) => list.idAt(place))).toEqual(idsOf(whole.items));
    expect(list.placeOf('nothing')).toBe(-1);
  });

  it('counts the item of the page as the latest of the session', () => {
    const recommender = createRecommender({}, smallWorld().tables);
    expect(recommender.recommend(ask({ context: { itemId: 'x' } })).items[0]!.itemId).toBe('y');
  });

  it('does not depend on the order in which items became known', () => {
    const known = new World();
    for (const id of ['y', 'x', 'c', 'b', 'a']) known.tables.items.intern(id);
    const user = person({ sessionItems: ['a'] });
    const first = createRecommender({}, smallWorld().tables).recommend(ask({ user }));
    expect(createRecommender({}, smallWorld(known).tables).recommend(ask({ user }))).toEqual(first);
  });
});

describe('lists without a person', () => {
  it('finds what goes with an item, and nothing for an unknown one', () => {
    const recommender = createRecommender({}, smallWorld().tables);
    expect(idsOf(recommender.similarItems('a', 5, NOW)).slice(0, 2)).toEqual(['b', 'c']);
    expect(recommender.similarItems('nothing', 5, NOW)).toEqual([]);
  });

  it('lists trending and popular items, overall and by category', () => {
    const world = smallWorld().tell(upserted('y', NOW, { categories: ['sports'] }));
    const recommender = createRecommender({}, world.tables);
    expect(idsOf(recommender.trending({ n: 2 })).every((id) => ['a', 'b', 'c'].includes(id))).toBe(true);
    expect(idsOf(recommender.popular({ n: 5, category: 'sports' }))).toEqual(['y']);
    expect(recommender.popular({ n: 5, category: 'none' })).toEqual([]);
  });
});

describe('fusion', () => {
  it('adds reciprocal ranks by weight, relative to the best possible', () => {
    const { tables } = new World();
    const [a, b, c] = ['a', 'b', 'c'].map((id) => tables.items.intern(id)) as [number, number, number];
    const lists = [
      [a, b, c],
      [c, b],
    ].map((items) => {
      const list = new TopN(10, tables.items);
      items.forEach((item, i) => list.offer(item, 10 - i));
      list.sort();
      return list;
    });
    const slate = new Slate(10);
    new Fusion(tables, 10, { rankConstant: 1 }).fuse(lists, Float64Array.of(1, 0.5), slate);
    const scores = new Map(Array.from({ length: slate.length }, (_, i) => [slate.items[i], slate.scores[i]]));
    const possible = 1 / 2 + 0.5 / 2;
    expect(scores.get(a)).toBeCloseTo(1 / 2 / possible, 12);
    expect(scores.get(b)).toBeCloseTo((1 / 3 + 0.5 / 3) / possible, 12);
    expect(scores.get(c)).toBeCloseTo((1 / 4 + 0.5 / 2) / possible, 12);
    expect(slate.sources[0]).toBe(0);
  });
});

describe('confidence', () => {
  it('lies in [0, 1] and grows with the score', () => {
    const values = [0, 0.01, 0.1, 0.5, 1].map((score) => confidenceOf(score));
    expect(values).toEqual([...values].sort((a, b) => a - b));
    expect(values[0]).toBe(0);
    expect(values.at(-1)).toBeLessThan(1);
  });
});
