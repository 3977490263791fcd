/**
 * Training data from the embedded warehouse.
 *
 * The child process runs compiled, so this needs an up-to-date dist/ (npm test builds first).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTrainingSet } from '../../../jobs/commands/train.js';
import { Terminal } from '../../../jobs/terminal.js';
import { readWarehouse } from '../../../jobs/train/warehouse-source.js';
import { openWarehouse } from '../../../jobs/warehouse/open-warehouse.js';
import { createPseudonyms } from '../../../jobs/warehouse/pseudonyms.js';
import { WarehouseFollower } from '../../../jobs/warehouse/warehouse-follower.js';
import { engineTopics } from '../../../operators/engine-topology.js';
import { encodeRecord } from '../../../schemas/codec.js';
import { systemClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { systemRandom } from '../../../streams/random.js';
import type { Warehouse } from '../../../streams/warehouse/warehouse.js';
import { until } from '../../e2e/until.js';

const EVENTS = 700;
const USERS = 40;
const AT = 1_760_000_000_000;
const SIGNAL = new AbortController().signal;

function hasBinary(): boolean {
  try {
    createRequire(import.meta.url).resolve(`@chdb/lib-${process.platform}-${process.arch}-gnu/package.json`);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_PACKAGE_PATH_NOT_EXPORTED';
  }
}

describe.skipIf(!hasBinary())('training data from the warehouse', () => {
  let data: string;
  let warehouse: Warehouse;

  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'freshet-extraction-'));
    const common = { namespace: 'default', clock: systemClock, logger: silentLogger };
    const open = (): Promise<Warehouse> => openWarehouse({ data, ...common, retentionDays: 0 });
    const log = new MemoryLog({ clock: systemClock, identity: 'aaaaaaaabbbb' });
    await log.createTopics(engineTopics('default', 2));
    const records = Array.from({ length: EVENTS }, (_, i) => {
      const userId = `user-${i % USERS}`;
      // Later events are logged first.
      const ts = AT + EVENTS - i;
      const event = { eventId: `e${i}`, userId, ts, receivedAt: AT + EVENTS, producerId: 'p', type: 'click' as const };
      return { key: userId, value: encodeRecord('Interaction', { ...event, itemId: `i${(i * 7) % 30}` }) };
    });
    await log.append('default.user-events', records);
    const follower = new WarehouseFollower({
      ...{ ...common, open, blockWaitMs: 50, blockRows: 200 },
      topicGenerations: () => [{ log, identity: log.identity }],
      pseudonyms: createPseudonyms(Buffer.alloc(32, 7)),
      flushed: () => Promise.resolve(),
    });
    follower.start();
    await until('all rows stored', async () => (await follower.lag()).records === 0, 60_000);
    await follower.stop();
    warehouse = await open();
  });
  afterAll(async () => {
    await warehouse?.close();
    await rm(data, { recursive: true, force: true });
  });

  it('is the same set by any number of statements, which run side by side', async () => {
    const sets = [];
    for (const shards of [1, 2, 5]) {
      let [open, most] = [0, 0];
      const counting = Object.assign(Object.create(warehouse) as Warehouse, {
        async *queryStream(...args: Parameters<Warehouse['queryStream']>) {
          most = Math.max(most, ++open);
          yield* warehouse.queryStream(...args);
          open--;
        },
      });
      sets.push((await readWarehouse(counting, { shards, signal: SIGNAL })).trainingSet());
      expect(most).toBe(shards);
    }
    const [first, ...others] = sets;
    expect(first!.items.length).toBe(EVENTS);
    expect(first!.userIds.length).toBe(USERS);
    for (const other of others) expect(other).toEqual(first);
    for (let user = 0; user < USERS; user++) {
      const times = first!.times.subarray(first!.rowStart[user], first!.rowStart[user + 1]);
      expect(times).toEqual(times.slice().sort());
    }
  });

  it('of a configured server is asked for there, not beside the engine', async () => {
    const context = {
      ...{ clock: systemClock, random: systemRandom(), logger: silentLogger },
      terminal: new Terminal(systemClock, true),
    };
    const read = (...set: string[]) =>
      readTrainingSet(context, { data: undefined, rows: 'users', set }, { threads: 1, signal: SIGNAL });
    await expect(read('warehouse.url=http://127.0.0.1:1')).rejects.toMatchObject({ code: 'WAREHOUSE_UNAVAILABLE' });
    await expect(read()).rejects.toMatchObject({ code: 'USAGE_INVALID' });
  });
});
