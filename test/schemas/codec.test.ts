import avsc from 'avsc';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { AVRO_SCHEMAS } from '../../schemas/avro-schemas.js';
import { parseSchema } from '../../schemas/avro.js';
import {
  decodeRecord,
  encodeRecord,
  encodeRecordInto,
  isRecordOf,
  recordKindOf,
  viewRecord,
} from '../../schemas/codec.js';
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { DraftByKind, InteractionDraft, RecordKind } from '../../schemas/records.js';
import { arbitraryOf, completed } from './arbitrary.js';

const HEADER_BYTES = 10;

const interaction: InteractionDraft = {
  eventId: 'e-1',
  userId: 'u-1',
  ts: 1_760_000_000_000,
  receivedAt: 1_760_000_000_050,
  producerId: 'web',
  type: 'click',
  itemId: 'i-1',
};

// Built once: parsing 25 schemas for each run would be most of the time.
const anyDraft = fc.oneof(
  ...AVRO_SCHEMAS.map((schema) => {
    const type = avsc.Type.forSchema(JSON.parse(schema.schema) as avsc.Type);
    const { node } = parseSchema(schema.schema);
    return arbitraryOf(node).map((draft) => ({
      kind: schema.kind as RecordKind,
      draft: draft as DraftByKind[RecordKind],
      node,
      type,
    }));
  }),
);

