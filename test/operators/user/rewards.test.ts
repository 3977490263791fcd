import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  createRewardsOperator,
  DEFAULT_REWARDS,
  rewardsCodec,
  type RewardsState,
} from '../../../operators/user/rewards.js';
import type { Reward } from '../../../schemas/records.js';
import { FakeStage } from './fake-stage.js';
import { DAY, impression, interaction, MINUTE, T0 } from './records.js';

const stageOf = (overrides = {}): FakeStage =>
  new FakeStage([createRewardsOperator({ ...DEFAULT_REWARDS, ...overrides }, { rewardsTopic: 'rewards' })]);
const rewardsOf = (stage: FakeStage): Reward[] => stage.decoded('rewards') as Reward[];
const answers = (requestId: string) => ({ attribution: { requestId } });

describe('rewards', () => {
  it('sends one reward a viewed slate once its time is over, places without feedback included', () => {
    const stage = stageOf();
    stage.feed(impression('u', T0, 'viewed'));
    stage.feed(interaction('u', T0 + MINUTE, 'item-2', { type: 'click', ...answers('request-1') }));
    stage.feed(interaction('u', T0 + 5 * MINUTE, 'item-2', { type: 'purchase', ...answers('request-1') }));
    expect(rewardsOf(stage)).toEqual([]);
    stage.feed(interaction('other', T0 + 5 * MINUTE + 1));
    expect(rewardsOf(stage)).toMatchObject([
      {
        userId: 'u',
        viewedAt: T0,
        settledAt: T0 + 5 * MINUTE,
        outcomes: [
          { itemId: 'item-1', position: 0, reward: 0, feedback: [] },
          { itemId: 'item-2', position: 1, reward: 1, feedback: ['click', 'purchase'] },
        ],
      },
    ]);
  });

  it('completes a view from what was served', () => {
    const stage = stageOf();
    const slate = [{ itemId: 'a', position: 0, propensity: 0.25 }];
    const served = {
      slate,
      eligibleCount: 9,
      versions: { policy: 'p1', models: { m: '2' } },
      assignments: [{ experiment: 'x', variant: 'b' }],
    };
    stage.restoring = true;
    stage.feed(
      impression('u', T0, 'served', { ...served, context: { device: 'tv', latitude: 1.5, attributes: { k: 'v' } } }),
    );
    stage.feed(impression('u', T0 + 1, 'viewed', { items: ['a'] }));
    stage.advanceTo(T0 + DAY);
    expect(rewardsOf(stage)).toMatchObject([
      {
        eligibleCount: 9,
        versions: { policy: 'p1', models: { m: '2' }, space: null },
        assignments: [{ experiment: 'x', variant: 'b' }],
        context: { device: 'tv', latitude: 1.5, attributes: { k: 'v' } },
        outcomes: [{ propensity: 0.25 }],
      },
    ]);
  });

  it('earns nothing for what was served and never viewed', () => {
    const stage = stageOf();
    stage.feed(impression('u', T0, 'served'));
    stage.feed(interaction('u', T0 + 1, 'item-1', answers('request-1')));
    stage.advanceTo(T0 + DAY);
    expect(rewardsOf(stage)).toEqual([]);
  });

  it('credits feedback without a request to the slate viewed last that shows the item', () => {
    const stage = stageOf();
    stage.feed(impression('u', T0, 'viewed', { requestId: 'first' }));
    stage.feed(impression('u', T0 + 1, 'viewed', { requestId: 'second' }));
    stage.feed(interaction('u', T0 + 2, 'item-1', { type: 'like' }));
    stage.advanceTo(T0 + DAY);
    expect(rewardsOf(stage).map(({ requestId, outcomes }) => [requestId, outcomes[0]!.reward])).toEqual([
      ['first', 0],
      ['second', 0.6],
    ]);
  });

  it('rewards a place once, however often it is viewed', () => {
    const stage = stageOf();
    stage.feed(impression('u', T0, 'viewed', { items: ['a', 'b'] }));
    stage.advanceTo(T0 + 10 * MINUTE);
    stage.feed(impression('u', T0 + 11 * MINUTE, 'viewed', { items: ['a', 'b', 'c'] }));
    stage.advanceTo(T0 + DAY);
    expect(rewardsOf(stage).map(({ outcomes }) => outcomes.map(({ itemId }) => itemId))).toEqual([['a', 'b'], ['c']]);
  });

  it('sends the oldest slate early when too many wait', () => {
    const stage = stageOf({ pendingMax: 2 });
    for (let i = 0; i < 3; i++) stage.feed(impression('u', T0 + i, 'viewed', { requestId: `r${i}` }));
    expect(rewardsOf(stage)).toMatchObject([{ requestId: 'r0' }]);
    expect(stage.stateOf<RewardsState>('rewards', 'u')!.pending).toHaveLength(2);
  });

  it('does not depend on the order in which a view and its feedback arrive', () => {
    const feedback = fc.record({
      after: fc.integer({ min: -1, max: 6 }),
      item: fc.constantFrom('item-1', 'item-2', 'item-3'),
      type: fc.constantFrom('click' as const, 'like' as const, 'skip' as const),
    });
    fc.assert(
      fc.property(fc.array(feedback, { maxLength: 6 }), fc.nat(6), fc.boolean(), (drafts, place, restoring) => {
        const view = impression('u', T0, 'viewed');
        const records = drafts.map(({ after, item, type }) =>
          interaction('u', T0 + after * MINUTE, item, { type, ...answers('request-1') }),
        );
        // All within the window: what comes after a slate was sent is lost, and says so.
        const timely = records.filter((record) => (record as { ts: number }).ts <= T0 + 5 * MINUTE);
        const totals = [0, place].map((index) => {
          const stage = stageOf();
          stage.restoring = restoring;
          for (const record of timely.toSpliced(index, 0, view)) stage.feed(record);
          stage.advanceTo(T0 + DAY);
          return rewardsOf(stage).map(({ outcomes }) => outcomes.map(({ reward }) => reward.toFixed(6)));
        });
        expect(totals[1]).toEqual(totals[0]);
        expect(totals[0]).toHaveLength(1);
      }),
    );
  });

  it('reads back the state it wrote', () => {
    const stage = stageOf();
    stage.feed(impression('u', T0, 'served'));
    stage.feed(
      impression('u', T0, 'viewed', { requestId: 'r2', slate: [{ itemId: 'a', position: 40, propensity: 0.5 }] }),
    );
    stage.feed(interaction('u', T0 + 1, 'a', { type: 'rate', value: 5, ...answers('unknown') }));
    const state = stage.stateOf<RewardsState>('rewards', 'u')!;
    const bytes = Buffer.from(rewardsCodec.encode(state));
    expect(rewardsCodec.decode(bytes, 1)).toEqual(state);
  });
});
