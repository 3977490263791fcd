/** Columns of text: each value's own bytes, or numbers of a dictionary. */
import { grown, grownBuffer } from '../typed-growth.js';
import type { ByteWriter } from './byte-writer.js';
import type { Column } from './column.js';
import { TextDictionary } from './text-dictionary.js';
import { copySlice, sliceOf, type Utf8Slice } from './utf8-slice.js';

const ROWS_EXPECTED = 1_024;
const TEXT_BYTES_EXPECTED = 16_384;
/** Of a length. */
const VARINT_BYTES_MAX = 5;

/** `String`: length and bytes of each value. */
export class TextColumn implements Column {
  readonly type = 'String';
  isUsed = false;
  private bytes: Buffer = Buffer.allocUnsafe(TEXT_BYTES_EXPECTED);
  private length = 0;
  /** Rows that `bytes` has. */
  private rows = 0;

  put(row: number, count: number, text: Utf8Slice): void {
    this.isUsed = true;
    const size = text.end - text.start;
    this.pad(row, count * (size + VARINT_BYTES_MAX));
    const from = this.length;
    const { bytes } = this;
    let at = from;
    let left = size;
    for (; left >= 0x80; left >>>= 7) bytes[at++] = (left & 0x7f) | 0x80;
    bytes[at++] = left;
    const width = copySlice(text, bytes, at) - from;
    for (let i = 1; i < count; i++) bytes.copyWithin(from + i * width, from, from + width);
    this.length = from + count * width;
    this.rows = row + count;
  }

  writePrefix(): void {
    // None.
  }

  write(rows: number, out: ByteWriter): void {
    this.pad(rows, 0);
    out.bytes(this.bytes.subarray(0, this.length));
  }

  select(rows: readonly number[]): TextColumn {
    const selected = new TextColumn();
    let at = 0;
    let next = 0;
    for (let row = 0; row < this.rows && next < rows.length; row++) {
      let size = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = this.bytes[at++]!;
        size |= (byte & 0x7f) << shift;
        if (byte < 0x80) break;
      }
      if (row === rows[next]) selected.put(next++, 1, { bytes: this.bytes, start: at, end: at + size });
      at += size;
    }
    selected.isUsed = this.isUsed;
    return selected;
  }

  clear(): void {
    this.isUsed = false;
    this.length = 0;
    this.rows = 0;
  }

  /** Rows up to `row` without a text, and room for `more` bytes behind them. */
  private pad(row: number, more: number): void {
    const missing = row - this.rows;
    const length = this.length + missing + more;
    this.bytes = grownBuffer(this.bytes, this.length, length);
    if (missing === 0) return;
    this.bytes.fill(0, this.length, this.length + missing);
    this.length += missing;
    this.rows = row;
  }
}

const NO_TEXT: Utf8Slice = { bytes: Buffer.alloc(0), start: 0, end: 0 };
/** `SharedDictionariesWithAdditionalKeys`, the only version there is. */
const DICTIONARY_VERSION = 1;
/** Bits behind the width of the numbers: the keys follow, and they are all there are. */
const HAS_KEYS = 2 ** 9;
const REPLACES_KEYS = 2 ** 10;

/** `LowCardinality(String)`: a dictionary of the block's own words, then a number a row (`SerializationLowCardinality`). */
export class WordColumn implements Column {
  readonly type = 'LowCardinality(String)';
  isUsed = false;
  private readonly words = new TextDictionary();
  private numbers = new Uint32Array(ROWS_EXPECTED);
  private last = 0;
  /** Of words that are constants of ours. */
  private readonly symbols = new Map<string, number>();

  constructor() {
    this.words.add(NO_TEXT);
  }

  put(row: number, count: number, word: Utf8Slice): void {
    if (!this.words.isText(this.last, word)) this.last = this.words.add(word);
    this.putNumber(row, count, this.last);
  }

  /** As `put`, of one among few words. */
  putSymbol(row: number, count: number, symbol: string): void {
    let number = this.symbols.get(symbol);
    if (number === undefined) {
      number = this.words.add(sliceOf(symbol));
      this.symbols.set(symbol, number);
    }
    this.putNumber(row, count, number);
  }

  writePrefix(out: ByteWriter): void {
    out.uint64(DICTIONARY_VERSION);
  }

  write(rows: number, out: ByteWriter): void {
    if (rows === 0) return;
    this.reserve(rows);
    const { size } = this.words;
    const width = size <= 0x100 ? 1 : size <= 0x1_0000 ? 2 : 4;
    out.uint64((width >> 1) + HAS_KEYS + REPLACES_KEYS);
    out.uint64(size);
    for (let i = 0; i < size; i++) {
      const word = this.words.textAt(i);
      out.varint(word.length);
      out.bytes(word);
    }
    out.uint64(rows);
    const numbers = this.numbers.subarray(0, rows);
    const narrowed = width === 1 ? Uint8Array.from(numbers) : width === 2 ? Uint16Array.from(numbers) : numbers;
    out.bytes(new Uint8Array(narrowed.buffer, 0, rows * width));
  }

  select(rows: readonly number[]): WordColumn {
    const selected = new WordColumn();
    rows.forEach((row, i) => {
      const word = this.words.textAt(this.numbers[row] ?? 0) as Buffer;
      selected.put(i, 1, { bytes: word, start: 0, end: word.length });
    });
    selected.isUsed = this.isUsed;
    return selected;
  }

  clear(): void {
    this.isUsed = false;
    this.words.clear();
    this.words.add(NO_TEXT);
    this.numbers.fill(0);
    this.last = 0;
    this.symbols.clear();
  }

  private putNumber(row: number, count: number, number: number): void {
    this.isUsed = true;
    this.reserve(row + count);
    if (count === 1) this.numbers[row] = number;
    else this.numbers.fill(number, row, row + count);
  }

  private reserve(rows: number): void {
    if (rows > this.numbers.length) this.numbers = grown(this.numbers, rows);
  }
}
