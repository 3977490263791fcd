/**
 * Makes block inserts idempotent: knows up to which offset each (table, topic, partition) is stored.
 *
 * A block is written in two steps: its rows, then one row in the ledger table. ClickHouse has no transaction over both,
 * nor over the table partitions one insert touches, so an interrupted block leaves rows the ledger does not know.
 * Whoever is unsure (first block after opening, after `position`, after a failure) therefore first reads which rows behind
 * the position are there and leaves them out, and stays unsure until its blocks have passed the last of them: it may cut
 * them shorter than the one that was interrupted.
 *
 * Why not take max(_offset) of the table itself: rows disappear by retention and erasure, a block may have no rows, and
 * one insert into several table partitions may be stored in part; each would make the maximum lie.
 */
import { EngineError, invariant } from '../../schemas/errors.js';
import type { BlockSource } from './column-block.js';
import {
  BLOCK_ROWS_MAX,
  type BlockRange,
  type BlockRows,
  type InsertOutcome,
  type QueryParams,
  type WarehouseRow,
} from './warehouse.js';

export interface LedgerStore {
  insertRows(table: string, rows: readonly WarehouseRow[]): Promise<void>;
  /** One insert, all rows with these columns beside their own. Two with the same `queryId` never run at once: the later one is refused. */
  insertBlock(table: string, rows: BlockRows, source: BlockSource, queryId: string): Promise<void>;
  select(sql: string, params: QueryParams, queryId?: string): AsyncIterable<Record<string, unknown>>;
  command(sql: string, params: QueryParams): Promise<void>;
}

interface StoredRows {
  readonly keys: ReadonlySet<string>;
  /** −1 when there are none. */
  readonly lastOffset: number;
}

const LEDGER = '_freshet_blocks';

/** Only the highest offset counts; merges drop the lower ones, so the table stays as small as the set of partitions. */
export const LEDGER_DDL = `CREATE TABLE IF NOT EXISTS ${LEDGER} (
  table String, topic String, partition UInt32, to_offset UInt64, stored_at DateTime64(3) DEFAULT now64(3)
) ENGINE = ReplacingMergeTree(to_offset) ORDER BY (table, topic, partition)`;

export class BlockLedger {
  /** Last call of each (table, topic, partition); those of one run one after the other. */
  private readonly lanes = new Map<string, Promise<unknown>>();
  /** Positions behind which no interrupted attempt can have left rows. */
  private readonly certain = new Map<string, number>();

  constructor(private readonly store: LedgerStore) {}

  async insert(table: string, rows: BlockRows, range: BlockRange): Promise<InsertOutcome> {
    requireTableName(table);
    requireBlock(rows, range);
    const lane = laneOf(table, range.topic, range.partition);
    return this.inLane(lane, async () => {
      const position = await this.readPosition(table, range.topic, range.partition);
      if (position !== undefined && range.toOffset <= position) return { rowsStored: 0, wasStored: true };
      let missing: BlockRows = rows;
      if (position !== undefined && range.fromOffset <= position)
        missing = rows.filter((place) => place._offset > position);
      let lastStored = -1;
      if (position === undefined || this.certain.get(lane) !== position) {
        const fromOffset = Math.max(range.fromOffset, (position ?? -1) + 1);
        const stored = await this.readStored(table, lane, { ...range, fromOffset });
        lastStored = stored.lastOffset;
        if (stored.keys.size > 0)
          missing = missing.filter((row) => !stored.keys.has(rowKey(row._offset, row._outputId)));
      }
      this.certain.delete(lane);
      const { topic, partition, toOffset } = range;
      if (missing.length > 0) {
        await this.store.insertBlock(table, missing, { _topic: topic, _partition: partition }, lane);
      }
      await this.store.insertRows(LEDGER, [{ table, topic, partition, to_offset: toOffset }]);
      if (lastStored <= toOffset) this.certain.set(lane, toOffset);
      return { rowsStored: missing.length, wasStored: missing.length < rows.length };
    });
  }

