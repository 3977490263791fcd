/**
 * What the edge has acknowledged is there after kill -9 and counted once, however often producers repeat what they got
 * no answer for.
 */
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../streams/clock.js';
import { seededRandom } from '../../streams/random.js';
import { countBy } from './data-sets.js';
import { killAll, removeTemporaryDirectories, startUp, temporaryDirectory, untilProcessed } from './freshet.js';
import type { UpProcess } from './freshet.js';
import { inspect, interactionsOf } from './inspect.js';
import { Producer } from './producer.js';
import { until } from './until.js';

const KILLS = 3;
const PRODUCERS = 4;
const LIFE_MS_MAX = 400;

describe('acknowledged events', () => {
  afterEach(killAll);
  afterAll(removeTemporaryDirectories);

  it('survive kill -9 and are counted exactly once, repeated ones too', async () => {
    const data = temporaryDirectory();
    const random = seededRandom('acknowledged');
    // Lists of at most 10 of 5 users: an event that is sent again is well within the events remembered of a person.
    const producers = Array.from({ length: PRODUCERS }, (_, i) => new Producer(`p${i}`, 5));
    const acknowledged = (): number => producers.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
    for (let kill = 0; kill < KILLS; kill++) {
      const up = await startUp(data);
      const before = acknowledged();
      const posting = producers.map((producer) => postUntilDead(producer, up, () => 1 + random.int(10)));
      await until('acknowledged events', () => acknowledged() > before);
      await systemClock.sleep(random.float() * LIFE_MS_MAX);
      await up.process.kill();
      await Promise.all(posting);
    }
    const up = await startUp(data);
    for (const producer of producers) await until('what had no answer', () => producer.post(up.url, 1));
    // Right after the last 202, before any stage had time for it.
    await up.process.kill();

    const last = await startUp(data);
    await untilProcessed(last.url);
    expect((await last.process.stop()).code).toBe(0);
    const expected = new Map(producers.flatMap((producer) => [...producer.byUser()]));
    expect(acknowledged()).toBeGreaterThan(50);
    await inspect(data, async (inspection) => {
      expect(countBy(await inspection.users(), ({ key }) => key, interactionsOf)).toEqual(expected);
      const ids = new Set(
        (await inspection.records('userEvents')).flatMap((record) => ('eventId' in record ? [record.eventId] : [])),
      );
      expect(ids).toEqual(new Set(producers.flatMap((producer) => [...producer.acknowledged.keys()])));
    });
  });
});

async function postUntilDead(producer: Producer, { process, url }: UpProcess, count: () => number): Promise<void> {
  while (process.end === undefined) await producer.post(url, count());
}
