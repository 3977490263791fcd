/**
 * A block of one table while it is filled from records, which never become objects on the way.
 *
 *   record ──▶ view of its bytes ──▶ columns of the table ──▶ full: too many rows or months
 *
 * ClickHouse refuses a block that touches more than 100 monthly partitions, which a file of imported history in no order of
 * time easily does; such a block is cut before. All rows of a record are in one block.
 */
import { viewRecord } from '../../schemas/codec.js';
import type { RecordView } from '../../schemas/record-view.js';
import type { AnyRecord } from '../../schemas/records.js';
import type { Logger } from '../../streams/logger.js';
import { ColumnBlock } from '../../streams/warehouse/column-block.js';
import type { Appended, SinkBlock } from '../../streams/warehouse/sink-block.js';
import type { SinkPlace } from '../../streams/warehouse/sink-source.js';
import type { Pseudonyms } from './pseudonyms.js';
import { RowFill } from './row-fill.js';
import type { TableMapping } from './rows.js';

export interface TableRecord extends SinkPlace {
  /** When it was logged, ms since epoch. */
  readonly timestamp: number;
  /** Undefined for an offset that is to count as stored, whatever is there. */
  readonly value: Buffer | undefined;
}

export interface TableBlockOptions {
  readonly mapping: TableMapping;
  readonly pseudonyms: Pseudonyms;
  /** More only when one record alone has more. */
  readonly rowsMax: number;
  readonly logger: Logger;
  /** Told of every record whose offset the block has. */
  readonly onTaken: (place: SinkPlace) => void;
}

/** Half of ClickHouse's limit. */
export const MONTHS_PER_INSERT_MAX = 50;

export class TableBlock implements SinkBlock<TableRecord> {
  readonly rows: ColumnBlock;
  private readonly fill: RowFill;
  private readonly months = new Set<number>();
  /** Records mostly follow each other in time: the month of the last one, ms since epoch. */
  private monthStart = 0;
  private monthEnd = 0;

  constructor(private readonly options: TableBlockOptions) {
    this.rows = new ColumnBlock(options.mapping.createColumns());
    this.fill = new RowFill(options.pseudonyms);
  }

  append(record: TableRecord): Appended {
    const { mapping, rowsMax, onTaken } = this.options;
    const { value, offset, timestamp } = record;
    if (value !== undefined) {
      const view = this.view(record, value);
      const kind = view === undefined ? undefined : mapping.kinds.get(view.kind);
      if (view === undefined || kind === undefined) return 'passed';
      const count = kind.count(view);
      if (count === 0) return 'passed';
      const { rows, fill } = this;
      if (rows.length > 0 && rows.length + count > rowsMax) return 'full';
      if (!this.hasRoomForMonth(kind.time(view))) return 'full';
      fill.row = rows.length;
      fill.count = count;
      fill.bytes = value;
      fill.appendedAt = timestamp;
      kind.put(view, rows.columns, fill);
      rows.addRows(offset, count);
    }
    onTaken(record);
    return 'taken';
  }

  clear(): boolean {
    this.months.clear();
    this.monthStart = this.monthEnd = 0;
    return this.rows.clear();
  }

  private hasRoomForMonth(ms: number): boolean {
    if (ms >= this.monthStart && ms < this.monthEnd) return true;
    const date = new Date(ms);
    const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
    const start = Date.UTC(year, month, 1);
    if (!this.months.has(start) && this.months.size === MONTHS_PER_INSERT_MAX) return false;
    this.months.add(start);
    this.monthStart = start;
    this.monthEnd = Date.UTC(year, month + 1, 1);
    return true;
  }

  /** Bytes that are no record went to the dead letters when their stage met them. */
  private view({ topic, partition, offset }: TableRecord, value: Buffer): RecordView<AnyRecord> | undefined {
    try {
      return viewRecord(value);
    } catch (error) {
      this.options.logger.debug('record without a row', { topic, partition, offset, error });
      return undefined;
    }
  }
}
