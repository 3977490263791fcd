/**
 * The number of partitions changed on a real Kafka and a real Redis, the command killed: what was acknowledged before and
 * after is counted once, by stream workers in processes of their own.
 */
import { afterAll, afterEach, expect, it } from 'vitest';
import { systemClock } from '../../streams/clock.js';
import { seededRandom } from '../../streams/random.js';
import { useCluster } from '../harness/cluster.js';
import { describeWithKafka, needsRedis } from '../harness/servers/needs.js';
import {
  FreshetProcess,
  killAll,
  removeTemporaryDirectories,
  resultOf,
  startUp,
  temporaryDirectory,
} from './freshet.js';
import { Producer } from './producer.js';
import { until } from './until.js';

const EVENTS = 300;
const USERS = 12;
const LIST = 20;
const KILLS = 2;
const LIFE_MS_MAX = 4_000;
const CATCH_UP_MS = 60_000;

describeWithKafka('repartition on a cluster', () => {
  const cluster = useCluster();

  afterEach(killAll);
  afterAll(removeTemporaryDirectories);

  function settings(partitions: number): string[] {
    return ['--config', cluster.writeConfig(temporaryDirectory(), { storage: 'distributed', partitions })];
  }

  it('counts what was acknowledged before and after once', { timeout: 300_000 }, async (context) => {
    needsRedis(context);
    const random = seededRandom('repartition on servers');
    const producer = new Producer('p', USERS);
    // Forgotten by whoever stopped the engine, with the old number in its configuration.
    const forgotten = await startUp(temporaryDirectory(), '--roles', 'serve', ...settings(4));
    for (const [run, partitions] of [4, 6].entries()) {
      const options = settings(partitions);
      if (run > 0) {
        for (let kills = 0; kills < KILLS; kills++) {
          const killed = new FreshetProcess(['repartition', ...options, '--data', temporaryDirectory()]);
          await Promise.race([killed.says(/processing what waits/, CATCH_UP_MS), killed.ended]).catch(() => undefined);
          await systemClock.sleep(random.float() * LIFE_MS_MAX);
          if (killed.end === undefined) await killed.kill();
        }
        const moved = await resultOf('repartition', ...options, '--data', temporaryDirectory());
        expect(moved).toMatchObject({ partitions });
        await forgotten.process.says(/gone over to another generation/, CATCH_UP_MS);
      }
      const worker = new FreshetProcess(['up', '--roles', 'stream', ...options, '--data', temporaryDirectory()]);
      const edge = await startUp(temporaryDirectory(), '--roles', 'serve', ...options);
      await worker.says(/partitions assigned/, CATCH_UP_MS);
      while (producer.acknowledged.size < (run + 1) * EVENTS) await producer.post(edge.url, LIST);
      if (run > 0) {
        for (const [userId, expected] of producer.byUser()) {
          const reached = async (): Promise<boolean> => (await countOf(edge.url, userId)) >= expected;
          await until(`${userId} at ${expected}`, reached, CATCH_UP_MS);
        }
      }
      // Killed before everything was processed, the first time.
      await Promise.all([worker.kill(), edge.process.kill()]);
    }
    const edge = await startUp(temporaryDirectory(), '--roles', 'serve', ...settings(6));
    for (const [userId, expected] of producer.byUser()) expect(await countOf(forgotten.url, userId)).toBe(expected);
    for (const [userId, expected] of producer.byUser()) expect(await countOf(edge.url, userId)).toBe(expected);
  });
});

/** Interactions that the state of a person holds. */
async function countOf(url: string, userId: string): Promise<number> {
  const response = await fetch(`${url}/v1/users/${userId}/state`);
  const { operators } = (await response.json()) as { operators?: { profile?: { counts: readonly number[] } } };
  return operators?.profile?.counts.reduce((sum, count) => sum + count, 0) ?? 0;
}
