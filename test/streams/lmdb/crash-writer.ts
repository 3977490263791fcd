/**
 * A process to be killed: appends and commits in a loop, and says on stdout what was acknowledged.
 *
 * Lines are `append N` (records 0…N of partition 0 are acknowledged), `commit N` (offset, rows and outputs of the task
 * stand at N) and `flush N` (and will after a crash). It goes on where the directory left off.
 */
import { writeSync } from 'node:fs';
import { systemClock } from '../../../streams/clock.js';
import { openEmbeddedStorage } from '../../../streams/lmdb/index.js';
import { systemRandom } from '../../../streams/random.js';

const [directory, sync] = process.argv.slice(2) as [string, string];
/** Long enough for kills to fall between two flushes, too. */
const FLUSH_PAUSE_MS = 30;
const random = systemRandom();
const storage = await openEmbeddedStorage({
  directory,
  sync: sync === 'interval' ? { intervalMs: 20 } : 'always',
  clock: systemClock,
  random,
});
const { log, store } = storage;
const task = { stage: 'counter', partition: 0 };
const say = (line: string): void => void writeSync(1, `${line}\n`);

await log.createTopics([
  { name: 'appended', partitions: 1, class: 'event' },
  { name: 'outputs', partitions: 1, class: 'event' },
]);

async function appendForever(): Promise<never> {
  for (;;) {
    const { end } = await log.bounds('appended', 0);
    const records = Array.from({ length: 1 + (end % 7) }, (_, i) => ({
      key: String(end + i),
      value: Buffer.alloc(200),
    }));
    const receipts = await log.append('appended', records);
    say(`append ${receipts.at(-1)!.offset}`);
  }
}

async function commitForever(): Promise<never> {
  const owner = random.hex(8);
  let { commitId, offset } = await store.acquire(task, owner);
  for (;;) {
    const next = random.hex(8);
    const value = Buffer.from(String(offset + 1));
    await store.commit(task, {
      owner,
      previous: commitId,
      next,
      offset: offset + 1,
      meta: value,
      puts: Array.from({ length: 50 }, (_, i) => [`row-${i}`, value] as const),
      deletes: [],
      timersAdded: [{ time: offset + 1, operator: 'o', key: 'k' }],
      timersRemoved: [{ time: offset, operator: 'o', key: 'k' }],
      outputs: [{ topic: 'outputs', records: [{ key: String(offset + 1), value }] }],
    });
    commitId = next;
    offset++;
    say(`commit ${offset}`);
  }
}

async function flushForever(): Promise<never> {
  for (;;) {
    const offset = (await store.head(task))?.offset ?? 0;
    await storage.flushed();
    if (offset > 0) say(`flush ${offset}`);
    await systemClock.sleep(FLUSH_PAUSE_MS);
  }
}

async function cleanForever(): Promise<never> {
  for (;;) {
    await log.clean();
    await systemClock.sleep(10);
  }
}

say('ready');
await Promise.all([appendForever(), commitForever(), flushForever(), cleanForever()]);
