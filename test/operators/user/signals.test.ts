import { describe, expect, it } from 'vitest';

import { dequantizeVector, ItemVectorTable } from '../../../operators/item-vectors.js';
import { createUserOperators, DEFAULT_USER_STAGE, listUserOperators } from '../../../operators/user/user-operators.js';
import { sessionRef } from '../../../schemas/ids.js';
import type { ItemInteraction, ItemPair } from '../../../schemas/records.js';
import { gapSessionId } from '../../../operators/user/session-state.js';
import type { UserEmbeddingState } from '../../../operators/user/user-embedding.js';
import { FakeStage } from './fake-stage.js';
import { HOUR, impression, interaction, T0, upsert } from './records.js';

const vectors = new ItemVectorTable({ space: 's', dimensions: 8 });

function stageOf(overrides = {}): FakeStage {
  const config = { ...DEFAULT_USER_STAGE, signals: { ...DEFAULT_USER_STAGE.signals, ...overrides } };
  const operators = createUserOperators(config, {
    namespace: 'test',
    catalogue: new Map(),
    itemVectors: () => vectors,
  });
  return new FakeStage(listUserOperators(operators));
}
const pairsOf = (stage: FakeStage): [string, string, number, boolean][] =>
  (stage.decoded('test.item-events') as ItemPair[])
    .filter(({ kind }) => kind === 'ItemPair')
    .map(({ itemId, otherItemId, weight, following }) => [itemId, otherItemId, Number(weight.toFixed(4)), following]);
const interactionsOf = (stage: FakeStage): ItemInteraction[] =>
  (stage.decoded('test.item-events') as ItemInteraction[]).filter(({ kind }) => kind === 'ItemInteraction');

describe('signals', () => {
  it('tells up to three earlier items of the session what followed, weaker with distance', () => {
    const stage = stageOf();
    for (const [i, item] of ['a', 'b', 'c', 'd', 'e'].entries()) stage.feed(interaction('u', T0 + i, item));
    expect(pairsOf(stage).slice(-3)).toEqual([
      ['d', 'e', 1, true],
      ['c', 'e', 0.7, true],
      ['b', 'e', 0.49, true],
    ]);
  });

  it('pairs nothing across sessions, with itself, or for going back and forth', () => {
    const stage = stageOf();
    for (const item of ['a', 'a', 'b', 'a', 'b']) stage.feed(interaction('u', T0, item));
    stage.feed(interaction('u', T0 + HOUR, 'c'));
    expect(pairsOf(stage)).toEqual([['a', 'b', 1, true]]);
  });

  it('pairs again for a stronger event, never for a negative one', () => {
    const stage = stageOf();
    stage.feed(interaction('u', T0, 'a'));
    stage.feed(interaction('u', T0 + 1, 'b'));
    stage.feed(interaction('u', T0 + 2, 'b', { type: 'purchase' }));
    stage.feed(interaction('u', T0 + 3, 'c', { type: 'dislike' }));
    expect(pairsOf(stage)).toEqual([
      ['a', 'b', 1, true],
      ['a', 'b', 8, true],
    ]);
  });

  it('tells the current item as well, when asked to', () => {
    const stage = stageOf({ pairBothDirections: true });
    stage.feed(interaction('u', T0, 'a'));
    stage.feed(interaction('u', T0 + 1, 'b'));
    expect(pairsOf(stage)).toEqual([
      ['a', 'b', 1, true],
      ['b', 'a', 1, false],
    ]);
  });

  it('carries the session, the segments and the quantised vector', () => {
    const stage = stageOf();
    stage.feed(interaction('u', T0, 'a', { context: { device: 'phone' }, attribution: { requestId: 'r' } }));
    const [signal] = interactionsOf(stage);
    expect(signal).toMatchObject({
      weight: 1,
      sessionRef: sessionRef('u', gapSessionId(T0)),
      segments: ['device/phone'],
      attributed: true,
      space: 's',
    });
    const unpacked = new Float32Array(8);
    expect(dequantizeVector(signal!.userVector!, unpacked)).toBe(true);
    const { vector } = stage.stateOf<UserEmbeddingState>('user-embedding', 'u')!;
    for (let k = 0; k < 8; k++) expect(unpacked[k]).toBeCloseTo(vector[k]!, 2);
  });

  it('sends neither segments nor vector of a person who does not want to be personalised', () => {
    const stage = stageOf();
    stage.feed(interaction('u', T0, 'a', { context: { device: 'phone' } }));
    stage.feed(upsert('u', T0 + 1, { consent: { personalization: false, analytics: true } }));
    stage.feed(interaction('u', T0 + 2, 'b'));
    expect(interactionsOf(stage)[1]).toMatchObject({ segments: [], space: null, userVector: null });
  });

  it('tells items of viewed slates only, and hints at the feed for all but impressions', () => {
    const stage = stageOf();
    stage.feed(impression('u', T0, 'served'));
    expect(stage.decoded('test.item-events')).toEqual([]);
    stage.feed(impression('u', T0 + 1, 'viewed'));
    expect(stage.decoded('test.item-events')).toMatchObject([
      { kind: 'ItemExposure', itemId: 'item-1', position: 0 },
      { kind: 'ItemExposure', itemId: 'item-2', position: 1 },
    ]);
    expect(stage.hints).toEqual([]);
    stage.feed(interaction('u', T0 + 2, 'a', { eventId: 'moved' }));
    expect(stage.hints).toEqual([{ key: 'u', eventId: 'moved' }]);
  });
});
