/** The sink over a warehouse in memory: where blocks are cut, what survives failures, and that memory is bounded. */
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../schemas/errors.js';
import { ManualClock, systemClock } from '../../../streams/clock.js';
import { type SinkOptions, WarehouseSink } from '../../../streams/warehouse/sink.js';
import { pullOf, type SinkRecord } from '../../../streams/warehouse/sink-source.js';
import type { BlockRange, BlockRow, BlockRows, InsertOutcome } from '../../../streams/warehouse/warehouse.js';

/** Keeps rows by offset, refuses rows marked bad, and fails as often as it is told to. */
class FakeWarehouse {
  readonly ranges: string[] = [];
  readonly rows: BlockRow[] = [];
  readonly positions = new Map<string, number>();
  failures = 0;

  async insert(_table: string, block: BlockRows, range: BlockRange): Promise<InsertOutcome> {
    const rows = block as readonly BlockRow[];
    if (this.failures > 0) {
      this.failures--;
      throw new EngineError('WAREHOUSE_UNAVAILABLE', 'away');
    }
    if (rows.some((row) => row['bad'] === true)) {
      throw new EngineError('WAREHOUSE_QUERY_FAILED', 'refused', { context: { clickhouseCode: 27 } });
    }
    this.rows.push(...rows);
    this.ranges.push(`${range.partition}:${range.fromOffset}-${range.toOffset}`);
    this.positions.set(`${range.topic}/${range.partition}`, range.toOffset);
    return { rowsStored: rows.length, wasStored: false };
  }

  async position(_table: string, topic: string, partition: number): Promise<number | undefined> {
    return this.positions.get(`${topic}/${partition}`);
  }
}

function createSink(options: Partial<SinkOptions> = {}) {
  const warehouse = new FakeWarehouse();
  const clock = new ManualClock();
  const sink = WarehouseSink.ofRows({ warehouse, table: 't', clock, blockRecords: 10, blockWaitMs: 1_000, ...options });
  return { warehouse, clock, sink };
}

function records(from: number, to: number, partition = 0): SinkRecord[] {
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    topic: 'clicks',
    partition,
    offset: from + i,
    row: { n: from + i },
  }));
}

