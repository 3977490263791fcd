/**
 * A record as it lies in its bytes, for those who carry its texts on as bytes: a text that nobody reads is never made.
 *
 *   { itemId: 'i1', type: 'click', value: 3 }   as a view   { itemId: 27, type: 'click', value: 3 }
 *
 * Numbers, booleans, enum symbols and absent values are there as ever. Texts, bytes and maps are places in the bytes, which
 * the reader of a view keeps beside it; what an older writer left out and a default stands for is the value itself.
 */
import { isUtf8 } from 'node:buffer';
import { BinaryReader } from './binary-reader.js';

/** Where a text begins, at its length; or the text itself. */
export type TextPlace = number | string;
export type BytesPlace = number | Buffer;
export type MapPlace = number | Readonly<Record<string, string>>;

/** `T` with places. A union of literals is an enum and stays. */
export type RecordView<T> = T extends Buffer
  ? BytesPlace
  : T extends string
    ? string extends T
      ? TextPlace
      : T
    : T extends readonly (infer U)[]
      ? readonly RecordView<U>[]
      : T extends object
        ? string extends keyof T
          ? MapPlace
          : { readonly [K in keyof T]: RecordView<T[K]> }
        : T;

const NO_BYTES = Buffer.alloc(0);
const ASCII_MAX = 0x7f;
const READER = new BinaryReader();

/** Text as bytes from `start` to `end`, which are UTF-8: moved from one place to the next, so that none is allocated for each. */
export class TextCursor {
  bytes: Buffer = NO_BYTES;
  start = 0;
  end = 0;

  /**
   * Moves to a text of a record. What is no UTF-8 there becomes what `decodeRecord` makes of it.
   * @param bytes the record's; not copied
   */
  moveTo(bytes: Buffer, place: TextPlace): this {
    if (typeof place === 'string') return this.moveToText(place);
    let at = place;
    let length = bytes[at++]!;
    if (length > ASCII_MAX) {
      length &= ASCII_MAX;
      for (let scale = 128; ; scale *= 128) {
        const byte = bytes[at++]!;
        length += (byte & ASCII_MAX) * scale;
        if (byte <= ASCII_MAX) break;
      }
    }
    const end = at + length / 2;
    let seen = 0;
    for (let i = at; i < end; i++) seen |= bytes[i]!;
    if (seen > ASCII_MAX && !isUtf8(bytes.subarray(at, end))) return this.moveToText(bytes.toString('utf8', at, end));
    this.bytes = bytes;
    this.start = at;
    this.end = end;
    return this;
  }

  moveToText(text: string): this {
    this.bytes = Buffer.from(text, 'utf8');
    this.start = 0;
    this.end = this.bytes.length;
    return this;
  }

  get text(): string {
    return this.bytes.toString('utf8', this.start, this.end);
  }
}

/** Bytes that a record has at a place. */
export function lengthAt(bytes: Buffer, place: BytesPlace): number {
  if (typeof place !== 'number') return place.length;
  READER.open(bytes, place);
  const length = READER.readLength();
  READER.open(NO_BYTES, 0);
  return length;
}

/** A map of texts, made. */
export function mapAt(bytes: Buffer, place: MapPlace): ReadonlyMap<string, string> {
  if (typeof place !== 'number') return new Map(Object.entries(place));
  if (bytes[place] === 0) return NO_ENTRIES;
  READER.open(bytes, place);
  const entries = new Map<string, string>();
  for (let n = READER.readCount(1); n !== 0; n = READER.readCount(1)) {
    for (let i = 0; i < n; i++) entries.set(READER.readKey(), READER.readString());
  }
  READER.open(NO_BYTES, 0);
  return entries;
}

const NO_ENTRIES: ReadonlyMap<string, string> = new Map();
