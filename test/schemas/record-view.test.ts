/** Views: the places in the bytes are where the texts, bytes and maps of the decoded record lie. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseSchema } from '../../schemas/avro.js';
import { AVRO_SCHEMAS } from '../../schemas/avro-schemas.js';
import { BinaryType } from '../../schemas/binary-type.js';
import { decodeRecord, encodeRecord, viewRecord } from '../../schemas/codec.js';
import type { DraftByKind, RecordKind } from '../../schemas/records.js';
import { lengthAt, mapAt, type RecordView, TextCursor, type TextPlace } from '../../schemas/record-view.js';
import { arbitraryOfSchema } from './arbitrary.js';

const cursor = new TextCursor();

/** What a view says at the places of a decoded value. */
function seen(view: unknown, value: unknown, bytes: Buffer): unknown {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return view;
  if (typeof value === 'string') return view === value ? value : cursor.moveTo(bytes, view as TextPlace).text;
  if (Buffer.isBuffer(value)) return lengthAt(bytes, view as number) === value.length ? value : view;
  if (Array.isArray(value)) return value.map((each, i) => seen((view as unknown[])[i], each, bytes));
  if (typeof view === 'number') return Object.fromEntries(mapAt(bytes, view));
  const entries = Object.entries(value as object);
  return Object.fromEntries(entries.map(([name, each]) => [name, seen((view as never)[name], each, bytes)]));
}

it('finds every text, map and length of every kind where it lies', () => {
  const drafts = AVRO_SCHEMAS.map(({ kind, schema }) =>
    arbitraryOfSchema(schema).map((draft) => ({ kind: kind as RecordKind, draft: draft as DraftByKind[RecordKind] })),
  );
  fc.assert(
    fc.property(fc.oneof(...drafts), ({ kind, draft }) => {
      const bytes = encodeRecord(kind, draft);
      const record = decodeRecord(bytes);
      const view = viewRecord(bytes);
      expect(view.kind).toBe(kind);
      expect(seen(view, record, bytes)).toEqual({ ...record });
    }),
    { numRuns: 1_000 },
  );
});

it('has the defaults of what an older writer left out, and reads what it wrote in another type', () => {
  const field = (name: string, type: unknown, rest: object = {}) => ({ name, type, ...rest });
  const record = (...fields: object[]) => ({ type: 'record', name: 'R', fields });
  const writer = record(
    field('gone', { type: 'map', values: 'string' }),
    field('text', 'bytes'),
    field('count', 'int'),
  );
  const reader = record(
    field('text', 'string'),
    field('count', 'double'),
    field('word', 'string', { default: 'usual' }),
    field('maybe', ['null', 'string'], { default: null }),
    field('words', { type: 'array', items: 'string' }, { default: ['a'] }),
    field('labels', { type: 'map', values: 'string' }, { default: { a: 'b' } }),
  );
  const older = new BinaryType<object>('R', parseSchema(writer));
  type Read = {
    text: string;
    count: number;
    word: string;
    maybe: string | null;
    words: string[];
    labels: Record<string, string>;
  };
  const newer = new BinaryType<Read>('R', parseSchema(reader));
  const bytes = older.encode({ gone: { x: 'y' }, text: Buffer.from('tëxt'), count: 3 });
  const view: RecordView<Read> = newer.viewerOf(parseSchema(writer))(bytes);
  expect(cursor.moveTo(bytes, view.text).text).toBe('tëxt');
  expect([view.count, view.maybe]).toEqual([3, null]);
  expect(cursor.moveTo(bytes, view.word).text).toBe('usual');
  expect(cursor.moveTo(bytes, view.words[0]!).text).toBe('a');
  expect([...mapAt(bytes, view.labels)]).toEqual([['a', 'b']]);
});

it('makes of bytes that are no UTF-8 what decoding makes of them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (tail) => {
      const text = Buffer.concat([Buffer.from('é'), tail]);
      const type = new BinaryType<{ text: string }>(
        'R',
        parseSchema({ type: 'record', name: 'R', fields: [{ name: 'text', type: 'string' }] }),
      );
      const raw = new BinaryType<object>(
        'R',
        parseSchema({ type: 'record', name: 'R', fields: [{ name: 'text', type: 'bytes' }] }),
      );
      const bytes = raw.encode({ text });
      const view = type.viewerOf(type.schema)(bytes);
      expect(cursor.moveTo(bytes, view.text).text).toBe(type.decode(bytes).text);
    }),
  );
});

it('keeps the last of equal keys, as an object does', () => {
  const bytes = Buffer.of(4, 2, 97, 2, 98, 2, 97, 2, 99, 0);
  expect([...mapAt(bytes, 0)]).toEqual([['a', 'c']]);
});
