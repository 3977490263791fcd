/**
 * The Warehouse over ClickHouse's HTTP interface: a server's, or the embedded engine's in a child process.
 *
 * It knows statements, settings and limits; which rows are still missing is the ledger's business (block-ledger.ts),
 * where the other side listens the endpoint's, and it may move: after a restart the next call uses the new place.
 *
 * Invariant: settings that change what is stored or read are sent with every statement, never left to the server.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';
import { BlockLedger, LEDGER_DDL } from './block-ledger.js';
import { type ClickhouseCall, ClickhouseConnection, type ClickhouseEndpoint } from './clickhouse-client.js';
import { clickhouseFault, type FaultSource } from './clickhouse-fault.js';
import { type BlockSource, ColumnBlock } from './column-block.js';
import { applyMigrations, HISTORY_DDL } from './migrations.js';
import {
  type BlockRange,
  type BlockRows,
  type InsertOutcome,
  type Migration,
  QUERY_ROWS_MAX,
  type QueryOptions,
  type QueryParams,
  type ResultRow,
  type Warehouse,
  type WarehouseRow,
} from './warehouse.js';

export interface ClickhouseWarehouseOptions {
  /** Asked before every call. Throws WAREHOUSE_UNAVAILABLE when there is none. */
  readonly endpoint: () => Promise<ClickhouseEndpoint>;
  /** Made when absent. Letters, digits and _. */
  readonly database: string;
  readonly clock: Clock;
  /** Called once by `close`, last. */
  readonly onClose?: () => Promise<void>;
}

/** A report that takes longer is better run as a job. */
const STATEMENT_MS = 60_000;
/** DDL with mutations rewrites whole tables. */
const COMMAND_MS = 600_000;
/** The server notices its own limit first and says so; ours is for a server that says nothing. */
const SILENCE_MS = 10_000;
/** Bounds a forgotten socket only; `guard` keeps the limits. */
const SOCKET_SILENT_MS = COMMAND_MS + 2 * SILENCE_MS;
/** Calls that run or wait for a connection; more means that callers do not wait for their answers. */
const CALLS_MAX = 256;

const COMMON_SETTINGS: ClickhouseCall['settings'] = {
  // Dates are read and written in UTC whatever the server's zone.
  session_timezone: 'UTC',
  // An integer is a number in JSON; above 2^53 callers cast to text.
  output_format_json_quote_64bit_integers: 0,
};

const INSERT_SETTINGS: ClickhouseCall['settings'] = {
  ...COMMON_SETTINGS,
  // Acknowledged means stored, and one insert is one block: no server-side gathering.
  async_insert: 0,
  // Equal keys of a ReplacingMergeTree are left to its merges: looking for them in every block doubles the cost of its rows.
  optimize_on_insert: 0,
  date_time_input_format: 'best_effort',
  // A misspelt column or a null (NaN is null in JSON) where none is allowed is an error, not a silent default.
  input_format_skip_unknown_fields: 0,
  input_format_null_as_default: 0,
};

interface Call extends FaultSource {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export class ClickhouseWarehouse implements Warehouse {
  private current: { readonly generation: number; readonly connection: ClickhouseConnection } | undefined;
  private readonly ledger: BlockLedger;
  private readonly closing = new AbortController();
  private closed: Promise<void> | undefined;
  private calls = 0;

  private constructor(private readonly options: ClickhouseWarehouseOptions) {
    this.ledger = new BlockLedger({
      insertRows: (table, rows) => this.insertRows(table, rows),
      insertBlock: (table, rows, source, queryId) => this.insertBlock(table, rows, source, queryId),
      select: (sql, params, queryId) => this.rows(sql, params, {}, queryId),
      command: (sql, params) => this.command(sql, params, {}),
    });
  }

  /** Connects, makes the database and the engine's own tables. Closes its endpoint again when that fails. */
  static async open(options: ClickhouseWarehouseOptions): Promise<ClickhouseWarehouse> {
    const warehouse = new ClickhouseWarehouse(options);
    try {
      await warehouse.createDatabase();
      await warehouse.command(LEDGER_DDL, {}, {});
      await warehouse.command(HISTORY_DDL, {}, {});
      return warehouse;
    } catch (error) {
      await warehouse.close();
      throw error;
    }
  }

  insert(table: string, rows: BlockRows, range: BlockRange): Promise<InsertOutcome> {
    return this.ledger.insert(table, rows, range);
  }

  position(table: string, topic: string, partition: number): Promise<number | undefined> {
    return this.ledger.position(table, topic, partition);
  }

  reset(table: string): Promise<void> {
    return this.ledger.reset(table);
  }

  async query<Row extends object = ResultRow>(
    sql: string,
    params: QueryParams = {},
    options: QueryOptions = {},
  ): Promise<Row[]> {
    const rowsMax = options.rowsMax ?? QUERY_ROWS_MAX;
    const rows: Row[] = [];
    for await (const row of this.queryStream<Row>(sql, params, options)) {
      if (rows.length === rowsMax) {
        throw new EngineError(
          'WAREHOUSE_QUERY_FAILED',
          `The query gives more than ${rowsMax} rows; add a LIMIT or stream it`,
        );
      }
      rows.push(row);
    }
    return rows;
  }

  queryStream<Row extends object = ResultRow>(
    sql: string,
    params: QueryParams = {},
    options: QueryOptions = {},
  ): AsyncIterable<Row> {
    return this.rows(sql, params, options) as AsyncIterable<Row>;
  }

  execute(sql: string, options: QueryOptions = {}): Promise<void> {
    return this.command(sql, {}, options);
  }

