import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isEngineError } from '../../../schemas/errors.js';
import type { OutgoingRecord } from '../../../streams/log/event-log.js';
import { crc32c } from '../../../streams/kafka/crc32c.js';
import { decodeRecords, RecordBatchBuilder, splitBatches } from '../../../streams/kafka/record-batch.js';
import { putVarint, varintSize, WireReader } from '../../../streams/kafka/wire.js';

const producer = { id: 4_000_000_000, epoch: 3 };

function seal(
  records: readonly OutgoingRecord[],
  compression: 'none' | 'gzip' | 'snappy' = 'none',
  isTable = false,
): Buffer {
  const builder = new RecordBatchBuilder(isTable);
  records.forEach((record, i) => builder.add(record, 1_700_000_000_000 + i));
  return builder.seal({ producer, sequence: 17, transactional: false, compression });
}

const records = fc.array(
  fc.record({
    key: fc.string({ unit: 'grapheme', maxLength: 20 }),
    value: fc.uint8Array({ maxLength: 300 }),
    origin: fc.option(
      fc.record({
        source: fc.constantFrom('1/default.user-events/3', 'import/ü'),
        operator: fc.constantFrom('session', 'reward'),
        offset: fc.nat(2 ** 48),
        index: fc.nat(1_000),
      }),
      { nil: undefined },
    ),
  }),
  { minLength: 1, maxLength: 40 },
);

describe('a record batch', () => {
  it.each(['none', 'gzip', 'snappy'] as const)('gives back what was put in (compression %s)', (compression) => {
    fc.assert(
      fc.property(records, (list) => {
        const [batch] = splitBatches(seal(list, compression));
        expect(batch).toMatchObject({ producerId: producer.id, lastOffset: list.length - 1, isControl: false });
        const expected = list.map(({ key, value, origin }, i) => {
          return { offset: i, key, value: Buffer.from(value), timestamp: 1_700_000_000_000 + i, origin };
        });
        expect(decodeRecords(batch!)).toEqual(expected);
      }),
    );
  });

  it('writes empty values of tables as tombstones and reads them as empty', () => {
    const [batch] = splitBatches(seal([{ key: 'a', value: Buffer.alloc(0) }], 'none', true));
    // Length -1, in zig-zag, before the empty list of headers.
    expect(batch!.bytes.at(-2)).toBe(1);
    expect(decodeRecords(batch!)[0]!.value.length).toBe(0);
  });

  it('leaves out a batch that was cut, and refuses a damaged one', () => {
    const bytes = seal([{ key: 'a', value: Buffer.from('value') }]);
    expect(splitBatches(Buffer.concat([bytes, bytes.subarray(0, 70)])).length).toBe(1);
    const damaged = Buffer.from(bytes);
    damaged[damaged.length - 3]! ^= 1;
    const [batch] = splitBatches(damaged);
    expect(() => decodeRecords(batch!)).toThrow(expect.toSatisfy((error) => isEngineError(error, 'CODEC_CORRUPT')));
  });

  it('never reads beyond the bytes it has, whatever they are', () => {
    fc.assert(
      fc.property(records, fc.nat(), fc.nat(255), (list, place, byte) => {
        const bytes = seal(list);
        bytes[61 + (place % (bytes.length - 61))] = byte;
        bytes.writeUInt32BE(crc32c(bytes, 21), 17);
        try {
          for (const batch of splitBatches(bytes)) decodeRecords(batch);
        } catch (error) {
          expect(isEngineError(error, 'CODEC_CORRUPT')).toBe(true);
        }
      }),
    );
  });
});

describe('the wire', () => {
  it('has the checksum of the standard', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  });

  it('reads back the integers it writes, in the bytes it said', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        // Zig-zag doubles; a sum with 0 is never -0.
        const half = Math.trunc(value / 2) + 0;
        const buffer = Buffer.alloc(12);
        const end = putVarint(buffer, half, 0);
        expect(end).toBe(varintSize(half));
        expect(new WireReader(buffer.subarray(0, end)).varint()).toBe(half);
      }),
    );
  });
});
