/**
 * Follows partitions of topics and stores their records in a warehouse table, block by block.
 *
 *     pull ──▶ block of the partition ──▶ full, due or at its end ──▶ insert, while the next ones are filled
 *
 * The wiring reads the log; the sink has a block a partition filled (sink-block.ts), cuts it at every multiple of
 * `blockRecords` offsets, when it is full or when its first record has waited `blockWaitMs`, and inserts it. Cutting at fixed
 * offsets keeps blocks alike from run to run; that nothing is stored twice is the warehouse's promise.
 *
 * Invariant: a record is dropped from memory only when its block is stored or it was handed to `deadLetter`; at most
 * `bufferedRowsMax` rows wait, those of the insert under way included. One insert is under way at a time. While the warehouse
 * is away the sink waits too, and the log keeps what comes.
 */
import { type EngineError, isEngineError } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';
import { type Logger, silentLogger } from '../logger.js';
import { type Counter, type Histogram, LATENCY_MS_BUCKETS, type Metrics } from '../metrics.js';
import { type Appended, ObjectBlock, type SinkBlock } from './sink-block.js';
import type { Pull, SinkPlace, SinkRecord } from './sink-source.js';
import type { RowPlace } from './column-block.js';
import { type BlockRange, type BlockRows, isRowRejected, type Warehouse } from './warehouse.js';

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
  /** Rows that all partitions together may hold; above it the fullest one is stored early. */
  readonly bufferedRowsMax?: number;
  /** Takes the place of a record whose row the warehouse refuses. Without it such a row stops the sink. */
  readonly deadLetter?: (place: SinkPlace, error: EngineError) => void | Promise<void>;
}

const BLOCK_RECORDS = 10_000;
const BLOCK_WAIT_MS = 2_000;
const BUFFERED_ROWS_MAX = 50_000;
const RETRY_MS = 200;
const RETRY_MS_MAX = 10_000;
/** More refused rows in one block are no bad records but a mapping that does not fit the table. */
const REJECTED_PER_BLOCK_MAX = 100;

interface Partition<R extends SinkPlace> {
  readonly topic: string;
  readonly partition: number;
  /** First offset that is not stored, nor being stored. */
  fromOffset: number;
  /** Last offset in `block`; below `fromOffset` when it has none. */
  toOffset: number;
  block: SinkBlock<R>;
  /** Monotonic time at which the block's first record came. */
  waitingSinceMs: number;
}

/** Calls must not overlap: one reader drives it, by `run` or by `write` and `flush`. After a call that threw it is of no use. */
export class WarehouseSink<R extends SinkPlace> {
  private readonly partitions = new Map<string, Partition<R>>();
  /** Rows in blocks that are filled; those of the insert under way. */
  private gathered = 0;
  private leaving = 0;
  /** The insert under way. */
  private storing: Promise<void> = Promise.resolve();
  /** The block stored last, empty again. */
  private spare: SinkBlock<R> | undefined;
  private readonly blockRecords: number;
  private readonly blockWaitMs: number;
  private readonly counters: Readonly<Record<'rows' | 'blocks' | 'retries' | 'rejected', Counter>> | undefined;
  private readonly duration: Histogram | undefined;

  constructor(
    private readonly options: SinkOptions,
    private readonly createBlock: () => SinkBlock<R>,
  ) {
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
    const waiting = 'Rows waiting for their block, or for it to be stored';
    metrics.gaugeOf('warehouse_buffered_rows', waiting, () => this.gathered + this.leaving, labels);
  }

  /** Of rows that are objects. */
  static ofRows(options: SinkOptions): WarehouseSink<SinkRecord> {
    return new WarehouseSink(options, () => new ObjectBlock());
  }

  /** Takes a partition over and returns the offset to read from. Idempotent. */
  async assign(topic: string, partition: number, signal?: AbortSignal): Promise<number> {
    const key = keyOf(topic, partition);
    const known = this.partitions.get(key);
    if (known !== undefined) return known.toOffset + 1;
    const position = await this.retrying(
      () => this.options.warehouse.position(this.options.table, topic, partition),
      signal,
    );
    const toOffset = position ?? -1;
    const fromOffset = toOffset + 1;
    this.partitions.set(key, { topic, partition, fromOffset, toOffset, block: this.createBlock(), waitingSinceMs: 0 });
    return fromOffset;
  }

  /** Gives a partition up. What was buffered is forgotten: the next owner reads it again. */
  revoke(topic: string, partition: number): void {
    const revoked = this.partitions.get(keyOf(topic, partition));
    if (revoked === undefined) return;
    this.partitions.delete(keyOf(topic, partition));
    this.gathered -= revoked.block.rows.length;
  }

