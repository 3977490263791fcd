import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BlockMemory } from '../../../streams/block-memory.js';
import { ManualClock } from '../../../streams/clock.js';
import { BatchCache } from '../../../streams/lmdb/batch-cache.js';
import { Environment } from '../../../streams/lmdb/environment.js';
import { LogPartition } from '../../../streams/lmdb/log-partition.js';
import type { LogRecord, TopicSpec } from '../../../streams/log/event-log.js';
import { RecordBatchWriter } from '../../../streams/log/record-batch.js';

const SPEC: TopicSpec = { name: 't', class: 'event', partitions: 1 };
const LIMITS = { recordsMax: 7, bytesMax: 1 << 20 };
/** Small enough that what is stored soon leaves the cache. */
const CACHE_BYTES = 4_096;
/** Of one slab, so that sealed batches soon get used memory again. */
const SEALING_BYTES = 1 << 20;
/** More than are held as objects: these are sealed, and read from their bytes, before a flush. */
const MANY_RECORDS = 1_500;

async function within(use: (partition: LogPartition, environment: Environment) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-partition-'));
  const environment = Environment.open({ directory, sync: 'none', clock: new ManualClock() });
  try {
    const [table] = environment.openTables(['log:t/0']);
    const memory = new BlockMemory(SEALING_BYTES, SEALING_BYTES);
    await use(new LogPartition('t', 0, table!, new BatchCache(CACHE_BYTES), memory, 0), environment);
  } finally {
    await environment.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** As tasks send them. */
function packed(count: number, valueOf: (i: number) => Buffer): Buffer {
  const writer = new RecordBatchWriter();
  for (let i = 0; i < count; i++) writer.add(i, 0, { key: `k${i}`, value: valueOf(i) });
  return writer.finish();
}

function readAll(partition: LogPartition, from: number): LogRecord[] {
  const records: LogRecord[] = [];
  for (let position = from; ;) {
    const batch = partition.read(SPEC, position, LIMITS);
    if (batch.nextOffset === position) return records;
    records.push(...batch.records);
    position = batch.nextOffset;
  }
}

it('reads the same before a flush, from memory and from the file, and what was read stays what it was', async () => {
  await within(async (partition, environment) => {
    const valueOf = (offset: number): Buffer => Buffer.alloc(20 + (offset % 50), `${offset};`);
    const held: LogRecord[] = [];
    for (let round = 0; round < 60; round++) {
      const start = partition.end;
      await environment.write(() => {
        environment.changes(partition);
        // Single records, small batches that join them, and one that stays a batch of its own.
        const singles = round % 10 === 0 ? MANY_RECORDS : 5;
        for (let i = 0; i < singles; i++) partition.stage({ key: `k${i}`, value: valueOf(partition.end) }, round);
        for (const count of [3, 30]) {
          const base = partition.end;
          partition.stagePacked(
            packed(count, (i) => valueOf(base + i)),
            round,
          );
        }
        held.push(...readAll(partition, start));
      });
      held.push(...readAll(partition, Math.max(0, start - (round % 3) * 38)));
    }
    held.push(...readAll(partition, 0));
    expect(held.length).toBeGreaterThan(3 * partition.end);
    for (const { offset, value } of held) expect(value).toEqual(valueOf(offset));
    expect(readAll(partition, 0).map(({ offset }) => offset)).toEqual([...Array(partition.end).keys()]);
  });
});
