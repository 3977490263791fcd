/**
 * How the values of one column are written in ClickHouse's Native format: one codec a type.
 *
 *     [prefix of dictionaries] then for all rows: fixed-width values, or lengths and bytes, or offsets and elements
 *
 * A missing value is the type's default, as it is for a field that JSONEachRow leaves out. Layouts follow ClickHouse's
 * `SerializationLowCardinality`, `SerializationArray`, `SerializationMap` and `SerializationNullable`.
 */
import type { ByteWriter } from './byte-writer.js';
import type { WarehouseValue } from './warehouse.js';

export type ColumnValues = readonly (WarehouseValue | undefined)[];

export interface ColumnCodec {
  writePrefix(out: ByteWriter): void;
  /** Throws Misfit; `out` is of no use then. */
  write(values: ColumnValues, out: ByteWriter): void;
}

/** A value that is not plainly of its column's type. */
export class Misfit extends Error {}

type Place = (value: WarehouseValue | undefined, target: Buffer, at: number) => void;

/** undefined for a type that is not written here. */
export function columnCodec(type: string): ColumnCodec | undefined {
  const plain = PLAIN.get(type);
  if (plain !== undefined) return plain;
  const inner = /^(Nullable|Array|Map)\((.*)\)$/.exec(type);
  if (inner === null) return undefined;
  const [, outer, content] = inner as unknown as [string, string, string];
  if (outer === 'Map') {
    // Keys are simple types: the first comma at this level ends them.
    const cut = content.indexOf(', ');
    const [key, value] = [columnCodec(content.slice(0, cut)), columnCodec(content.slice(cut + 2))];
    return key === undefined || value === undefined ? undefined : mapCodec(key, value);
  }
  const element = columnCodec(content);
  if (element === undefined) return undefined;
  return outer === 'Array' ? arrayCodec(element) : nullableCodec(element);
}

const NO_PREFIX = (): void => undefined;

function fixed(width: number, place: Place): ColumnCodec {
  return {
    writePrefix: NO_PREFIX,
    write(values, out) {
      const at = out.reserve(values.length * width);
      const target = out.target();
      let last: WarehouseValue | undefined;
      for (let i = 0; i < values.length; i++) {
        const value = values[i];
        const here = at + i * width;
        // Rows of one record share ids and times.
        if (i > 0 && value === last) target.copyWithin(here, here - width, here);
        else place(value, target, here);
        last = value;
      }
    },
  };
}

function integer(least: number, most: number, write: (target: Buffer, value: number, at: number) => void): Place {
  return (value, target, at) => {
    const number = value === undefined ? 0 : value;
    if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < least || number > most) {
      throw new Misfit();
    }
    write(target, number, at);
  };
}

const writeInt64 = (target: Buffer, value: number, at: number): void => {
  const high = Math.floor(value / 2 ** 32);
  target.writeUInt32LE(value - high * 2 ** 32, at);
  target.writeInt32LE(high, at + 4);
};

const DATE_MIN = Date.UTC(1900, 0, 1);
const DATE_MAX = Date.UTC(2299, 11, 31);

const writeDate: Place = (value, target, at) => {
  if (value === undefined) return writeInt64(target, 0, at);
  if (!(value instanceof Date)) throw new Misfit();
  const ms = value.getTime();
  if (!(ms >= DATE_MIN && ms <= DATE_MAX)) throw new Misfit();
  writeInt64(target, ms, at);
};

const writeFloat: Place = (value, target, at) => {
  const number = value === undefined ? 0 : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) throw new Misfit();
  // JSON has no negative zero.
  target.writeDoubleLE(number + 0, at);
};

const writeBool: Place = (value, target, at) => {
  const flag = value === undefined ? false : value;
  if (typeof flag !== 'boolean') throw new Misfit();
  target[at] = flag ? 1 : 0;
};

/** Values of hex digits by character code; what is no digit is above 15. */
const DIGITS = Uint8Array.from({ length: 128 }, (_, code) => {
  const digit = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(digit) ? 0xff : digit;
});
const UUID_LENGTH = 36;
/** Where the digits of each byte stand in the text, in the order of the bytes: two numbers of 64 bits, lowest byte first. */
const UUID_PLACES = [16, 14, 11, 9, 6, 4, 2, 0, 34, 32, 30, 28, 26, 24, 21, 19];

const writeUuid: Place = (value, target, at) => {
  if (value === undefined) {
    target.fill(0, at, at + 16);
    return;
  }
  if (typeof value !== 'string' || value.length !== UUID_LENGTH) throw new Misfit();
  let unfit = 0;
  for (let i = 0; i < UUID_PLACES.length; i++) {
    const place = UUID_PLACES[i]!;
    const high = DIGITS[value.charCodeAt(place)] ?? 0xff;
    const low = DIGITS[value.charCodeAt(place + 1)] ?? 0xff;
    unfit |= high | low;
    target[at + i] = (high << 4) | low;
  }
  if (unfit > 0x0f) throw new Misfit();
};