  migrate(migrations: readonly Migration[]): Promise<void> {
    return applyMigrations(
      {
        query: (sql) => this.query<Record<string, unknown>>(sql),
        execute: (sql) => this.execute(sql),
        insertRows: (table, rows) => this.insertRows(table, rows),
      },
      migrations,
    );
  }

  close(): Promise<void> {
    this.closed ??= (async () => {
      this.closing.abort(new EngineError('WAREHOUSE_UNAVAILABLE', 'The warehouse is closed'));
      await this.current?.connection.close();
      await this.options.onClose?.();
    })();
    return this.closed;
  }

  /** On a connection of its own: a server refuses every statement that names a database it does not have yet. */
  private async createDatabase(): Promise<void> {
    const connection = new ClickhouseConnection(
      await this.options.endpoint(),
      'default',
      SOCKET_SILENT_MS,
      this.options.clock,
    );
    try {
      const sql = `CREATE DATABASE IF NOT EXISTS ${this.options.database}`;
      await this.command(sql, {}, {}, () => Promise.resolve(connection));
    } finally {
      await connection.close();
    }
  }

  private command(sql: string, params: QueryParams, options: QueryOptions, connect = this.connect): Promise<void> {
    const { timeoutMs = COMMAND_MS, signal } = options;
    const settings = { ...COMMON_SETTINGS, max_execution_time: seconds(timeoutMs) };
    return this.call({ what: 'statement', sql, timeoutMs, signal }, connect, (connection, abort) =>
      connection.command(sql, params, { settings, signal: abort }),
    );
  }

  private insertRows(table: string, rows: readonly WarehouseRow[], queryId?: string): Promise<void> {
    return this.sendRows(table, queryId, (connection, call) => connection.insert(table, rows, call));
  }

  private async insertBlock(table: string, rows: BlockRows, source: BlockSource, queryId: string): Promise<void> {
    if (!(rows instanceof ColumnBlock)) {
      const placed = rows.map((row) => ({ ...row, ...source }));
      return this.insertRows(table, placed, queryId);
    }
    const block = await rows.encode(source, () => this.options.clock.nextTurn());
    await this.sendRows(table, queryId, (connection, call) => connection.insertNative(table, block, call));
  }

  private sendRows(
    table: string,
    queryId: string | undefined,
    send: (connection: ClickhouseConnection, call: ClickhouseCall) => Promise<void>,
  ): Promise<void> {
    const call: Call = { what: `insert into '${table}'`, isInsert: true, timeoutMs: STATEMENT_MS };
    const settings = { ...INSERT_SETTINGS, max_execution_time: seconds(STATEMENT_MS) };
    return this.call(call, this.connect, (connection, signal) => send(connection, { settings, signal, queryId }));
  }

  private async *rows(
    sql: string,
    params: QueryParams,
    options: QueryOptions,
    queryId?: string,
  ): AsyncGenerator<Record<string, unknown>> {
    const { timeoutMs = STATEMENT_MS, signal } = options;
    const call: Call = { what: 'query', sql, timeoutMs, signal };
    // Read-only also forbids file(), url() and the like: a query sees the warehouse and nothing beside it.
    const settings = { ...COMMON_SETTINGS, readonly: '1' as const, max_execution_time: seconds(timeoutMs) };
    const guard = this.guard(call);
    try {
      const connection = await this.connect();
      yield* connection.rows(sql, params, { settings, signal: guard.signal, queryId });
    } catch (error) {
      throw guard.signal.aborted ? guard.signal.reason : clickhouseFault(error, call);
    } finally {
      guard.release();
    }
  }

  private async call(
    call: Call,
    connect: () => Promise<ClickhouseConnection>,
    run: (connection: ClickhouseConnection, abort: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const guard = this.guard(call);
    try {
      await run(await connect(), guard.signal);
    } catch (error) {
      throw guard.signal.aborted ? guard.signal.reason : clickhouseFault(error, call);
    } finally {
      guard.release();
    }
  }

  /** Counts the call and aborts it when it takes too long, its caller gives up, or the warehouse closes. */
  private guard(call: Call): { signal: AbortSignal; release: () => void } {
    this.closing.signal.throwIfAborted();
    if (this.calls >= CALLS_MAX) {
      throw new EngineError(
        'WAREHOUSE_UNAVAILABLE',
        `${CALLS_MAX} calls of the warehouse are under way; try again later`,
      );
    }
    this.calls++;
    const late = new AbortController();
    const message = `The ${call.what} was not answered within ${call.timeoutMs + SILENCE_MS} ms`;
    const timer = this.options.clock.setTimer(call.timeoutMs + SILENCE_MS, () =>
      late.abort(new EngineError('WAREHOUSE_UNAVAILABLE', message, { context: { sql: call.sql } })),
    );
    const signals = [late.signal, this.closing.signal, ...(call.signal === undefined ? [] : [call.signal])];
    return {
      signal: AbortSignal.any(signals),
      release: () => {
        timer.cancel();
        this.calls--;
      },
    };
  }

  private readonly connect = async (): Promise<ClickhouseConnection> => {
    const endpoint = await this.options.endpoint();
    if (this.current?.generation === endpoint.generation) return this.current.connection;
    const outdated = this.current?.connection;
    const connection = new ClickhouseConnection(endpoint, this.options.database, SOCKET_SILENT_MS, this.options.clock);
    this.current = { generation: endpoint.generation, connection };
    void outdated?.close().catch(() => undefined);
    return connection;
  };
}

const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000));
