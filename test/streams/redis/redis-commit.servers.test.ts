/**
 * Commits on a real server under everything that can be wrong with it: applied whole or not at all, and told clearly.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isEngineError } from '../../../schemas/errors.js';
import { systemClock } from '../../../streams/clock.js';
import { createMetrics } from '../../../streams/metrics.js';
import { RedisClient } from '../../../streams/redis/redis-client.js';
import { keysOfTask } from '../../../streams/redis/task-keys.js';
import type { Commit, TaskId } from '../../../streams/state/state-store.js';
import { needsRedis } from '../../harness/servers/needs.js';
import { redisMissing, startRedis } from '../../harness/servers/redis.js';
import type { RedisServer } from '../../harness/servers/redis.js';
import { commit } from '../state/state-conformance.js';
import { openStore, topologyOf } from './redis-harness.js';
import type { OpenOptions, OpenStore } from './redis-harness.js';

const TASK: TaskId = { stage: 'users', partition: 3 };
const TINY = { keysMax: 2, bytesMax: 100 };
const timer = { time: 5, operator: 'session', key: 'a' };

describe('a commit on a redis server', () => {
  let server: RedisServer;
  let open: OpenStore;

  beforeAll(async () => {
    if (redisMissing() === undefined) server = await startRedis();
  });
  beforeEach(needsRedis);
  afterEach(async () => {
    await raw('CONFIG', 'SET', 'maxmemory', '0');
    await raw('FLUSHALL');
  });
  afterAll(() => server?.stop());

  const start = async (options: OpenOptions = {}): Promise<OpenStore> => {
    open = await openStore(topologyOf(server), options);
    await open.store.acquire(TASK, 'A');
    return open;
  };
  const raw = (command: string, ...args: string[]): Promise<unknown> => open.client.command(0, command, ...args);
  const keys = () => keysOfTask(open.namespace, TASK);
  /** Everything a reader can see of the task. */
  const picture = async (): Promise<unknown> => {
    const rows: Record<string, string> = {};
    for await (const [key, value] of open.store.scan(TASK)) rows[key] = value.toString();
    const timers = [];
    for await (const entry of open.store.scanTimers(TASK)) timers.push(entry.time);
    const outbox = (await open.store.outbox(TASK)).map(({ commitId }) => commitId);
    return { rows, timers, outbox, commit: (await open.store.head(TASK))?.commitId };
  };
  const whole = (owner: string, previous: string, next: string, mark: string): Commit =>
    commit(owner, previous, next, {
      puts: { a: mark, b: mark, c: mark },
      timersAdded: [timer],
      outputs: [`o-${mark}`],
    });

  for (const [kind, limits] of [
    ['that fits a script', undefined],
    ['that is staged', TINY],
  ] as const) {
    describe(kind, () => {
      const options = limits === undefined ? {} : { limits };

      for (const structure of ['timers', 'outbox'] as const) {
        it(`leaves nothing behind when its ${structure} are of another type`, async () => {
          await start(options);
          await open.store.commit(TASK, commit('A', '', 'c1', { puts: { a: 'old' } }));
          const before = await open.client.command(0, 'HGETALL', keys().head);
          await raw('SET', keys()[structure], 'not ours');
          await expectCode(open.store.commit(TASK, whole('A', 'c1', 'c2', 'new')), 'STATE_CORRUPT');
          expect(await open.client.command(0, 'HGETALL', keys().head)).toEqual(before);
          expect(await open.store.get(TASK, 'a')).toEqual(Buffer.from('old'));
          await raw('DEL', keys()[structure]);
          expect(await open.store.commit(TASK, whole('A', 'c1', 'c2', 'new'))).toBe('committed');
        });
      }

      it('leaves nothing behind when memory is used up, and works again when there is some', async () => {
        await start(options);
        await open.store.commit(TASK, whole('A', '', 'c1', 'old'));
        const before = await picture();
        await raw('CONFIG', 'SET', 'maxmemory', '1mb');
        await expectCode(open.store.commit(TASK, whole('A', 'c1', 'c2', 'new')), 'STORAGE_FULL');
        expect(await open.store.get(TASK, 'a')).toEqual(Buffer.from('old'));
        // How memory becomes free: another owner takes over and forgets what was sent.
        await open.store.acquire(TASK, 'B');
        await open.store.trimOutbox(TASK, 'B', 'c1');
        await raw('CONFIG', 'SET', 'maxmemory', '0');
        expect(await picture()).toEqual({ ...(before as object), outbox: [] });
        expect(await open.store.commit(TASK, whole('B', 'c1', 'c2', 'new'))).toBe('committed');
      });

      it('is applied once when the server has forgotten its scripts', async () => {
        const metrics = createMetrics({ namespace: 'test' });
        await start({ ...options, metrics });
        await raw('SCRIPT', 'FLUSH');
        expect(await open.store.commit(TASK, whole('A', '', 'c1', 'x'))).toBe('committed');
        const rows = { a: 'x', b: 'x', c: 'x' };
        expect(await picture()).toEqual({ rows, timers: [5], outbox: ['c1'], commit: 'c1' });
        const retries = metrics.samples().filter(({ name }) => name.endsWith('redis_retries_total'));
        expect(retries.map(({ labels }) => labels['reason'])).toContain('send-source');
      });

      it('is applied once when the connection breaks, and says what it found', async () => {
        await start(options);
        await raw('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'no').catch(() => undefined);
        expect(await open.store.commit(TASK, whole('A', '', 'c1', 'x'))).toBe('committed');
        expect(await open.store.commit(TASK, whole('A', '', 'c1', 'x'))).toBe('already-applied');
        expect(await picture()).toMatchObject({ outbox: ['c1'], commit: 'c1' });
      });

      it('is refused on a server that became a replica, until there is a master again', async () => {
        await start({ ...options, unavailableMs: 300 });
        await raw('REPLICAOF', '127.0.0.1', '1');
        await expectCode(open.store.commit(TASK, whole('A', '', 'c1', 'x')), 'STORE_UNAVAILABLE');
        await raw('REPLICAOF', 'NO', 'ONE');
        expect(await picture()).toEqual({ rows: {}, timers: [], outbox: [], commit: '' });
        expect(await open.store.commit(TASK, whole('A', '', 'c1', 'x'))).toBe('committed');
      });

      it('waits for a server that restarts', async () => {
        await start(options);
        await open.store.commit(TASK, whole('A', '', 'c1', 'old'));
        await raw('WAITAOF', '1', '0', '1000').catch(() => raw('BGREWRITEAOF'));
        await server.process.stop();
        const waiting = open.store.commit(TASK, whole('A', 'c1', 'c2', 'new'));
        server.process.restart();
        expect(await waiting).toBe('committed');
        expect(await picture()).toMatchObject({ rows: { a: 'new' }, outbox: ['c1', 'c2'] });
      });
    });
  }

  it('that is staged shows all of itself to whoever reads first, also when its writer is gone', async () => {
    await start({ limits: TINY });
    await open.store.commit(TASK, whole('A', '', 'c1', 'old'));
    const other = await open.reopen();
    const reads: Promise<unknown>[] = [];
    const committed = open.store.commit(TASK, whole('A', 'c1', 'c2', 'new'));
    for (let i = 0; i < 40; i++) {
      reads.push(other.store.prefetch(TASK, { keys: ['a', 'b', 'c'], timersBefore: -Infinity, timersMax: 0 }));
      await systemClock.nextTurn();
    }
    await committed;
    for (const read of reads) {
      const { commitId, rows } = (await read) as { commitId: string; rows: Buffer[] };
      const mark = commitId === 'c1' ? 'old' : 'new';
      expect(rows.map(String)).toEqual([mark, mark, mark]);
    }
  });

  it('that is staged happens or not, wherever its writer dies', async () => {
    // Every call its writer makes is the last one in turn.
    for (let last = 1; ; last++) {
      await start({ limits: TINY });
      await open.store.commit(TASK, whole('A', '', 'c1', 'old'));
      const dying = await open.reopen();
      const isDone = await commitAndDie(dying, whole('A', 'c1', 'c2', 'new'), last);
      await open.store.acquire(TASK, 'B');
      const seen = (await picture()) as { commit: string };
      const mark = seen.commit === 'c1' ? 'old' : 'new';
      const outbox = seen.commit === 'c1' ? ['c1'] : ['c1', 'c2'];
      const rows = { a: mark, b: mark, c: mark };
      expect(seen).toEqual({ rows, timers: [5], outbox, commit: seen.commit });
      expect(await open.store.commit(TASK, whole('B', seen.commit, 'c3', 'later'))).toBe('committed');
      if (isDone) return expect(last).toBeGreaterThan(4);
      await open.close();
    }
  });

  it('that lost its staged part to a failover stages it again', async () => {
    await start({ limits: TINY });
    const call = open.client.call.bind(open.client);
    let isLost = false;
    open.client.call = async (slot, calls, ...rest) => {
      const replies = await call(slot, calls, ...rest);
      const first = calls[0]!;
      if (!isLost && 'command' in first && first.command === 'HSET') {
        isLost = true;
        await call(slot, [{ command: 'DEL', args: [first.args[0]!] }]);
      }
      return replies;
    };
    expect(await open.store.commit(TASK, whole('A', '', 'c1', 'x'))).toBe('committed');
    expect(await picture()).toMatchObject({ rows: { a: 'x', b: 'x', c: 'x' }, outbox: ['c1'] });
  });

  it('gives rows the time to live that was asked for, and leaves others alone', async () => {
    const rowTtl = (_: TaskId, key: string): number | undefined => (key === 'a' ? 60_000 : undefined);
    for (const limits of [undefined, TINY]) {
      await start({ rowTtl, ...(limits === undefined ? {} : { limits }) });
      await open.store.commit(TASK, whole('A', '', 'c1', 'x'));
      expect(Number(await raw('PTTL', `${keys().rows}a`))).toBeGreaterThan(50_000);
      expect(await raw('PTTL', `${keys().rows}b`)).toBe(-1);
      await raw('FLUSHALL');
    }
  });

  it('leaves no key behind but those of its rows, timers, head and outbox', async () => {
    await start({ limits: TINY });
    await open.store.commit(TASK, whole('A', '', 'c1', 'x'));
    await open.store.trimOutbox(TASK, 'A', 'c1');
    const { head, rows, timers } = keys();
    const found = (await raw('KEYS', `${open.namespace}:*users*`)) as Buffer[];
    expect(found.map(String).sort()).toEqual([head, `${rows}a`, `${rows}b`, `${rows}c`, timers].sort());
    await open.store.drop(TASK);
    expect(await raw('KEYS', `${open.namespace}:*users*`)).toEqual([]);
  });

  it('is told within its time when nobody answers', async () => {
    await start({ answerMs: 100, unavailableMs: 200 });
    server.process.signal('SIGSTOP');
    await expectCode(open.store.commit(TASK, whole('A', '', 'c1', 'x')), 'STORE_UNAVAILABLE');
    server.process.signal('SIGCONT');
    expect(['committed', 'already-applied']).toContain(await open.store.commit(TASK, whole('A', '', 'c1', 'x')));
  });
});

