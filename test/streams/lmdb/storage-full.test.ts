import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { isEngineError } from '../../../schemas/errors.js';
import { ManualClock } from '../../../streams/clock.js';
import { openEmbeddedStorage } from '../../../streams/lmdb/index.js';
import { seededRandom } from '../../../streams/random.js';
import { commit } from '../state/state-conformance.js';

const DISK_BYTES = 6 * 1_048_576;
const RETENTION_MS = 1_000;
const mounted: string[] = [];

/** A small disk, or undefined where mounting is not permitted. */
function mountSmallDisk(): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-full-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', directory], { stdio: 'pipe' });
  } catch {
    rmSync(directory, { recursive: true });
    return undefined;
  }
  mounted.push(directory);
  return directory;
}

function reasonOf(outcome: PromiseSettledResult<unknown>): unknown[] {
  return outcome.status === 'rejected' ? [outcome.reason] : [];
}

afterAll(() => {
  for (const directory of mounted) {
    execFileSync('umount', ['--lazy', directory]);
    rmSync(directory, { recursive: true, force: true });
  }
});

describe('an embedded storage on a full disk', () => {
  it.each(['always', 'none'] as const)(
    'refuses whole writes and goes on when there is room again (sync %s)',
    async (sync) => {
      const directory = mountSmallDisk();
      if (directory === undefined) {
        process.stderr.write('skipped: this process may not mount a small disk\n');
        return;
      }
      const clock = new ManualClock();
      const storage = await openEmbeddedStorage({ directory, sync, clock, random: seededRandom(1) });
      const { log, store } = storage;
      const task = { stage: 's', partition: 0 };
      await log.createTopics([
        { name: 'filler', partitions: 1, class: 'event', retentionMs: RETENTION_MS },
        { name: 'test.outputs', partitions: 1, class: 'event' },
      ]);
      await store.acquire(task, 'A');
      await store.commit(task, commit('A', '', 'c1', { puts: { n: '1' }, outputs: ['o1'] }));

      // Until neither the journal nor the data file takes anything.
      let appended = 0;
      const refusals: unknown[] = [];
      for (let i = 0; i < 400 && refusals.length < 2; i++) {
        const records = Array.from({ length: 4 }, () => ({ key: 'k', value: Buffer.alloc(30_000) }));
        const append = log.append('filler', records).then(() => (appended += records.length));
        refusals.push(...(await Promise.allSettled([append])).flatMap(reasonOf));
        if (refusals.length === 1) refusals.push(...(await Promise.allSettled([storage.flushed()])).flatMap(reasonOf));
        if (refusals.length === 1) refusals.pop();
      }
      expect(refusals.map((refusal) => isEngineError(refusal, 'STORAGE_FULL'))).toEqual([true, true]);
      expect(await log.bounds('filler', 0)).toEqual({ start: 0, end: appended });

      const large = commit('A', 'c1', 'c2', { puts: { n: '2', large: 'x'.repeat(400_000) }, outputs: ['o2'] });
      const refused: unknown = await store.commit(task, large).catch((thrown: unknown) => thrown);
      expect(isEngineError(refused, 'STORAGE_FULL')).toBe(true);
      expect([(await store.get(task, 'n'))?.toString(), (await store.head(task))?.commitId]).toEqual(['1', 'c1']);
      expect((await log.bounds('test.outputs', 0)).end).toBe(1);

      await clock.advance(RETENTION_MS + 1);
      // What is held in memory is stored, and can expire, once there is room; that comes with a later transaction.
      const cleaned = [await log.clean(), await log.clean(), await log.clean()];
      expect(cleaned[0]).toBeGreaterThan(0);
      expect(cleaned[0]! + cleaned[1]! + cleaned[2]!).toBe(appended);
      const retried = await store.commit(task, large).catch(() => store.commit(task, large));
      expect(retried).toBe('committed');
      expect(await log.append('filler', [{ key: 'k', value: Buffer.from('v') }])).toEqual([
        { partition: 0, offset: appended },
      ]);
      await storage.close();

      const reopened = await openEmbeddedStorage({ directory, sync, clock, random: seededRandom(1) });
      expect((await reopened.store.get(task, 'n'))?.toString()).toBe('2');
      expect(await reopened.log.bounds('filler', 0)).toEqual({ start: appended, end: appended + 1 });
      await reopened.close();
    },
  );
});
