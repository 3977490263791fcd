/**
 * Fills the analysts' tables from the log of a running engine, in the background.
 *
 *             opened                    directory unusable
 *   opening ──────────▶ following ──────────────────────────▶ waiting ──▶ opening
 *      │  failed            │ one table fails: it alone waits, then goes on at its stored position
 *      └──▶ waiting         └──────── stop() from every state ────────▶ stopped
 *
 * Everything here may fail without the engine noticing: the log keeps the records, the lag shows how many. Memory is
 * bounded by the sinks' buffers, work on the event loop by the reader's and the block's sizes; the database itself is
 * another process. Rows reach the warehouse once, whatever is killed meanwhile: the warehouse's ledger sees to that.
 */
import { EngineError, isEngineError } from '../../schemas/errors.js';
import { TOPICS, topicName } from '../../schemas/topics.js';
import type { Clock, TimerHandle } from '../../streams/clock.js';
import type { EventLog } from '../../streams/log/event-log.js';
import { type Logger, silentLogger } from '../../streams/logger.js';
import type { Gauge, Metrics } from '../../streams/metrics.js';
import { type SinkOptions, WarehouseSink } from '../../streams/warehouse/sink.js';
import type { SinkPlace } from '../../streams/warehouse/sink-source.js';
import type { Warehouse } from '../../streams/warehouse/warehouse.js';
import type { Pseudonyms } from './pseudonyms.js';
import { TABLE_MAPPINGS, type TableMapping } from './rows.js';
import type { SqlWarehouse } from './sql-handler.js';
import { TableBlock, type TableRecord } from './table-block.js';
import { TableReader } from './table-reader.js';
import type { TableName } from './tables.js';

export interface WarehouseFollowerOptions {
  /** All that a topic has been, oldest first: what came before a repartition is stored from where it lies. */
  readonly topicGenerations: (topic: string) => readonly FollowedGeneration[];
  /** Resolves when what can be read now will be there after a crash: no row may outlive its record. */
  readonly flushed: () => Promise<void>;
  readonly namespace: string;
  /** Called again, after a while, when it fails. What it returns is closed here. */
  readonly open: () => Promise<Warehouse>;
  readonly pseudonyms: Pseudonyms;
  readonly clock: Clock;
  readonly logger?: Logger;
  readonly metrics?: Metrics;
  readonly blockRows?: number;
  readonly blockWaitMs?: number;
}

/** A topic in the log, and the identity that names its offsets. */
export interface FollowedGeneration {
  readonly log: Pick<EventLog, 'topic' | 'read' | 'bounds' | 'onAppend'>;
  readonly identity: string;
}

export interface WarehouseLag {
  /** Records logged and not yet stored, over all tables. Undefined until the warehouse was opened. */
  readonly records: number | undefined;
  readonly tables: Readonly<Partial<Record<TableName, number>>>;
}

const BLOCK_ROWS = 50_000;
const BLOCK_WAIT_MS = 5_000;
/** Blocks' worth of rows that the partitions of a table may hold together while they fill. */
const BUFFERED_BLOCKS = 4;
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 60_000;
/** What is buffered gets this long to be stored at the end; it is read again otherwise. */
const STOP_MS_MAX = 5_000;
const LAG_SAMPLE_MS = 5_000;
/** Digits of the log's identity that keep the offsets of one log apart from those of another made anew. */
const IDENTITY_DIGITS = 8;

export class WarehouseFollower {
  /** By table, one a generation of its topic; undefined until it was opened. */
  private readonly readers = new Map<TableName, (TableReader | undefined)[]>();
  private readonly stopping = new AbortController();
  private readonly lagGauges = new Map<TableName, Gauge>();
  private current: Warehouse | undefined;
  private running: Promise<void> | undefined;
  /** Ends the following of the topics as they were. */
  private round = new AbortController();
  private sampling: TimerHandle | undefined;

