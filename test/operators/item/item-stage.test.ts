import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createCoVisitationOperator } from '../../../operators/item/co-visitation.js';
import { createItemOperators } from '../../../operators/item/index.js';
import type { ItemEvent } from '../../../operators/item/index.js';
import type { ItemEmbeddingState } from '../../../operators/item/item-embedding.js';
import { createPopularityOperator, POPULARITY_HALF_LIVES_MS } from '../../../operators/item/popularity.js';
import { createSessionIndexOperator } from '../../../operators/item/session-index.js';
import { sessionsKey, tableKey, tryParseTableKey } from '../../../operators/item/table-key.js';
import { quantizeVector } from '../../../operators/item-vectors.js';
import { decayFactor } from '../../../operators/decay.js';
import { hash32 } from '../../../schemas/ids.js';
import type {
  AnyRecord,
  ItemCtrState,
  ItemNeighboursState,
  ItemPopularityState,
  ItemSessionsState,
} from '../../../schemas/records.js';
import { decodePublished, DirectStage } from './direct-stage.js';
import { DAY, deleted, exposed, HOUR, met, MINUTE, pair, T0, upserted } from './item-records.js';

const topic = 'item-state';
const stageOf = (): DirectStage =>
  new DirectStage(createItemOperators({ topic, space: 's', embedding: { dimensions: 4 } }));
const latest = (stage: DirectStage, key: string): AnyRecord | undefined => {
  const published = stage.published.findLast((candidate) => candidate.key === key);
  return published === undefined ? undefined : decodePublished(published);
};
const latestOf = <R>(stage: DirectStage, key: string): R => latest(stage, key) as R;

describe('table keys', () => {
  it('come apart into what they were made of', () => {
    expect(tryParseTableKey(tableKey('a/b', 'ctr'))).toEqual({ itemId: 'a/b', facet: 'ctr', block: -1 });
    expect(tryParseTableKey(sessionsKey('a', 31))).toEqual({ itemId: 'a', facet: 'sessions', block: 31 });
    expect(tryParseTableKey('a\u0000unknown')).toBeUndefined();
    expect(tryParseTableKey('a')).toBeUndefined();
  });
});

describe('catalogue', () => {
  it('publishes an upsert, and the same content only once', () => {
    const stage = stageOf();
    stage.process(upserted('a', T0, { title: 'One', categories: ['x'] }), 'a');
    stage.process(upserted('a', T0 + 1, { title: 'One', categories: ['x'] }), 'a');
    expect(stage.published.length).toBe(1);
    expect(latest(stage, tableKey('a', 'catalogue'))).toMatchObject({ title: 'One', version: 0, deleted: false });
  });

  it('withdraws what other operators published when an item is deleted, and stops signals after it', () => {
    const stage = stageOf();
    stage.process(met('a', T0), 'a');
    stage.process(deleted('a', T0 + 1), 'a');
    const published = stage.published.length;
    stage.process(met('a', T0 + 2), 'a');
    expect(stage.published.length).toBe(published);
    expect(latest(stage, tableKey('a', 'catalogue'))).toMatchObject({ deleted: true });
    expect(latest(stage, tableKey('a', 'popularity'))).toBeUndefined();
    expect(latest(stage, sessionsKey('a', 0))).toBeUndefined();
  });

  it('takes an item up again that is upserted after its deletion', () => {
    const stage = stageOf();
    stage.process(deleted('a', T0), 'a');
    stage.process(upserted('a', T0 + 1), 'a');
    stage.process(met('a', T0 + 2), 'a');
    expect(latest(stage, tableKey('a', 'catalogue'))).toMatchObject({ deleted: false });
    expect(latest(stage, tableKey('a', 'popularity'))).toBeDefined();
  });
});

describe('popularity', () => {
  it('lets serving be off by no more than epsilon after any signals', () => {
    const epsilon = 0.05;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 * MINUTE }), { minLength: 1, maxLength: 60 }), (gaps) => {
        const stage = new DirectStage([createPopularityOperator({ topic, epsilon })]);
        const times: number[] = [];
        let now = T0;
        for (const gap of gaps) {
          times.push((now += gap));
          stage.process(met('a', now), 'a');
          const served = latestOf<ItemPopularityState>(stage, tableKey('a', 'popularity'));
          POPULARITY_HALF_LIVES_MS.forEach((halfLife, h) => {
            const exact = times.reduce((sum, at) => sum + decayFactor(now - at, halfLife), 0);
            const seen = served.counts[h]! * decayFactor(now - served.refTime, halfLife);
            expect(Math.abs(exact - seen)).toBeLessThanOrEqual(epsilon * seen + 1e-9);
          });
        }
      }),
      { numRuns: 50 },
    );
  });

  it('publishes a hot item seldom and a cold one always', () => {
    const stage = new DirectStage([createPopularityOperator({ topic })]);
    for (let i = 0; i < 10_000; i++) stage.process(met('hot', T0 + i), 'hot');
    expect(stage.published.length).toBeLessThan(250);
    const before = stage.published.length;
    for (let i = 1; i <= 5; i++) stage.process(met('cold', T0 + i * HOUR), 'cold');
    expect(stage.published.length).toBe(before + 5);
  });

  it('keeps a bounded number of segments and drops the weakest', () => {
    const stage = new DirectStage([createPopularityOperator({ topic, segmentsMax: 2, epsilon: 0 })]);
    stage.process(met('a', T0, { segments: ['x', 'y'] }), 'a');
    stage.process(met('a', T0 + 1, { segments: ['x'] }), 'a');
    stage.process(met('a', T0 + 2, { segments: ['z'] }), 'a');
    const { segments } = latestOf<ItemPopularityState>(stage, tableKey('a', 'popularity'));
    expect(segments.map(({ segment }) => segment).sort()).toEqual(['x', 'z']);
  });

  it('does not count dislikes', () => {
    const stage = new DirectStage([createPopularityOperator({ topic })]);
    stage.process(met('a', T0, { weight: -1, type: 'dislike' }), 'a');
    expect(stage.published.length).toBe(0);
  });
});

