/**
 * The Warehouse port: what the engine stores for analysts, and how it asks for it back.
 *
 * Records flow one way: a sink (sink.ts) cuts a topic's partitions into blocks and inserts them; reports, the
 * dashboard and analysts run SQL. The engine's own results never depend on the warehouse.
 *
 * Invariant: a row of a log offset is stored once, however often its block is sent again, and a block is either below
 * the stored position of its (table, topic, partition) with all its rows, or it is sent again.
 */
import { type EngineError, isEngineError } from '../../schemas/errors.js';
import type { ColumnBlock, RowPlace } from './column-block.js';

/** What a column can be given. A Date is stored to the ms; 64-bit integers above 2^53 go as decimal strings. */
export type WarehouseValue =
  string | number | boolean | null | Date | readonly WarehouseValue[] | { readonly [key: string]: WarehouseValue };

/** Column name -> value. An absent or undefined column gets the table's default; an unknown column is an error. */
export type WarehouseRow = Readonly<Record<string, WarehouseValue | undefined>>;

/** A row on its way in. */
export type BlockRow = WarehouseRow & RowPlace;

/** Rows ascending by offset: as objects, which go as JSON, or as columns, which cost a third of that. */
export type BlockRows = readonly BlockRow[] | ColumnBlock;

/** The part of a log partition that a block covers: both offsets inclusive, rows or not. */
export interface BlockRange {
  readonly topic: string;
  readonly partition: number;
  readonly fromOffset: number;
  readonly toOffset: number;
}

export interface InsertOutcome {
  /** Rows this call stored; 0 when the block was stored before. */
  readonly rowsStored: number;
  /** Whether some or all of the block was found stored. */
  readonly wasStored: boolean;
}

/** Named parameters, written `{name:Type}` in the SQL: never spliced into its text. Dates, arrays and maps included. */
export type QueryParams = Readonly<Record<string, unknown>>;

/** One result row. Integers come as numbers (cast those above 2^53 with toString), dates as text in UTC. */
export type ResultRow = Readonly<Record<string, unknown>>;

export interface QueryOptions {
  /** Rows `query` may collect before it fails; ignored by `queryStream`. */
  readonly rowsMax?: number;
  /** Time the statement may run. */
  readonly timeoutMs?: number;
  /** Rejects with the signal's reason; the statement stops at its next chunk of output, at the latest at its timeout. */
  readonly signal?: AbortSignal;
}

/** Tables are changed forwards only: a new version adds statements, no stored one is ever edited. */
export interface Migration {
  /** 1, 2, 3 … without gaps. */
  readonly version: number;
  readonly name: string;
  /** One statement each, safe to repeat (`IF NOT EXISTS`): a crash half-way runs all of the version again. */
  readonly statements: readonly string[];
}

/** Rows that `query` collects at most unless told otherwise; more belongs into `queryStream`. */
export const QUERY_ROWS_MAX = 100_000;

/** Rows of one block: it reaches the server as one insert, which stores each table partition's share as a whole. */
export const BLOCK_ROWS_MAX = 100_000;

/** Columns that every table filled by `insert` starts with; put them into its CREATE TABLE. */
export const RECORD_COLUMNS = '_topic LowCardinality(String), _partition UInt32, _offset UInt64, _outputId String';

/**
 * All methods may be called concurrently. Errors are EngineErrors:
 * - WAREHOUSE_UNAVAILABLE (retriable): not reachable, restarting, overloaded or closed. An insert that fails so may or
 *   may not have been stored: send the same range again.
 * - WAREHOUSE_QUERY_FAILED: the statement or a row was rejected; `context.clickhouseCode` says why.
 * - STORAGE_FULL (retriable), DATA_DIRECTORY_INVALID (stored data cannot be read).
 */
export interface Warehouse {
  /**
   * Stores a block. Rows carry `_offset` within the range and `_outputId`; `_topic` and `_partition` are added. Columns are
   * read until it resolves and must not be filled meanwhile. What
   * lies at or below the stored position is left out, and so are rows that an interrupted attempt already stored.
   * Resolves when the rows survive a crash of the warehouse process. Without rows it only moves the position.
   *
   * One writer at a time per (table, topic, partition), which calls `position` whenever it takes a partition over;
   * calls for the same one are queued in call order.
   */
  insert(table: string, rows: BlockRows, range: BlockRange): Promise<InsertOutcome>;
  /** Highest offset stored for this partition of a topic, undefined before the first block: go on behind it. */
  position(table: string, topic: string, partition: number): Promise<number | undefined>;
  /** Empties a table and forgets its positions, so that it can be filled again from the log. Idempotent. */
  reset(table: string): Promise<void>;
  /** Runs one read-only statement and collects its rows, at most `rowsMax`: more is WAREHOUSE_QUERY_FAILED. */
  query<Row extends object = ResultRow>(sql: string, params?: QueryParams, options?: QueryOptions): Promise<Row[]>;
  /**
   * As `query`, row by row and without a limit, at the reader's pace. Leaving the loop early stops the statement. A
   * failure half-way is thrown after the rows that came before it.
   */
  queryStream<Row extends object = ResultRow>(
    sql: string,
    params?: QueryParams,
    options?: QueryOptions,
  ): AsyncIterable<Row>;
  /** Runs one statement without a result: DDL, deletes. Resolves when it took effect. */
  execute(sql: string, options?: QueryOptions): Promise<void>;
  /**
   * Brings the schema to the last of `migrations`. Idempotent. Throws MANIFEST_MISMATCH, before running anything, when
   * the stored history is longer than the list or an applied version reads differently now.
   */
  migrate(migrations: readonly Migration[]): Promise<void>;
  /** Releases everything; calls under way fail with WAREHOUSE_UNAVAILABLE. Idempotent. */
  close(): Promise<void>;
}

/**
 * ClickHouse's codes for 'this value does not fit this column': 6 text, 26 quoted string, 27 input, 38 date,
 * 41 datetime, 42 arity, 43 type, 53 type mismatch, 69 out of bound, 70 conversion, 72 number, 117 incorrect,
 * 131 too long, 190 array sizes, 321 range, 349 null, 376 uuid, 407 decimal, 469 constraint, 675 ipv4, 676 ipv6,
 * 691 enum.
 */
const ROW_CODES = new Set([
  6, 26, 27, 38, 41, 42, 43, 53, 69, 70, 72, 117, 131, 190, 321, 349, 376, 407, 469, 675, 676, 691,
]);

/** Whether an insert failed because of a row's values, so that the same rows would fail again and others would not. */
export function isRowRejected(error: unknown): error is EngineError {
  return isEngineError(error, 'WAREHOUSE_QUERY_FAILED') && ROW_CODES.has(Number(error.context['clickhouseCode']));
}