const errorOf = (run: () => unknown): EngineError => {
  try {
    run();
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
  throw new Error('expected an EngineError');
};

describe('record codec', () => {
  it('gives back every draft of every kind, with defaults filled in and its kind', () => {
    fc.assert(
      fc.property(anyDraft, ({ kind, draft, node }) => {
        const bytes = encodeRecord(kind, draft);
        const record = decodeRecord(bytes);
        expect(record.kind).toBe(kind);
        expect(recordKindOf(bytes)).toBe(kind);
        expect({ ...record }).toEqual(completed(node, draft));
        // What was decoded can be written again, as the same bytes.
        expect(encodeRecord(kind, record as unknown as DraftByKind[RecordKind]).equals(bytes)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('writes the bytes that another implementation of Avro writes', () => {
    fc.assert(
      fc.property(anyDraft, ({ kind, draft, type }) => {
        // It cannot tell -x from x - 1 beyond 2^52, and writes lone surrogates as they are; both are not drawn here.
        fc.pre(!JSON.stringify(draft).match(/\d{16}/));
        expect(encodeRecord(kind, draft).subarray(HEADER_BYTES).equals(type.toBuffer(draft))).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('keeps kind off the enumerable fields, so that records compare and print as data', () => {
    const record = decodeRecord(encodeRecord('Interaction', interaction));
    expect(Object.keys(record)).not.toContain('kind');
    expect(isRecordOf(record, 'Interaction') && record.type).toBe('click');
    expect(isRecordOf(record, 'Tick')).toBe(false);
  });

  it('keeps integers exact up to 2^53 - 1 on both sides of zero', () => {
    for (const ts of [
      2 ** 52,
      2 ** 52 + 1,
      2 ** 53 - 1,
      -(2 ** 52) - 1,
      -(2 ** 53) + 1,
      2 ** 30,
      -(2 ** 30) - 1,
      -64,
    ]) {
      const record = decodeRecord(encodeRecord('Tick', { ts, ownerToken: '' }));
      expect({ ...record }).toEqual({ ts, ownerToken: '' });
    }
  });

  it('copies what it returns out of the bytes', () => {
    const bytes = encodeRecord('ItemEmbeddingState', {
      itemId: 'item-with-a-long-name-beyond-the-short-path',
      version: 1,
      space: 's',
      vector: Buffer.from([1, 2, 3]),
      updates: 0,
    });
    const record = decodeRecord(bytes);
    bytes.fill(0);
    expect(record).toMatchObject({
      itemId: 'item-with-a-long-name-beyond-the-short-path',
      vector: Buffer.from([1, 2, 3]),
    });
  });
});

describe('encodeRecordInto', () => {
  it('fits exactly or not at all, and touches nothing outside', () => {
    fc.assert(
      fc.property(anyDraft, fc.nat(5), ({ kind, draft }, position) => {
        const bytes = encodeRecord(kind, draft);
        const target = Buffer.alloc(position + bytes.length + 7, 0xee);
        expect(encodeRecordInto(kind, draft, target, position)).toBe(position + bytes.length);
        expect(target.subarray(position, position + bytes.length).equals(bytes)).toBe(true);
        expect(target.subarray(0, position).every((byte) => byte === 0xee)).toBe(true);
        expect(target.subarray(position + bytes.length).every((byte) => byte === 0xee)).toBe(true);
        const exact = target.subarray(0, position + bytes.length);
        expect(encodeRecordInto(kind, draft, exact, position)).toBe(position + bytes.length);
        expect(encodeRecordInto(kind, draft, exact.subarray(0, -1), position)).toBeLessThan(0);
      }),
      { numRuns: 150 },
    );
  });

  it('leaves the codec usable after a failure', () => {
    const target = Buffer.alloc(4);
    expect(encodeRecordInto('Interaction', interaction, target, 0)).toBeLessThan(0);
    expect(() => encodeRecordInto('Tick', { ts: NaN, ownerToken: '' }, Buffer.alloc(99), 0)).toThrow(EngineError);
    expect(decodeRecord(encodeRecord('Interaction', interaction))).toMatchObject(interaction);
  });
});

describe('invalid drafts', () => {
  it.each<[object, string]>([
    [{ ts: 1.5 }, 'Interaction.ts is 1.5; expected an integer within ±(2^53 - 1)'],
    [{ ts: 2 ** 53 }, 'Interaction.ts is 9007199254740992; expected an integer'],
    [{ ts: undefined }, 'Interaction.ts is undefined; expected an integer'],
    [{ value: NaN }, 'Interaction.value is NaN; expected a finite number'],
    [{ value: Infinity }, 'Interaction.value is Infinity; expected'],
    [{ type: 'stare' }, 'Interaction.type is "stare"; expected one of view, click'],
    [{ utcOffset: 2 ** 31 }, 'Interaction.utcOffset is 2147483648; expected an integer of 32 bits'],
    [{ userId: 'a\ud800' }, 'Interaction.userId is "a\\ud800"; expected text without lone surrogates'],
    [{ context: { attributes: { a: 1 } } }, 'Interaction.context.attributes["a"] is 1; expected text'],
    [
      { context: { attributes: JSON.parse('{"__proto__":"x"}') as object } },
      'keys of well-formed text other than __proto__',
    ],
    [
      { attribution: { requestId: 'r', assignments: [{ experiment: 'e', variant: 'v' }, {}] } },
      'Interaction.attribution.assignments[1].experiment is undefined; expected text',
    ],
  ])('%j are refused, naming the field, the value and what was expected', (change, message) => {
    const error = errorOf(() => encodeRecord('Interaction', { ...interaction, ...change }));
    expect(error.code).toBe('EVENT_INVALID');
    expect(error.message).toContain(message);
  });

  it('are refused whole as well', () => {
    expect(errorOf(() => encodeRecord('Tick', null as never)).message).toContain('Tick is null; expected an object');
    expect(errorOf(() => encodeRecord('Nothing' as never, {} as never)).code).toBe('EVENT_INVALID');
    expect(errorOf(() => encodeRecord('ItemPair', { weight: 1e39 } as never)).code).toBe('EVENT_INVALID');
  });

  it('never get another error than EVENT_INVALID, and a path whenever they are refused', () => {
    fc.assert(
      fc.property(anyDraft, fc.anything(), fc.nat(), ({ kind, draft }, junk, pick) => {
        const names = Object.keys(draft);
        const broken = { ...draft, [names[pick % names.length]!]: junk };
        try {
          expect(decodeRecord(encodeRecord(kind, broken as never)).kind).toBe(kind);
        } catch (error) {
          if (!isEngineError(error, 'EVENT_INVALID')) throw error;
          expect(error.message).toContain('; expected ');
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('hostile bytes', () => {
  it('decode to a record or to an EngineError, whatever is flipped, cut or added', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(anyDraft, damage, fc.nat(), fc.uint8Array({ maxLength: 3 }), ({ kind, draft }, flips, cut, tail) => {
        const whole = encodeRecord(kind, draft);
        const bytes = Buffer.concat([whole.subarray(0, whole.length - (cut % 3)), tail]);
        for (const [at, value] of flips) bytes[at % bytes.length] = value;
        try {
          expect(recordKindOf(bytes)).toBe(decodeRecord(bytes).kind);
        } catch (error) {
          if (!isEngineError(error, 'CODEC_CORRUPT', 'CODEC_UNKNOWN_SCHEMA')) throw error;
          expect(errorOf(() => viewRecord(bytes)).message).toBe(error.message);
          return;
        }
        expect(viewRecord(bytes).kind).toBe(recordKindOf(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it('are refused at every length short of the whole, and with anything behind it', () => {
    const bytes = encodeRecord('Interaction', { ...interaction, context: { attributes: { a: 'b' } } });
    for (let length = 0; length < bytes.length; length++) {
      expect(errorOf(() => decodeRecord(bytes.subarray(0, length))).code).toBe('CODEC_CORRUPT');
    }
    expect(errorOf(() => decodeRecord(Buffer.concat([bytes, Buffer.of(0)]))).message).toContain('1 bytes follow');
  });

  const header = (kind: RecordKind, draft: never): Buffer => encodeRecord(kind, draft).subarray(0, HEADER_BYTES);
  const hintHeader = header('FeedHint', { userId: '', generation: 0, partition: 0, offset: 0, eventIds: [] } as never);
  const hint = (...rest: number[]): Buffer => Buffer.concat([hintHeader, Buffer.from(rest)]);

  it.each([
    ['a length of 2^40', hint(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01)],
    ['a negative length', hint(0x03)],
    ['an array of 2^40 items', hint(0, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01)],
    ['an integer that never ends', hint(...new Array<number>(200).fill(0x80), 0)],
    ['an integer beyond 2^53', hint(0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)],
    ['an int beyond 32 bits', hint(0, 0, 0xfe, 0xff, 0xff, 0xff, 0x7f)],
  ])('with %s are refused before anything is allocated', (_, bytes) => {
    expect(errorOf(() => decodeRecord(bytes)).code).toBe('CODEC_CORRUPT');
    // The codec is whole afterwards.
    expect(decodeRecord(encodeRecord('Interaction', interaction))).toMatchObject(interaction);
  });

  it('with an unknown fingerprint name it', () => {
    const bytes = Buffer.from('c3010102030405060708ff', 'hex');
    const error = errorOf(() => decodeRecord(bytes));
    expect([error.code, error.message]).toEqual(['CODEC_UNKNOWN_SCHEMA', expect.stringContaining('0807060504030201')]);
    expect(recordKindOf(bytes)).toBeUndefined();
  });
});

describe('Confluent framing', () => {
  const tick = parseSchema(AVRO_SCHEMAS.find((schema) => schema.kind === 'Tick')!.schema);
  const framed = Buffer.concat([
    Buffer.from([0, 0, 0, 1, 2]),
    encodeRecord('Tick', { ts: 5, ownerToken: 'o' }).subarray(HEADER_BYTES),
  ]);

  it('is read through a lookup, also from a schema that differs', () => {
    expect(decodeRecord(framed, (id) => (id === 258 ? tick.canonical : undefined))).toMatchObject({ ts: 5 });
    const other = `{"type":"record","name":"Tick","namespace":"elsewhere","fields":[
      {"name":"extra","type":["null","string"]},{"name":"ownerToken","type":"string"},{"name":"ts","type":"int"}]}`;
    const bytes = Buffer.from([0, 0, 0, 0, 9, 2, 2, 120, 2, 111, 10]);
    let lookups = 0;
    const lookup = (): string => (lookups++, other);
    for (let i = 0; i < 3; i++) {
      const record = decodeRecord(bytes, lookup);
      expect([record.kind, { ...record }]).toEqual(['Tick', { ts: 5, ownerToken: 'o' }]);
    }
    expect(recordKindOf(bytes, lookup)).toBe('Tick');
    expect(lookups).toBe(1);
  });

  it('without a lookup, or of a schema that is not ours, is an unknown schema', () => {
    expect(errorOf(() => decodeRecord(framed)).message).toContain('no schema registry is configured');
    expect(errorOf(() => decodeRecord(framed, () => undefined)).code).toBe('CODEC_UNKNOWN_SCHEMA');
    expect(errorOf(() => decodeRecord(framed, () => '"string"')).code).toBe('CODEC_UNKNOWN_SCHEMA');
    expect(recordKindOf(framed)).toBeUndefined();
  });
});
