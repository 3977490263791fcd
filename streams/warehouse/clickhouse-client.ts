/**
 * One connection pool to one ClickHouse HTTP endpoint: statements in, rows out.
 *
 * It belongs to one endpoint for life; clickhouse-warehouse.ts makes a new one when the endpoint moves, and adds
 * limits, settings and error codes. This file alone imports @clickhouse/client.
 */
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { type ClickHouseClient, ClickHouseLogLevel, type ClickHouseSettings, createClient } from '@clickhouse/client';
import type { Clock } from '../clock.js';
import type { NativeBlock } from './column-block.js';
import type { QueryParams, WarehouseRow } from './warehouse.js';

/** Where a ClickHouse HTTP interface listens. */
export interface ClickhouseEndpoint {
  readonly url: string;
  readonly username: string;
  readonly password: string;
  /** Changes whenever a new process is behind it. */
  readonly generation: number;
}

export interface ClickhouseCall {
  readonly settings: ClickHouseSettings;
  /** Ends the request; the statement stops at its next chunk of output or at its own time limit. */
  readonly signal: AbortSignal;
  /** Two statements of one id never run at once: the later one is refused with code 216. */
  readonly queryId?: string | undefined;
}

/** The child has 16 threads for statements; of a server it is a polite share. */
const CONNECTIONS_MAX = 12;
/** About a millisecond of encoding. */
const SLICE_ROWS = 100;

export class ClickhouseConnection {
  private readonly client: ClickHouseClient;

  /** @param silentMsMax how long a socket may stay silent before it is given up. */
  constructor(
    endpoint: ClickhouseEndpoint,
    database: string,
    silentMsMax: number,
    private readonly clock: Clock,
  ) {
    this.client = createClient({
      url: endpoint.url,
      username: endpoint.username,
      password: endpoint.password,
      database,
      max_open_connections: CONNECTIONS_MAX,
      request_timeout: silentMsMax,
      // Faults are thrown; what to log is decided where they are caught.
      log: { level: ClickHouseLogLevel.OFF },
    });
  }

  async command(sql: string, params: QueryParams, call: ClickhouseCall): Promise<void> {
    await this.client.command({ query: sql, query_params: { ...params }, ...options(call) });
  }

  /** As JSON, which the server judges row by row. */
  async insert(table: string, rows: readonly WarehouseRow[], call: ClickhouseCall): Promise<void> {
    const values = Readable.from(encoded(rows, this.clock), { objectMode: false });
    await this.send(`INSERT INTO ${table} FORMAT JSONEachRow`, values, call);
  }

  async insertNative(table: string, { columns, bytes }: NativeBlock, call: ClickhouseCall): Promise<void> {
    await this.send(`INSERT INTO ${table} (${columns.join(', ')}) FORMAT Native`, Readable.from([bytes]), call);
  }

  /** As a statement with a body: the client's `insert` takes JSON row by row, and a step costs more than the row. */
  private async send(query: string, values: Readable, call: ClickhouseCall): Promise<void> {
    const result = await this.client.exec({ query, values, ...options(call) });
    // The answer is empty; unread, it would hold the connection.
    result.stream.resume();
    await finished(result.stream);
  }

  /** At the reader's pace. A failure half-way is thrown behind the rows before it. */
  async *rows(sql: string, params: QueryParams, call: ClickhouseCall): AsyncGenerator<Record<string, unknown>> {
    const query = { query: sql, query_params: { ...params }, ...options(call) };
    const result = await this.client.query({ ...query, format: 'JSONEachRow' });
    // The client's own signal ends with the response's headers.
    const onAbort = (): void => result.close();
    call.signal.addEventListener('abort', onAbort);
    try {
      for await (const rows of result.stream()) {
        for (const row of rows) yield row.json<Record<string, unknown>>();
      }
    } finally {
      call.signal.removeEventListener('abort', onAbort);
      result.close();
    }
  }

  async close(): Promise<void> {
    await this.client.close();
  }
}

/** A block slice by slice, with a turn for others in between: encoding a large one at a stretch would hold every feed. */
async function* encoded(rows: readonly WarehouseRow[], clock: Clock): AsyncGenerator<string> {
  for (let start = 0; start < rows.length; start += SLICE_ROWS) {
    if (start > 0) await clock.nextTurn();
    let lines = '';
    const end = Math.min(rows.length, start + SLICE_ROWS);
    for (let i = start; i < end; i++) lines += `${JSON.stringify(rows[i])}\n`;
    yield lines;
  }
}

function options(call: ClickhouseCall): {
  clickhouse_settings: ClickHouseSettings;
  abort_signal: AbortSignal;
  query_id?: string;
} {
  const base = { clickhouse_settings: call.settings, abort_signal: call.signal };
  return call.queryId === undefined ? base : { ...base, query_id: call.queryId };
}
