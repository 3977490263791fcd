/**
 * Follows partitions of topics and stores their records in a warehouse table, block by block.
 *
 * The wiring reads the log and gives decoded records; the sink gathers them per partition, cuts a block at every
 * multiple of `blockRecords` offsets or when its first record has waited `blockWaitMs`, and inserts it. Cutting at fixed
 * offsets keeps blocks alike from run to run; that nothing is stored twice is the warehouse's promise.
 *
 * Invariant: a record is dropped from memory only when its block is stored or it was handed to `deadLetter`; at most
 * `bufferedRecordsMax` records wait. While the warehouse is away the sink waits too, and the log keeps what comes.
 */
import { type EngineError, isEngineError } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';
import { type Logger, silentLogger } from '../logger.js';
import { type Counter, type Histogram, LATENCY_MS_BUCKETS, type Metrics } from '../metrics.js';
import type { Pull, SinkRecord } from './sink-source.js';
import { type BlockRange, type BlockRow, isRowRejected, type Warehouse } from './warehouse.js';

export interface SinkOptions {
  readonly warehouse: Pick<Warehouse, 'insert' | 'position'>;
  readonly table: string;
  readonly clock: Clock;
  readonly logger?: Logger;
  readonly metrics?: Metrics;
  /** Offsets a block spans at most. Larger blocks are stored faster and are seen later. */
  readonly blockRecords?: number;
  /** How long a record waits for its block to fill. */
  readonly blockWaitMs?: number;
  /** Records that all partitions together may hold; above it the fullest one is stored early. */
  readonly bufferedRecordsMax?: number;
  /** Takes a record whose row the warehouse refuses. Without it such a row stops the sink. */
  readonly deadLetter?: (record: SinkRecord, error: EngineError) => void | Promise<void>;
}

const BLOCK_RECORDS = 10_000;
const BLOCK_WAIT_MS = 2_000;
const BUFFERED_RECORDS_MAX = 50_000;
const RETRY_MS = 200;
const RETRY_MS_MAX = 10_000;
/** More refused rows in one block are no bad records but a mapping that does not fit the table. */
const REJECTED_PER_BLOCK_MAX = 100;

interface Partition {
  readonly topic: string;
  readonly partition: number;
  /** First offset that is not stored yet. */
  fromOffset: number;
  records: SinkRecord[];
  /** Monotonic time at which the first of `records` came. */
  waitingSinceMs: number;
}

/** Calls must not overlap: one reader drives it, by `run` or by `write` and `flush`. */
export class WarehouseSink {
  private readonly partitions = new Map<string, Partition>();
  private buffered = 0;
  private readonly blockRecords: number;
  private readonly blockWaitMs: number;
  private readonly counters: Readonly<Record<'rows' | 'blocks' | 'retries' | 'rejected', Counter>> | undefined;
  private readonly duration: Histogram | undefined;

  constructor(private readonly options: SinkOptions) {
    const { metrics, table, blockRecords = BLOCK_RECORDS, blockWaitMs = BLOCK_WAIT_MS } = options;
    this.blockRecords = blockRecords;
    this.blockWaitMs = blockWaitMs;
    if (metrics === undefined) return;
    const labels = { table };
    this.counters = {
      rows: metrics.counter('warehouse_rows_total', 'Rows stored in the warehouse', labels),
      blocks: metrics.counter('warehouse_blocks_total', 'Blocks stored in the warehouse', labels),
      retries: metrics.counter('warehouse_retries_total', 'Inserts repeated after a passing failure', labels),
      rejected: metrics.counter('warehouse_rejected_total', 'Rows that do not fit their table', labels),
    };
    const help = 'Time to store one block';
    this.duration = metrics.histogram('warehouse_insert_duration_ms', help, { labels, buckets: LATENCY_MS_BUCKETS });
    metrics.gaugeOf('warehouse_buffered_records', 'Records waiting for their block', () => this.buffered, labels);
  }

  /** Takes a partition over and returns the offset to read from. Idempotent. */
  async assign(topic: string, partition: number, signal?: AbortSignal): Promise<number> {
    const key = keyOf(topic, partition);
    const known = this.partitions.get(key);
    if (known !== undefined) return (known.records.at(-1)?.offset ?? known.fromOffset - 1) + 1;
    const position = await this.retrying(
      () => this.options.warehouse.position(this.options.table, topic, partition),
      signal,
    );
    const fromOffset = (position ?? -1) + 1;
    this.partitions.set(key, { topic, partition, fromOffset, records: [], waitingSinceMs: 0 });
    return fromOffset;
  }

  /** Gives a partition up. What was buffered is forgotten: the next owner reads it again. */
  revoke(topic: string, partition: number): void {
    const revoked = this.partitions.get(keyOf(topic, partition));
    if (revoked === undefined) return;
    this.partitions.delete(keyOf(topic, partition));
    this.buffered -= revoked.records.length;
  }

