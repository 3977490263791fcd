/**
 * A cluster whose slots move and whose masters fail: commits go on where the slot went, whole, and hints follow.
 */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../streams/clock.js';
import { HintRepair } from '../../../streams/log/hint-repair.js';
import type { Hint } from '../../../streams/log/event-log.js';
import { createMetrics } from '../../../streams/metrics.js';
import { systemRandom } from '../../../streams/random.js';
import { RedisHints } from '../../../streams/redis/redis-hints.js';
import { slotOfTag, slotOfTask, SLOTS, tagOfSlot } from '../../../streams/redis/slot-tags.js';
import { keysOfTask } from '../../../streams/redis/task-keys.js';
import { encodeRow } from '../../../streams/runtime/row-bytes.js';
import type { TaskId } from '../../../streams/state/state-store.js';
import { runScript } from '../../harness/run-script.js';
import { needsRedis } from '../../harness/servers/needs.js';
import { redisMissing, startRedisCluster } from '../../harness/servers/redis.js';
import type { RedisCluster } from '../../harness/servers/redis.js';
import { commit } from '../state/state-conformance.js';
import { openStore, topologyOf } from './redis-harness.js';

const TASK: TaskId = { stage: 'users', partition: 3 };
const SLOT = slotOfTask(TASK);

describe('slots', () => {
  it('are spread evenly, whatever the number of masters and partitions', () => {
    for (const masters of [1, 2, 3, 5, 6, 12]) {
      for (const partitions of [4, 8, 16, 64]) {
        const counts = new Array<number>(masters).fill(0);
        for (let partition = 0; partition < partitions; partition++) {
          counts[Math.floor((slotOfTask({ stage: 'users', partition }) * masters) / SLOTS)]!++;
        }
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(3);
      }
    }
  });

  it('are reached by their tags, which never change', () => {
    expect(slotOfTag('123456789')).toBe(0x31c3 % SLOTS);
    for (const slot of [0, 1, 8_191, SLOTS - 1]) expect(slotOfTag(tagOfSlot(slot))).toBe(slot);
    expect([0, 1, 2].map((partition) => slotOfTask({ stage: 'users', partition }))).toEqual([15_762, 7_570, 3_474]);
    expect(tagOfSlot(5)).toBe('460');
  });
});

