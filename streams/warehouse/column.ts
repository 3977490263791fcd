/**
 * One column of a block while it is filled: values of one type, in the order of rows, as ClickHouse's Native format has them.
 *
 *     put(row, count, value) for ascending rows ──▶ writePrefix, write ──▶ bytes of the block
 *
 * A row that nobody put anything at has the type's default, and costs nothing. `count` rows from `row` on get the same value:
 * rows of one record share most of theirs. Columns grow, and keep their memory for the block that follows.
 */
import { grown } from '../typed-growth.js';
import type { ByteWriter } from './byte-writer.js';

export interface Column {
  /** As ClickHouse writes it, such as `LowCardinality(String)`. */
  readonly type: string;
  /** Whether something was put: a column without anything is left to the table's defaults. */
  readonly isUsed: boolean;
  /** Comes once before the column's values. */
  writePrefix(out: ByteWriter): void;
  /** The first `rows` rows. */
  write(rows: number, out: ByteWriter): void;
  /** A column of these rows alone, ascending. */
  select(rows: readonly number[]): Column;
  /** Forgets all rows. */
  clear(): void;
}

type Numbers = Int32Array | Uint32Array | Float64Array | Uint8Array;

/** Rows that a column starts with room for. */
const ROWS_EXPECTED = 1_024;

/**
 * Values of a fixed width, which lie in memory as they are sent: platforms are little-endian, and so is the format.
 * @template T what they consist of, `units` a value
 */
abstract class FixedColumn<T extends Numbers> implements Column {
  isUsed = false;
  protected values: T;

  constructor(
    readonly type: string,
    create: new (length: number) => T,
    private readonly units: number,
  ) {
    this.values = new create(ROWS_EXPECTED * units);
  }

  writePrefix(): void {
    // None.
  }

  write(rows: number, out: ByteWriter): void {
    this.reserve(rows);
    const { buffer, BYTES_PER_ELEMENT } = this.values;
    out.bytes(new Uint8Array(buffer as ArrayBuffer, 0, rows * this.units * BYTES_PER_ELEMENT));
  }

  select(rows: readonly number[]): Column {
    const selected = new (this.constructor as new (type: string) => FixedColumn<T>)(this.type);
    selected.isUsed = this.isUsed;
    selected.reserve(rows.length);
    const last = rows.at(-1);
    if (last !== undefined) this.reserve(last + 1);
    rows.forEach((row, i) => {
      for (let unit = 0; unit < this.units; unit++) {
        selected.values[i * this.units + unit] = this.values[row * this.units + unit]!;
      }
    });
    return selected;
  }

  clear(): void {
    this.isUsed = false;
    this.values.fill(0);
  }

  /** Room for `rows` rows. */
  protected reserve(rows: number): void {
    const units = rows * this.units;
    if (units > this.values.length) this.values = grown(this.values, units);
  }
}

/** 32 bits: the caller knows that its numbers fit. */
export class IntegerColumn extends FixedColumn<Int32Array> {
  constructor(type: 'Int32' | 'UInt32') {
    super(type, Int32Array, 1);
  }

  put(row: number, count: number, value: number): void {
    this.isUsed = true;
    this.reserve(row + count);
    for (let i = row; i < row + count; i++) this.values[i] = value;
  }
}

const TWO_32 = 2 ** 32;

/** 64 bits of safe integers, also as ms since epoch. */
export class LongColumn extends FixedColumn<Int32Array> {
  constructor(type: 'Int64' | 'UInt64' | 'DateTime64(3)') {
    super(type, Int32Array, 2);
  }

  put(row: number, count: number, value: number): void {
    this.isUsed = true;
    this.reserve(row + count);
    const { values } = this;
    const high = Math.floor(value / TWO_32);
    const low = value - high * TWO_32;
    for (let i = 2 * row; i < 2 * (row + count); i += 2) {
      values[i] = low;
      values[i + 1] = high;
    }
  }
}

export class FloatColumn extends FixedColumn<Float64Array> {
  constructor() {
    super('Float64', Float64Array, 1);
  }

  put(row: number, count: number, value: number): void {
    this.isUsed = true;
    this.reserve(row + count);
    // Without the sign of zero, which JSON does not have either.
    for (let i = row; i < row + count; i++) this.values[i] = value + 0;
  }
}

export class FlagColumn extends FixedColumn<Uint8Array> {
  constructor() {
    super('Bool', Uint8Array, 1);
  }

  put(row: number, count: number, value: boolean): void {
    this.isUsed = true;
    this.reserve(row + count);
    this.values.fill(value ? 1 : 0, row, row + count);
  }
}

const UUID_BYTES = 16;

/** Two numbers of 64 bits: the first 8 bytes of the UUID from last to first, then the others. */
export class UuidColumn extends FixedColumn<Uint8Array> {
  constructor() {
    super('UUID', Uint8Array, UUID_BYTES);
  }

  /** @param uuid 16 bytes in the order of its text */
  put(row: number, count: number, uuid: Uint8Array): void {
    this.isUsed = true;
    this.reserve(row + count);
    const { values } = this;
    const at = row * UUID_BYTES;
    for (let i = 0; i < 8; i++) {
      values[at + i] = uuid[7 - i]!;
      values[at + 8 + i] = uuid[UUID_BYTES - 1 - i]!;
    }
    for (let i = 1; i < count; i++) values.copyWithin(at + i * UUID_BYTES, at, at + UUID_BYTES);
  }
}
