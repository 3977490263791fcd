/**
 * Files of interactions into a table, through a mapping: no record is encoded, no log involved.
 *
 * What a mapping means is what import means by it (field-reader.ts), so that a model learns from the very events an
 * import would append. Rows that do not fit are counted with their reasons; a file of which most rows do not fit has the
 * wrong mapping and is refused.
 */
import { EngineError, isEngineError } from '../../schemas/errors.js';
import { typeIndex } from '../../operators/user/event-weights.js';
import { FieldReader, rowError } from '../import/field-reader.js';
import type { Mapping } from '../import/mapping.js';
import { openRows } from '../import/rows.js';
import type { Row } from '../import/rows.js';
import { InteractionTable } from './interaction-table.js';
import type { IdIndex } from './interaction-table.js';

export interface ReadOptions {
  /** What makes a row of the training set: the person, or the session (data of shops without people have only these). */
  readonly rows: 'users' | 'sessions';
  /** Rows of the file to read at most. */
  readonly limit?: number | undefined;
  readonly users?: IdIndex | undefined;
  readonly items?: IdIndex | undefined;
}

export interface ReadResult {
  readonly table: InteractionTable;
  rows: number;
  rejected: number;
  /** The first reasons, for people. */
  readonly reasons: string[];
}

const REASONS_MAX = 5;

/** Throws MAPPING_INVALID, FILE_UNREADABLE, and ROW_INVALID when no more than half of the rows fit. */
export async function readInteractions(path: string, mapping: Mapping, options: ReadOptions): Promise<ReadResult> {
  const source = await openRows(path, mapping);
  const fields = new FieldReader(source.columns);
  const hasTimes = (mapping.interaction ?? mapping.impression)?.ts.column !== undefined;
  const table = new InteractionTable({ hasTimes, isSessions: isOfSessions(mapping, options) }, options);
  const result: ReadResult = { table, rows: 0, rejected: 0, reasons: [] };
  const take = takerOf(mapping, fields, options, table);
  try {
    for await (const row of source.rows) {
      if (options.limit !== undefined && row.number > options.limit) break;
      result.rows++;
      takeRow(row, take, result);
    }
  } catch (cause) {
    if (isEngineError(cause)) throw cause;
    throw new EngineError('FILE_UNREADABLE', `File '${path}' cannot be read: ${(cause as Error).message}.`, { cause });
  }
  if (result.rejected * 2 > result.rows) {
    const reasons = result.reasons.join(' ');
    throw new EngineError(
      'ROW_INVALID',
      `${result.rejected} of ${result.rows} rows of '${path}' do not fit the mapping '${mapping.name}'. ${reasons}`,
    );
  }
  return result;
}

/** Sessions are asked for, or the mapping knows nobody but sessions. */
function isOfSessions(mapping: Mapping, options: ReadOptions): boolean {
  return options.rows === 'sessions' && mapping.interaction?.sessionId !== undefined;
}

function takeRow(row: Row, take: (row: Row) => void, result: ReadResult): void {
  try {
    if (row.fault !== undefined) throw rowError(row, row.fault);
    take(row);
  } catch (error) {
    if (!isEngineError(error, 'ROW_INVALID')) throw error;
    result.rejected++;
    if (result.reasons.length < REASONS_MAX) result.reasons.push(error.message);
  }
}

function takerOf(
  { interaction, impression, name }: Mapping,
  fields: FieldReader,
  options: ReadOptions,
  table: InteractionTable,
): (row: Row) => void {
  if (interaction !== undefined) {
    const userId = fields.required(interaction.userId, 'userId');
    const sessionId = options.rows === 'sessions' ? fields.optionalText(interaction.sessionId) : () => null;
    const itemId = fields.required(interaction.itemId, 'itemId');
    const time = fields.time(interaction.ts);
    const type = fields.interactionType(interaction.type);
    const value = fields.optionalNumber(interaction.value);
    return (row) => {
      const at = { timeMs: time(row), type: typeIndex(type(row)), value: value(row) };
      table.add(sessionId(row) ?? userId(row), itemId(row), at);
    };
  }
  if (impression?.feedback !== undefined) {
    const userId = fields.required(impression.userId, 'userId');
    const itemId = fields.required(impression.itemId, 'itemId');
    const time = fields.time(impression.ts);
    const feedback = fields.optionalNumber(impression.feedback.column);
    const type = typeIndex(impression.feedback.type);
    return (row) => {
      if ((feedback(row) ?? 0) !== 0) table.add(userId(row), itemId(row), { timeMs: time(row), type, value: null });
    };
  }
  throw new EngineError(
    'MAPPING_INVALID',
    `Mapping '${name}' maps no interactions: it needs 'interaction', or 'impression' with 'feedback'.`,
  );
}
