/** Reads a block of ClickHouse's Native format back into rows: written from the format's description, not from our writer. */
import type { WarehouseValue } from '../../../streams/warehouse/warehouse.js';

export type NativeRow = Record<string, WarehouseValue>;

/** The value that a type has when nothing is said. */
export function defaultOf(type: string): WarehouseValue {
  if (type.startsWith('Nullable(')) return null;
  if (type.startsWith('Array(')) return [];
  if (type.startsWith('Map(')) return {};
  if (type === 'UUID') return '00000000-0000-0000-0000-000000000000';
  if (type === 'Bool') return false;
  if (type === 'DateTime64(3)') return new Date(0);
  return type.endsWith('String') || type.includes('(String)') ? '' : 0;
}

export function readNativeBlock(bytes: Buffer): NativeRow[] {
  const cursor = new Cursor(bytes);
  const columns = cursor.varint();
  const rows: NativeRow[] = Array.from({ length: cursor.varint() }, () => ({}));
  for (let i = 0; i < columns; i++) {
    const name = cursor.text();
    const type = cursor.text();
    readPrefix(cursor, type);
    readValues(cursor, type, rows.length).forEach((value, row) => (rows[row]![name] = value));
  }
  if (!cursor.isAtEnd) throw new Error('bytes are left behind the block');
  return rows;
}

class Cursor {
  private at = 0;

  constructor(private readonly bytes: Buffer) {}

  get isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  take(bytes: number): Buffer {
    if (this.at + bytes > this.bytes.length) throw new Error('the block ends too early');
    this.at += bytes;
    return this.bytes.subarray(this.at - bytes, this.at);
  }

  text(): string {
    return this.take(this.varint()).toString('utf8');
  }

  uint64(): number {
    return Number(this.take(8).readBigUInt64LE());
  }
}

/** Inner types, cut at the commas that are not inside brackets. */
function innerTypes(type: string): string[] {
  const content = type.slice(type.indexOf('(') + 1, -1);
  return content.split(/, (?![^(]*\))/);
}

function readPrefix(cursor: Cursor, type: string): void {
  if (type.startsWith('LowCardinality(')) {
    if (cursor.uint64() !== 1) throw new Error('not the version of dictionaries that there is');
  } else if (/^(Nullable|Array|Map)\(/.test(type)) for (const inner of innerTypes(type)) readPrefix(cursor, inner);
}

function readValues(cursor: Cursor, type: string, rows: number): WarehouseValue[] {
  const list = <T extends WarehouseValue>(read: () => T): T[] => Array.from({ length: rows }, read);
  switch (type) {
    case 'String':
      return list(() => cursor.text());
    case 'Int32':
      return list(() => cursor.take(4).readInt32LE());
    case 'UInt32':
      return list(() => cursor.take(4).readUInt32LE());
    case 'Int64':
    case 'UInt64':
      return list(() => Number(cursor.take(8).readBigInt64LE()));
    case 'DateTime64(3)':
      return list(() => new Date(Number(cursor.take(8).readBigInt64LE())));
    case 'Float64':
      return list(() => cursor.take(8).readDoubleLE());
    case 'Bool':
      return list(() => cursor.take(1)[0] === 1);
    case 'UUID':
      return list(() => uuidOf(cursor.take(16)));
    case 'LowCardinality(String)':
      return rows === 0 ? [] : readWords(cursor, rows);
  }
  const [first, second] = innerTypes(type) as [string, string | undefined];
  if (type.startsWith('Nullable(')) {
    const missing = cursor.take(rows);
    return readValues(cursor, first, rows).map((value, i) => (missing[i] === 1 ? null : value));
  }
  const ends = list(() => cursor.uint64());
  const elements = ends.at(-1) ?? 0;
  const values = readValues(cursor, first, elements);
  const entries = second === undefined ? undefined : readValues(cursor, second, elements);
  return ends.map((end, i): WarehouseValue => {
    const start = ends[i - 1] ?? 0;
    if (entries === undefined) return values.slice(start, end);
    const own = values
      .slice(start, end)
      .map((key, n): [string, WarehouseValue] => [key as string, entries[start + n]!]);
    return Object.fromEntries(own);
  });
}

function uuidOf(bytes: Buffer): string {
  const halves = [bytes.subarray(0, 8), bytes.subarray(8)].map((half) => Buffer.from(half).reverse().toString('hex'));
  return halves.join('').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function readWords(cursor: Cursor, rows: number): string[] {
  const width = 1 << (cursor.uint64() & 0xff);
  const words = Array.from({ length: cursor.uint64() }, () => cursor.text());
  if (cursor.uint64() !== rows) throw new Error('a dictionary has not as many indexes as rows');
  return Array.from({ length: rows }, () => words[cursor.take(width).readUIntLE(0, width)]!);
}
