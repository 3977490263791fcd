/** Blocks of columns: what a table holds afterwards is what the same rows as JSON would have left there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../../streams/clock.js';
import { openChdbWarehouse } from '../../../streams/warehouse/chdb-warehouse.js';
import { ByteWriter } from '../../../streams/warehouse/byte-writer.js';
import {
  type Column,
  FlagColumn,
  FloatColumn,
  IntegerColumn,
  LongColumn,
  UuidColumn,
} from '../../../streams/warehouse/column.js';
import { ColumnBlock } from '../../../streams/warehouse/column-block.js';
import { sliceOf } from '../../../streams/warehouse/utf8-slice.js';
import { ListColumn, MapColumn, NullableColumn } from '../../../streams/warehouse/nested-column.js';
import { TextColumn, WordColumn } from '../../../streams/warehouse/text-column.js';
import {
  isRowRejected,
  RECORD_COLUMNS,
  type Warehouse,
  type WarehouseRow,
  type WarehouseValue,
} from '../../../streams/warehouse/warehouse.js';

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
    await warehouse.execute(
      `CREATE TABLE ${table} (${RECORD_COLUMNS}, ${columns.join(', ')}) ENGINE = MergeTree ORDER BY _offset`,
    );
  }
});

afterAll(async () => {
  await warehouse.close();
  await rm(directory, { recursive: true, force: true });
});

const createColumns = () => ({
  text: new TextColumn(),
  word: new WordColumn(),
  small: new IntegerColumn('Int32'),
  count: new IntegerColumn('UInt32'),
  long: new LongColumn('Int64'),
  score: new FloatColumn(),
  flag: new FlagColumn(),
  id: new UuidColumn(),
  at: new LongColumn('DateTime64(3)'),
  maybe: new NullableColumn(new FloatColumn()),
  maybeId: new NullableColumn(new UuidColumn()),
  maybeAt: new NullableColumn(new LongColumn('DateTime64(3)')),
  texts: new ListColumn(new TextColumn()),
  words: new ListColumn(new WordColumn()),
  labels: new MapColumn(new WordColumn(), new WordColumn()),
  notes: new MapColumn(new WordColumn(), new TextColumn()),
});

const isNullable = (column: Column): column is NullableColumn<Column> => column instanceof NullableColumn;
const isList = (column: Column): column is ListColumn<Column> => column instanceof ListColumn;
const isMap = (column: Column): column is MapColumn<Column, Column> => column instanceof MapColumn;

/** One value at `count` rows from `row` on. */
function put(column: Column, row: number, count: number, value: WarehouseValue): void {
  if (isNullable(column)) {
    if (value !== null) put(column.at(row, count), row, count, value);
  } else if (isList(column)) {
    for (let i = row; i < row + count; i++) {
      const first = column.extend(i, (value as string[]).length);
      (value as string[]).forEach((element, n) => put(column.elements, first + n, 1, element));
    }
  } else if (isMap(column)) {
    for (let i = row; i < row + count; i++) {
      const entries = Object.entries(value as Record<string, string>);
      const first = column.extend(i, entries.length);
      entries.forEach(([key, each], n) => {
        put(column.keys, first + n, 1, key);
        put(column.values, first + n, 1, each);
      });
    }
  } else if (column instanceof TextColumn || column instanceof WordColumn) {
    column.put(row, count, sliceOf(value as string));
  } else if (column instanceof UuidColumn) {
    column.put(row, count, Buffer.from((value as string).replaceAll('-', ''), 'hex'));
  } else if (column instanceof FlagColumn) {
    column.put(row, count, value as boolean);
  } else if (column instanceof IntegerColumn || column instanceof LongColumn || column instanceof FloatColumn) {
    column.put(row, count, value instanceof Date ? value.getTime() : (value as number));
  }
}

/** Each of `rows` as often as its offset comes. */
function blockOf(rows: readonly WarehouseRow[], from: number, times: number): ColumnBlock {
  return fill(new ColumnBlock(createColumns()), rows, from, times);
}

function fill(block: ColumnBlock, rows: readonly WarehouseRow[], from: number, times: number): ColumnBlock {
  rows.forEach((row, i) => {
    for (const [name, value] of Object.entries(row)) {
      if (value !== undefined) put(block.columns[name]!, block.length, times, value);
    }
    block.addRows(from + i, times);
  });
  return block;
}

