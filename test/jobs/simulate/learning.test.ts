/** The learning meter: flat for a target that learns nothing, rising for one that does, between its two bounds. */
import { describe, expect, it } from 'vitest';
import { LearningMeter, measureLearning, summaryLine } from '../../../jobs/simulate/learning.js';
import type { TrafficRecord } from '../../../jobs/simulate/traffic-records.js';
import type { RecommendationWish, TrafficTarget } from '../../../jobs/simulate/traffic.js';
import { createWorld, type World } from '../../../jobs/simulate/world.js';
import { decodeRecord } from '../../../schemas/codec.js';
import { ManualClock } from '../../../streams/clock.js';
import type { Random } from '../../../streams/random.js';

const LATEST = 40;

/** A simple learner: features of what the person opened last, items by how many opened them; nothing met lately. */
class CountingRecommender implements TrafficTarget {
  private readonly latest = new Map<string, string[]>();
  private readonly opened = new Map<string, number>();
  private readonly random: Random;
  private readonly features: ReadonlyMap<string, readonly string[]>;

  constructor(world: World) {
    this.random = world.stream('explore');
    const { catalogue } = world;
    const describe = (item: number) => catalogue.upsertOf(item, { ts: 0, producerId: '', eventId: '' });
    this.features = new Map(catalogue.ids.map((id, i) => [id, [...describe(i).categories!, ...describe(i).tags!]]));
  }

  publish(records: readonly TrafficRecord[]): Promise<void> {
    for (const { value } of records) {
      const record = decodeRecord(value);
      if (record.kind !== 'Interaction' || (record.type !== 'click' && record.type !== 'view')) continue;
      const { userId, itemId } = record;
      this.latest.set(userId, [...(this.latest.get(userId) ?? []), itemId].slice(-LATEST));
      this.opened.set(itemId, (this.opened.get(itemId) ?? 0) + 1);
    }
    return Promise.resolve();
  }

  recommend({ userId, limit }: RecommendationWish) {
    const latest = this.latest.get(userId) ?? [];
    const shares = new Map<string, number>();
    for (const itemId of latest) {
      for (const feature of this.features.get(itemId)!) {
        shares.set(feature, (shares.get(feature) ?? 0) + 1 / latest.length);
      }
    }
    const score = (itemId: string): number =>
      this.features.get(itemId)!.reduce((sum, feature, k) => sum + (k < 2 ? 6 : 2) * (shares.get(feature) ?? 0), 0) +
      Math.log1p(this.opened.get(itemId) ?? 0) +
      0.5 * this.random.float();
    const scored = [...this.features.keys()]
      .filter((itemId) => !latest.includes(itemId))
      .map((itemId) => ({ itemId, score: score(itemId) }));
    scored.sort((a, b) => b.score - a.score);
    return Promise.resolve({ requestId: 'r', items: scored.slice(0, limit) });
  }
}

const small = (): World => createWorld({ seed: 'learning', items: 800, users: 300, upcomingShare: 0 });
const OPTIONS = { events: 5_000, slatesPerBucket: 150, compareEvery: 10 };

describe('the learning report', () => {
  it('lies between random and oracle and rises for a target that learns', async () => {
    const world = small();
    const options = { ...OPTIONS, clock: new ManualClock() };
    const { report, counts } = await measureLearning(world, new CountingRecommender(world), options);
    expect(report.ctrOracle).toBeGreaterThan(5 * report.ctrRandom);
    // One bucket is noisy: people differ in how well anything can suit them.
    const late = report.buckets.slice(-4, -1).reduce((sum, bucket) => sum + bucket.ctr / 3, 0);
    expect(late).toBeGreaterThan(1.15 * report.ctrFirst);
    expect(report.ctrLast).toBeGreaterThan(3 * report.ctrRandom);
    expect(report.reached).toBeGreaterThan(0.15);
    expect(report.ctrLast).toBeLessThan(report.ctrOracle);
    expect(report.slates).toBe(counts.slates);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  it('stays at random for slates drawn at random', async () => {
    const world = small();
    const random = world.stream('blind');
    const target = {
      publish: () => Promise.resolve(),
      recommend: () => {
        const items = world.randomSlate(10, random).map((item) => ({ itemId: world.catalogue.ids[item]! }));
        return Promise.resolve({ requestId: 'r', items });
      },
    };
    const { report } = await measureLearning(world, target, { ...OPTIONS, clock: new ManualClock() });
    expect(report.ctrLast).toBeGreaterThan(0.6 * report.ctrRandom);
    expect(report.ctrLast).toBeLessThan(1.6 * report.ctrRandom);
    expect(Math.abs(report.reached)).toBeLessThan(0.1);
  });

  it('is bounded: buckets are put together when they become many, and lose no slate', () => {
    const world = small();
    const meter = new LearningMeter(world, { slatesPerBucket: 1, compareEvery: 1_000 });
    const taste = world.tasteAt(0, world.startMs);
    for (let i = 0; i < 1_000; i++) {
      meter.observe({
        person: 0,
        at: i,
        taste,
        items: [1, 2],
        probabilities: [0.2, 0.1],
        clicks: 1,
        hasMet: () => false,
      });
    }
    const { buckets, slates, clicks, ctrFirst } = meter.report();
    expect(buckets.length).toBeLessThanOrEqual(64);
    expect(buckets.reduce((sum, bucket) => sum + bucket.slates, 0)).toBe(1_000);
    expect([slates, clicks]).toEqual([1_000, 1_000]);
    expect(ctrFirst).toBeCloseTo(0.15, 9);
    expect(buckets[0]!.ctrCounted).toBeCloseTo(0.5, 9);
  });

  it('is told in one line', async () => {
    const world = small();
    const options = { ...OPTIONS, events: 1_000, clock: new ManualClock() };
    const { report, counts } = await measureLearning(world, new CountingRecommender(world), options);
    const line = summaryLine(counts, report);
    expect(line).toMatch(/^[\d,]+ interactions, [\d,]+ slates, [\d,]+ visits, CTR [\d.]+ % \(random .*, oracle .*\)$/);
    expect(line).not.toContain('\n');
  });
});
