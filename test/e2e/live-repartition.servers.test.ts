/**
 * The number of partitions changed on a real Kafka and a real Redis while stream workers and serving nodes run: under load, with
 * processes that stand still across the change, and with the command killed.
 */
import { afterAll, afterEach, expect, it } from 'vitest';
import { systemClock } from '../../streams/clock.js';
import { seededRandom } from '../../streams/random.js';
import { useCluster } from '../harness/cluster.js';
import { connectFeed, generationOf } from '../harness/feed-client.js';
import { describeWithKafka, needsRedis } from '../harness/servers/needs.js';
import {
  FreshetProcess,
  killAll,
  removeTemporaryDirectories,
  resultOf,
  runFreshet,
  startUp,
  temporaryDirectory,
} from './freshet.js';
import type { UpProcess } from './freshet.js';
import { Load } from './load.js';
import { until } from './until.js';

const USERS = 12;
const EVENTS = 300;
const KILLS = 2;
const LIFE_MS_MAX = 6_000;
const CATCH_UP_MS = 60_000;

describeWithKafka('repartition of a cluster that runs', () => {
  const cluster = useCluster();
  let namespaces = 0;

  afterEach(killAll);
  afterAll(removeTemporaryDirectories);

  /** Of an engine of its own on the servers. */
  function newEngine(): readonly string[] {
    const namespace = `live${namespaces++}`;
    return [
      '--config',
      cluster.writeConfig(temporaryDirectory(), { storage: 'distributed', namespace, partitions: 4 }),
    ];
  }

  async function startWorker(engine: readonly string[], ...more: string[]): Promise<FreshetProcess> {
    const worker = new FreshetProcess(['up', '--roles', 'stream', ...engine, ...more, '--data', temporaryDirectory()]);
    await worker.says(/partitions assigned/, CATCH_UP_MS);
    return worker;
  }

  const startEdge = (engine: readonly string[], ...more: string[]): Promise<UpProcess> =>
    startUp(temporaryDirectory(), '--roles', 'serve', ...engine, ...more);

  const repartitionTo = (engine: readonly string[], count: number): Promise<unknown> =>
    resultOf('repartition', ...engine, '--partitions', String(count), '--data', temporaryDirectory());

  it(
    'loses and doubles nothing under load, and every process goes over by itself',
    { timeout: 300_000 },
    async (context) => {
      needsRedis(context);
      const engine = newEngine();
      const edges = [await startEdge(engine), await startEdge(engine)];
      const workers = [await startWorker(engine), await startWorker(engine)];
      const load = Load.start(
        edges.map(({ url }) => url),
        USERS,
      );
      await until('events', () => load.acknowledged >= EVENTS);
      const feed = await connectFeed(`${edges[0]!.url.replace('http', 'ws')}/v1/feed`);
      feed.subscribe(load.userId);
      const before = generationOf((await feed.feed()).version);

      expect(await repartitionTo(engine, 6)).toMatchObject({ before: 4, partitions: 6, moved: true });
      const soFar = load.acknowledged;
      await until('more events', () => load.acknowledged >= soFar + EVENTS);
      await load.stop();
      await feed.feedOf((version) => generationOf(version) > before);
      await feed.close();
      for (const { url } of edges) await requireCounted(url, load.byUser());
      expect(new Set(load.refusals.map(({ status, code }) => `${status} ${code}`))).toEqual(
        new Set(['503 REPARTITIONING']),
      );
      expect(load.failedReads).toEqual([]);
      for (const process of [...workers, ...edges.map((edge) => edge.process)]) expect(process.end).toBeUndefined();
      // Both workers have partitions of the new ones.
      const found = await Promise.all(workers.map((worker) => worker.says(/gone over to another generation/)));
      expect(found).toHaveLength(2);
      // A process with the old number in its configuration does not start any more.
      const late = await runFreshet('state', 'digest', ...engine, '--data', temporaryDirectory());
      expect(late.stderr).toContain('TOPIC_MISMATCH');
    },
  );

  it('is not disturbed by processes that stand still across it', { timeout: 300_000 }, async (context) => {
    needsRedis(context);
    const engine = newEngine();
    const [edge, sleeper] = [await startEdge(engine), await startEdge(engine)];
    const [worker, zombie] = [await startWorker(engine), await startWorker(engine)];
    const load = Load.start([edge.url, sleeper.url], USERS);
    await until('events', () => load.acknowledged >= EVENTS);
    // In the middle of batches and of appends that nobody has been told of.
    zombie.signal('SIGSTOP');
    sleeper.process.signal('SIGSTOP');
    expect(await repartitionTo(engine, 6)).toMatchObject({ before: 4, partitions: 6, moved: true });
    zombie.signal('SIGCONT');
    sleeper.process.signal('SIGCONT');
    const soFar = load.acknowledged;
    await until('more events', () => load.acknowledged >= soFar + EVENTS);
    await load.stop();
    for (const { url } of [edge, sleeper]) await requireCounted(url, load.byUser());
    for (const process of [worker, zombie, edge.process, sleeper.process]) expect(process.end).toBeUndefined();
  });

  it('goes on with one of the numbers after a command that died', { timeout: 300_000 }, async (context) => {
    needsRedis(context);
    const engine = newEngine();
    const random = seededRandom('live kills');
    const edge = await startEdge(engine);
    await startWorker(engine);
    const load = Load.start(edge.url, USERS);
    await until('events', () => load.acknowledged >= EVENTS);
    for (let kills = 0; kills < KILLS; kills++) {
      const command = new FreshetProcess([
        'repartition',
        ...engine,
        '--partitions',
        '6',
        '--data',
        temporaryDirectory(),
      ]);
      await Promise.race([command.says(/processing what waits/, CATCH_UP_MS), command.ended]).catch(() => undefined);
      await systemClock.sleep(random.float() * LIFE_MS_MAX);
      if (command.end === undefined) await command.kill();
    }
    // Nobody repeats it: the processes find out, and go on.
    const soFar = load.acknowledged;
    await until('more events', () => load.acknowledged >= soFar + EVENTS);
    expect(await repartitionTo(engine, 5)).toMatchObject({ partitions: 5, moved: true });
    const then = load.acknowledged;
    await until('more events', () => load.acknowledged >= then + EVENTS);
    await load.stop();
    await requireCounted(edge.url, load.byUser());
  });
});

/** Waits until the state of each person holds what was acknowledged, and requires that it is no more. */
async function requireCounted(url: string, expected: ReadonlyMap<string, number>): Promise<void> {
  for (const [userId, count] of expected) {
    await until(`${userId} at ${count}`, async () => (await countOf(url, userId)) >= count, CATCH_UP_MS);
  }
  for (const [userId, count] of expected) expect([userId, await countOf(url, userId)]).toEqual([userId, count]);
}

/** Interactions that the state of a person holds. */
async function countOf(url: string, userId: string): Promise<number> {
  const response = await fetch(`${url}/v1/users/${userId}/state`);
  const { operators } = (await response.json()) as { operators?: { profile?: { counts: readonly number[] } } };
  return operators?.profile?.counts.reduce((sum, count) => sum + count, 0) ?? 0;
}