describe('on a redis cluster', () => {
  let cluster: RedisCluster;

  beforeAll(async () => {
    if (redisMissing() === undefined) cluster = await startRedisCluster({ masters: 3, replicasPerMaster: 1 });
  });
  beforeEach(needsRedis);
  afterAll(() => cluster?.stop());

  const cli = (address: string, ...words: string[]): string =>
    execFileSync('redis-cli', ['-p', address.split(':')[1]!, ...words], { encoding: 'utf8' }).trim();
  const idOf = (address: string): string => cli(address, 'CLUSTER', 'MYID');

  it('lets a process end whose clients were closed while they looked for masters', async () => {
    const ending = `
      import { systemClock } from '../../../streams/clock.ts';
      import { RedisClient } from '../../../streams/redis/redis-client.ts';
      import { topologyOf } from './redis-harness.ts';
      const topology = topologyOf(${JSON.stringify({ nodes: [], addresses: cluster.addresses })});
      // They look every 2 s: some of them do when they are closed.
      await Promise.all(Array.from({ length: 24 }, async (_, i) => {
        const client = await RedisClient.open({ topology, clock: systemClock });
        await systemClock.sleep(1_950 + 5 * i);
        client.close();
      }));
      console.log('closed');`;
    expect(await runScript(ending, import.meta.dirname)).toBe('closed\n');
  });

  it('commits stay whole while their slot moves, and go on where it went', async () => {
    const metrics = createMetrics({ namespace: 'test' });
    const open = await openStore(topologyOf(cluster), { metrics, unavailableMs: 500 });
    const { store, client, namespace } = open;
    await store.acquire(TASK, 'A');
    await store.commit(TASK, commit('A', '', 'c1', { puts: { a: 'old', b: 'old' } }));
    const source = client.ownerOf(SLOT)!;
    const target = cluster.addresses.slice(0, 3).find((address) => address !== source)!;
    cli(target, 'CLUSTER', 'SETSLOT', String(SLOT), 'IMPORTING', idOf(source));
    cli(source, 'CLUSTER', 'SETSLOT', String(SLOT), 'MIGRATING', idOf(target));
    const migrate = (...keys: string[]): string =>
      cli(source, 'MIGRATE', '127.0.0.1', target.split(':')[1]!, '', '0', '5000', 'KEYS', ...keys);
    const { rows, head } = keysOfTask(namespace, TASK);
    migrate(`${rows}a`);
    const next = commit('A', 'c1', 'c2', { puts: { a: 'new', b: 'new', c: 'new' }, outputs: ['o'] });
    // Half of its keys are here and half there: no node can take it.
    await expect(store.commit(TASK, next)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(cli(source, 'GET', `${rows}b`)).toBe('old');
    expect(cli(source, 'HGET', head, 'commit')).toBe('c1');
    migrate(...cli(source, 'CLUSTER', 'GETKEYSINSLOT', String(SLOT), '1000').split('\n'));
    // All is there, but only who was asked to wait (ASK) may see it: single keys are found.
    expect((await client.command(SLOT, 'GET', `${rows}a`))?.toString()).toBe('old');
    for (const address of cluster.addresses.slice(0, 3)) {
      cli(address, 'CLUSTER', 'SETSLOT', String(SLOT), 'NODE', idOf(target));
    }
    expect(await store.commit(TASK, next)).toBe('committed');
    expect((await store.get(TASK, 'c'))?.toString()).toBe('new');
    expect(client.ownerOf(SLOT)).toBe(target);
    const reasons = metrics.samples().filter(({ name }) => name.endsWith('redis_retries_total'));
    expect(reasons.map(({ labels }) => labels['reason'])).toEqual(expect.arrayContaining(['ask', 'moved', 'TRYAGAIN']));
    await open.close();
  });

  it('commits and hints go on after a master was killed', async () => {
    const open = await openStore(topologyOf(cluster), { unavailableMs: 30_000, answerMs: 500 });
    const { store, client, namespace } = open;
    const heard: string[] = [];
    const gaps: number[] = [];
    const known = new Map([['ann', 0]]);
    const shared = { client, namespace, clock: systemClock, random: systemRandom() };
    const [sender, listener] = [new RedisHints(shared), new RedisHints(shared)];
    const onHints = (hints: readonly Hint[]): void =>
      void heard.push(...hints.map(({ key, offset }) => `${key} ${offset}`));
    listener.listen('hints', 4, { onHints, onGap: (partition) => void gaps.push(partition) });
    const hint = (offset: number): void => sender.send('hints', [{ key: 'ann', partition: 3, offset, eventIds: [] }]);
    await expect
      .poll(() => {
        hint(1);
        return heard.length;
      })
      .toBeGreaterThan(0);

    await store.acquire(TASK, 'A');
    await store.commit(TASK, commit('A', '', 'd1', { puts: { a: 'old' } }));
    await expect.poll(() => isReplicated(client.ownerOf(SLOT)!), { timeout: 10_000 }).toBe(true);
    for (const slot of new Set([SLOT, slotOfTask({ stage: 'hints', partition: 3 })])) {
      const master = cluster.nodes.find(({ port }) => client.ownerOf(slot)?.endsWith(`:${port}`))!;
      if (!master.process.isRunning) continue;
      await master.process.kill();
      await expect.poll(() => isHealthy(cluster), { timeout: 30_000 }).toBe(true);
      master.process.restart();
    }
    const row = encodeRow(41, [{ hash: 1, version: 1, bytes: Buffer.from('x') }]);
    const next = { ...commit('A', 'd1', 'd2', {}), puts: [['ann', row] as const] };
    expect(await store.commit(TASK, next)).toBe('committed');

    // Nobody sends a hint for it: versions tell.
    const repair = new HintRepair({
      store,
      stage: TASK.stage,
      partitions: () => 4,
      clock: systemClock,
      intervalMs: 60_000,
      watched: (partition) => (partition === 3 ? [...known].map(([key, version]) => ({ key, version })) : []),
      onHints,
      onFault: (error) => void heard.push(String(error)),
    });
    await repair.repair(3);
    expect(heard.at(-1)).toBe('ann 42');
    await repair.close();
    heard.length = 0;
    await expect
      .poll(
        () => {
          hint(99);
          return heard;
        },
        { timeout: 30_000 },
      )
      .toContain('ann 99');
    expect(gaps).toContain(3);
    sender.close();
    listener.close();
    await open.close();
  });

  it('opens just after a master was killed, before another took its place', async () => {
    // Not the one that answers the first call, which is patient by itself.
    const isOther = ({ port }: { port: number }): boolean =>
      /^.* myself,master .* connected [1-9]\d*-\d+/m.test(cli(`:${port}`, 'CLUSTER', 'NODES'));
    const gone = cluster.nodes.find(isOther)!;
    await gone.process.kill();
    const open = await openStore(topologyOf(cluster), { unavailableMs: 30_000, answerMs: 500 });
    await open.store.acquire(TASK, 'A');
    await open.close();
  });
});

function infoOf(address: string, section: string): string {
  return execFileSync('redis-cli', ['-p', address.split(':')[1]!, 'INFO', section], { encoding: 'utf8' });
}

/** Whether a master's replica has everything. */
function isReplicated(address: string): boolean {
  const info = infoOf(address, 'replication');
  const end = /master_repl_offset:(\d+)/.exec(info)?.[1];
  return info.includes('state=online') && info.includes(`offset=${end}`);
}

function isHealthy(cluster: RedisCluster): boolean {
  const living = cluster.nodes.filter(({ process }) => process.isRunning);
  return living.every(({ port }) =>
    execFileSync('redis-cli', ['-p', String(port), 'CLUSTER', 'INFO'], { encoding: 'utf8' }).includes(
      'cluster_state:ok',
    ),
  );
}
