/** The pieces of `freshet bench takeover` that decide what it tells: who owned what, the first commit, feeds, the books. */
import { describe, expect, it } from 'vitest';
import { awaitFirstCommits } from '../../../jobs/bench/first-commits.js';
import type { HttpClient } from '../../../jobs/bench/load-http.js';
import { LoadWorld } from '../../../jobs/bench/load-world.js';
import { isSharedOut } from '../../../jobs/bench/takeover-cluster.js';
import { TakeoverTraffic, currentAfter } from '../../../jobs/bench/takeover-traffic.js';
import { tryReadAssignment } from '../../../jobs/bench/worker-process.js';
import { partitionFor } from '../../../schemas/ids.js';
import { systemClock } from '../../../streams/clock.js';
import type { TaskHead, TaskId } from '../../../streams/state/state-store.js';

const USERS = 40;
const PARTITIONS = 4;

describe('assignments', () => {
  it('are read from the line of a worker’s log, and from no other', () => {
    const line = (fields: object): string =>
      JSON.stringify({ level: 'info', message: 'partitions assigned', ...fields });
    expect(tryReadAssignment(line({ group: 'a.b.users', partitions: '0,3' }))).toEqual({
      stage: 'users',
      partitions: [0, 3],
    });
    expect(tryReadAssignment(line({ group: 'engine.items', partitions: '' }))?.partitions).toEqual([]);
    expect(tryReadAssignment('freshet is up')).toBeUndefined();
  });

  it('are shared out when everybody has some of each stage and nothing is left or held twice', () => {
    const tasks = (stage: string, ...partitions: number[]): TaskId[] =>
      partitions.map((partition) => ({ stage, partition }));
    const stages = ['users', 'items'];
    const items = [tasks('items', 0), tasks('items', 1, 2)] as const;
    const isShared = (left: TaskId[], right: TaskId[]): boolean =>
      isSharedOut(
        [
          [...left, ...items[0]],
          [...right, ...items[1]],
        ],
        stages,
        3,
      );
    expect(isShared(tasks('users', 0, 1), tasks('users', 2))).toBe(true);
    expect(isShared(tasks('users', 0), tasks('users', 2))).toBe(false);
    expect(isShared(tasks('users', 0, 1), tasks('users', 1))).toBe(false);
    expect(isShared(tasks('users', 0, 1, 2), [])).toBe(false);
  });
});

describe('the first commit', () => {
  const task = { stage: 'users', partition: 0 };
  const head = (commitId: string): TaskHead => ({ commitId, offset: 0, meta: new Uint8Array(0) });
  const watch = (commitAt: (ms: number) => string, waitMsMax: number): Promise<ReadonlyMap<string, number>> => {
    const killedMs = systemClock.monotonic();
    const store = { head: () => Promise.resolve(head(commitAt(systemClock.monotonic() - killedMs))) };
    return awaitFirstCommits({ clock: systemClock, store, tasks: [task], killedMs, inFlightMs: 40, waitMsMax });
  };

  it('is not what the dead owner had on its way', async () => {
    const found = await watch((ms) => (ms < 10 ? 'before' : ms < 120 ? 'on its way' : 'of the new owner'), 5_000);
    expect(found.get('users/0')).toBeGreaterThanOrEqual(120);
  });

  it('is given up when nobody takes over', async () => {
    await expect(watch(() => 'before', 80)).rejects.toMatchObject({ code: 'NOT_READY' });
  });
});

describe('feeds', () => {
  it('are current when 99 of 100 are', () => {
    const times = Array.from({ length: 99 }, (_, i) => 99 - i);
    expect(currentAfter(times, 100)).toEqual({ feedsMs: 99, currentShare: 0.99 });
    expect(currentAfter(times.slice(1), 100)).toEqual({ feedsMs: Infinity, currentShare: 0.98 });
    expect(currentAfter([], 0)).toEqual({ feedsMs: 0, currentShare: 1 });
  });
});

describe('the books', () => {
  /** Counts what it takes, as an engine should; `twice` counts that user's events double, `refused` gets no answer. */
  function engine({ twice, refused }: { twice: string; refused: string }) {
    const counts = new Map<string, number>();
    const answer = (body: object) => Promise.resolve({ status: 202, body: Buffer.from(JSON.stringify(body)) });
    const http = {
      post(_path: string, json: string) {
        const { userId } = JSON.parse(json) as { userId: string };
        if (userId === refused) return Promise.reject(new Error('no answer'));
        counts.set(userId, (counts.get(userId) ?? 0) + (userId === twice ? 2 : 1));
        return answer({ accepted: 1 });
      },
      get(path: string) {
        const userId = path.split('/')[3]!;
        return answer({ operators: { profile: { counts: [1, counts.get(userId) ?? 0] } } });
      },
    };
    return { http: http as unknown as HttpClient, counts };
  }

  it('tell who is counted wrongly, and leave out whose answer never came', async () => {
    const world = new LoadWorld({ items: 50, users: USERS, seed: 'books', nowMs: systemClock.now() });
    const dead = world.userIds.filter((userId) => partitionFor(userId, PARTITIONS) < 2);
    const [twice, refused] = dead as [string, string];
    const { http, counts } = engine({ twice, refused });
    const options = { clock: systemClock, http, world, rate: 1, subscribers: USERS, historyEvents: 1 };
    const traffic = new TakeoverTraffic(options);
    const kill = { name: 'kill-0', atMs: systemClock.monotonic(), waitMsMax: 0 };
    const figures = await traffic.refresh({ dead: new Set([0, 1]), count: PARTITIONS }, kill);
    expect(figures).toEqual({ feeds: dead.length, feedsMs: Infinity, currentShare: 0 });
    await traffic.stop();
    expect([...counts.keys()].sort()).toEqual(dead.filter((userId) => userId !== refused).sort());
    expect(traffic).toMatchObject({ acknowledged: dead.length - 1, failed: 1 });
    expect(await traffic.check()).toEqual({
      checkedUsers: dead.length - 1,
      miscounts: [{ userId: twice, expected: 2, counted: 3 }],
    });
  });
});