it('stores what JSON would have stored, whatever the values, whichever are missing and however often they come', async () => {
  const all = Object.keys(COLUMNS).join(', ');
  let next = 0;
  const blocks = fc.array(rowOf, { minLength: 1, maxLength: 40 });
  const stores = async (rows: readonly WarehouseRow[], times: number): Promise<void> => {
    const from = next;
    next += rows.length;
    const range = { topic: 'values', partition: 0, fromOffset: from, toOffset: next - 1 };
    await warehouse.insert('native', blockOf(rows, from, times), range);
    const placed = rows.flatMap((row, i) =>
      Array.from({ length: times }, (_, n) => ({ ...row, _offset: from + i, _outputId: n === 0 ? '' : String(n) })),
    );
    await warehouse.insert('json', placed, range);
    const stored = (table: string): Promise<object[]> =>
      warehouse.query(
        `SELECT _topic, _partition, _offset, _outputId, ${all} FROM ${table} WHERE _offset >= {from:UInt64} ORDER BY _offset, _outputId`,
        { from },
      );
    expect(await stored('native')).toEqual(await stored('json'));
  };
  await fc.assert(fc.asyncProperty(blocks, fc.integer({ min: 1, max: 3 }), stores), {
    numRuns: 25,
    endOnFailure: true,
  });
  // A dictionary beyond one byte of index.
  const many = Array.from({ length: 700 }, (_, i) => ({
    word: `w${i % 600}`,
    words: [`v${i}`],
    text: 'x'.repeat(i),
  }));
  await stores(many, 1);
});

it('is filled again as if it were new', async () => {
  const rows = fc.array(rowOf, { maxLength: 30 });
  const encoded = async (block: ColumnBlock) => {
    const { columns, bytes } = await block.encode({ _topic: 'values', _partition: 1 }, () => Promise.resolve());
    return { columns, bytes: Buffer.from(bytes) };
  };
  await fc.assert(
    fc.asyncProperty(rows, rows, fc.integer({ min: 1, max: 3 }), async (earlier, later, times) => {
      const used = fill(new ColumnBlock(createColumns()), earlier, 0, times);
      await encoded(used);
      expect(used.clear()).toBe(true);
      expect(await encoded(fill(used, later, 7, 1))).toEqual(await encoded(blockOf(later, 7, 1)));
    }),
  );
  const large = new ColumnBlock(createColumns());
  large.addRows(0, 10_000);
  expect(large.clear()).toBe(false);
});

it('stores what is missing of a block that was interrupted', async () => {
  const rows = Array.from({ length: 20 }, (_, i) => ({ text: `t${i}`, words: i % 3 === 0 ? ['a', `${i}`] : [] }));
  const range = { topic: 'torn', partition: 0, fromOffset: 0, toOffset: 19 };
  await warehouse.execute(
    `INSERT INTO native (_topic, _partition, _offset, text) SELECT 'torn', 0, number * 4, 'there' FROM numbers(5)`,
  );
  expect(await warehouse.insert('native', blockOf(rows, 0, 1), range)).toEqual({ rowsStored: 15, wasStored: true });
  const stored = await warehouse.query(`SELECT text, words FROM native WHERE _topic = 'torn' ORDER BY _offset`);
  expect(stored).toEqual(rows.map((row, i) => (i % 4 === 0 && i < 20 ? { text: 'there', words: [] } : row)));
  expect(await warehouse.insert('native', blockOf(rows, 0, 1), range)).toEqual({ rowsStored: 0, wasStored: true });
});

it('has the server refuse what does not fit the table, and says that a row is at fault', async () => {
  await warehouse.execute(`CREATE TABLE narrow (${RECORD_COLUMNS}, text Int32) ENGINE = MergeTree ORDER BY _offset`);
  const range = { topic: 'narrow', partition: 0, fromOffset: 0, toOffset: 0 };
  const error: unknown = await warehouse
    .insert('narrow', blockOf([{ text: 'x' }], 0, 1), range)
    .catch((e: unknown) => e);
  expect(isRowRejected(error)).toBe(true);
});

it('writes lengths and 64-bit numbers as ClickHouse reads them', () => {
  const out = new ByteWriter(1);
  out.varint(300);
  out.uint64(2 ** 40 + 5);
  out.text('é');
  expect([...out.take()]).toEqual([0xac, 0x02, 5, 0, 0, 0, 0, 1, 0, 0, 2, 0xc3, 0xa9]);
});