  /** Pulls until the source ends (then everything is stored) or the signal aborts (then one attempt is made). */
  async run(pull: Pull<R>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const records = await pull(this.dueInMs(), signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
        return [];
      });
      if (records === undefined) return this.flush(signal);
      try {
        await this.gather(records, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
    await this.flush(signal).catch((error: unknown) => {
      this.logger.warn('Records not yet stored are read again at the next start', { rows: this.gathered, error });
    });
  }

  /**
   * Takes records, ascending by offset within a partition; all rows of one offset in one call. Resolves when the blocks
   * that became complete or due are stored. Records below the position are skipped.
   */
  async write(records: readonly R[], signal?: AbortSignal): Promise<void> {
    await this.gather(records, signal);
    await this.storing;
  }

  /** Stores everything that is buffered. */
  async flush(signal?: AbortSignal): Promise<void> {
    for (const target of this.partitions.values()) if (hasRecords(target)) await this.store(target, signal);
    await this.storing;
  }

  /** As `write`, but only waits for a block's insert when the next block has to go. */
  private async gather(records: readonly R[], signal: AbortSignal | undefined): Promise<void> {
    let target: Partition<R> | undefined;
    for (const record of records) {
      if (target?.topic !== record.topic || target.partition !== record.partition) {
        target = await this.requirePartition(record, signal);
      }
      const { offset } = record;
      if (offset < target.fromOffset) continue;
      if (hasRecords(target) && this.blockOf(offset) > this.blockOf(target.toOffset)) await this.store(target, signal);
      if (this.append(target, record) === 'full') {
        await this.store(target, signal);
        this.append(target, record);
      }
    }
    const now = this.options.clock.monotonic();
    for (const waiting of this.partitions.values()) {
      if (!hasRecords(waiting)) continue;
      const isFull = this.blockOf(waiting.toOffset + 1) > this.blockOf(waiting.toOffset);
      if (isFull || now - waiting.waitingSinceMs >= this.blockWaitMs) await this.store(waiting, signal);
    }
    const { bufferedRowsMax = BUFFERED_ROWS_MAX } = this.options;
    while (this.gathered > 0 && this.gathered + this.leaving > bufferedRowsMax) {
      // What is under way may be enough.
      if (this.leaving > 0) await this.storing;
      else await this.store(this.fullest(), signal);
    }
  }

  private append(target: Partition<R>, record: R): Appended {
    const { block } = target;
    const before = block.rows.length;
    const appended = block.append(record);
    if (appended !== 'taken') return appended;
    if (!hasRecords(target)) target.waitingSinceMs = this.options.clock.monotonic();
    target.toOffset = record.offset;
    this.gathered += block.rows.length - before;
    return appended;
  }

  /** Time until the first block is due. */
  private dueInMs(): number {
    const now = this.options.clock.monotonic();
    let dueMs = this.blockWaitMs;
    for (const target of this.partitions.values()) {
      if (hasRecords(target)) dueMs = Math.min(dueMs, target.waitingSinceMs + this.blockWaitMs - now);
    }
    return Math.max(0, dueMs);
  }

  private async requirePartition(record: R, signal: AbortSignal | undefined): Promise<Partition<R>> {
    const key = keyOf(record.topic, record.partition);
    if (!this.partitions.has(key)) await this.assign(record.topic, record.partition, signal);
    return this.partitions.get(key)!;
  }

  private fullest(): Partition<R> {
    return [...this.partitions.values()].reduce((most, other) =>
      other.block.rows.length > most.block.rows.length ? other : most,
    );
  }

  private blockOf(offset: number): number {
    return Math.floor(offset / this.blockRecords);
  }

  /** Begins to store a partition's block, which is empty afterwards. Waits for the insert before it, and throws its failure. */
  private async store(target: Partition<R>, signal: AbortSignal | undefined): Promise<void> {
    await this.storing;
    const { block, topic, partition, fromOffset, toOffset } = target;
    target.block = this.spare ?? this.createBlock();
    this.spare = undefined;
    target.fromOffset = toOffset + 1;
    this.leaving = block.rows.length;
    this.gathered -= this.leaving;
    this.storing = this.storeBlock(block, { topic, partition, fromOffset, toOffset }, signal);
    // Thrown by whoever waits for it, which may be a later call.
    this.storing.catch(() => undefined);
  }

  private async storeBlock(block: SinkBlock<R>, range: BlockRange, signal: AbortSignal | undefined): Promise<void> {
    const startedMs = this.options.clock.monotonic();
    await this.insert(block.rows, range, { left: REJECTED_PER_BLOCK_MAX }, signal);
    if (block.clear?.() === true) this.spare = block;
    this.duration?.observe(this.options.clock.monotonic() - startedMs);
    this.counters?.blocks.inc();
    this.leaving = 0;
  }

  /** A block that is refused because of a row is halved until the row stands alone; everything else is stored. */
  private async insert(
    rows: BlockRows,
    range: BlockRange,
    rejects: { left: number },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { warehouse, table, deadLetter } = this.options;
    try {
      const outcome = await this.retrying(() => warehouse.insert(table, rows, range), signal);
      this.counters?.rows.inc(outcome.rowsStored);
    } catch (error) {
      if (!isRowRejected(error) || deadLetter === undefined || rejects.left === 0) throw error;
      const offsets = Array.from(rows as Iterable<RowPlace>, ({ _offset }) => _offset);
      const middle = offsets[Math.ceil(offsets.length / 2) - 1]!;
      const [first, last] = [offsets[0]!, offsets.at(-1)!];
      if (first < last) {
        // All rows of an offset stay together.
        const end = middle < last ? middle : offsets.findLast((offset) => offset < last)!;
        await this.insert(within(rows, range.fromOffset, end), { ...range, toOffset: end }, rejects, signal);
        const upper = { ...range, fromOffset: end + 1 };
        return this.insert(within(rows, end + 1, range.toOffset), upper, rejects, signal);
      }
      rejects.left--;
      const { topic, partition } = range;
      for (const offset of offsets) await deadLetter({ topic, partition, offset }, error);
      this.counters?.rejected.inc(offsets.length);
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

const hasRecords = ({ fromOffset, toOffset }: Partition<SinkPlace>): boolean => toOffset >= fromOffset;

const within = (rows: BlockRows, from: number, to: number): BlockRows =>
  rows.filter(({ _offset }: RowPlace) => _offset >= from && _offset <= to);
