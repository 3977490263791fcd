/** Blocks in ClickHouse's Native format: what a table holds afterwards is what the same rows as JSON would have left there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../../streams/clock.js';
import { openChdbWarehouse } from '../../../streams/warehouse/chdb-warehouse.js';
import { ByteWriter } from '../../../streams/warehouse/byte-writer.js';
import { NativeBlockEncoder, type TableColumn } from '../../../streams/warehouse/native-block.js';
import { RECORD_COLUMNS, type Warehouse, type WarehouseRow } from '../../../streams/warehouse/warehouse.js';

const WORD = 'LowCardinality(String)';
const COLUMNS: Readonly<Record<string, string>> = {
  text: 'String',
  word: WORD,
  small: 'Int32',
  count: 'UInt32',
  long: 'Int64',
  score: 'Float64',
  flag: 'Bool',
  id: 'UUID',
  at: 'DateTime64(3)',
  maybe: 'Nullable(Float64)',
  maybeId: 'Nullable(UUID)',
  maybeAt: 'Nullable(DateTime64(3))',
  texts: 'Array(String)',
  words: `Array(${WORD})`,
  labels: `Map(${WORD}, ${WORD})`,
  notes: `Map(${WORD}, String)`,
};
/** Stays as it is in JSON, too: what a row leaves out is the server's to fill, and so goes as JSON. */
const JSON_ONLY = 'made';

const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.constant('ä'.repeat(200)));
const word = fc.oneof(fc.constantFrom('', 'red', 'grün'), fc.string({ unit: 'grapheme', maxLength: 5 }));
const at = fc.integer({ min: Date.UTC(1900, 0, 2), max: Date.UTC(2299, 0, 1) }).map((ms) => new Date(ms));
const double = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 }).map((n) => Math.round(n) / 4);
const rowOf = fc.record(
  {
    text,
    word,
    small: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    count: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    long: fc.maxSafeInteger(),
    score: double,
    flag: fc.boolean(),
    id: fc.uuid(),
    at,
    maybe: fc.option(double),
    maybeId: fc.option(fc.uuid()),
    maybeAt: fc.option(at),
    texts: fc.array(text, { maxLength: 4 }),
    words: fc.array(word, { maxLength: 4 }),
    labels: fc.dictionary(word, word, { maxKeys: 3 }),
    notes: fc.dictionary(word, text, { maxKeys: 3 }),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<WarehouseRow>;

let directory: string;
let warehouse: Warehouse;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'freshet-native-'));
  warehouse = await openChdbWarehouse({ directory, clock: systemClock });
  const columns = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type}`);
  for (const table of ['native', 'json']) {
    const made = table === 'json' ? `, ${JSON_ONLY} Float32` : '';
    await warehouse.execute(
      `CREATE TABLE ${table} (${RECORD_COLUMNS}, ${columns.join(', ')}${made}) ENGINE = MergeTree ORDER BY _offset`,
    );
  }
});

afterAll(async () => {
  await warehouse.close();
  await rm(directory, { recursive: true, force: true });
});

const columns: readonly TableColumn[] = [
  { name: '_offset', type: 'UInt64', hasDefault: false },
  { name: '_outputId', type: 'String', hasDefault: false },
  ...Object.entries(COLUMNS).map(([name, type]) => ({ name, type, hasDefault: false })),
];
const encode = (rows: readonly WarehouseRow[], known = columns) =>
  new NativeBlockEncoder(known).encode(rows, {}, () => Promise.resolve());

it('stores what JSON would have stored, whatever the values and whichever are missing', async () => {
  const all = Object.keys(COLUMNS).join(', ');
  let next = 0;
  const blocks = fc.array(rowOf, { minLength: 1, maxLength: 40 });
  const stores = async (rows: readonly WarehouseRow[]): Promise<void> => {
    const from = next;
    next += rows.length;
    const range = { topic: 'values', partition: 0, fromOffset: from, toOffset: next - 1 };
    const placed = rows.map((row, i) => ({ ...row, _offset: from + i, _outputId: '' }));
    expect(await encode(placed)).toBeDefined();
    await warehouse.insert('native', placed, range);
    // A column of a type that is not written natively sends the whole block as JSON.
    await warehouse.insert(
      'json',
      placed.map((row) => ({ ...row, [JSON_ONLY]: 1 })),
      range,
    );
    const stored = (table: string): Promise<object[]> =>
      warehouse.query(`SELECT ${all} FROM ${table} WHERE _offset >= {from:UInt64} ORDER BY _offset`, { from });
    expect(await stored('native')).toEqual(await stored('json'));
  };
  await fc.assert(fc.asyncProperty(blocks, stores), { numRuns: 25, endOnFailure: true });
  // A dictionary beyond one byte of index.
  await stores(Array.from({ length: 700 }, (_, i) => ({ word: `w${i % 600}`, words: [`v${i}`], text: 'x'.repeat(i) })));
});

it('gives no block for what is not plainly of its type: the server judges it as JSON', async () => {
  const wrong: readonly WarehouseRow[] = [
    { text: 7 },
    { text: null },
    { word: true },
    { small: 2 ** 31 },
    { small: 1.5 },
    { count: -1 },
    { long: '9007199254740993' },
    { score: Infinity },
    { flag: 1 },
    { id: 'no-uuid' },
    { id: 'g0000000-0000-0000-0000-000000000000' },
    { at: '2024-01-01' },
    { at: new Date(Date.UTC(2400, 0, 1)) },
    { texts: 'a' },
    { words: [null] },
    { labels: ['a'] },
    { unknown: 1 },
  ];
  for (const row of wrong) expect(await encode([{ text: 'fits' }, row]), JSON.stringify(row)).toBeUndefined();
});

it('leaves defaults to the server where a table computes them', async () => {
  const known = columns.map((column) => (column.name === 'small' ? { ...column, hasDefault: true } : column));
  expect((await encode([{ text: 'a' }], known))?.columns).toEqual(['text']);
  expect((await encode([{ small: 1 }, { small: 2 }], known))?.columns).toEqual(['small']);
  expect(await encode([{ small: 1 }, { text: 'a' }], known)).toBeUndefined();
});

it('writes lengths and 64-bit numbers as ClickHouse reads them', () => {
  const out = new ByteWriter(1);
  out.varint(300);
  out.uint64(2 ** 40 + 5);
  out.text('é');
  expect([...out.take()]).toEqual([0xac, 0x02, 5, 0, 0, 0, 0, 1, 0, 0, 2, 0xc3, 0xa9]);
});
