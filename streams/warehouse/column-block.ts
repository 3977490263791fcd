/**
 * Rows as one block of ClickHouse's Native format, filled column by column while records are read.
 *
 *     columns.x.put(rowCount, count, value) …, addRows(offset, count) ──▶ encode ──▶ names of the columns and their bytes
 *
 * A server reads such a block at a third of what the same rows cost as JSON, and no row is ever made of it here. A block that
 * was stored is filled again (`clear`): its memory lives for seconds, so that a new one each time would be found dead by full
 * collections only.
 */
import { grown } from '../typed-growth.js';
import { invariant } from '../../schemas/errors.js';
import { ByteWriter } from './byte-writer.js';
import { type Column, IntegerColumn, LongColumn } from './column.js';
import { TextColumn, WordColumn } from './text-column.js';
import { sliceOf, type Utf8Slice } from './utf8-slice.js';

export type Columns = Readonly<Record<string, Column>>;

/** What a row is about, unique within its (topic, partition). */
export interface RowPlace {
  /** Offset in the log of the record this row is about. */
  readonly _offset: number;
  /** Identity of the output; '' where a record gives one row. */
  readonly _outputId: string;
}

/** Columns that have one value in all rows of a block. */
export type BlockSource = Readonly<Record<'_topic', string> & Record<'_partition', number>>;

export interface NativeBlock {
  readonly columns: readonly string[];
  readonly bytes: Buffer;
}

const ROWS_EXPECTED = 1_024;
/** Bytes a row that a buffer starts with: most blocks then need no second one. */
const BYTES_A_ROW = 192;
/** A block that had more, of imported history, is not kept: live ones would have to clear what they never fill. */
const ROWS_KEPT_MAX = 8_192;
/** Values encoded between two turns of the event loop: about a millisecond. */
const VALUES_A_TURN = 200_000;

export class ColumnBlock<C extends Columns = Columns> {
  private rows = 0;
  private offsets = new Float64Array(ROWS_EXPECTED);
  /** Which of its record's rows it is. */
  private outputs = new Uint32Array(ROWS_EXPECTED);
  private readonly placing = {
    _topic: new WordColumn(),
    _partition: new IntegerColumn('UInt32'),
    _offset: new LongColumn('UInt64'),
    _outputId: new TextColumn(),
  };
  private out: ByteWriter | undefined;

  constructor(readonly columns: C) {}

  get length(): number {
    return this.rows;
  }

  /** What was put into the columns from `length` on is of this offset's record. */
  addRows(offset: number, count: number): void {
    const rows = this.rows + count;
    if (rows > this.offsets.length) {
      this.offsets = grown(this.offsets, rows);
      this.outputs = grown(this.outputs, rows);
    }
    for (let i = 0; i < count; i++) {
      this.offsets[this.rows + i] = offset;
      this.outputs[this.rows + i] = i;
    }
    this.rows = rows;
  }

  /** Forgets all rows; nobody may look at what was encoded any more. Returns false, with nothing done, where its memory is too much to keep. */
  clear(): boolean {
    if (this.offsets.length > ROWS_KEPT_MAX) return false;
    this.rows = 0;
    for (const column of Object.values(this.columns)) column.clear();
    return true;
  }

  *[Symbol.iterator](): Iterator<RowPlace> {
    for (let row = 0; row < this.rows; row++) yield this.placeOf(row);
  }

  filter(isKept: (place: RowPlace) => boolean): ColumnBlock {
    const rows: number[] = [];
    for (let row = 0; row < this.rows; row++) if (isKept(this.placeOf(row))) rows.push(row);
    const columns = Object.entries(this.columns).map(([name, column]) => [name, column.select(rows)] as const);
    const block = new ColumnBlock(Object.fromEntries(columns));
    block.rows = rows.length;
    block.offsets = Float64Array.from(rows, (row) => this.offsets[row]!);
    block.outputs = Uint32Array.from(rows, (row) => this.outputs[row]!);
    return block;
  }

  /**
   * With the columns that place its rows in the log. Columns that no row has are left out. The bytes are good until the block is
   * cleared, or encoded again.
   * @param nextTurn awaited after every millisecond of work
   */
  async encode(source: BlockSource, nextTurn: () => Promise<void>): Promise<NativeBlock> {
    const { rows } = this;
    const named = Object.entries(this.columns).filter(([, column]) => column.isUsed);
    this.place(source);
    const columns: readonly (readonly [string, Column])[] = [...Object.entries<Column>(this.placing), ...named];
    const out = (this.out ??= new ByteWriter(rows * BYTES_A_ROW));
    out.clear();
    out.varint(columns.length);
    out.varint(rows);
    let written = 0;
    for (const [name, column] of columns) {
      out.text(name);
      out.text(column.type);
      column.writePrefix(out);
      column.write(rows, out);
      written += rows;
      if (written < VALUES_A_TURN) continue;
      written = 0;
      await nextTurn();
    }
    invariant(rows === this.rows, 'a block got rows while it was encoded', { rows });
    return { columns: columns.map(([name]) => name), bytes: out.take() };
  }

  private place(source: BlockSource): void {
    const { _topic, _partition, _offset, _outputId } = this.placing;
    for (const column of [_topic, _partition, _offset, _outputId]) column.clear();
    _topic.putSymbol(0, this.rows, source._topic);
    _partition.put(0, this.rows, source._partition);
    // Records have a few rows each: the same ids come again and again.
    const ids: Utf8Slice[] = [];
    for (let row = 0; row < this.rows; row++) {
      _offset.put(row, 1, this.offsets[row]!);
      const output = this.outputs[row]!;
      _outputId.put(row, 1, (ids[output] ??= sliceOf(outputIdOf(output))));
    }
  }

  private placeOf(row: number): RowPlace {
    return { _offset: this.offsets[row]!, _outputId: outputIdOf(this.outputs[row]!) };
  }
}

const outputIdOf = (output: number): string => (output === 0 ? '' : String(output));
