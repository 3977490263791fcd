import { beforeEach, describe, expect, it } from 'vitest';
import { TABLE_MAPPINGS } from '../../../jobs/warehouse/rows.js';
import { TableReader } from '../../../jobs/warehouse/table-reader.js';
import { encodeRecord } from '../../../schemas/codec.js';
import { ManualClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';

const BLOCK_RECORDS = 500;

describe('TableReader', () => {
  let log: MemoryLog;
  let reader: TableReader;

  beforeEach(async () => {
    const clock = new ManualClock();
    log = new MemoryLog({ clock });
    await log.createTopics([{ name: 'events', partitions: 2, class: 'event' }]);
    const mapping = TABLE_MAPPINGS.find(({ table }) => table === 'interactions')!;
    reader = new TableReader({
      ...{ log, mapping, topic: 'events', streamName: 'events', partitions: 2, isSuccessor: false },
      ...{ blockRecords: BLOCK_RECORDS, clock, logger: silentLogger },
    });
    await reader.open(() => Promise.resolve(0));
  });

  const append = (partition: number, count: number): Promise<unknown> =>
    log.append(
      'events',
      Array.from({ length: count }, () => ({ key: 'u', value: CLICK, partition })),
    );

  /** What the next reads give: partition, first offset and number of records of each. */
  async function reads(count: number): Promise<string[]> {
    const told: string[] = [];
    for (let i = 0; i < count; i++) {
      const records = (await reader.pull(0, new AbortController().signal)) ?? [];
      told.push(`${records[0]?.partition}: ${records[0]?.offset} +${records.length}`);
    }
    return told;
  }

  it('reads a backlog block by block, one partition after the other', async () => {
    await append(0, 700);
    await append(1, 520);
    expect(await reads(8)).toEqual([
      ...['0: 0 +200', '0: 200 +200', '0: 400 +100'],
      ...['1: 0 +200', '1: 200 +200', '1: 400 +100'],
      ...['0: 500 +200', '1: 500 +20'],
    ]);
    expect(await reads(1)).toEqual(['undefined: undefined +0']);
  });

  it('does not stay with a partition that gets a few records all the time', async () => {
    await append(1, 3);
    const told: string[] = [];
    for (let i = 0; i < 4; i++) {
      await append(0, 10);
      told.push(...(await reads(1)));
    }
    expect(told).toEqual(['0: 0 +10', '1: 0 +3', '0: 10 +20', '0: 30 +10']);
  });
});

const CLICK = encodeRecord('Interaction', {
  ...{ eventId: 'e1', userId: 'u', ts: 1_760_000_000_000, receivedAt: 1_760_000_000_000, producerId: 'p' },
  ...{ type: 'click', itemId: 'i1' },
});
