import { describe, expect, it } from 'vitest';

import { computeFeatures, FEATURES, type FeatureValues, type ItemValues } from '../../../operators/features.js';
import { ItemVectorTable } from '../../../operators/item-vectors.js';
import { readUser } from '../../../operators/user/read-user.js';
import { createUserOperators, DEFAULT_USER_STAGE, listUserOperators } from '../../../operators/user/user-operators.js';
import { RECORD_KINDS } from '../../../schemas/records.js';
import { FakeStage } from './fake-stage.js';
import { DAY, HOUR, interaction, MINUTE, T0 } from './records.js';

const vectors = new ItemVectorTable({ space: 's', dimensions: 4 });
vectors.upsert('a', 1, Float32Array.of(1, 0, 0, 0));
const catalogue = new Map([['a', { categories: ['shoes'], brand: 'acme', tags: [] }]]);
const operators = listUserOperators(
  createUserOperators(DEFAULT_USER_STAGE, { namespace: 'test', catalogue, itemVectors: () => vectors }),
);

function userAfter(...records: Parameters<FakeStage['feed']>[0][]): FeatureValues['user'] {
  const stage = new FakeStage(operators);
  for (const record of records) stage.feed(record);
  return readUser('u', 1, (operator) => stage.stateOf(operator.name, 'u'));
}

const item: ItemValues = {
  itemId: 'a',
  categories: ['shoes'],
  brand: 'acme',
  tags: [],
  price: 9,
  publishedAt: T0 - DAY,
  popularity: {
    kind: 'ItemPopularityState',
    itemId: 'a',
    version: 1,
    refTime: T0,
    counts: [8, 8, 8, 8, 8],
    segments: [],
  },
  ctr: { kind: 'ItemCtrState', itemId: 'a', version: 1, refTime: T0, exposures: 30, clicks: 3, weightedExposures: 20 },
  vector: Float32Array.of(1, 0, 0, 0),
  space: 's',
};

function valuesAt(now: number, values: FeatureValues): Record<string, number> {
  const target = new Float32Array(FEATURES.length);
  computeFeatures(FEATURES, { now }, { values, target });
  return Object.fromEntries(FEATURES.map(({ name }, i) => [name, target[i]!]));
}

describe('features', () => {
  it('are declared once each, and by states and records that exist', () => {
    expect(new Set(FEATURES.map(({ name }) => name)).size).toBe(FEATURES.length);
    const places = new Set([...operators.map(({ name }) => `users/${name}`), ...RECORD_KINDS]);
    for (const feature of FEATURES) {
      expect(feature.name).toMatch(/^[a-z0-9-]+$/);
      for (const state of feature.states) expect(places).toContain(state);
      expect(feature.writes.length).toBeGreaterThan(0);
    }
  });

  it('describe a person in a session and an item that suits them', () => {
    const user = userAfter(
      interaction('u', T0, 'b', { context: { attributes: { category: 'shoes' } } }),
      interaction('u', T0 + 10 * MINUTE, 'a', { type: 'purchase' }),
    );
    const values = valuesAt(T0 + 20 * MINUTE, { user, item });
    expect(values).toMatchObject({
      'session-minutes': 10,
      'session-items': 2,
      'minutes-since-last-event': 10,
      seen: 1,
      'in-session': 1,
      'category-in-session': 1,
    });
    expect(values['category-affinity']).toBeCloseTo(Math.tanh(9 / 8), 3);
    expect(values['brand-affinity']).toBeCloseTo(Math.tanh(1), 3);
    expect(values['embedding-dot']).toBeCloseTo(user!.embedding!.vector[0]!, 6);
  });

  it('decay to the time of the request', () => {
    const values = valuesAt(T0 + HOUR, { user: undefined, item });
    expect(values['popularity-1h']).toBeCloseTo(Math.log1p(4), 5);
    expect(valuesAt(T0, { user: undefined, item })['ctr']).toBeCloseTo(4.5 / 70, 6);
    expect(values['ctr']).toBeLessThan(4.5 / 70);
  });

  it('end a session for the reader when its gap has passed, though no record has closed it', () => {
    const user = userAfter(interaction('u', T0, 'a'));
    expect(valuesAt(T0 + 30 * MINUTE, { user, item })['session-items']).toBe(1);
    expect(valuesAt(T0 + 31 * MINUTE, { user, item })['session-items']).toBe(0);
  });

  it('are finite, and neutral for people and items nobody knows', () => {
    const empty: ItemValues = {
      ...item,
      categories: [],
      brand: null,
      price: null,
      publishedAt: null,
      popularity: undefined,
      ctr: undefined,
      vector: undefined,
      space: undefined,
    };
    const nobody = readUser('nobody', -1, () => undefined);
    for (const values of [
      { user: undefined, item: undefined },
      { user: nobody, item: undefined },
      { user: nobody, item: empty },
    ]) {
      const computed = valuesAt(T0, values);
      for (const [name, value] of Object.entries(computed)) {
        if (name === 'minutes-since-last-event') expect(value).toBe(7 * 24 * 60);
        else if (name === 'ctr') expect(value).toBeCloseTo(values.item === undefined ? 0 : 0.03, 6);
        else expect(value).toBe(0);
      }
    }
  });

  it('compare no vectors of different spaces', () => {
    const user = userAfter(interaction('u', T0, 'a', { type: 'purchase' }));
    expect(valuesAt(T0, { user, item: { ...item, space: 'other' } })['embedding-dot']).toBe(0);
  });
});
