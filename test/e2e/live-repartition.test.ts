/**
 * The number of partitions changed while `up` holds the directory, under load: what was acknowledged is counted once, reads and
 * open feeds go on, and the state is that of an engine that always had the new number.
 */
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../streams/clock.js';
import { seededRandom } from '../../streams/random.js';
import { connectFeed, generationOf } from '../harness/feed-client.js';
import { importOfClicks } from './click-file.js';
import { requireCountedOnce } from './counted-once.js';
import {
  digestOf,
  FreshetProcess,
  killAll,
  partitions,
  removeTemporaryDirectories,
  resultOf,
  runFreshet,
  startUp,
  temporaryDirectory,
  untilProcessed,
} from './freshet.js';
import type { UpProcess } from './freshet.js';
import { differingTasks } from './kill-runs.js';
import { Load } from './load.js';
import { Producer } from './producer.js';
import { until } from './until.js';

const USERS = 20;
/** Acknowledged before, and at least as many again afterwards. */
const EVENTS = 400;
const KILLS = 3;
/** About as long as the command takes under load. */
const LIFE_MS_MAX = 1_500;
/** Nobody's timers are due by the clock before then, so that no tick moves the state. */
const FUTURE_MS = 2_000_000_000_000;

describe('freshet repartition of an engine that is up', () => {
  afterEach(killAll);
  afterAll(removeTemporaryDirectories);

  it('loses and doubles nothing under load, and goes on serving', { timeout: 300_000 }, async () => {
    const data = temporaryDirectory();
    const up = await startUp(data, ...partitions(4));
    const load = Load.start(up.url, USERS);
    await until('events', () => load.acknowledged >= EVENTS);
    const feed = await connectFeed(`${up.url.replace('http', 'ws')}/v1/feed`);
    feed.subscribe(load.userId);
    const before = generationOf((await feed.feed()).version);

    const moved = await resultOf('repartition', '--data', data, '--partitions', '6');
    expect(moved).toMatchObject({ before: 4, partitions: 6, moved: true, generation: 2 });
    const soFar = load.acknowledged;
    await until('more events', () => load.acknowledged >= soFar + EVENTS);
    await load.stop();

    // The same socket, and feeds newer than before.
    await feed.feedOf((version) => generationOf(version) > before);
    await feed.close();
    expect(load.refusals.length).toBeGreaterThan(0);
    for (const refusal of load.refusals) {
      expect(refusal).toEqual({ status: 503, code: 'REPARTITIONING', retryAfter: '1' });
    }
    expect(load.reads).toBeGreaterThan(0);
    expect(load.failedReads).toEqual([]);
    expect(await resultOf('repartition', '--data', data, '--partitions', '6')).toMatchObject({ moved: false });
    await stopDrained(up);
    await requireCountedOnce(data, load.byUser());

    const refused = await runFreshet('state', 'digest', '--data', data, ...partitions(4));
    expect(refused.stderr).toContain('TOPIC_MISMATCH');
    expect(Object.keys(await digestOf(data, ...partitions(6)))).toHaveLength(12);
  });

  it('leads to the state of an engine that always had so many', { timeout: 300_000 }, async () => {
    const rows = Array.from({ length: 4_000 }, (_, i) => {
      const visit = Math.floor(i / 1_000);
      return `u${i % 250},s${i % 250}-${visit},i${(i * 7 + visit) % 90},${FUTURE_MS + i * 3_000}`;
    });
    const importing = importOfClicks(rows);
    const always = temporaryDirectory();
    await resultOf(...importing, '--data', always, ...partitions(7));

    const data = temporaryDirectory();
    const up = await startUp(data, ...partitions(4));
    await resultOf(...importing, '--data', data, '--limit', '2500');
    // There and further: the second one begins with what the first one left.
    await resultOf('repartition', '--data', data, '--partitions', '3');
    await resultOf(...importing, '--data', data, '--limit', '3200');
    await resultOf('repartition', '--data', data, '--partitions', '7');
    await resultOf(...importing, '--data', data);
    expect((await up.process.stop()).code).toBe(0);
    expect(
      differingTasks(await digestOf(always, ...partitions(7)), await digestOf(data, ...partitions(7)), ['users']),
    ).toEqual([]);
  });

  it(
    'killed with its engine at random moments leaves one of the two numbers, whole',
    { timeout: 300_000 },
    async () => {
      const data = temporaryDirectory();
      const random = seededRandom('live kills');
      const producer = new Producer('p', USERS);
      let [now, next] = [4, 5];
      let flips = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const up = await startUp(data, ...partitions(now));
        const wanted = producer.acknowledged.size + 100;
        while (producer.acknowledged.size < wanted) await producer.post(up.url, 10);
        const command = new FreshetProcess(['repartition', '--data', data, '--partitions', String(next)]);
        const life = systemClock.sleep(300 + random.float() * LIFE_MS_MAX);
        const isOver = { value: false };
        const moment = Promise.race([life, command.ended]).then(() => (isOver.value = true));
        while (!isOver.value) await producer.post(up.url, 10);
        await moment;
        await up.process.kill();
        await command.ended;
        const isNew = (await runFreshet('state', 'digest', '--data', data, ...partitions(next))).code === 0;
        const isOld = (await runFreshet('state', 'digest', '--data', data, ...partitions(now))).code === 0;
        expect([isNew, isOld].filter((is) => is)).toHaveLength(1);
        if (isNew) {
          flips++;
          [now, next] = [next, now];
        }
      }
      // Whatever the kills left, a command that is let be finishes.
      const up = await startUp(data, ...partitions(now));
      expect(await resultOf('repartition', '--data', data, '--partitions', '7')).toMatchObject({
        before: now,
        moved: true,
      });
      while (!(await producer.post(up.url, 10)));
      await stopDrained(up);
      expect(flips).toBeLessThanOrEqual(KILLS);
      await requireCountedOnce(data, producer.byUser());
    },
  );
});

async function stopDrained({ process, url }: UpProcess): Promise<void> {
  await untilProcessed(url);
  expect((await process.stop()).code).toBe(0);
}
