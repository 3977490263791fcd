/** Columns of columns: values that may be missing, lists, maps. Layouts follow ClickHouse's `SerializationNullable`, `SerializationArray` and `SerializationMap`. */
import { grown } from '../typed-growth.js';
import type { ByteWriter } from './byte-writer.js';
import type { Column } from './column.js';

const ROWS_EXPECTED = 1_024;

/** What is not put is NULL. */
export class NullableColumn<C extends Column> implements Column {
  readonly type: string;
  private present = new Uint8Array(ROWS_EXPECTED);

  constructor(private readonly values: C) {
    this.type = `Nullable(${values.type})`;
  }

  get isUsed(): boolean {
    return this.values.isUsed;
  }

  /** The column to put the value of these rows into. */
  at(row: number, count: number): C {
    this.reserve(row + count);
    if (count === 1) this.present[row] = 1;
    else this.present.fill(1, row, row + count);
    return this.values;
  }

  writePrefix(out: ByteWriter): void {
    this.values.writePrefix(out);
  }

  write(rows: number, out: ByteWriter): void {
    this.reserve(rows);
    const missing = new Uint8Array(rows);
    for (let i = 0; i < rows; i++) missing[i] = 1 - this.present[i]!;
    out.bytes(missing);
    this.values.write(rows, out);
  }

  select(rows: readonly number[]): NullableColumn<C> {
    const selected = new NullableColumn(this.values.select(rows) as C);
    selected.reserve(rows.length);
    rows.forEach((row, i) => {
      selected.present[i] = this.present[row] ?? 0;
    });
    return selected;
  }

  clear(): void {
    this.present.fill(0);
    this.values.clear();
  }

  private reserve(rows: number): void {
    if (rows > this.present.length) this.present = grown(this.present, rows);
  }
}

/** Where each row's elements end among those of all rows. */
class Extents {
  private ends = new Uint32Array(ROWS_EXPECTED);
  private rows = 0;

  get length(): number {
    return this.rows === 0 ? 0 : this.ends[this.rows - 1]!;
  }

  /** Gives `row` its number of elements and returns the first one's. */
  extend(row: number, elements: number): number {
    const start = this.pad(row);
    this.pad(row + 1);
    this.ends[row] = start + elements;
    return start;
  }

  write(rows: number, out: ByteWriter): void {
    this.pad(rows);
    const ends = new Uint32Array(2 * rows);
    for (let i = 0; i < rows; i++) ends[2 * i] = this.ends[i]!;
    out.bytes(new Uint8Array(ends.buffer));
  }

  select(rows: readonly number[]): { extents: Extents; elements: readonly number[] } {
    const extents = new Extents();
    const elements: number[] = [];
    rows.forEach((row, i) => {
      const end = row < this.rows ? this.ends[row]! : this.length;
      const start = row === 0 ? 0 : row <= this.rows ? this.ends[row - 1]! : this.length;
      extents.extend(i, end - start);
      for (let element = start; element < end; element++) elements.push(element);
    });
    return { extents, elements };
  }

  clear(): void {
    this.rows = 0;
  }

  /** Rows up to `row` without elements. Returns how many there are by then. */
  private pad(row: number): number {
    if (row > this.ends.length) this.ends = grown(this.ends, row);
    const end = this.length;
    for (; this.rows < row; this.rows++) this.ends[this.rows] = end;
    return end;
  }
}

/** `Array`. */
export class ListColumn<C extends Column> implements Column {
  readonly type: string;
  isUsed = false;

  constructor(
    readonly elements: C,
    private readonly extents = new Extents(),
  ) {
    this.type = `Array(${elements.type})`;
  }

  /** Gives `row` a length and returns where its first element is to be put. */
  extend(row: number, length: number): number {
    this.isUsed = true;
    return this.extents.extend(row, length);
  }

  writePrefix(out: ByteWriter): void {
    this.elements.writePrefix(out);
  }

  write(rows: number, out: ByteWriter): void {
    this.extents.write(rows, out);
    this.elements.write(this.extents.length, out);
  }

  select(rows: readonly number[]): ListColumn<C> {
    const { extents, elements } = this.extents.select(rows);
    const selected = new ListColumn(this.elements.select(elements) as C, extents);
    selected.isUsed = this.isUsed;
    return selected;
  }

  clear(): void {
    this.isUsed = false;
    this.extents.clear();
    this.elements.clear();
  }
}

/** `Map`: keys and values as two lists of one length. */
export class MapColumn<K extends Column, V extends Column> implements Column {
  readonly type: string;
  isUsed = false;

  constructor(
    readonly keys: K,
    readonly values: V,
    private readonly extents = new Extents(),
  ) {
    this.type = `Map(${keys.type}, ${values.type})`;
  }

  /** Gives `row` a number of entries and returns where its first key and value are to be put. */
  extend(row: number, entries: number): number {
    this.isUsed = true;
    return this.extents.extend(row, entries);
  }

  writePrefix(out: ByteWriter): void {
    this.keys.writePrefix(out);
    this.values.writePrefix(out);
  }

  write(rows: number, out: ByteWriter): void {
    this.extents.write(rows, out);
    this.keys.write(this.extents.length, out);
    this.values.write(this.extents.length, out);
  }

  select(rows: readonly number[]): MapColumn<K, V> {
    const { extents, elements } = this.extents.select(rows);
    const selected = new MapColumn(this.keys.select(elements) as K, this.values.select(elements) as V, extents);
    selected.isUsed = this.isUsed;
    return selected;
  }

  clear(): void {
    this.isUsed = false;
    this.extents.clear();
    this.keys.clear();
    this.values.clear();
  }
}
