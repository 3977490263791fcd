/** One Redis behind Sentinels: a master that is killed is replaced, and commits go on where the store stands. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAddresses } from '../../../streams/redis/redis-nodes.js';
import type { Commit, TaskId } from '../../../streams/state/state-store.js';
import { needsRedis } from '../../harness/servers/needs.js';
import { redisMissing, startRedisSentinels } from '../../harness/servers/redis.js';
import type { RedisSentinels } from '../../harness/servers/redis.js';
import { openStore } from './redis-harness.js';

const TASK: TaskId = { stage: 'users', partition: 0 };
/** Sentinels wait 2 s, vote, and promote; other work on the machine makes it longer. */
const FAILOVER_MS = 45_000;

function commit(number: number): Commit {
  return {
    owner: 'A',
    previous: number === 1 ? '' : `c${number - 1}`,
    next: `c${number}`,
    offset: number,
    meta: Buffer.alloc(0),
    puts: [[`key-${number % 7}`, Buffer.from(String(number))]],
    deletes: [],
    timersAdded: [{ time: number, operator: 'session', key: `key-${number % 7}` }],
    timersRemoved: [],
    outputs: [],
  };
}

describe('a store behind Sentinels', () => {
  let sentinels: RedisSentinels | undefined;

  beforeAll(async () => {
    if (redisMissing() === undefined) sentinels = await startRedisSentinels();
  });
  afterAll(() => sentinels?.stop());

  it('goes on with the replica when the master is killed', async (context) => {
    needsRedis(context);
    const { addresses, name, nodes } = sentinels!;
    const topology = { mode: 'sentinel', sentinels: parseAddresses(addresses.join())!, name } as const;
    const { store, client, close } = await openStore(topology, { unavailableMs: FAILOVER_MS });
    await store.acquire(TASK, 'A');
    for (let number = 1; number <= 20; number++) await store.commit(TASK, commit(number));
    // What the replica has not seen would be lost, rightly so: here it has.
    expect(Number(await client.command(0, 'WAIT', '1', '5000'))).toBe(1);
    nodes[0]!.process.signal('SIGKILL');
    expect(await store.commit(TASK, commit(21))).toBe('committed');
    expect(await store.head(TASK)).toMatchObject({ commitId: 'c21', offset: 21 });
    expect(String(await store.get(TASK, 'key-0'))).toBe('21');
    expect(String(await store.get(TASK, 'key-6'))).toBe('20');
    expect(String(await client.command(0, 'ROLE'))).toContain('master');
    await close();
  });
});