describe('ctr', () => {
  it('counts viewed places by how likely they are looked at, and clicks that answer a slate', () => {
    const stage = stageOf();
    stage.process(exposed('a', T0, 0), 'a');
    stage.process(exposed('a', T0, 2), 'a');
    stage.process(met('a', T0, { attributed: true }), 'a');
    stage.process(met('a', T0, { attributed: true, type: 'purchase' }), 'a');
    stage.process(met('a', T0), 'a');
    expect(latestOf<ItemCtrState>(stage, tableKey('a', 'ctr'))).toMatchObject({
      exposures: 2,
      clicks: 1,
      weightedExposures: 1.5,
    });
  });
});

describe('co-visitation', () => {
  const events = fc.array(
    fc.record({
      other: fc.integer({ min: 0, max: 12 }),
      gap: fc.integer({ min: 0, max: 4 * HOUR }),
      following: fc.boolean(),
    }),
    { minLength: 1, maxLength: 80 },
  );

  it('publishes the shares that a naive sum over all pairs gives', () => {
    fc.assert(
      fc.property(events, (drawn) => {
        const stage = new DirectStage([createCoVisitationOperator({ topic, epsilon: 0, floor: 0 })]);
        let now = T0;
        const pairs = drawn.map(({ other, gap, following }) => ({
          other: `i${other}`,
          at: (now += gap),
          weight: following ? 1 : 0.5,
        }));
        drawn.forEach(({ following }, i) =>
          stage.process(pair('a', pairs[i]!.other, pairs[i]!.at, { following }), 'a'),
        );
        const halfLives = [
          [10 * MINUTE, 0.6],
          [14 * DAY, 0.4],
        ] as const;
        const shareOf = (id: string): number =>
          halfLives.reduce((sum, [halfLife, mixture]) => {
            const worth = (wanted?: string): number =>
              pairs.reduce(
                (total, { other, at, weight }) =>
                  wanted === undefined || other === wanted ? total + weight * decayFactor(now - at, halfLife) : total,
                0,
              );
            return sum + (mixture * worth(id)) / (worth() + 1);
          }, 0);
        const { neighbours, total } = latestOf<ItemNeighboursState>(stage, tableKey('a', 'neighbours'));
        for (const { itemId, weight } of neighbours) expect(weight / total).toBeCloseTo(shareOf(itemId), 4);
        expect(neighbours.map(({ weight }) => weight)).toEqual(
          neighbours.map(({ weight }) => weight).sort((a, b) => b - a),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('keeps no more neighbours than it may, and computes the same when states are stored in between', () => {
    fc.assert(
      fc.property(events, (drawn) => {
        const [live, stored] = [false, true].map((isStored) => {
          const stage = new DirectStage([createCoVisitationOperator({ topic, neighboursMax: 5, publishedMax: 5 })]);
          let now = T0;
          for (const { other, gap, following } of drawn) {
            stage.process(pair('a', `i${other}`, (now += gap), { following }), 'a');
            if (isStored) stage.roundTripStates();
          }
          return stage;
        });
        expect(stored!.published).toEqual(live!.published);
        expect(latestOf<ItemNeighboursState>(live!, tableKey('a', 'neighbours')).neighbours.length).toBeLessThanOrEqual(
          5,
        );
      }),
      { numRuns: 60 },
    );
  });
});

describe('session-index', () => {
  it('publishes the block being filled and goes round the ring', () => {
    const stage = new DirectStage([createSessionIndexOperator({ topic })]);
    for (let i = 0; i < 512 + 3; i++) stage.process(met('a', T0 + i, { sessionRef: i }), 'a');
    const first = latestOf<ItemSessionsState>(stage, sessionsKey('a', 0));
    expect(first.sessions.map(({ sessionRef }) => sessionRef)).toEqual([512, 513, 514]);
    expect(latestOf<ItemSessionsState>(stage, sessionsKey('a', 31)).sessions.length).toBe(16);
  });

  it('takes a session once while it is in the block', () => {
    const stage = new DirectStage([createSessionIndexOperator({ topic })]);
    for (const ref of [7, 8, 7, 7]) stage.process(met('a', T0, { sessionRef: ref }), 'a');
    expect(stage.published.length).toBe(2);
  });
});

describe('item-embedding', () => {
  const like = (user: number[], itemId: string, i: number): ItemEvent =>
    met(itemId, T0 + i, { space: 's', userVector: quantizeVector(Float32Array.from(user)) });

  it('moves items towards the people who meet them and apart from others', () => {
    const stage = stageOf();
    for (let i = 0; i < 400; i++) {
      const isSport = i % 2 === 0;
      const item = `${isSport ? 's' : 'n'}${(i >> 1) % 3}`;
      stage.process(like(isSport ? [1, 0, 0, 0] : [0, 1, 0, 0], item, i), item);
    }
    const sport = stage.state<ItemEmbeddingState>('item-embedding', 's1')!.vector;
    const news = stage.state<ItemEmbeddingState>('item-embedding', 'n1')!.vector;
    expect(sport[0]).toBeGreaterThan(0.5);
    expect(news[1]).toBeGreaterThan(0.5);
    expect(Math.abs(sport[1]!)).toBeLessThan(0.2);
  });

  it('ignores vectors of another space and of another length', () => {
    const stage = stageOf();
    stage.process(met('a', T0, { space: 'old', userVector: quantizeVector(Float32Array.of(1, 0, 0, 0)) }), 'a');
    stage.process(met('a', T0, { space: 's', userVector: quantizeVector(Float32Array.of(1, 0)) }), 'a');
    expect(stage.state('item-embedding', 'a')).toBeUndefined();
  });

  it('never stores a number that is not finite, whatever it is sent', () => {
    const word = fc.array(fc.double({ min: -1e30, max: 1e30, noNaN: true }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(word, fc.double({ min: -1e6, max: 1e6, noNaN: true })), { maxLength: 20 }),
        (signals) => {
          const stage = stageOf();
          signals.forEach(([user, weight], i) => {
            stage.process(
              met('a', T0 + i, { space: 's', weight, userVector: quantizeVector(Float32Array.from(user)) }),
              'a',
            );
          });
          const vector = stage.state<ItemEmbeddingState>('item-embedding', 'a')?.vector ?? new Float32Array(4);
          expect([...vector].every((number) => Number.isFinite(number) && Math.abs(number) <= 4.001)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('item-expiry', () => {
  it('forgets an unlisted item after 30 idle days, with all its table values', () => {
    const stage = stageOf();
    stage.process(met('a', T0), 'a');
    stage.process(met('b', T0 + 20 * DAY), 'b');
    stage.process(met('b', T0 + 40 * DAY), 'b');
    expect(stage.state('popularity', 'a')).toBeUndefined();
    expect(latest(stage, tableKey('a', 'popularity'))).toBeUndefined();
    expect(latest(stage, sessionsKey('a', 0))).toBeUndefined();
    expect(stage.state('popularity', 'b')).toBeDefined();
  });

  it('keeps an item that was met again, and one that the catalogue lists', () => {
    const stage = stageOf();
    stage.process(upserted('listed', T0), 'listed');
    stage.process(met('active', T0), 'active');
    stage.process(met('active', T0 + 25 * DAY), 'active');
    stage.process(met('other', T0 + 50 * DAY), 'other');
    expect(stage.state('catalogue', 'listed')).toBeDefined();
    expect(stage.state('popularity', 'active')).toBeDefined();
    stage.process(met('other', T0 + 57 * DAY), 'other');
    expect(stage.state('popularity', 'active')).toBeUndefined();
  });
});

describe('the item stage', () => {
  it('computes the same when every state is stored and read in between', () => {
    const signal = fc.record({
      item: fc.integer({ min: 0, max: 3 }),
      what: fc.integer({ min: 0, max: 4 }),
      gap: fc.integer({ min: 0, max: HOUR }),
    });
    fc.assert(
      fc.property(fc.array(signal, { maxLength: 60 }), (signals) => {
        const outputs = [false, true].map((isStored) => {
          const stage = stageOf();
          let now = T0;
          for (const { item, what, gap } of signals) {
            now += gap;
            const id = `i${item}`;
            const user = quantizeVector(
              Float32Array.from([0, 1, 2, 3], (k) => (hash32(`${now}/${k}`) / 2 ** 32) * 2 - 1),
            );
            if (what === 0) stage.process(exposed(id, now, item), id);
            else if (what === 1) stage.process(pair(id, `i${(item + 1) % 4}`, now), id);
            else if (what === 2 && gap % 7 === 0) stage.process(deleted(id, now), id);
            else
              stage.process(met(id, now, { sessionRef: gap % 5, space: 's', userVector: user, segments: ['x'] }), id);
            if (isStored) stage.roundTripStates();
          }
          return stage.published;
        });
        expect(outputs[1]).toEqual(outputs[0]);
      }),
      { numRuns: 40 },
    );
  });
});