describe('a redis client', () => {
  beforeEach(needsRedis);

  it('refuses a server that may evict keys, and one that wants a password', async () => {
    const evicting = await startRedis({ settings: { 'maxmemory-policy': 'allkeys-lru' } });
    const closed = await startRedisWithPassword();
    const clock = systemClock;
    await expectCode(RedisClient.open({ topology: topologyOf(evicting), clock }), 'STORE_REFUSED');
    await expectCode(RedisClient.open({ topology: topologyOf(closed), clock }), 'STORE_REFUSED');
    const opened = await RedisClient.open({ topology: topologyOf(closed), clock, password: 'open sesame' });
    opened.close();
    await Promise.all([evicting.stop(), closed.stop()]);
  });

  it('says that nobody is there', async () => {
    const topology = { mode: 'standalone', address: { host: '127.0.0.1', port: 1 } } as const;
    const opening = RedisClient.open({ topology, clock: systemClock, answerMs: 100, unavailableMs: 300 });
    await expectCode(opening, 'STORE_UNAVAILABLE');
  });
});

async function startRedisWithPassword(): Promise<RedisServer> {
  const server = await startRedis();
  const client = await RedisClient.open({ topology: topologyOf(server), clock: systemClock });
  await client.command(0, 'CONFIG', 'SET', 'requirepass', 'open sesame');
  client.close();
  return server;
}

class Died extends Error {}

/** Runs a commit whose process dies after its n-th call. true when it needed fewer. */
async function commitAndDie(open: OpenStore, work: Commit, last: number): Promise<boolean> {
  const call = open.client.call.bind(open.client);
  let calls = 0;
  open.client.call = (...args) => {
    if (calls++ >= last) return Promise.reject(new Died());
    return call(...args);
  };
  try {
    await open.store.commit(TASK, work);
    return true;
  } catch (error) {
    if (error instanceof Died) return false;
    throw error;
  }
}

async function expectCode(promise: Promise<unknown>, code: string): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(isEngineError(error) ? error.code : error).toBe(code);
}
