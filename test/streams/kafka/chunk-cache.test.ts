/** Decoded records are shared by readers that come close together, and not kept for those who come late. */
import { describe, expect, it } from 'vitest';
import { Chunk, ChunkCache } from '../../../streams/kafka/chunk-cache.js';
import { RecordBatchBuilder } from '../../../streams/kafka/record-batch.js';

const ALL = { recordsMax: Infinity, bytesMax: Infinity };
const RECORDS = 1_000;

/** Chunks of one batch each, in a cache: `c0` holds offsets 0 to 999, and so on. */
function cacheOf(chunks: number): { cache: ChunkCache; read: (chunk: number) => readonly unknown[] } {
  const cache = new ChunkCache(64 << 20);
  for (let number = 0; number < chunks; number++) {
    const builder = new RecordBatchBuilder(false);
    for (let i = 0; i < RECORDS; i++) builder.add({ key: `k${number}-${i}`, value: Buffer.from(String(i)) }, 1_000 + i);
    const records = builder.seal({
      producer: { id: 1, epoch: 0 },
      sequence: 0,
      transactional: false,
      compression: 'none',
    });
    records.writeBigInt64BE(BigInt(number * RECORDS), 0);
    const start = number * RECORDS;
    const fetched = { topic: 't', partition: 0, error: 0, end: start + RECORDS, aborted: [], records };
    cache.add('t/0', new Chunk(start, fetched, cache.decoded));
  }
  const read = (number: number): readonly unknown[] => {
    const from = number * RECORDS;
    return cache.find('t/0', from)!.read(from, ALL).records;
  };
  return { cache, read };
}

describe('chunks of a partition', () => {
  it('give two readers the same records', () => {
    const { read } = cacheOf(2);
    const first = read(0);
    expect(first).toHaveLength(RECORDS);
    expect(read(0)[7]).toBe(first[7]);
  });

  it('decode again for a reader that comes after many others were decoded', () => {
    const { read } = cacheOf(20);
    const first = read(0);
    for (let number = 1; number < 20; number++) read(number);
    const again = read(0);
    expect(again[7]).not.toBe(first[7]);
    expect(again).toEqual(first);
    expect(read(19)[0]).toMatchObject({ offset: 19 * RECORDS, key: 'k19-0' });
  });
});
