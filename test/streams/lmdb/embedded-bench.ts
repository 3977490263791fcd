/**
 * Micro benchmark of the embedded storage; prints one line a figure. Bundle with esbuild (packages external) and run:
 * `node embedded-bench.mjs [directory]`. The directory decides about the disk that is measured.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../streams/clock.js';
import { openEmbeddedStorage } from '../../../streams/lmdb/index.js';
import type { EmbeddedStorage, SyncPolicy } from '../../../streams/lmdb/index.js';
import { systemRandom } from '../../../streams/random.js';

const VALUE = Buffer.alloc(200, 7);
const ROW = Buffer.alloc(300, 7);
const SECONDS = 1.5;

async function perSecond(step: () => Promise<number>): Promise<number> {
  await step();
  const start = systemClock.monotonic();
  let done = 0;
  while (systemClock.monotonic() - start < SECONDS * 1_000) done += await step();
  return Math.round((done / (systemClock.monotonic() - start)) * 1_000);
}

async function measure(sync: SyncPolicy, report: (name: string, figure: number) => void): Promise<void> {
  const directory = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'freshet-bench-'));
  const storage = await openEmbeddedStorage({ directory, sync, clock: systemClock, random: systemRandom() });
  const { log } = storage;
  await log.createTopics([{ name: 't', partitions: 8, class: 'event' }]);
  let i = 0;
  const single = async (): Promise<number> => {
    await Promise.all(Array.from({ length: 8 }, () => log.append('t', [{ key: `user-${i++}`, value: VALUE }])));
    return 8;
  };
  report('appends/s, 8 writers of 1 record', await perSecond(single));
  const thousand = async (): Promise<number> => {
    await log.append(
      't',
      Array.from({ length: 1_000 }, (_, k) => ({ key: `user-${k}`, value: VALUE, partition: 0 })),
    );
    return 1_000;
  };
  report('records/s appended in batches of 1000', await perSecond(thousand));
  const { end } = await log.bounds('t', 0);
  let at = 0;
  const read = async (): Promise<number> => {
    const batch = await log.read('t', 0, at >= end ? 0 : at, { recordsMax: 1_000, bytesMax: 1e7 });
    at = batch.nextOffset;
    return batch.records.length;
  };
  report('records/s read in batches of 1000', await perSecond(read));
  for (const rows of [1, 100, 5_000])
    report(`commits/s of ${rows} rows of 300 B`, await perSecond(commits(storage, rows)));
  await storage.close();
  rmSync(directory, { recursive: true });
}

function commits({ store }: EmbeddedStorage, rows: number): () => Promise<number> {
  const task = { stage: `rows-${rows}`, partition: 0 };
  let previous: string | undefined;
  let n = 0;
  return async () => {
    previous ??= (await store.acquire(task, 'bench')).commitId;
    const next = `c${++n}`;
    const puts = Array.from({ length: rows }, (_, k) => [`user-${(k * 7_919 + n * 31) % 20_000}`, ROW] as const);
    const rest = { meta: Buffer.alloc(8), deletes: [], timersAdded: [], timersRemoved: [], outputs: [] };
    await store.commit(task, { owner: 'bench', previous, next, offset: n, puts, ...rest });
    previous = next;
    return 1;
  };
}

for (const sync of ['always', { intervalMs: 50 }, 'none'] as const) {
  const name = typeof sync === 'string' ? sync : `interval ${sync.intervalMs} ms`;
  await measure(sync, (what, figure) => process.stdout.write(`sync ${name}: ${figure} ${what}\n`));
}