describe('WarehouseSink', () => {
  it('cuts blocks at fixed multiples of offsets, wherever reading starts', async () => {
    const { sink, warehouse } = createSink();
    warehouse.positions.set('clicks/0', 6);
    expect(await sink.assign('clicks', 0)).toBe(7);
    await sink.write(records(7, 33));
    expect(warehouse.ranges).toEqual(['0:7-9', '0:10-19', '0:20-29']);
    expect(await sink.assign('clicks', 0)).toBe(34);
  });

  it('skips records below the stored position, and offsets that are missing in the log', async () => {
    const { sink, warehouse } = createSink();
    warehouse.positions.set('clicks/0', 4);
    await sink.write([...records(0, 7), ...records(25, 26)]);
    await sink.flush();
    expect(warehouse.ranges).toEqual(['0:5-7', '0:8-26']);
    expect(warehouse.rows.map((row) => row._offset)).toEqual([5, 6, 7, 25, 26]);
  });

  it('stores a block that does not fill when its first record has waited long enough', async () => {
    const { sink, warehouse, clock } = createSink();
    await sink.write(records(0, 2));
    await clock.advance(999);
    await sink.write([]);
    expect(warehouse.ranges).toEqual([]);
    await clock.advance(1);
    await sink.write([]);
    expect(warehouse.ranges).toEqual(['0:0-2']);
  });

  it('stores the fullest partition early when too many records wait', async () => {
    const { sink, warehouse } = createSink({ blockRecords: 1_000, bufferedRowsMax: 10 });
    await sink.write([...records(0, 3, 1), ...records(0, 6, 2)]);
    expect(warehouse.ranges).toEqual(['2:0-6']);
  });

  it('moves the position over records without a row', async () => {
    const { sink, warehouse } = createSink();
    await sink.write(records(0, 9).map((record) => ({ ...record, row: undefined })));
    expect(warehouse.ranges).toEqual(['0:0-9']);
    expect(warehouse.rows).toEqual([]);
  });

  it('waits, ever longer, while the warehouse is away, and then stores the same block', async () => {
    const { sink, warehouse, clock } = createSink();
    warehouse.failures = 3;
    const writing = sink.write(records(0, 9));
    await clock.advance(200 + 400 + 799);
    expect(warehouse.ranges).toEqual([]);
    await clock.advance(1);
    await writing;
    expect(warehouse.ranges).toEqual(['0:0-9']);
  });

  it('hands refused rows over one by one and stores all others', async () => {
    const refused: number[] = [];
    const { sink, warehouse } = createSink({ deadLetter: (record) => void refused.push(record.offset) });
    const bad = new Set([0, 4, 5, 9]);
    await sink.write(records(0, 9).map((record) => ({ ...record, row: { bad: bad.has(record.offset) } })));
    expect(refused).toEqual([0, 4, 5, 9]);
    expect(warehouse.rows.map((row) => row._offset)).toEqual([1, 2, 3, 6, 7, 8]);
    expect(warehouse.positions.get('clicks/0')).toBe(9);
  });

  it('stops on a refused row when nobody takes it, and on a block in which nothing fits', async () => {
    const bad = records(0, 999).map((record) => ({ ...record, row: { bad: true } }));
    const strict = createSink();
    await expect(strict.sink.write(bad.slice(0, 10))).rejects.toMatchObject({ code: 'WAREHOUSE_QUERY_FAILED' });
    const lenient = createSink({ blockRecords: 1_000, deadLetter: () => undefined });
    await expect(lenient.sink.write(bad)).rejects.toMatchObject({ code: 'WAREHOUSE_QUERY_FAILED' });
  });

  it('follows a source to its end and stores what is left', async () => {
    const { sink, warehouse } = createSink({ clock: systemClock });
    const source = (async function* () {
      yield* records(0, 24);
    })();
    await sink.run(pullOf(source, systemClock), new AbortController().signal);
    expect(warehouse.ranges).toEqual(['0:0-9', '0:10-19', '0:20-24']);
  });

  it('stores what is due while the source is silent, and the rest when it is told to stop', async () => {
    const { sink, warehouse } = createSink({ clock: systemClock, blockWaitMs: 20 });
    const stop = new AbortController();
    const source = (async function* () {
      yield* records(0, 4);
      await systemClock.sleep(60_000, stop.signal);
    })();
    const running = sink.run(pullOf(source, systemClock), stop.signal);
    for (let i = 0; i < 100 && warehouse.ranges.length === 0; i++) await systemClock.sleep(10);
    expect(warehouse.ranges).toEqual(['0:0-4']);
    stop.abort();
    await running;
  });

  it('fills the next block while one is stored, and has one insert under way at a time', async () => {
    const { sink, warehouse } = createSink({ clock: systemClock });
    const stored = warehouse.insert.bind(warehouse);
    let underWay = 0;
    let pulledMeanwhile = 0;
    warehouse.insert = async (...block) => {
      expect(++underWay).toBe(1);
      await systemClock.sleep(5);
      underWay--;
      return stored(...block);
    };
    let next = 0;
    const pull = async () => {
      await systemClock.nextTurn();
      if (underWay > 0) pulledMeanwhile++;
      next += 5;
      return next > 50 ? undefined : records(next - 5, next - 1, next % 2);
    };
    await sink.run(pull, new AbortController().signal);
    expect(warehouse.rows).toHaveLength(50);
    expect(pulledMeanwhile).toBeGreaterThan(0);
  });

  it('stores nothing behind a block that failed', async () => {
    const { sink, warehouse } = createSink();
    const stored = warehouse.insert.bind(warehouse);
    warehouse.insert = (table, rows, range) =>
      range.fromOffset === 10 ? Promise.reject(new Error('broken')) : stored(table, rows, range);
    await expect(sink.write(records(0, 45))).rejects.toThrow('broken');
    await expect(sink.flush()).rejects.toThrow('broken');
    expect(warehouse.ranges).toEqual(['0:0-9']);
  });

  it('stops at once when told to while the warehouse is away', async () => {
    const { sink, warehouse } = createSink({ clock: systemClock });
    warehouse.failures = 1e9;
    const stop = new AbortController();
    const pull = async () => {
      await systemClock.nextTurn();
      return records(0, 9);
    };
    const running = sink.run(pull, stop.signal);
    await systemClock.sleep(20);
    stop.abort();
    await running;
    expect(warehouse.ranges).toEqual([]);
  });
});
