/**
 * Turns what a ClickHouse call throws into an EngineError, by ClickHouse's numeric code and never by its words.
 *
 * What has no such code never reached the engine, or its answer never reached us: WAREHOUSE_UNAVAILABLE.
 */
import { EngineError, type ErrorCode } from '../../schemas/errors.js';

/**
 * Passes by itself: 202 too many queries, 209 and 210 network, 216 an earlier attempt of the same insert still runs,
 * 242 table is read-only, 252 too many parts (merges are behind), 279 no connection, 319 fate of an insert unknown,
 * 999 keeper.
 */
const PASSING_CODES = new Set([202, 209, 210, 216, 242, 252, 279, 319, 999]);
/** 75 cannot write, 243 not enough space. */
const FULL_CODES = new Set([75, 243]);
/** Stored bytes are not what was written: 40 checksum, 246 corrupted data, 271 cannot decompress, 740 broken part. */
const DAMAGE_CODES = new Set([40, 246, 271, 740]);
/** Statement's share of memory used up: a query asks for too much, an insert only came at a bad moment. */
const MEMORY_CODE = 241;

/** Statements are quoted up to this length. */
const QUOTED_CHARACTERS_MAX = 300;

export interface FaultSource {
  /** 'query', 'insert into clicks' … */
  readonly what: string;
  readonly isInsert?: boolean;
  readonly sql?: string;
}

export function clickhouseFault(error: unknown, source: FaultSource): EngineError {
  if (error instanceof EngineError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const sql = source.sql === undefined ? undefined : source.sql.trim().slice(0, QUOTED_CHARACTERS_MAX);
  if (!/^\d+$/.test(code)) {
    return new EngineError(
      'WAREHOUSE_UNAVAILABLE',
      `The ${source.what} got no complete answer: ${message}; try again`,
      {
        cause: error,
        context: { sql },
      },
    );
  }
  const clickhouseCode = Number(code);
  const detail = message.trim().slice(0, 4 * QUOTED_CHARACTERS_MAX);
  const hint = sql === undefined ? '' : ` (statement: ${sql})`;
  return new EngineError(
    engineCode(clickhouseCode, source.isInsert === true),
    `The ${source.what} failed with ClickHouse error ${clickhouseCode}: ${detail}${hint}`,
    { cause: error, context: { clickhouseCode, sql } },
  );
}

function engineCode(clickhouseCode: number, isInsert: boolean): ErrorCode {
  if (PASSING_CODES.has(clickhouseCode)) return 'WAREHOUSE_UNAVAILABLE';
  if (FULL_CODES.has(clickhouseCode)) return 'STORAGE_FULL';
  if (DAMAGE_CODES.has(clickhouseCode)) return 'DATA_DIRECTORY_INVALID';
  if (clickhouseCode === MEMORY_CODE && isInsert) return 'WAREHOUSE_UNAVAILABLE';
  return 'WAREHOUSE_QUERY_FAILED';
}
