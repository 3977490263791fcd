/** Decoded records are shared by readers that come close together, and not kept for those who come late. */
import { describe, expect, it } from 'vitest';
import { Chunk, ChunkCache } from '../../../streams/kafka/chunk-cache.js';
import { RecordBatchBuilder } from '../../../streams/kafka/record-batch.js';

const ALL = { recordsMax: Infinity, bytesMax: Infinity };
const RECORDS = 1_000;

/** Chunks of one batch each, in a cache: `c0` holds offsets 0 to 999, and so on. */
function cacheOf(
  chunks: number,
  { valueBytes = 4, cacheBytes = 64 << 20 } = {},
): { cache: ChunkCache; read: (chunk: number) => readonly unknown[] } {
  const cache = new ChunkCache(cacheBytes);
  for (let number = 0; number < chunks; number++) {
    const builder = new RecordBatchBuilder(false);
    for (let i = 0; i < RECORDS; i++)
      builder.add({ key: `k${number}-${i}`, value: Buffer.alloc(valueBytes, i) }, 1_000 + i);
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

  it.each([
    { what: 'many others', chunks: 40, valueBytes: 4 },
    { what: 'large others', chunks: 12, valueBytes: 4_000 },
  ])('decode again for a reader that comes after $what were decoded', ({ chunks, valueBytes }) => {
    const { read } = cacheOf(chunks, { valueBytes });
    const first = read(0);
    for (let number = 1; number < chunks; number++) read(number);
    const again = read(0);
    expect(again[7]).not.toBe(first[7]);
    expect(again).toEqual(first);
    expect(read(chunks - 1)[0]).toMatchObject({ offset: (chunks - 1) * RECORDS, key: `k${chunks - 1}-0` });
  });

  it('keep what a slow reader walks through, however many others read meanwhile', () => {
    const { read } = cacheOf(60);
    const first = read(0);
    for (let number = 1; number < 60; number++) {
      read(number);
      expect(read(0)[7]).toBe(first[7]);
    }
  });

  it('do not keep the records of chunks that had to go', () => {
    const { cache } = cacheOf(10, { valueBytes: 4_000, cacheBytes: 9 << 20 });
    expect(cache.find('t/0', 0)).toBeUndefined();
    expect(cache.decoded.kept).toBe(0);
    cache.find('t/0', 9 * RECORDS)!.read(9 * RECORDS, ALL);
    expect(cache.decoded.kept).toBe(RECORDS);
  });
});
