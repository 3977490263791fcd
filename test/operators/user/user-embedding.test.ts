import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { ItemVectorTable } from '../../../operators/item-vectors.js';
import { createProfileOperator } from '../../../operators/user/profile.js';
import {
  createUserEmbeddingOperator,
  DEFAULT_USER_EMBEDDING,
  userEmbeddingCodec,
  type UserEmbeddingState,
} from '../../../operators/user/user-embedding.js';
import { INTERACTION_TYPES } from '../../../schemas/records.js';
import { FakeStage } from './fake-stage.js';
import { interaction, T0, upsert } from './records.js';

/** Items 0–9 point one way, 10–19 another. */
function tableOf(space: string, scale = 1): ItemVectorTable {
  const table = new ItemVectorTable({ space, dimensions: 8 });
  for (let i = 0; i < 20; i++) {
    const vector = Float32Array.from({ length: 8 }, (_, k) => (scale * (k < 4 === i < 10 ? 1 : 0)) / 2);
    table.upsert(`item-${i}`, 1, vector);
  }
  return table;
}

function stageOf(items: () => ItemVectorTable | undefined, overrides = {}): FakeStage {
  const profile = createProfileOperator();
  const config = { ...DEFAULT_USER_EMBEDDING, ...overrides };
  return new FakeStage([profile, createUserEmbeddingOperator(config, { itemVectors: items, profile })]);
}
const stateOf = (stage: FakeStage): UserEmbeddingState | undefined => stage.stateOf('user-embedding', 'u');

describe('user-embedding', () => {
  it('turns towards items a person likes and away from others', () => {
    const table = tableOf('s');
    const stage = stageOf(() => table);
    for (let i = 0; i < 40; i++) stage.feed(interaction('u', T0 + i, `item-${i % 10}`, { type: 'like' }));
    const { vector } = stateOf(stage)!;
    expect(table.dot(0, vector)).toBeGreaterThan(0.5);
    expect(Math.abs(table.dot(15, vector))).toBeLessThan(0.3);
  });

  it('follows the formula: without negatives and decay, .2 becomes .245', () => {
    const table = new ItemVectorTable({ space: 's', dimensions: 1 });
    table.upsert('item-1', 1, Float32Array.of(0.5));
    const stage = stageOf(() => table, { learningRate: 0.1, negatives: 0, regularization: 0 });
    stage.feed(interaction('u', T0, 'elsewhere', { type: 'addToCart' }));
    stateOf(stage)!.vector[0] = 0.2;
    stage.feed(interaction('u', T0 + 1, 'item-1', { type: 'addToCart' }));
    expect(stateOf(stage)!.vector[0]).toBeCloseTo(0.245, 6);
  });

  it('starts anew in another space, from the latest interactions', () => {
    let table: ItemVectorTable | undefined = tableOf('old');
    const stage = stageOf(() => table);
    for (let i = 0; i < 10; i++) stage.feed(interaction('u', T0 + i, `item-${i}`, { type: 'like' }));
    table = tableOf('new');
    stage.feed(interaction('u', T0 + 20, 'item-1', { type: 'like' }));
    expect(stateOf(stage)).toMatchObject({ space: 'new', updates: 11 });
    table = undefined;
    stage.feed(interaction('u', T0 + 21, 'item-1', { type: 'like' }));
    expect(stateOf(stage)).toMatchObject({ space: 'new', updates: 11 });
  });

  it('never holds a number that is not finite, nor a norm beyond the bound', () => {
    const step = fc.tuple(fc.integer({ min: 0, max: 19 }), fc.constantFrom(...INTERACTION_TYPES));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(1, 100, 1e18, 1e38), (steps, scale) => {
        const table = tableOf('s', scale);
        const stage = stageOf(() => table);
        steps.forEach(([item, type], i) => {
          stage.feed(interaction('u', T0 + i, `item-${item}`, { type, value: 5 }));
        });
        const vector = stateOf(stage)?.vector ?? new Float32Array(1);
        const norm = Math.hypot(...vector);
        expect(norm).toBeLessThanOrEqual(DEFAULT_USER_EMBEDDING.normMax * 1.0001);
      }),
    );
  });

  it('is the same for the same events, and starts differently for different people', () => {
    const table = tableOf('s');
    const events = Array.from({ length: 20 }, (_, i) => interaction('u', T0 + i, `item-${i}`, { type: 'like' }));
    const [first, second] = [stageOf(() => table), stageOf(() => table)];
    second.restoring = true;
    for (const event of events) {
      first.feed(event);
      second.feed(event);
      second.feed(event, 'v');
    }
    expect(stateOf(second)).toEqual(stateOf(first));
    expect(second.stateOf<UserEmbeddingState>('user-embedding', 'v')!.vector).not.toEqual(stateOf(first)!.vector);
  });

  it('learns nothing from dislikes, nor without consent', () => {
    const table = tableOf('s');
    const stage = stageOf(() => table);
    stage.feed(interaction('u', T0, 'item-1', { type: 'dislike' }));
    stage.feed(upsert('u', T0 + 1, { consent: { personalization: false, analytics: false } }));
    stage.feed(interaction('u', T0 + 2, 'item-1', { type: 'like' }));
    expect(stateOf(stage)).toBeUndefined();
  });

  it('reads back the state it wrote', () => {
    const state = { space: 's', vector: Float32Array.of(1, -0.5, 1e-20), updates: 3 };
    expect(userEmbeddingCodec.decode(Buffer.from(userEmbeddingCodec.encode(state)), 1)).toEqual(state);
  });
});