  constructor(private readonly options: WarehouseFollowerOptions) {
    const help = 'Records logged and not yet stored in the warehouse';
    for (const { table } of TABLE_MAPPINGS) {
      const gauge = options.metrics?.gauge('warehouse_lag_records', help, { table });
      if (gauge !== undefined) this.lagGauges.set(table, gauge);
    }
  }

  /** Returns at once; what fails is logged and tried again. Idempotent. */
  start(): void {
    if (this.running !== undefined || this.stopping.signal.aborted) return;
    this.running = this.run(this.stopping.signal);
    if (this.lagGauges.size === 0) return;
    this.sampling = this.options.clock.setInterval(LAG_SAMPLE_MS, () => {
      this.lag().catch((error: unknown) => this.logger.debug('lag of the warehouse is not known', { error }));
    });
  }

  /** Stores what is buffered, if that goes quickly, and closes the warehouse. Idempotent. */
  async stop(): Promise<void> {
    this.sampling?.cancel();
    this.stopping.abort();
    const timer = this.options.clock.setTimer(STOP_MS_MAX, () => {
      this.current?.close().catch((error: unknown) => this.logger.warn('The warehouse did not close', { error }));
    });
    await this.running;
    timer.cancel();
  }

  /** The topics have gone over to another generation: stores what is buffered, and follows what there is now. */
  refollow(): void {
    this.round.abort();
  }

  /** How far behind the tables are. */
  async lag(): Promise<WarehouseLag> {
    const tables: Partial<Record<TableName, number>> = {};
    let records = 0;
    let isKnown = this.readers.size === TABLE_MAPPINGS.length;
    for (const [table, readers] of this.readers) {
      let lag = 0;
      for (const reader of readers) {
        if (reader === undefined) isKnown = false;
        else lag += await reader.lag();
      }
      if (readers.every((reader) => reader === undefined)) continue;
      tables[table] = lag;
      records += lag;
      this.lagGauges.get(table)?.set(lag);
    }
    return { records: isKnown ? records : undefined, tables };
  }

  /** For SQL beside the following. Throws WAREHOUSE_UNAVAILABLE while there is no warehouse. */
  readonly sql: SqlWarehouse = {
    queryStream: (sql, params, options) => this.requireWarehouse().queryStream(sql, params, options),
  };

  private requireWarehouse(): Warehouse {
    if (this.current !== undefined) return this.current;
    const advice = 'it is starting, or could not be opened: the log of the engine says why';
    throw new EngineError('WAREHOUSE_UNAVAILABLE', `The warehouse is not open; ${advice}`);
  }

