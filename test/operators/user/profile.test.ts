import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  createAffinityOperator,
  DEFAULT_AFFINITY,
  topAffinities,
  type AffinityState,
} from '../../../operators/user/affinity.js';
import { createProfileOperator, DEFAULT_PROFILE } from '../../../operators/user/profile.js';
import {
  createSeenTest,
  hasSeen,
  mayPersonalize,
  profileCodec,
  segmentLabels,
  type ProfileState,
} from '../../../operators/user/profile-state.js';
import { hash32 } from '../../../schemas/ids.js';
import { INTERACTION_TYPES } from '../../../schemas/records.js';
import { FakeStage } from './fake-stage.js';
import { DAY, interaction, T0, upsert } from './records.js';

const catalogue = new Map(
  Array.from({ length: 100 }, (_, i) => [`item-${i}`, { categories: [`c${i}`], brand: `b${i}`, tags: [`t${i}`] }]),
);

function stageOf(overrides = {}): FakeStage {
  const profile = createProfileOperator({ ...DEFAULT_PROFILE, ...overrides });
  return new FakeStage([profile, createAffinityOperator(DEFAULT_AFFINITY, { catalogue, profile })]);
}
const profileOf = (stage: FakeStage): ProfileState => stage.stateOf<ProfileState>('profile', 'u')!;
const affinityOf = (stage: FakeStage): AffinityState => stage.stateOf<AffinityState>('affinity', 'u')!;
const categoriesAt = (stage: FakeStage, time: number, max = 40) =>
  topAffinities(affinityOf(stage).categories, { refTime: affinityOf(stage).refTime, time, halfLifeMs: 7 * DAY, max });

describe('profile', () => {
  it('keeps the latest interactions in order of time, late ones where they belong', () => {
    const stage = stageOf({ recentMax: 3 });
    for (const [ts, item] of [
      [4, 'd'],
      [1, 'a'],
      [3, 'c'],
      [2, 'b'],
      [0, 'z'],
    ] as const)
      stage.feed(interaction('u', T0 + ts, item));
    expect(profileOf(stage).recentItems.all()).toEqual(['b', 'c', 'd']);
    expect(profileOf(stage)).toMatchObject({ recentTimes: [T0 + 2, T0 + 3, T0 + 4] });
    expect(profileOf(stage).counts[INTERACTION_TYPES.indexOf('click')]).toBe(5);
  });

  it('remembers the last N items as seen', () => {
    const stage = stageOf({ seenMax: 20 });
    for (let i = 0; i < 50; i++) stage.feed(interaction('u', T0 + i, `i${i}`));
    expect(hasSeen(profileOf(stage), hash32('i49'))).toBe(true);
    expect(hasSeen(profileOf(stage), hash32('i30'))).toBe(true);
    expect(hasSeen(profileOf(stage), hash32('i29'))).toBe(false);
  });

  it('tests many items for having been seen as it would each', () => {
    const stage = stageOf();
    for (let i = 0; i < 300; i++) stage.feed(interaction('u', T0 + i, `i${i}`));
    const profile = profileOf(stage);
    const test = createSeenTest(profile);
    const hashes = Array.from({ length: 2_000 }, (_, i) => hash32(`i${i}`));
    expect(hashes.map(test)).toEqual(hashes.map((hash) => hasSeen(profile, hash)));
    expect(hashes.filter(test)).toHaveLength(200);
  });

  it('takes a dislike back with a like, and never a block', () => {
    const stage = stageOf();
    stage.feed(interaction('u', T0, 'a', { type: 'dislike' }));
    stage.feed(interaction('u', T0 + 1, 'b', { type: 'block' }));
    expect(profileOf(stage)).toMatchObject({ dislikedItems: ['a'], blockedItems: ['b'] });
    stage.feed(interaction('u', T0 + 2, 'a', { type: 'like' }));
    stage.feed(interaction('u', T0 + 3, 'b', { type: 'like' }));
    expect(profileOf(stage)).toMatchObject({ dislikedItems: [], blockedItems: ['b'] });
  });

  it('lets the latest upsert and consent win by event time, not by arrival', () => {
    const stage = stageOf();
    stage.feed(upsert('u', T0 + 9, { segments: ['new'], consent: { personalization: false, analytics: true } }));
    stage.feed(upsert('u', T0, { segments: ['old'], consent: { personalization: true, analytics: true } }));
    expect(segmentLabels(profileOf(stage))).toEqual(['new']);
    expect(mayPersonalize(profileOf(stage))).toBe(false);
  });

  it('reads back the state it wrote, whatever happened before', () => {
    const step = fc.record({
      ts: fc.integer({ min: 0, max: 1000 }),
      item: fc.integer({ min: 0, max: 40 }),
      type: fc.constantFrom(...INTERACTION_TYPES),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const kept = stageOf({ recentMax: 20, seenMax: 30 });
        const restored = stageOf({ recentMax: 20, seenMax: 30 });
        restored.restoring = true;
        for (const { ts, item, type } of steps) {
          const record = interaction('u', T0 + ts, `item-${item}`, { type, value: 5 });
          kept.feed(record);
          restored.feed(record);
        }
        if (steps.length === 0) return;
        expect(Buffer.from(profileCodec.encode(profileOf(restored)))).toEqual(
          Buffer.from(profileCodec.encode(profileOf(kept))),
        );
        expect(restored.encodedBytes('u')).toBe(kept.encodedBytes('u'));
      }),
      { numRuns: 150 },
    );
  });
});

