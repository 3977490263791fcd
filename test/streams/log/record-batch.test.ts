import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../schemas/errors.js';
import type { LogRecord } from '../../../streams/log/event-log.js';
import { decodeBatch, encodeBatch, readBatchHeader, RecordBatchWriter } from '../../../streams/log/record-batch.js';

const LARGE = 2 ** 47;

const origin = fc.record({
  source: fc.string({ unit: 'grapheme', maxLength: 30 }),
  operator: fc.constantFrom('session', 'profile', 'co-visitation'),
  offset: fc.nat(LARGE),
  index: fc.nat(1000),
});

const body = fc.record({
  gap: fc.oneof(fc.constant(0), fc.nat(5), fc.nat(2 ** 33)),
  key: fc.oneof(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.string({ maxLength: 8 })),
  value: fc.uint8Array({ maxLength: 300 }),
  timestamp: fc.oneof(fc.constant(1_700_000_000_000), fc.nat(LARGE)),
  origin: fc.option(origin, { nil: undefined }),
});

const batches = fc
  .tuple(fc.nat(2 ** 40), fc.array(body, { minLength: 1, maxLength: 40 }))
  .map(([base, bodies]): LogRecord[] => {
    let offset = base - 1;
    return bodies.map(({ gap, key, value, timestamp, origin }) => {
      offset += 1 + gap;
      return { offset, key, value: Buffer.from(value), timestamp, origin };
    });
  });

describe('a record batch', () => {
  it('decodes to what was encoded', () => {
    fc.assert(
      fc.property(batches, (records) => {
        expect(decodeBatch(encodeBatch(records))).toEqual(records);
      }),
    );
  });

  it('knows any number of names, and none of those of the batch before', () => {
    for (const step of [1, 7]) {
      const records = Array.from({ length: 60 }, (_, i): LogRecord => {
        const origin = { source: `s${(i * step) % 30}`, operator: `o${(i * step) % 19}`, offset: i, index: 0 };
        return { offset: i, key: 'k', value: Buffer.from('v'), timestamp: 1, origin };
      });
      expect(decodeBatch(encodeBatch(records))).toEqual(records);
      expect(decodeBatch(encodeBatch(records.slice(0, 9)))).toEqual(records.slice(0, 9));
    }
  });

  it('can be decoded from any offset on', () => {
    fc.assert(
      fc.property(batches, fc.nat(), (records, pick) => {
        const from = records[pick % records.length]!.offset + (pick % 2);
        expect(decodeBatch(encodeBatch(records), from)).toEqual(records.filter(({ offset }) => offset >= from));
      }),
    );
  });

  it('says in its header what it holds', () => {
    fc.assert(
      fc.property(batches, (records) => {
        const header = readBatchHeader(encodeBatch(records));
        expect(header).toEqual({
          count: records.length,
          baseOffset: records[0]!.offset,
          lastOffset: records.at(-1)!.offset,
          firstTimestamp: records[0]!.timestamp,
          lastTimestamp: Math.max(...records.map(({ timestamp }) => timestamp)),
        });
      }),
    );
  });

  it('reports any changed byte behind the checksum as CODEC_CORRUPT', () => {
    fc.assert(
      fc.property(batches, fc.nat(), fc.integer({ min: 1, max: 255 }), (records, place, change) => {
        const batch = Buffer.from(encodeBatch(records));
        const at = 2 + (place % (batch.length - 2));
        batch[at] = batch[at]! ^ change;
        expect(codeOf(() => decodeBatch(batch))).toBe('CODEC_CORRUPT');
      }),
    );
  });

  it('reports a cut batch as CODEC_CORRUPT', () => {
    fc.assert(
      fc.property(batches, fc.nat(), (records, place) => {
        const batch = encodeBatch(records);
        expect(codeOf(() => decodeBatch(batch.subarray(0, place % batch.length)))).toBe('CODEC_CORRUPT');
      }),
    );
  });

  it('refuses a key with half a surrogate pair and stays usable', () => {
    const writer = new RecordBatchWriter();
    const value = Buffer.from('v');
    writer.add(0, 5, { key: 'a', value });
    expect(codeOf(() => writer.add(1, 5, { key: '\ud800', value }))).toBe('EVENT_INVALID');
    writer.add(1, 5, { key: 'b', value });
    expect(decodeBatch(writer.finish()).map(({ key }) => key)).toEqual(['a', 'b']);
  });
});

function codeOf(call: () => unknown): string | undefined {
  try {
    call();
  } catch (error) {
    return error instanceof EngineError ? error.code : String(error);
  }
  return undefined;
}