  /** Never rejects. */
  private async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        this.current = await this.options.open();
        failures = 0;
        while (!signal.aborted) {
          this.round = new AbortController();
          await this.follow(this.current, AbortSignal.any([signal, this.round.signal]));
        }
      } catch (error) {
        this.logger.error('The warehouse cannot be used; the engine goes on without it and tries again', { error });
      }
      const opened = this.current;
      this.current = undefined;
      await opened?.close().catch((error: unknown) => this.logger.warn('The warehouse did not close', { error }));
      await this.backOff(failures, signal);
    }
  }

  /** Returns when told to; throws when the warehouse has to be opened again. */
  private async follow(warehouse: Warehouse, signal: AbortSignal): Promise<void> {
    const failing = new AbortController();
    const either = AbortSignal.any([signal, failing.signal]);
    const tables = TABLE_MAPPINGS.flatMap((mapping) => {
      const generations = this.options.topicGenerations(this.topicOf(mapping));
      const readers = new Array<TableReader | undefined>(generations.length).fill(undefined);
      this.readers.set(mapping.table, readers);
      return generations.map((generation, i) => {
        const onOpen = (reader: TableReader): void => void (readers[i] = reader);
        const followed = { warehouse, mapping, generation, isSuccessor: i > 0, onOpen };
        return this.followTable(followed, either).catch((error: unknown) => {
          failing.abort();
          throw error;
        });
      });
    });
    const outcomes = await Promise.allSettled(tables);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  private async followTable(
    { warehouse, mapping, generation, isSuccessor, onOpen }: FollowedTable,
    signal: AbortSignal,
  ): Promise<void> {
    for (let failures = 0; !signal.aborted; failures++) {
      const startedMs = this.options.clock.monotonic();
      const reader = this.createReader(mapping, generation, isSuccessor);
      const sink = this.createSink(warehouse, mapping, reader);
      try {
        await reader.open((topic, partition) => sink.assign(topic, partition, signal));
        onOpen(reader);
        await sink.run(reader.pull, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isEngineError(error, 'DATA_DIRECTORY_INVALID', 'DATA_DIRECTORY_LOCKED')) throw error;
        if (this.options.clock.monotonic() - startedMs > RETRY_MS_MAX) failures = 0;
        this.logger.error('A table of the warehouse is not filled; trying again', { table: mapping.table, error });
        await this.backOff(failures, signal);
      } finally {
        reader.close();
      }
    }
  }

  private topicOf({ topic }: TableMapping): string {
    return topicName(this.options.namespace, TOPICS[topic]);
  }

  private createReader(
    mapping: TableMapping,
    { log, identity }: FollowedGeneration,
    isSuccessor: boolean,
  ): TableReader {
    const { clock } = this.options;
    const topic = this.topicOf(mapping);
    const streamName = `${topic}@${identity.slice(0, IDENTITY_DIGITS)}`;
    const { partitions } = log.topic(topic);
    const place = { log, topic, streamName, partitions, isSuccessor };
    return new TableReader({ ...place, mapping, blockRecords: this.blockRows, clock, logger: this.logger });
  }

  private createSink(warehouse: Warehouse, mapping: TableMapping, reader: TableReader): WarehouseSink<TableRecord> {
    const { clock, metrics, flushed, pseudonyms } = this.options;
    const { blockRows } = this;
    const { blockWaitMs = BLOCK_WAIT_MS } = this.options;
    const { table } = mapping;
    const onTaken = ({ partition, offset }: SinkPlace): void => reader.noteTaken(partition, offset);
    const block = { mapping, pseudonyms, rowsMax: blockRows, logger: this.logger, onTaken };
    const options: SinkOptions = {
      warehouse: {
        position: (name, topic, partition) => warehouse.position(name, topic, partition),
        insert: async (name, rows, range) => {
          await flushed();
          const outcome = await warehouse.insert(name, rows, range);
          reader.noteStored(range.partition, range.toOffset);
          return outcome;
        },
      },
      ...{ table, clock, logger: this.logger, blockWaitMs },
      ...(metrics === undefined ? {} : { metrics }),
      blockRecords: blockRows,
      bufferedRowsMax: BUFFERED_BLOCKS * blockRows,
      deadLetter: (place, error) => this.refused(table, place, error),
    };
    return new WarehouseSink(options, () => new TableBlock(block));
  }

  /** The record itself is fine and stays in the log: what does not fit is our table. */
  private refused(table: TableName, { topic, partition, offset }: SinkPlace, error: EngineError): void {
    this.logger.error('A row does not fit its table and is left out', { table, topic, partition, offset, error });
  }

  private async backOff(failures: number, signal: AbortSignal): Promise<void> {
    const delayMs = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(failures, 10));
    if (!signal.aborted) await this.options.clock.sleep(delayMs, signal).catch(() => undefined);
  }

  private get blockRows(): number {
    return this.options.blockRows ?? BLOCK_ROWS;
  }

  private get logger(): Logger {
    return this.options.logger ?? silentLogger;
  }
}

interface FollowedTable {
  readonly warehouse: Warehouse;
  readonly mapping: TableMapping;
  readonly generation: FollowedGeneration;
  /** There was a generation before it. */
  readonly isSuccessor: boolean;
  /** Called when the reader stands where the warehouse wants to go on. */
  readonly onOpen: (reader: TableReader) => void;
}