  async position(table: string, topic: string, partition: number): Promise<number | undefined> {
    requireTableName(table);
    const lane = laneOf(table, topic, partition);
    return this.inLane(lane, () => {
      // Asked by a new owner: somebody else may have been interrupted behind this position.
      this.certain.delete(lane);
      return this.readPosition(table, topic, partition);
    });
  }

  /** The positions first: rows without a position are found and left out, a position without its rows would lose them. */
  async reset(table: string): Promise<void> {
    requireTableName(table);
    await this.store.command(`DELETE FROM ${LEDGER} WHERE table = {table:String}`, { table });
    for (const lane of this.certain.keys()) if (lane.startsWith(laneOf(table))) this.certain.delete(lane);
    await this.store.command(`TRUNCATE TABLE IF EXISTS ${table}`, {});
  }

  private async readPosition(table: string, topic: string, partition: number): Promise<number | undefined> {
    const sql = `SELECT max(to_offset) AS position FROM ${LEDGER}
      WHERE table = {table:String} AND topic = {topic:String} AND partition = {partition:UInt32} HAVING count() > 0`;
    for await (const row of this.store.select(sql, { table, topic, partition })) return Number(row['position']);
    return undefined;
  }

  /**
   * Rows from `fromOffset` on, whatever the block: those of an interrupted attempt. Runs under the insert's own query id, so that
   * it is refused while an attempt that lost its caller still runs.
   */
  private async readStored(
    table: string,
    lane: string,
    { topic, partition, fromOffset }: BlockRange,
  ): Promise<StoredRows> {
    const sql = `SELECT _offset, _outputId FROM ${table} WHERE _topic = {topic:String}
      AND _partition = {partition:UInt32} AND _offset >= {fromOffset:UInt64}`;
    const keys = new Set<string>();
    let lastOffset = -1;
    for await (const row of this.store.select(sql, { topic, partition, fromOffset }, lane)) {
      const offset = Number(row['_offset']);
      keys.add(rowKey(offset, String(row['_outputId'])));
      lastOffset = Math.max(lastOffset, offset);
    }
    return { keys, lastOffset };
  }

  private async inLane<T>(lane: string, call: () => Promise<T>): Promise<T> {
    const before = this.lanes.get(lane);
    const mine = (before ?? Promise.resolve()).then(call, call);
    this.lanes.set(lane, mine);
    try {
      return await mine;
    } finally {
      if (this.lanes.get(lane) === mine) this.lanes.delete(lane);
    }
  }
}

const rowKey = (offset: number, outputId: string): string => `${offset}/${outputId}`;

/** Also the query id of the lane's inserts, where a person meets it in the server's process list. */
function laneOf(table: string, topic?: string, partition?: number): string {
  return topic === undefined ? `freshet/${table}/` : `freshet/${table}/${topic}/${partition}`;
}

/** Table names go into the SQL as they are. */
export function requireTableName(table: string): void {
  if (/^[A-Za-z_]\w{0,190}$/.test(table)) return;
  throw new EngineError(
    'WAREHOUSE_QUERY_FAILED',
    `'${table}' is no table name; use letters, digits and _, without a database`,
  );
}

function requireBlock(rows: BlockRows, range: BlockRange): void {
  const { topic, partition, fromOffset, toOffset } = range;
  const where = `Block ${topic}/${partition} ${fromOffset}..${toOffset}`;
  const isOffset = (offset: number): boolean => Number.isSafeInteger(offset) && offset >= 0;
  invariant(isOffset(fromOffset) && isOffset(toOffset) && fromOffset <= toOffset, `${where} is no range of offsets`);
  invariant(rows.length <= BLOCK_ROWS_MAX, `${where} has ${rows.length} rows, at most ${BLOCK_ROWS_MAX} are accepted`);
  for (const row of rows) {
    const inside = Number.isSafeInteger(row._offset) && row._offset >= fromOffset && row._offset <= toOffset;
    invariant(inside, `${where} contains a row with _offset ${row._offset}`);
  }
}
