/**
 * The number of partitions changed between two parts of a file and between two runs of an edge, the command killed again and
 * again: the state is that of an engine that always had the new number, and what was acknowledged is counted once.
 */
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../streams/clock.js';
import { seededRandom } from '../../streams/random.js';
import { generationOf } from '../harness/feed-client.js';
import { importOfClicks } from './click-file.js';
import { findMiscounts } from './click-ledger.js';
import type { Click } from './click-ledger.js';
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
import { differingTasks } from './kill-runs.js';
import { Producer } from './producer.js';

const CLICKS = 6_000;
const FIRST_PART = 3_500;
const KILLS = 2;
/** About as long as the whole command takes. */
const LIFE_MS_MAX = 1_500;

describe('freshet repartition', () => {
  afterEach(killAll);
  afterAll(removeTemporaryDirectories);

  it('leads to the state of an engine that always had so many, killed or not', { timeout: 300_000 }, async () => {
    const clicks = Array.from({ length: CLICKS }, (_, i): Click => {
      const visit = Math.floor(i / 1_200);
      return {
        user: `u${i % 300}`,
        session: `s${i % 300}-${visit}`,
        item: `i${(i * 7 + visit) % 90}`,
        ts: 1_700_000_000_000 + i * 3_000,
      };
    });
    const rows = clicks.map(({ user, session, item, ts }) => `${user},${session},${item},${ts}`);
    const importing = importOfClicks(rows);

    const always = temporaryDirectory();
    await resultOf(...importing, '--data', always, ...partitions(7));
    const moved = temporaryDirectory();
    await resultOf(...importing, '--data', moved, '--limit', String(FIRST_PART), ...partitions(4));
    const refused = await runFreshet(...importing, '--data', moved, ...partitions(7));
    expect(refused.stderr).toContain('TOPIC_MISMATCH');

    expect(await repartitionUnderKills(moved, 7)).toBeGreaterThan(0);
    await resultOf(...importing, '--data', moved, ...partitions(7));
    const found = await digestOf(moved, ...partitions(7));
    expect(Object.keys(found)).toHaveLength(14);
    expect(differingTasks(await digestOf(always, ...partitions(7)), found, ['users'])).toEqual([]);
    expect(await findMiscounts(moved, clicks)).toEqual([]);
    // There is nothing to be done twice.
    const again = await resultOf('repartition', '--data', moved, ...partitions(7));
    expect(again).toMatchObject({ before: 7, partitions: 7, moved: false });
  });

  it('counts what was acknowledged before and after it once, and feeds go on', { timeout: 300_000 }, async () => {
    const data = temporaryDirectory();
    const producer = new Producer('p', 20);
    const versions: string[] = [];
    for (const [run, count] of [4, 5].entries()) {
      if (run > 0) await repartitionUnderKills(data, count);
      const up = await startUp(data, ...partitions(count));
      const wanted = (run + 1) * 150;
      while (producer.acknowledged.size < wanted) await producer.post(up.url, 10);
      versions.push(await feedVersionOf(up.url, 'p-user-3'));
      // Not stopped: the next repartition meets records that nobody has processed.
      await up.process.kill();
    }
    const up = await startUp(data, ...partitions(5));
    await untilProcessed(up.url);
    expect((await up.process.stop()).code).toBe(0);
    const generations = versions.map(generationOf);
    expect(generations).toEqual([...new Set(generations)].sort((left, right) => left - right));
    await requireCountedOnce(data, producer.byUser());
  });
});

/** Kills the command when it begins and at random moments, then lets it finish. Returns how often it was killed. */
async function repartitionUnderKills(data: string, count: number): Promise<number> {
  const random = seededRandom(`kills ${count}`);
  const command = ['repartition', '--data', data, ...partitions(count), '--json'];
  let kills = 0;
  while (kills < KILLS) {
    const process = new FreshetProcess(command);
    await Promise.race([process.says(/processing what waits/), process.ended]).catch(() => undefined);
    // The first at once: a fast machine may be done before a later moment.
    if (kills > 0) await systemClock.sleep(random.float() * LIFE_MS_MAX);
    if (process.end !== undefined) break;
    await process.kill();
    kills++;
  }
  expect(await resultOf(...command.slice(0, -1))).toMatchObject({ partitions: count });
  return kills;
}

/** Of a recommendation for a user. */
async function feedVersionOf(url: string, userId: string): Promise<string> {
  const response = await fetch(`${url}/v1/users/${userId}/recommendations`);
  return ((await response.json()) as { version: string }).version;
}
