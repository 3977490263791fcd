/**
 * One statement of an analyst: checked, run, and answered in bounded size, or refused in words that help.
 *
 * Used by the running engine (POST /v1/admin/sql) and by `freshet sql` on a directory that nobody holds. Read-only is
 * enforced by the warehouse itself; the check here only says it more clearly, and before anything runs.
 */
import { EngineError, isEngineError } from '../../schemas/errors.js';
import { firstWord } from '../../streams/warehouse/statement.js';
import type { QueryOptions, Warehouse } from '../../streams/warehouse/warehouse.js';

export type SqlWarehouse = Pick<Warehouse, 'queryStream'>;

export interface SqlResult {
  /** In the statement's order; empty when the statement gave no rows and has no fixed columns. */
  readonly columns: string[];
  readonly rows: Record<string, unknown>[];
  /** Rows beyond the limit were left out. */
  readonly truncated: boolean;
}

export interface SqlLimits {
  /** 10,000 by default. */
  readonly rowsMax?: number;
  /** 30 s by default. */
  readonly timeoutMs?: number;
}

export type SqlHandler = (sql: string) => Promise<SqlResult>;

const ROWS_MAX = 10_000;
const TIMEOUT_MS = 30_000;
const STATEMENT_CHARACTERS_MAX = 100_000;
const READING = ['SELECT', 'WITH', 'SHOW', 'DESCRIBE', 'DESC', 'EXPLAIN', 'EXISTS'];

/** May be called concurrently. Throws REQUEST_INVALID, WAREHOUSE_QUERY_FAILED, WAREHOUSE_UNAVAILABLE. */
export function createSqlHandler(warehouse: SqlWarehouse, limits: SqlLimits = {}): SqlHandler {
  const { rowsMax = ROWS_MAX, timeoutMs = TIMEOUT_MS } = limits;
  return async (sql) => {
    const rows: Record<string, unknown>[] = [];
    let truncated = false;
    for await (const row of streamSql(warehouse, sql, { timeoutMs })) {
      if (rows.length === rowsMax) {
        truncated = true;
        break;
      }
      rows.push(row);
    }
    const columns = rows[0] === undefined ? await columnsOf(warehouse, sql, { timeoutMs }) : Object.keys(rows[0]);
    return { columns, rows, truncated };
  };
}

/** Row by row, without a limit. Faults are explained. */
export async function* streamSql(
  warehouse: SqlWarehouse,
  sql: string,
  options: QueryOptions = {},
): AsyncGenerator<Record<string, unknown>> {
  const statement = requireReading(sql);
  try {
    yield* warehouse.queryStream<Record<string, unknown>>(statement, {}, options);
  } catch (error) {
    throw await explained(error, warehouse);
  }
}

/** Of a statement that gave no rows. */
async function columnsOf(warehouse: SqlWarehouse, sql: string, options: QueryOptions): Promise<string[]> {
  const statement = requireReading(sql);
  if (!['SELECT', 'WITH'].includes(firstWord(statement))) return [];
  const columns: string[] = [];
  const described = warehouse.queryStream<{ name: string }>(`DESCRIBE TABLE (${statement}\n)`, {}, options);
  for await (const { name } of described) columns.push(name);
  return columns;
}

function requireReading(sql: string): string {
  const statement = sql.trim().replace(/;\s*$/, '');
  const word = firstWord(statement);
  if (statement.length > STATEMENT_CHARACTERS_MAX) {
    throw new EngineError(
      'REQUEST_INVALID',
      `The statement has ${statement.length} characters; at most ${STATEMENT_CHARACTERS_MAX} are accepted`,
    );
  }
  if (READING.includes(word)) return statement;
  throw new EngineError(
    'REQUEST_INVALID',
    word === ''
      ? 'The statement is empty; expected SQL such as: SELECT * FROM hourly_funnel'
      : `The statement begins with '${word}'; only reading is allowed: ${READING.join(', ')}`,
  );
}

/** ClickHouse's numbers: 60 table, 81 database, 47 column, 46 function, 62 syntax, 164 read-only, 159 and 241 limits. */
async function explained(error: unknown, warehouse: SqlWarehouse): Promise<unknown> {
  if (!isEngineError(error, 'WAREHOUSE_QUERY_FAILED')) return error;
  const said = saidBy(error);
  const again = (message: string): EngineError =>
    new EngineError('WAREHOUSE_QUERY_FAILED', message, { cause: error, context: error.context });
  switch (error.context['clickhouseCode']) {
    case 60:
    case 81:
      return again(`${said}. There are: ${(await tableNames(warehouse)).join(', ')}`);
    case 47:
      return again(`${said}. 'DESCRIBE <table>' lists the columns`);
    case 62:
      return again(`${said}. One statement is accepted, without FORMAT`);
    case 164:
      return again(`${said}. Statements may only read the warehouse's tables and set nothing`);
    case 159:
      return again(`${said}. The statement takes too long: filter by day, or ask for less`);
    case 241:
      return again(`${said}. The statement needs too much memory: filter by day, or group by less`);
    default:
      return again(said);
  }
}

const SAID_CHARACTERS_MAX = 300;

/** The first sentence or so of ClickHouse's own words, without the statement and the tokens it had expected. */
function saidBy(error: EngineError): string {
  const { cause } = error;
  const words = (cause instanceof Error ? cause.message : error.message).trim();
  const short = words
    .replace(/\s*\bFORMAT JSONEachRow\b/g, '')
    .replace(/(\. )?(Expected one of|Maybe you meant|In scope):?[\s\S]*$/, '');
  return short
    .replace(/ in scope [\s\S]*$/, '')
    .trim()
    .replace(/[.\s]+$/, '')
    .slice(0, SAID_CHARACTERS_MAX);
}

async function tableNames(warehouse: SqlWarehouse): Promise<string[]> {
  const names: string[] = [];
  try {
    const sql =
      'SELECT name FROM system.tables WHERE database = currentDatabase() AND NOT startsWith(name, {own:String}) ORDER BY name';
    for await (const { name } of warehouse.queryStream<{ name: string }>(sql, { own: '_' })) names.push(name);
  } catch {
    // The explanation is worth less than the fault it belongs to.
  }
  return names;
}
