/** What a sink gathers for one partition until it is stored. */
import type { SinkPlace, SinkRecord } from './sink-source.js';
import type { BlockRow, BlockRows } from './warehouse.js';

/**
 * - `taken`: the record's offset belongs to the block now, whether or not it gave rows.
 * - `passed`: it gives no row, and nobody needs to know that its offset was read.
 * - `full`: the block has to be stored first, and the record goes into the next one.
 */
export type Appended = 'taken' | 'passed' | 'full';

export interface SinkBlock<R extends SinkPlace> {
  readonly rows: BlockRows;
  /** Records come ascending by offset. An empty block is never full. */
  append(record: R): Appended;
  /** Empties a block that was stored, to be filled again. Returns false where it is not to be, as if there were no such method. */
  clear?(): boolean;
}

/** Of rows that are objects. */
export class ObjectBlock implements SinkBlock<SinkRecord> {
  readonly rows: BlockRow[] = [];

  /** Adds where the row comes from, in place: a copy of every row costs more than the rest of its way through the sink. */
  append({ row, offset, outputId = '' }: SinkRecord): Appended {
    if (row !== undefined) this.rows.push(Object.assign(row, { _offset: offset, _outputId: outputId }));
    return 'taken';
  }
}
