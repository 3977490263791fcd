/**
 * `freshet sql "SELECT …"`: asks the warehouse of a data directory.
 *
 * A running engine holds the directory alone, so it is asked first, at the address it left in `admin.json`. When nobody
 * answers there, the warehouse is opened here, for this statement.
 */
import { EngineError, ERROR_CODES, type ErrorCode, isEngineError } from '../../schemas/errors.js';
import { AdminTimeout, adminAddress, askEngine } from '../engine/admin-client.js';
import type { AdminAddress } from '../engine/admin-client.js';
import { openWarehouseToRead } from '../warehouse/open-warehouse.js';
import { createSqlHandler, type SqlResult, streamSql } from '../warehouse/sql-handler.js';
import { alignedTable, csvLine } from '../warehouse/sql-text.js';
import type { CommandContext, DataOptions } from './command.js';
import { loadConfig } from './command.js';

export interface SqlOptions extends DataOptions {
  /** Aligned text, JSON lines, or CSV with a header; `table` by default. */
  readonly format?: 'table' | 'json' | 'csv';
  /** The common flag: the whole result as one JSON object. */
  readonly json?: boolean | undefined;
}

/** A table on a screen; more is for json and csv, which have no limit here. */
const TABLE_ROWS_MAX = 1_000;
const ANSWER_MS_MAX = 120_000;
const STATEMENT_MS_MAX = 600_000;

export async function runSql(context: CommandContext, query: string, options: SqlOptions): Promise<void> {
  const address = adminAddress(options.data);
  const answer = address === undefined ? undefined : await ask(context, address, query);
  if (answer !== undefined) return print(context, answer, options);
  const warehouse = await openUnheld(context, options, address);
  try {
    if (options.json === true || (options.format ?? 'table') === 'table') {
      const limits = { rowsMax: TABLE_ROWS_MAX, timeoutMs: STATEMENT_MS_MAX };
      print(context, await createSqlHandler(warehouse, limits)(query), options);
    } else {
      let isFirst = true;
      for await (const row of streamSql(warehouse, query, { timeoutMs: STATEMENT_MS_MAX })) {
        printRow(context, row, { isFirst, format: options.format });
        isFirst = false;
      }
    }
  } finally {
    await warehouse.close();
  }
}

async function openUnheld(context: CommandContext, options: SqlOptions, address: AdminAddress | undefined) {
  const { streams, warehouse } = loadConfig(options);
  const { clock, logger } = context;
  try {
    return await openWarehouseToRead({
      data: options.data,
      namespace: streams.namespace,
      server: warehouse,
      clock,
      logger,
    });
  } catch (error) {
    if (!isEngineError(error, 'DATA_DIRECTORY_LOCKED')) throw error;
    const why =
      address === undefined
        ? `and left no 'admin.json' there to be asked through`
        : `and does not answer at ${address.url}, which its 'admin.json' names`;
    throw new EngineError(
      'DATA_DIRECTORY_LOCKED',
      `Another process holds the warehouse of '${options.data}' ${why}; stop it, or wait until it is up`,
      { cause: error },
    );
  }
}

/** Undefined when nobody answers there, or somebody who is not the engine of this directory: the file outlived it. */
async function ask({ clock }: CommandContext, address: AdminAddress, sql: string): Promise<SqlResult | undefined> {
  try {
    const answer = await askEngine(address, { name: 'sql', body: { sql }, patience: { clock, ms: ANSWER_MS_MAX } });
    if (answer?.status === 200) return answer.body as SqlResult;
    if (answer === undefined || answer.status === 401 || answer.status === 404) return undefined;
    throw refusal(answer.body, answer.status);
  } catch (error) {
    if (!(error instanceof AdminTimeout)) throw error;
    const message = `The engine at ${address.url} did not answer within ${ANSWER_MS_MAX} ms; filter by day, or try again`;
    throw new EngineError('WAREHOUSE_UNAVAILABLE', message);
  }
}

function refusal(body: unknown, status: number): EngineError {
  const { code, message } = (body as { error?: { code?: string; message?: string } }).error ?? {};
  const known = code !== undefined && Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : 'WAREHOUSE_UNAVAILABLE';
  return new EngineError(known, message ?? `The engine answered with status ${status}`);
}

function print({ terminal }: CommandContext, result: SqlResult, { format = 'table', json }: SqlOptions): void {
  const { columns, rows, truncated } = result;
  if (json === true) terminal.result({ columns, rows, truncated });
  else if (format === 'table') for (const line of alignedTable(columns, rows)) terminal.line(line);
  else rows.forEach((row, i) => printRow({ terminal }, row, { isFirst: i === 0, format }));
  if (truncated) terminal.say(`Only the first ${rows.length} rows are shown.`);
}

function printRow(
  { terminal }: Pick<CommandContext, 'terminal'>,
  row: Record<string, unknown>,
  { isFirst, format }: { readonly isFirst: boolean; readonly format: SqlOptions['format'] },
): void {
  if (format === 'json') return terminal.line(JSON.stringify(row));
  if (isFirst) terminal.line(csvLine(Object.keys(row)));
  terminal.line(csvLine(Object.values(row)));
}
