/** From records to rows: one row per thing, nothing that names a person. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TABLE_MAPPINGS } from '../../../jobs/warehouse/rows.js';
import { MONTHS_PER_INSERT_MAX } from '../../../jobs/warehouse/table-block.js';
import type { TableName } from '../../../jobs/warehouse/tables.js';
import { AVRO_SCHEMAS } from '../../../schemas/avro-schemas.js';
import { encodeRecord } from '../../../schemas/codec.js';
import type { DraftByKind, RecordKind } from '../../../schemas/records.js';
import { arbitraryOfSchema } from '../../schemas/arbitrary.js';
import { appendedAt, createBlock, expectedRows, fillBlock, pseudonyms, rowsIn, storedRows } from './stored-rows.js';
import { asText } from './text-slice.js';

const at = appendedAt;
const { user, session, event: eventPseudonym } = asText(pseudonyms);

const rowsOf = <K extends RecordKind>(table: TableName, kind: K, draft: DraftByKind[K]) =>
  storedRows(table, [encodeRecord(kind, draft)]);

const event = { eventId: 'e-ann-1', userId: 'ann', ts: at, receivedAt: at, producerId: 'shop' };

describe('rows of records', () => {
  it('gives an interaction one row, with what it answers, and leaves out what is not known', async () => {
    const [row, ...others] = await rowsOf('interactions', 'Interaction', {
      ...event,
      type: 'click',
      itemId: 'i1',
      sessionId: 's1',
      anonymousId: 'cookie',
      context: { device: 'phone', latitude: 1.5, page: '/users/ann' },
      attribution: { requestId: 'r1', position: 2, versions: { models: { als: '3' } } },
    });
    expect(others).toEqual([]);
    expect(row).toMatchObject({
      appendedAt: new Date(at),
      ts: new Date(at),
      receivedAt: new Date(at),
      eventId: eventPseudonym('e-ann-1'),
      user: user('ann'),
      anonymousUser: user('cookie'),
      session: session('ann', 's1'),
      producer: 'shop',
      type: 'click',
      itemId: 'i1',
      device: 'phone',
      os: '',
      value: null,
      requestId: 'r1',
      position: 2,
      models: { als: '3' },
    });
  });

  it('gives every place of an impression and every outcome of a reward a row', async () => {
    const slate = [
      { itemId: 'i1', position: 0, propensity: 0.5, source: 'trending' },
      { itemId: 'i2', position: 1 },
    ];
    const shown = { ...event, stage: 'viewed', requestId: 'r1', placement: 'home', slate } as const;
    const assignments = [{ experiment: 'ranker', variant: 'b' }];
    const places = await rowsOf('impressions', 'Impression', { ...shown, assignments });
    expect(places).toMatchObject([
      { itemId: 'i1', position: 0, propensity: 0.5, source: 'trending', slateSize: 2, assignments: { ranker: 'b' } },
      { itemId: 'i2', position: 1, stage: 'viewed', requestId: 'r1', placement: 'home' },
    ]);
    expect(places[1]!['propensity']).toBeNull();
    const outcomes = [
      { itemId: 'i1', position: 0, reward: 1, feedback: ['click' as const] },
      { itemId: 'i2', position: 1, reward: 0, feedback: [] },
    ];
    const reward = { userId: 'ann', requestId: 'r1', placement: 'home', viewedAt: at, settledAt: at + 1, outcomes };
    expect(await rowsOf('rewards', 'Reward', reward)).toMatchObject([
      { itemId: 'i1', reward: 1, feedback: ['click'] },
      { itemId: 'i2', reward: 0, feedback: [] },
    ]);
  });

  it('stores nothing of a person who refused analytics', async () => {
    const consent = { personalization: true, analytics: false };
    expect(await rowsOf('interactions', 'Interaction', { ...event, type: 'view', itemId: 'i', consent })).toEqual([]);
    const asked = { personalization: false, analytics: true };
    expect(
      await rowsOf('interactions', 'Interaction', { ...event, type: 'view', itemId: 'i', consent: asked }),
    ).toHaveLength(1);
  });

  it('never shows an id of a person, whatever the record', async () => {
    const reason = `userId is "ann"; expected text, and 'ann' is cut off: "ann`;
    const letter = {
      topic: 'default.user-events',
      partition: 0,
      offset: 9,
      key: 'ann',
      code: 'EVENT_INVALID',
      reason,
      at,
    };
    const session = { userId: 'ann', sessionId: 'ann-1', revision: 0, start: at, end: at, durationMs: 0, pageViews: 1 };
    const rows = [
      ...(await rowsOf('dead_letters', 'DeadLetter', { ...letter, value: Buffer.from('ann') })),
      ...(await rowsOf('interactions', 'Interaction', { ...event, anonymousId: 'ann', type: 'view', itemId: 'i' })),
      ...(await rowsOf('sessions', 'SessionClosed', {
        ...{ ...session, interactions: 0, conversions: 0, bounced: true, lastItems: [], categories: [] },
      })),
    ];
    expect(rows).toHaveLength(3);
    expect(JSON.stringify(rows)).not.toContain('ann');
    expect(rows[0]).toMatchObject({ reason: 'userId is …; expected text, and … is cut off: …', valueBytes: 3 });
  });

  it('marks deleted items and keeps times inside what a column can hold', async () => {
    const gone = { eventId: 'e', itemId: 'i', ts: 9e15 - 1, receivedAt: at, producerId: 'p' };
    expect(await rowsOf('items', 'ItemDelete', gone)).toMatchObject([
      { itemId: 'i', deleted: true, ts: new Date(Date.UTC(2299, 11, 31)) },
    ]);
  });
});

const KINDS = TABLE_MAPPINGS.flatMap(({ table, kinds }) => [...kinds.keys()].map((kind) => ({ table, kind })));

/** As it is, or with a byte changed, cut off or added. */
const damaged = (value: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> =>
  fc
    .record({ bytes: value, cut: fc.nat(), byte: fc.nat({ max: 255 }), how: fc.nat({ max: 6 }) })
    .map(({ bytes, cut, byte, how }) => {
      const at = 10 + (cut % Math.max(1, bytes.length - 10));
      if (how === 0) return bytes.subarray(0, at);
      if (how === 1) return Buffer.concat([bytes, Buffer.of(byte)]);
      if (how > 3) return bytes;
      const changed = Buffer.from(bytes);
      changed[at] = byte;
      return changed;
    });

describe.each(KINDS)('columns of $table, filled from the bytes of $kind', ({ table, kind }) => {
  const { schema } = AVRO_SCHEMAS.find((candidate) => candidate.kind === kind)!;
  const encoded = arbitraryOfSchema(schema).map((draft) => encodeRecord(kind, draft as DraftByKind[RecordKind]));

  it('hold what the decoded records say, whatever they are, and nothing of bytes that are no record', async () => {
    const values = fc.array(damaged(encoded), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(values, async (records) => {
        expect(await storedRows(table, records)).toEqual(expectedRows(table, records));
      }),
      { numRuns: 150 },
    );
  });

  it('can be picked from, row by row', async () => {
    const values = fc.array(encoded, { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(values, fc.array(fc.boolean(), { minLength: 40 }), async (records, kept) => {
        let row = 0;
        const picked = fillBlock(table, records).rows.filter(() => kept[row++ % kept.length]!);
        const expected = expectedRows(table, records).filter((_, i) => kept[i % kept.length]);
        expect(await rowsIn(table, picked)).toEqual(expected);
        expect([...picked].map(({ _offset }) => _offset)).toEqual(expected.map((each) => each['_offset']));
      }),
      { numRuns: 50 },
    );
  });
});

describe('a block of a table', () => {
  const record = (offset: number, ts: number, places = 1) => {
    const slate = Array.from({ length: places }, (_, position) => ({ itemId: 'i', position }));
    const shown = { ...event, ts, stage: 'viewed', requestId: 'r', placement: 'p', slate } as const;
    return { topic: 't', partition: 0, offset, timestamp: at, value: encodeRecord('Impression', shown) };
  };

  it('takes records up to its limit of rows, each as a whole, and one that is larger alone', () => {
    const block = createBlock('impressions', 10);
    expect([0, 1, 2].map((offset) => block.append(record(offset, at, 4)))).toEqual(['taken', 'taken', 'full']);
    expect(block.rows.length).toBe(8);
    expect(createBlock('impressions', 10).append(record(0, at, 40))).toBe('taken');
  });

  it('takes as many months as ClickHouse stores in one insert, in whatever order', () => {
    const block = createBlock('impressions');
    const month = (i: number) => Date.UTC(2000, (i * 7) % MONTHS_PER_INSERT_MAX, 1 + (i % 28));
    for (let i = 0; i < 500; i++) expect(block.append(record(i, month(i)))).toBe('taken');
    expect(block.append(record(500, Date.UTC(2000, MONTHS_PER_INSERT_MAX, 1)))).toBe('full');
    expect(block.append(record(500, month(3)))).toBe('taken');
  });

  it('passes over what gives no row, and takes an offset that is to count as stored', () => {
    const block = createBlock('impressions');
    const place = { topic: 't', partition: 0, offset: 7, timestamp: at };
    expect(block.append({ ...place, value: Buffer.from('no record') })).toBe('passed');
    expect(block.append(record(7, at, 0))).toBe('passed');
    expect(block.append({ ...place, value: undefined })).toBe('taken');
    expect(block.rows.length).toBe(0);
  });
});
