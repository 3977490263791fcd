/**
 * Cuts a block before it is inserted: ClickHouse refuses one that touches more than 100 monthly partitions, which a file
 * of imported history in no order of time easily does, and a long block would hold the event loop while it is encoded.
 *
 * Pieces follow each other without gaps and are inserted in that order, so the stored position only moves over what is
 * there. All rows of an offset stay in one piece.
 */
import type { BlockRange, BlockRow } from '../../streams/warehouse/warehouse.js';

export interface BlockPiece {
  readonly rows: readonly BlockRow[];
  readonly range: BlockRange;
}

/** Half of ClickHouse's limit. */
export const MONTHS_PER_INSERT_MAX = 50;

export interface SplitLimits {
  /** Column whose month is the partition. */
  readonly timeColumn: string;
  /** More only when one offset alone has more. */
  readonly rowsMax: number;
}

/** @param rows ascending by offset */
export function splitBlock(rows: readonly BlockRow[], range: BlockRange, limits: SplitLimits): BlockPiece[] {
  const pieces: BlockPiece[] = [];
  let months = new Set<number>();
  let start = 0;
  let fromOffset = range.fromOffset;
  for (let i = 0; i < rows.length;) {
    const { _offset: offset } = rows[i]!;
    let end = i + 1;
    while (end < rows.length && rows[end]!._offset === offset) end++;
    // Rows of one offset are of one record and have one time.
    const month = monthOf(rows[i]![limits.timeColumn]);
    const isFull = end - start > limits.rowsMax || (months.size === MONTHS_PER_INSERT_MAX && !months.has(month));
    if (isFull && i > start) {
      pieces.push({ rows: rows.slice(start, i), range: { ...range, fromOffset, toOffset: offset - 1 } });
      fromOffset = offset;
      start = i;
      months = new Set();
    }
    months.add(month);
    i = end;
  }
  pieces.push({ rows: start === 0 ? rows : rows.slice(start), range: { ...range, fromOffset } });
  return pieces;
}

function monthOf(value: unknown): number {
  return value instanceof Date ? value.getUTCFullYear() * 12 + value.getUTCMonth() : 0;
}
