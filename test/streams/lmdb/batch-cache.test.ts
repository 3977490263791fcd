import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BatchCache } from '../../../streams/lmdb/batch-cache.js';

const BYTES_MAX = 1_000;

/** A batch of a partition: how many records, and bytes of its own that tell it from all others. */
interface Put {
  readonly partition: string;
  readonly records: number;
  readonly size: number;
}

const puts = fc.array(
  fc.record({
    partition: fc.constantFrom('a', 'b', 'c'),
    records: fc.integer({ min: 1, max: 5 }),
    size: fc.integer({ min: 1, max: 130 }),
  }),
  { maxLength: 120, size: 'max' },
);

it('has for every offset the batch that holds it, or nothing; and has the latest', () => {
  fc.assert(
    fc.property(puts, fc.array(fc.nat()), (batches, removals) => {
      const cache = new BatchCache(BYTES_MAX);
      const ends = new Map<string, number>();
      const held: { put: Put; baseOffset: number; endOffset: number; bytes: Buffer; isRemoved: boolean }[] = [];
      batches.forEach((put, i) => {
        const baseOffset = ends.get(put.partition) ?? 0;
        const endOffset = baseOffset + put.records;
        ends.set(put.partition, endOffset);
        const bytes = Buffer.alloc(put.size, i);
        cache.put(put.partition, { baseOffset, endOffset }, bytes);
        held.push({ put, baseOffset, endOffset, bytes, isRemoved: false });
        const removed = held[removals[i] ?? -1];
        if (removed !== undefined) {
          cache.remove(removed.put.partition, removed.baseOffset);
          removed.isRemoved = true;
        }
      });
      let sinceBytes = 0;
      for (const { put, baseOffset, endOffset, bytes, isRemoved } of held.reverse()) {
        sinceBytes += put.size;
        for (let offset = baseOffset; offset < endOffset; offset++) {
          const found = cache.get(put.partition, offset, Buffer);
          if (found !== undefined) expect(found).toEqual(bytes);
          // A larger one is never kept; nor is, for certain, what the end of the ring was too short for.
          const mustHave = !isRemoved && put.size <= BYTES_MAX / 8 && sinceBytes <= BYTES_MAX * (3 / 4);
          if (mustHave) expect(found).toBeDefined();
          if (isRemoved) expect(found).toBeUndefined();
        }
      }
      for (const [partition, end] of ends) expect(cache.get(partition, end, Buffer)).toBeUndefined();
    }),
  );
});

it('hands out copies, which stay what they were', () => {
  const cache = new BatchCache(BYTES_MAX);
  cache.put('a', { baseOffset: 0, endOffset: 1 }, Buffer.alloc(100, 1));
  const found = cache.get('a', 0, Buffer)!;
  for (let i = 1; i <= 30; i++) cache.put('a', { baseOffset: i, endOffset: i + 1 }, Buffer.alloc(100, 2));
  expect(found).toEqual(Buffer.alloc(100, 1));
  expect(cache.get('a', 0, Buffer)).toBeUndefined();
});
