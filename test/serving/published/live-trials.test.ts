import { describe, expect, it } from 'vitest';
import { encodeRecord } from '../../../schemas/codec.js';
import type { InteractionType } from '../../../schemas/records.js';
import type { ModelQuery } from '../../../serving/models/model.js';
import { LiveTrials, type LiveTrial } from '../../../serving/published/live-trials.js';
import type { PublishedModels } from '../../../serving/published/published-models.js';
import type { RetrievalRequest } from '../../../serving/retrieval/request.js';
import { ManualClock } from '../../../streams/clock.js';
import type { LogRecord } from '../../../streams/log/event-log.js';
import { silentLogger } from '../../../streams/logger.js';
import { person, World } from '../pipeline/world.js';

const T0 = Date.UTC(2024, 0, 1);
const SECOND = 1_000;

/** A model whose best are always items `a` and `b`; remembers which history it was asked with. */
function setUp(history: readonly (readonly [string, number])[], perSecond = 100) {
  const { tables } = new World().session('s', ['a', 'b', 'c', 'd'], T0);
  const asked: string[][] = [];
  const trials: LiveTrial[] = [];
  const model = {
    manifest: { name: 'home', version: 'v1' },
    ask: ({ user }: RetrievalRequest) => {
      asked.push([...user!.recentItems]);
      return {
        query: {} as ModelQuery,
        ranked: { items: Int32Array.of(0, 1), scores: Float32Array.of(2, 1), basis: 'model' },
      };
    },
    tableItemOf: (item: number) => tables.items.indexOf(['a', 'b'][item]!),
  };
  const snapshot = person({
    recentItems: history.map(([item]) => item),
    recentTypes: history.map(() => 0),
    recentTimes: history.map(([, at]) => T0 + at),
  });
  const clock = new ManualClock();
  const live = new LiveTrials({
    published: { allInUse: () => [model] } as unknown as PublishedModels,
    users: { read: () => Promise.resolve([{ snapshot, partition: 0, offset: 1 }]) },
    ...{ tables, perSecond, clock, logger: silentLogger },
    onTrial: (trial) => trials.push(trial),
  });
  const meet = async (itemId: string, at: number, type: InteractionType = 'click'): Promise<void> => {
    const fields = {
      eventId: `${itemId}-${at}`,
      userId: 'ada',
      itemId,
      type,
      ts: T0 + at,
      receivedAt: T0 + at,
      producerId: 'p',
    };
    live.apply({ key: 'ada', value: encodeRecord('Interaction', fields) } as unknown as LogRecord);
    await live.settled();
  };
  return { clock, asked, trials, meet };
}

describe('live trials', () => {
  it('ask a model what it would have shown before the interaction, though the state holds it already', async () => {
    const { asked, trials, meet } = setUp([
      ['c', 0],
      ['a', 5 * SECOND],
      ['d', 9 * SECOND],
    ]);
    await meet('a', 5 * SECOND);
    expect(asked).toEqual([['c']]);
    expect(trials).toEqual([{ model: 'home', version: 'v1', isHit: true }]);
  });

  it('count a miss where the item is not among the best', async () => {
    const { trials, meet } = setUp([['c', 0]]);
    await meet('d', SECOND);
    expect(trials).toEqual([{ model: 'home', version: 'v1', isHit: false }]);
  });

  it('leave out what says nothing: items met before, strangers, and interactions against an item', async () => {
    const { trials, meet } = setUp([['c', 5 * SECOND]]);
    await meet('c', 6 * SECOND);
    await meet('a', 2 * SECOND);
    await meet('a', 7 * SECOND, 'dislike');
    expect(trials).toEqual([]);
  });

  it('are no more than so many a second', async () => {
    const { clock, trials, meet } = setUp([['c', 0]], 2);
    for (let n = 1; n <= 5; n++) await meet('a', n);
    expect(trials.length).toBe(2);
    await clock.advance(SECOND);
    await meet('a', 6);
    expect(trials.length).toBe(3);
  });
});