describe('affinity', () => {
  it('halves in a half-life: a like now and one a week ago make 4.5', () => {
    const stage = stageOf();
    stage.feed(interaction('u', T0, 'item-1', { type: 'like' }));
    stage.feed(interaction('u', T0 + 7 * DAY, 'item-1', { type: 'like' }));
    expect(categoriesAt(stage, T0 + 7 * DAY)[0]!.weight).toBeCloseTo(4.5, 5);
    expect(categoriesAt(stage, T0 + 14 * DAY)[0]!.weight).toBeCloseTo(2.25, 5);
  });

  it('equals the sum of decayed weights, in whatever order records come', () => {
    const day = fc.integer({ min: 0, max: 60 });
    fc.assert(
      fc.property(fc.array(day, { minLength: 1, maxLength: 20 }), (days) => {
        const stage = stageOf();
        for (const at of days) stage.feed(interaction('u', T0 + at * DAY, 'item-1', { type: 'view' }));
        const expected = days.reduce((sum, at) => sum + 2 ** (-(60 - at) / 7), 0);
        expect(categoriesAt(stage, T0 + 60 * DAY)[0]!.weight / expected).toBeCloseTo(1, 4);
      }),
    );
  });

  it('keeps a bounded number of names and lets newcomers in for the weakest', () => {
    const stage = stageOf();
    for (let i = 0; i < 60; i++) stage.feed(interaction('u', T0 + i, `item-${i}`, { type: i < 20 ? 'like' : 'view' }));
    const names = categoriesAt(stage, T0 + 60).map(({ name }) => name);
    expect(names).toHaveLength(32);
    expect(names).toEqual(expect.arrayContaining(['c0', 'c19', 'c59']));
  });

  it('is not learned from a person who does not want it', () => {
    const stage = stageOf();
    stage.feed(upsert('u', T0, { consent: { personalization: false, analytics: true } }));
    stage.feed(interaction('u', T0 + 1, 'item-1'));
    expect(affinityOf(stage)).toBeUndefined();
  });

  it('takes the category that a record carries for an item the catalogue does not know', () => {
    const stage = stageOf();
    stage.feed(interaction('u', T0, 'stranger', { context: { attributes: { category: 'hats' } } }));
    expect(categoriesAt(stage, T0)).toEqual([{ name: 'hats', weight: 1 }]);
  });
});