function textOf(value: WarehouseValue | undefined): string {
  if (value === undefined) return '';
  if (typeof value !== 'string') throw new Misfit();
  return value;
}

const textCodec: ColumnCodec = {
  writePrefix: NO_PREFIX,
  write(values, out) {
    for (const value of values) out.text(textOf(value));
  },
};

/** `SharedDictionariesWithAdditionalKeys`, the only version there is. */
const DICTIONARY_VERSION = 1;
/** Bits behind the width of the indexes: the keys follow, and they are all there are. */
const HAS_KEYS = 2 ** 9;
const REPLACES_KEYS = 2 ** 10;

/** A dictionary of the block's own words, then an index a row. */
const wordCodec: ColumnCodec = {
  writePrefix: (out) => out.uint64(DICTIONARY_VERSION),
  write(values, out) {
    if (values.length === 0) return;
    const places = new Map<string, number>();
    const indexes = new Uint32Array(values.length);
    let last: WarehouseValue | undefined = '';
    let lastPlace = 0;
    places.set('', 0);
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value !== last) {
        const word = textOf(value);
        last = value;
        lastPlace = places.get(word) ?? places.size;
        if (lastPlace === places.size) places.set(word, lastPlace);
      }
      indexes[i] = lastPlace;
    }
    const width = places.size <= 0x100 ? 1 : places.size <= 0x1_0000 ? 2 : 4;
    out.uint64((width >> 1) + HAS_KEYS + REPLACES_KEYS);
    out.uint64(places.size);
    for (const word of places.keys()) out.text(word);
    out.uint64(values.length);
    const at = out.reserve(values.length * width);
    const target = out.target();
    if (width === 1) for (let i = 0; i < values.length; i++) target[at + i] = indexes[i]!;
    else for (let i = 0; i < values.length; i++) target.writeUIntLE(indexes[i]!, at + i * width, width);
  },
};

function nullableCodec(element: ColumnCodec): ColumnCodec {
  return {
    writePrefix: (out) => element.writePrefix(out),
    write(values, out) {
      const at = out.reserve(values.length);
      const target = out.target();
      const present = values.map((value, i) => {
        const isNull = value === undefined || value === null;
        target[at + i] = isNull ? 1 : 0;
        return isNull ? undefined : value;
      });
      element.write(present, out);
    },
  };
}

function arrayCodec(element: ColumnCodec): ColumnCodec {
  return {
    writePrefix: (out) => element.writePrefix(out),
    write(values, out) {
      const all: WarehouseValue[] = [];
      for (const value of values) {
        if (value !== undefined) {
          if (!Array.isArray(value)) throw new Misfit();
          for (const one of value as readonly WarehouseValue[]) all.push(one);
        }
        out.uint64(all.length);
      }
      element.write(all, out);
    },
  };
}

function mapCodec(key: ColumnCodec, value: ColumnCodec): ColumnCodec {
  return {
    writePrefix(out) {
      key.writePrefix(out);
      value.writePrefix(out);
    },
    write(values, out) {
      const keys: string[] = [];
      const entries: WarehouseValue[] = [];
      for (const map of values) {
        if (map !== undefined) {
          if (typeof map !== 'object' || map === null || Array.isArray(map) || map instanceof Date) throw new Misfit();
          for (const [name, entry] of Object.entries(map as Readonly<Record<string, WarehouseValue>>)) {
            keys.push(name);
            entries.push(entry);
          }
        }
        out.uint64(keys.length);
      }
      key.write(keys, out);
      value.write(entries, out);
    },
  };
}

const PLAIN: ReadonlyMap<string, ColumnCodec> = new Map([
  ['String', textCodec],
  ['LowCardinality(String)', wordCodec],
  [
    'UInt32',
    fixed(
      4,
      integer(0, 2 ** 32 - 1, (target, value, at) => target.writeUInt32LE(value, at)),
    ),
  ],
  [
    'Int32',
    fixed(
      4,
      integer(-(2 ** 31), 2 ** 31 - 1, (target, value, at) => target.writeInt32LE(value, at)),
    ),
  ],
  ['UInt64', fixed(8, integer(0, Number.MAX_SAFE_INTEGER, writeInt64))],
  ['Int64', fixed(8, integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, writeInt64))],
  ['Float64', fixed(8, writeFloat)],
  ['Bool', fixed(1, writeBool)],
  ['UUID', fixed(16, writeUuid)],
  ['DateTime64(3)', fixed(8, writeDate)],
]);