  /** Pulls until the source ends (then everything is stored) or the signal aborts (then one attempt is made). */
  async run(pull: Pull, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const records = await pull(this.dueInMs(), signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
        return [];
      });
      if (records === undefined) return this.flush(signal);
      try {
        await this.write(records, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
    await this.flush(signal).catch((error: unknown) => {
      this.logger.warn('Records not yet stored are read again at the next start', { records: this.buffered, error });
    });
  }

  /**
   * Takes records, ascending by offset within a partition; all rows of one offset in one call. Resolves when the blocks
   * that became complete or due are stored. Records below the position are skipped.
   */
  async write(records: readonly SinkRecord[], signal?: AbortSignal): Promise<void> {
    let target: Partition | undefined;
    for (const record of records) {
      if (target?.topic !== record.topic || target.partition !== record.partition) {
        target = await this.requirePartition(record, signal);
      }
      const last = target.records.at(-1);
      if (record.offset < target.fromOffset) continue;
      const startsBlock = last !== undefined && this.blockOf(record.offset) > this.blockOf(last.offset);
      if (startsBlock) await this.store(target, signal);
      if (target.records.length === 0) target.waitingSinceMs = this.options.clock.monotonic();
      target.records.push(record);
      this.buffered++;
    }
    const now = this.options.clock.monotonic();
    for (const target of this.partitions.values()) {
      const last = target.records.at(-1);
      if (last === undefined) continue;
      const isFull = this.blockOf(last.offset + 1) > this.blockOf(last.offset);
      if (isFull || now - target.waitingSinceMs >= this.blockWaitMs) await this.store(target, signal);
    }
    const { bufferedRecordsMax = BUFFERED_RECORDS_MAX } = this.options;
    while (this.buffered > bufferedRecordsMax) await this.store(this.fullest(), signal);
  }

  /** Stores everything that is buffered. */
  async flush(signal?: AbortSignal): Promise<void> {
    for (const target of this.partitions.values()) if (target.records.length > 0) await this.store(target, signal);
  }

  /** Ms until the next block is due, whether or not records come. */
  private dueInMs(): number {
    const now = this.options.clock.monotonic();
    let dueMs = this.blockWaitMs;
    for (const { records, waitingSinceMs } of this.partitions.values()) {
      if (records.length > 0) dueMs = Math.min(dueMs, waitingSinceMs + this.blockWaitMs - now);
    }
    return Math.max(0, dueMs);
  }

  private async requirePartition(record: SinkRecord, signal: AbortSignal | undefined): Promise<Partition> {
    const key = keyOf(record.topic, record.partition);
    if (!this.partitions.has(key)) await this.assign(record.topic, record.partition, signal);
    return this.partitions.get(key)!;
  }

  private fullest(): Partition {
    return [...this.partitions.values()].reduce((most, other) =>
      other.records.length > most.records.length ? other : most,
    );
  }

  private blockOf(offset: number): number {
    return Math.floor(offset / this.blockRecords);
  }

  private async store(target: Partition, signal: AbortSignal | undefined): Promise<void> {
    const { records, topic, partition, fromOffset } = target;
    const toOffset = records.at(-1)!.offset;
    const startedMs = this.options.clock.monotonic();
    await this.insert(records, { topic, partition, fromOffset, toOffset }, { left: REJECTED_PER_BLOCK_MAX }, signal);
    this.duration?.observe(this.options.clock.monotonic() - startedMs);
    this.counters?.blocks.inc();
    this.buffered -= records.length;
    target.records = [];
    target.fromOffset = toOffset + 1;
  }

  /** A block that is refused because of a row is halved until the row stands alone; everything else is stored. */
  private async insert(
    records: readonly SinkRecord[],
    range: BlockRange,
    rejects: { left: number },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { warehouse, table, deadLetter } = this.options;
    try {
      const outcome = await this.retrying(() => warehouse.insert(table, records.flatMap(toRow), range), signal);
      this.counters?.rows.inc(outcome.rowsStored);
    } catch (error) {
      if (!isRowRejected(error) || deadLetter === undefined || rejects.left === 0) throw error;
      const lastOfLeft = records[Math.ceil(records.length / 2) - 1]!.offset;
      const left = records.filter((record) => record.offset <= lastOfLeft);
      const right = records.slice(left.length);
      if (right.length > 0) {
        await this.insert(left, { ...range, toOffset: lastOfLeft }, rejects, signal);
        return this.insert(right, { ...range, fromOffset: lastOfLeft + 1 }, rejects, signal);
      }
      const first = left[0]!.offset;
      if (first < lastOfLeft) {
        const lower = left.filter((record) => record.offset < lastOfLeft);
        await this.insert(lower, { ...range, toOffset: lastOfLeft - 1 }, rejects, signal);
        const upper = left.slice(lower.length);
        return this.insert(upper, { ...range, fromOffset: lastOfLeft }, rejects, signal);
      }
      rejects.left--;
      for (const record of left) await deadLetter(record, error);
      this.counters?.rejected.inc(left.length);
      await this.retrying(() => warehouse.insert(table, [], range), signal);
    }
  }

  /** Passing failures are waited out, however long: the log keeps the records, and nobody waits for the sink. */
  private async retrying<T>(call: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        if (!isEngineError(error) || !error.retriable || signal?.aborted === true) throw error;
        const delayMs = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(attempt, 10));
        // It may go on for hours, and nothing of ours is at fault: no stack.
        const { code, message } = error;
        this.logger.warn('The warehouse did not take a block; trying again', {
          ...{ table: this.options.table, delayMs, code, message },
        });
        this.counters?.retries.inc();
        await this.options.clock.sleep(delayMs, signal);
      }
    }
  }

  private get logger(): Logger {
    return this.options.logger ?? silentLogger;
  }
}

const keyOf = (topic: string, partition: number): string => `${partition}/${topic}`;

/** Adds where the row comes from, in place: a copy of every row costs more than the rest of its way through the sink. */
function toRow({ row, offset, outputId = '' }: SinkRecord): BlockRow[] {
  if (row === undefined) return [];
  return [Object.assign(row, { _offset: offset, _outputId: outputId })];
}
