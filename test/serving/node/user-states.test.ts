/** Users' rows as serving reads them: one round trip a partition, in the order asked for, through aliases. */
import { describe, expect, it } from 'vitest';
import { partitionFor } from '../../../schemas/ids.js';
import { UserStates } from '../../../serving/node/user-states.js';
import type { UserSnapshot } from '../../../serving/node/ports.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';
import { BlockMemory } from '../../../streams/block-memory.js';
import { CellLayout } from '../../../streams/runtime/cell-layout.js';
import { readCell } from '../../../streams/runtime/row-bytes.js';
import { Row } from '../../../streams/runtime/row.js';
import { jsonCodec } from '../../streams/runtime/counting-stage.js';

const PARTITIONS = 3;
const alias = { name: 'alias', purity: 'log-pure' as const, state: jsonCodec<string>(), process: () => undefined };
const layout = new CellLayout([alias]);

function rowOf(key: string, offset: number, becomes: string): Buffer {
  const row = new Row(layout, key, undefined);
  row.set(0, becomes);
  row.version = offset;
  return row.encode(new BlockMemory(0))!;
}

async function storeOf(rows: Record<string, Buffer>): Promise<MemoryStore> {
  const store = new MemoryStore({ delivery: 'outbox' });
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const task = { stage: 'users', partition };
    await store.acquire(task, 'owner');
    const puts = Object.entries(rows).filter(([key]) => partitionFor(key, PARTITIONS) === partition);
    await store.commit(task, {
      owner: 'owner',
      previous: '',
      next: 'a',
      offset: 100,
      meta: Buffer.alloc(0),
      puts,
      deletes: [],
      timersAdded: [],
      timersRemoved: [],
      outputs: [],
    });
  }
  return store;
}

const snapshotOf = (row: Buffer | undefined, _now: number, userId: string): UserSnapshot =>
  ({ recentItems: [userId, row === undefined ? 'nobody' : 'known'] }) as unknown as UserSnapshot;

describe('UserStates', () => {
  it('reads many users at once, in order, with the offset after their last change', async () => {
    const store = await storeOf({ ada: rowOf('ada', 41, ''), bob: rowOf('bob', 7, ''), eve: rowOf('eve', 0, '') });
    const users = new UserStates({ store, stage: 'users', partitions: () => PARTITIONS, snapshotOf });
    const views = await users.read(['eve', 'nobody', 'ada', 'bob'], 0);
    expect(views.map((view) => view.offset)).toEqual([1, 0, 42, 8]);
    expect(views.map((view) => view.snapshot.recentItems[1])).toEqual(['known', 'nobody', 'known', 'known']);
    expect(views[2]!.partition).toBe(partitionFor('ada', PARTITIONS));
  });

  it('follows an id to the one it became, and never in circles', async () => {
    const store = await storeOf({
      anon: rowOf('anon', 3, 'ada'),
      ada: rowOf('ada', 9, ''),
      x: rowOf('x', 1, 'y'),
      y: rowOf('y', 2, 'x'),
    });
    const aliasOf = (row: Buffer): string | undefined => readCell<string>(alias, row) || undefined;
    const users = new UserStates({ store, stage: 'users', partitions: () => PARTITIONS, snapshotOf, aliasOf });
    const [anon] = await users.read(['anon'], 0);
    expect([anon!.snapshot.recentItems[0], anon!.offset]).toEqual(['ada', 10]);
    expect(await users.read(['x'], 0)).toHaveLength(1);
  });
});
