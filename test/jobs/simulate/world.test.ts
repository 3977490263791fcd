/** The simulated world: reproducible, readable, within bounds, with tastes that drift and items that break into the news. */
import { describe, expect, it } from 'vitest';
import { TASTE_DIMENSIONS } from '../../../jobs/simulate/catalogue.js';
import { createWorld, type World } from '../../../jobs/simulate/world.js';

const DAY_MS = 86_400_000;
const small = (seed: string | number, more = {}): World => createWorld({ seed, items: 300, users: 200, ...more });
const upserts = (world: World) =>
  world.catalogue.ids.map((_, item) => world.catalogue.upsertOf(item, { ts: 1, producerId: 'p', eventId: 'e' }));

describe('a world', () => {
  it('is the same for the same seed and another for another', () => {
    expect(upserts(small('a'))).toEqual(upserts(small('a')));
    expect(upserts(small('a'))).not.toEqual(upserts(small('b')));
    const taste = small('a').tasteAt(7, small('a').startMs + DAY_MS);
    expect(small('a').tasteAt(7, small('a').startMs + DAY_MS)).toEqual(taste);
  });

  it('describes each item: ids that lead back, title, section and department, tags, brand, price', () => {
    const { catalogue } = small(1);
    expect(new Set(catalogue.ids).size).toBe(300);
    for (const [item, draft] of upserts(small(1)).entries()) {
      expect(catalogue.indexOf(draft.itemId)).toBe(item);
      expect(draft.title).toMatch(/^[A-Z][a-z]+ [A-Z][a-z]+ [A-Z][a-z]+ \S/);
      expect(draft.categories).toHaveLength(2);
      expect(draft.tags!.length).toBeGreaterThan(0);
      expect(draft.price).toBeGreaterThanOrEqual(1);
      expect(draft.imageUrl!.length).toBeLessThan(1_500);
    }
    expect(catalogue.indexOf('teas-999999')).toBe(-1);
    expect(catalogue.indexOf('')).toBe(-1);
  });

  it('asks the given function for addresses of pictures', () => {
    const world = small(1, { pictureUrl: (id: string) => `/v1/items/${id}/picture.svg` });
    expect(upserts(world)[3]!.imageUrl).toBe(`/v1/items/${world.catalogue.ids[3]}/picture.svg`);
  });

  it('has its items in order of publication, some still to come', () => {
    const { catalogue, startMs } = small(1, { upcomingShare: 0.1 });
    expect([...catalogue.publishedAt]).toEqual([...catalogue.publishedAt].sort((a, b) => a - b));
    expect(catalogue.publishedCount(startMs)).toBe(270);
    expect(catalogue.publishedCount(startMs + 31 * DAY_MS)).toBe(300);
  });

  it('lists every option out of bounds', () => {
    const options = { seed: 1, items: 5, users: 2.5, categories: 40, upcomingShare: 0.9 };
    expect(() => createWorld(options)).toThrow(/items is 5.*users is 2.5.*categories is 40.*upcomingShare is 0.9/);
  });
});

describe('tastes', () => {
  const shareChanged = (world: World, days: number): number => {
    let moved = 0;
    for (let person = 0; person < 100; person++) {
      const before = world.tasteAt(person, world.startMs).departments;
      const after = world.tasteAt(person, world.startMs + days * DAY_MS).departments;
      moved += before.reduce((sum, share, d) => sum + Math.abs(share - after[d]!) / 2, 0);
    }
    return moved / 100;
  };

  it('are shares of departments and a direction', () => {
    const world = small(1);
    for (let person = 0; person < 200; person++) {
      const { departments, vector } = world.tasteAt(person, world.startMs + person * DAY_MS);
      expect(departments.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
      expect(Math.min(...departments)).toBeGreaterThanOrEqual(0);
      expect(vector).toHaveLength(TASTE_DIMENSIONS);
    }
  });

  it('drift: hardly within an hour, clearly within weeks, faster the shorter the period', () => {
    const steadySeasons = { seasonDays: Infinity };
    const world = small(2, { driftDays: 20, ...steadySeasons });
    expect(shareChanged(world, 1 / 24)).toBeLessThan(0.02);
    expect(shareChanged(world, 20)).toBeGreaterThan(0.4);
    expect(shareChanged(small(2, { driftDays: 2, ...steadySeasons }), 1)).toBeGreaterThan(shareChanged(world, 1) * 3);
    expect(shareChanged(small(2, { driftDays: Infinity, ...steadySeasons }), 50)).toBeCloseTo(0, 9);
  });

  it('turn: what the oracle shows today is not what it shows in a month', () => {
    const world = small(3);
    const now = world.oracleSlate(world.tasteAt(5, world.startMs), 10);
    const later = world.oracleSlate(world.tasteAt(5, world.startMs + 30 * DAY_MS), 10);
    expect(now).toHaveLength(10);
    expect(later.filter((item) => now.includes(item)).length).toBeLessThan(8);
  });
});

describe('demand', () => {
  it('makes a breaking item far more drawn and more clicked, and lets it cool', () => {
    const world = small(4, { breakingPerDay: 1 });
    const at = world.startMs + 5 * DAY_MS;
    world.demand.moveTo(at);
    const { item } = world.demand.breakingAt(at)[0]!;
    const share = (): number => {
      const random = world.stream('test');
      let hits = 0;
      for (let i = 0; i < 5_000; i++) if (world.demand.draw(random) === item) hits++;
      return hits / 5_000;
    };
    const hot = share();
    const taste = world.tasteAt(1, at);
    const hotProbability = world.clickProbabilityOf(taste, item);
    world.demand.moveTo(at + 2 * DAY_MS);
    expect(hot).toBeGreaterThan(share() * 3);
    expect(hotProbability).toBeGreaterThan(world.clickProbabilityOf(taste, item));
  });

  it('draws published items alone, and of the department asked for', () => {
    const world = small(5, { upcomingShare: 0.4 });
    const random = world.stream('test');
    for (let i = 0; i < 2_000; i++) {
      expect(world.demand.draw(random)).toBeLessThan(180);
      const department = i % world.catalogue.departments.length;
      expect(world.catalogue.department[world.demand.drawIn(department, random)]).toBe(department);
    }
  });

  it('moves departments with the seasons', () => {
    const world = small(6, { seasonDays: 40 });
    const begin = world.demand.seasonsAt(world.startMs);
    const half = world.demand.seasonsAt(world.startMs + 20 * DAY_MS);
    expect(begin.some((factor, d) => Math.abs(factor - half[d]!) > 0.5)).toBe(true);
  });
});
