/**
 * What every Warehouse adapter must do, as one suite over a factory of fresh warehouses.
 *
 * An adapter that can be crashed also proves that nothing is doubled or lost when its process dies between inserts and
 * within one.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isEngineError } from '../../../schemas/errors.js';
import { systemClock } from '../../../streams/clock.js';
import {
  type BlockRange,
  type BlockRow,
  isRowRejected,
  RECORD_COLUMNS,
  type Warehouse,
} from '../../../streams/warehouse/warehouse.js';

export interface WarehousePlace {
  /** Opens the same data again and again; the one opened before is closed first. */
  open(): Promise<Warehouse>;
  /** Ends the process behind the warehouse without warning. */
  crash?(): void;
  /** Closes and removes everything. */
  dispose(): Promise<void>;
}

export function describeWarehouse(name: string, createPlace: () => Promise<WarehousePlace>): void {
  describe(name, () => {
    let place: WarehousePlace;
    let warehouse: Warehouse;

    beforeAll(async () => {
      place = await createPlace();
      warehouse = await place.open();
    });

    afterAll(async () => {
      await warehouse.close();
      await place.dispose();
    });

    const createTable = async (table: string, tail = 'ENGINE = MergeTree ORDER BY (_topic, _partition, _offset)') => {
      await warehouse.execute(
        `CREATE TABLE ${table} (${RECORD_COLUMNS}, word String, score Float64, at DateTime64(3)) ${tail}`,
      );
    };
    const offsetsOf = async (table: string): Promise<number[]> =>
      (await warehouse.query<{ o: number }>(`SELECT _offset AS o FROM ${table} ORDER BY o`)).map((row) => row.o);

    it('stores a block with the columns that place it in the log', async () => {
      await createTable('stored');
      const outcome = await warehouse.insert('stored', block(3, 4), range(3, 4));
      expect(outcome).toEqual({ rowsStored: 2, wasStored: false });
      expect(await warehouse.query('SELECT * FROM stored ORDER BY _offset LIMIT 1')).toEqual([
        {
          _topic: 'clicks',
          _partition: 0,
          _offset: 3,
          _outputId: '',
          word: 'word 3',
          score: 1.5,
          at: '2023-11-14 22:13:20.003',
        },
      ]);
    });

    it('does not store a block again, wholly or in part, and stores what is new in it', async () => {
      await createTable('again');
      await warehouse.insert('again', block(0, 9), range(0, 9));
      expect(await warehouse.insert('again', block(0, 9), range(0, 9))).toEqual({ rowsStored: 0, wasStored: true });
      expect(await warehouse.insert('again', block(5, 12), range(5, 12))).toEqual({ rowsStored: 3, wasStored: true });
      expect(await offsetsOf('again')).toEqual(offsets(0, 12));
      expect(await warehouse.position('again', 'clicks', 0)).toBe(12);
    });

    it('stores a block once when it is sent many times at once', async () => {
      await createTable('at_once');
      const outcomes = await Promise.all(
        offsets(1, 5).map(() => warehouse.insert('at_once', block(0, 99), range(0, 99))),
      );
      expect(outcomes.reduce((sum, outcome) => sum + outcome.rowsStored, 0)).toBe(100);
      expect(await offsetsOf('at_once')).toHaveLength(100);
    });

    it('leaves out rows that an attempt stored before it was interrupted', async () => {
      await createTable('torn', 'ENGINE = MergeTree PARTITION BY _offset % 4 ORDER BY _offset');
      // What a crash between the table partitions of one insert leaves behind: rows, and no position.
      await warehouse.execute(`INSERT INTO torn SELECT 'clicks', 0, number * 4, '', 'torn', 0, 0 FROM numbers(5)`);
      expect(await warehouse.position('torn', 'clicks', 0)).toBeUndefined();
      expect(await warehouse.insert('torn', block(0, 19), range(0, 19))).toEqual({ rowsStored: 15, wasStored: true });
      expect(await offsetsOf('torn')).toEqual(offsets(0, 19));
    });

    it('leaves them out also where its own blocks end before those of the attempt', async () => {
      await createTable('shorter');
      await warehouse.execute(`INSERT INTO shorter SELECT 'clicks', 0, number, '', 'shorter', 0, 0 FROM numbers(20)`);
      expect(await warehouse.position('shorter', 'clicks', 0)).toBeUndefined();
      expect(await warehouse.insert('shorter', block(0, 9), range(0, 9))).toEqual({ rowsStored: 0, wasStored: true });
      expect(await warehouse.insert('shorter', block(10, 14), range(10, 14))).toMatchObject({ rowsStored: 0 });
      expect(await warehouse.insert('shorter', block(15, 29), range(15, 29))).toMatchObject({ rowsStored: 10 });
      expect(await offsetsOf('shorter')).toEqual(offsets(0, 29));
    });

    it('keeps several rows of one offset apart by their output id', async () => {
      await createTable('outputs');
      const rows = ['a', 'b'].map((_outputId) => ({ ...block(7, 7)[0]!, _outputId }));
      await warehouse.insert('outputs', rows, range(7, 7));
      expect(await offsetsOf('outputs')).toEqual([7, 7]);
    });

    it('moves the position over offsets without rows, and keeps partitions and topics apart', async () => {
      await createTable('positions');
      await warehouse.insert('positions', [], range(0, 41));
      await warehouse.insert('positions', block(5, 6), { ...range(5, 6), partition: 1 });
      expect(await warehouse.position('positions', 'clicks', 0)).toBe(41);
      expect(await warehouse.position('positions', 'clicks', 1)).toBe(6);
      expect(await warehouse.position('positions', 'views', 0)).toBeUndefined();
      expect(await warehouse.position('stored', 'clicks', 1)).toBeUndefined();
    });

    it('forgets rows and positions on reset, so that the log can be stored anew', async () => {
      await createTable('renewed');
      await warehouse.insert('renewed', block(0, 9), range(0, 9));
      await warehouse.reset('renewed');
      expect(await warehouse.position('renewed', 'clicks', 0)).toBeUndefined();
      expect(await warehouse.insert('renewed', block(0, 4), range(0, 4))).toEqual({ rowsStored: 5, wasStored: false });
      expect(await offsetsOf('renewed')).toEqual(offsets(0, 4));
    });

    it('refuses a block with a row that does not fit, as a whole, and says that the row is at fault', async () => {
      await createTable('refused');
      for (const wrong of [{ score: 'high' }, { word: null }, { scroe: 1 }]) {
        const rows = [...block(0, 1), { ...block(2, 2)[0]!, ...wrong }];
        const error: unknown = await warehouse.insert('refused', rows, range(0, 2)).catch((e: unknown) => e);
        expect(isRowRejected(error), JSON.stringify(wrong)).toBe(true);
      }
      expect(await offsetsOf('refused')).toEqual([]);
      const unknown: unknown = await warehouse.insert('nowhere', block(0, 0), range(0, 0)).catch((e: unknown) => e);
      expect(isEngineError(unknown, 'WAREHOUSE_QUERY_FAILED') && !isRowRejected(unknown)).toBe(true);
    });

    it.each(["it's", 'back\\slash \\n', 'tab\tnew\nline', '東京 é 🎉', "'; DROP TABLE stored; --", '{x:String}', ''])(
      'carries the parameter %j unchanged, alone, in a list and in a map',
      async (text) => {
        const params = { text, list: [text, 'other'], map: { [text]: 1 }, none: null };
        const sql =
          'SELECT {text:String} AS text, {list:Array(String)} AS list, {map:Map(String, UInt8)} AS map, {none:Nullable(String)} AS none';
        expect(await warehouse.query(sql, params)).toEqual([params]);
      },
    );

    it('carries dates, booleans and large integers', async () => {
      const sql =
        'SELECT {at:DateTime64(3)} AS at, {yes:Bool} AS yes, toString({big:UInt64}) AS big, {many:Array(UInt32)} AS many';
      const many = offsets(1, 20_000);
      const params = { at: new Date(1_700_000_000_123), yes: true, big: 18_446_744_073_709_551_615n, many };
      expect(await warehouse.query(sql, params)).toEqual([
        { at: '2023-11-14 22:13:20.123', yes: true, big: '18446744073709551615', many },
      ]);
    });

    it('fails on a query that breaks half-way, and the next result is clean', async () => {
      const breaks = 'SELECT throwIf(number = 600000) AS x FROM numbers(1000000)';
      let rowsBefore = 0;
      const reading = (async () => {
        for await (const _ of warehouse.queryStream(breaks)) rowsBefore++;
      })();
      await expect(reading).rejects.toMatchObject({ code: 'WAREHOUSE_QUERY_FAILED', context: { clickhouseCode: 395 } });
      expect(rowsBefore).toBeGreaterThan(0);
      for (let i = 0; i < 3; i++) expect(await warehouse.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    });

    it('rejects faulty, writing and double statements in a query', async () => {
      const statements = ['SELEC 1', 'SELECT * FROM nowhere', 'DROP TABLE stored', 'SELECT 1; DROP TABLE stored'];
      for (const sql of [...statements, "SELECT * FROM file('/etc/hostname', 'LineAsString')"]) {
        await expect(warehouse.query(sql), sql).rejects.toMatchObject({ code: 'WAREHOUSE_QUERY_FAILED' });
      }
      expect(await offsetsOf('stored')).toEqual([3, 4]);
    });

    it('collects no more rows than allowed, streams any number, and stops when the reader leaves', async () => {
      const sql = 'SELECT number AS n FROM numbers(1000000000)';
      await expect(warehouse.query(sql, {}, { rowsMax: 10 })).rejects.toMatchObject({ code: 'WAREHOUSE_QUERY_FAILED' });
      let sum = 0;
      for await (const row of warehouse.queryStream<{ n: number }>(sql)) {
        sum += row.n;
        if (row.n === 99_999) break;
      }
      expect(sum).toBe((99_999 * 100_000) / 2);
    });

    it('stops a statement at its time limit and when the caller gives up', async () => {
      const sql = 'SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1';
      await expect(warehouse.query(sql, {}, { timeoutMs: 1_000 })).rejects.toMatchObject({
        code: 'WAREHOUSE_QUERY_FAILED',
      });
      const signal = AbortSignal.timeout(100);
      await expect(warehouse.query(sql, {}, { timeoutMs: 1_000, signal })).rejects.toMatchObject({
        name: 'TimeoutError',
      });
    });

    it('answers many queries at once, each with its own result', async () => {
      const asked = offsets(0, 39);
      const answers = await Promise.all(
        asked.map((i) => warehouse.query('SELECT {i:UInt32} AS i, sum(number) FROM numbers(1000)', { i })),
      );
      expect(answers.map((rows) => rows[0]?.['i'])).toEqual(asked);
    });

    it('migrates forwards, once, and refuses a history that is not its own', async () => {
      const first = {
        version: 1,
        name: 'first',
        statements: ['CREATE TABLE IF NOT EXISTS m1 (a UInt8) ENGINE = MergeTree ORDER BY a'],
      };
      const second = { version: 2, name: 'second', statements: ['ALTER TABLE m1 ADD COLUMN IF NOT EXISTS b String'] };
      await warehouse.migrate([first]);
      await warehouse.migrate([first, second]);
      await warehouse.migrate([first, second]);
      await warehouse.execute("INSERT INTO m1 (a, b) VALUES (1, 'x;y')");
      expect(await warehouse.query('SELECT * FROM m1')).toEqual([{ a: 1, b: 'x;y' }]);
      const edited = { ...second, statements: ['ALTER TABLE m1 ADD COLUMN IF NOT EXISTS c String'] };
      await expect(warehouse.migrate([first, edited])).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' });
      await expect(warehouse.migrate([first])).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' });
    });

    it('has rows and positions after it was closed and opened again', async () => {
      await createTable('kept');
      await warehouse.insert('kept', block(0, 999), range(0, 999));
      await warehouse.close();
      await expect(warehouse.query('SELECT 1')).rejects.toMatchObject({ code: 'WAREHOUSE_UNAVAILABLE' });
      warehouse = await place.open();
      expect(await warehouse.position('kept', 'clicks', 0)).toBe(999);
      expect(await warehouse.insert('kept', block(0, 999), range(0, 999))).toEqual({ rowsStored: 0, wasStored: true });
      expect(await offsetsOf('kept')).toHaveLength(1_000);
    });

    it('doubles and loses nothing when its process dies between inserts and within them', async (context) => {
      if (place.crash === undefined) return context.skip();
      await createTable('crashed', 'ENGINE = MergeTree PARTITION BY _offset % 5 ORDER BY _offset');
      const rowsPerBlock = 2_000;
      const blocks = 8;
      let failures = 0;
      for (let i = 0; i < blocks; i++) {
        const from = i * rowsPerBlock;
        const to = from + rowsPerBlock - 1;
        if (i === 3) place.crash();
        // Falls into the insert at another place every time: the delay grows across the length of one insert.
        const killing = i % 2 === 1 ? systemClock.sleep(i * 8).then(() => place.crash!()) : Promise.resolve();
        for (let attempt = 0; ; attempt++) {
          try {
            await warehouse.insert('crashed', block(from, to), range(from, to));
            break;
          } catch (error) {
            if (!isEngineError(error, 'WAREHOUSE_UNAVAILABLE') || attempt > 50) throw error;
            failures++;
            await systemClock.sleep(20);
          }
        }
        await killing;
      }
      expect(failures).toBeGreaterThan(0);
      let stored: number[] | undefined;
      for (let i = 0; i < 50 && stored === undefined; i++) stored = await offsetsOf('crashed').catch(() => undefined);
      expect(stored).toEqual(offsets(0, blocks * rowsPerBlock - 1));
      expect(await warehouse.position('crashed', 'clicks', 0)).toBe(blocks * rowsPerBlock - 1);
    });

    it('stores 100,000 rows in blocks of 10,000 (speed printed)', async () => {
      await createTable('fast');
      const blocks = offsets(0, 9).map((i) => ({
        rows: block(i * 10_000, i * 10_000 + 9_999),
        at: range(i * 10_000, i * 10_000 + 9_999),
      }));
      const startedMs = systemClock.monotonic();
      for (const { rows, at } of blocks) await warehouse.insert('fast', rows, at);
      const rowsPerSecond = Math.round(1e8 / (systemClock.monotonic() - startedMs));
      process.stdout.write(`${name}: ${rowsPerSecond} rows/s inserted\n`);
      expect(await warehouse.query('SELECT count() AS n FROM fast')).toEqual([{ n: 100_000 }]);
    });
  });
}

export const range = (fromOffset: number, toOffset: number): BlockRange => ({
  topic: 'clicks',
  partition: 0,
  fromOffset,
  toOffset,
});

export const offsets = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** One row for every offset. */
export function block(from: number, to: number): BlockRow[] {
  return offsets(from, to).map((offset) => ({
    _offset: offset,
    _outputId: '',
    word: `word ${offset}`,
    score: offset / 2,
    at: new Date(1_700_000_000_000 + offset),
  }));
}
