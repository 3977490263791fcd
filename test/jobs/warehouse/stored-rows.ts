/** Records on their way into a table, up to the bytes that are sent, and the rows that these hold. */
import { createPseudonyms } from '../../../jobs/warehouse/pseudonyms.js';
import { TABLE_MAPPINGS } from '../../../jobs/warehouse/rows.js';
import { TableBlock } from '../../../jobs/warehouse/table-block.js';
import type { TableName } from '../../../jobs/warehouse/tables.js';
import { decodeRecord } from '../../../schemas/codec.js';
import { isEngineError } from '../../../schemas/errors.js';
import { silentLogger } from '../../../streams/logger.js';
import type { ColumnBlock } from '../../../streams/warehouse/column-block.js';
import type { WarehouseValue } from '../../../streams/warehouse/warehouse.js';
import { defaultOf, type NativeRow, readNativeBlock } from '../../streams/warehouse/native-reader.js';
import { modelRows } from './row-model.js';
import { asText } from './text-slice.js';

export const pseudonyms = createPseudonyms(Buffer.alloc(32, 7));
export const appendedAt = 1_760_000_000_000;
const source = { _topic: 'topic@1', _partition: 3 };

const mappingOf = (table: TableName) => TABLE_MAPPINGS.find((candidate) => candidate.table === table)!;

export function createBlock(table: TableName, rowsMax = 100_000): TableBlock {
  return new TableBlock({
    ...{ mapping: mappingOf(table), pseudonyms, rowsMax, logger: silentLogger },
    onTaken: () => undefined,
  });
}

export function fillBlock(table: TableName, values: readonly Buffer[]): TableBlock {
  const block = createBlock(table);
  values.forEach((value, offset) => {
    const appended = block.append({ topic: source._topic, partition: 0, offset, value, timestamp: appendedAt });
    if (appended === 'full') throw new Error('the block is full');
  });
  return block;
}

/** What the bytes of a block hold, with the defaults of the columns that it leaves out. */
export async function rowsIn(table: TableName, block: ColumnBlock): Promise<NativeRow[]> {
  const { bytes } = await block.encode(source, () => Promise.resolve());
  return readNativeBlock(bytes).map((row) => complete(table, row));
}

export async function storedRows(table: TableName, values: readonly Buffer[]): Promise<NativeRow[]> {
  return rowsIn(table, fillBlock(table, values).rows);
}

/** What they should be. */
export function expectedRows(table: TableName, values: readonly Buffer[]): NativeRow[] {
  return values.flatMap((value, offset) =>
    rowsOfRecord(table, value).map((row, i) => {
      const place = { ...source, _offset: offset, _outputId: i === 0 ? '' : String(i) };
      return complete(table, { ...row, ...place });
    }),
  );
}

function rowsOfRecord(table: TableName, value: Buffer) {
  try {
    return modelRows(table, decodeRecord(value), { appendedAt, pseudonyms: asText(pseudonyms) });
  } catch (error) {
    if (isEngineError(error, 'CODEC_CORRUPT', 'CODEC_UNKNOWN_SCHEMA')) return [];
    throw error;
  }
}

function complete(table: TableName, row: NativeRow): NativeRow {
  const columns = Object.entries(mappingOf(table).createColumns());
  const defaults = Object.fromEntries(columns.map(([name, { type }]) => [name, defaultOf(type)]));
  // A number is stored without the sign of zero.
  const given = Object.entries(row).map(([name, value]): [string, WarehouseValue] => [
    name,
    typeof value === 'number' ? value + 0 : value,
  ]);
  return { ...defaults, ...Object.fromEntries(given) };
}
