/**
 * Kafka's primitive types to bytes and back: big-endian integers, zig-zag varints, length-prefixed text and bytes.
 *
 * 64-bit numbers are held to JavaScript's safe integers. The reader checks every length against the bytes there are;
 * what does not fit is CODEC_CORRUPT.
 */
import { EngineError } from '../../schemas/errors.js';

const SIZE_MIN = 256;
const TWO_32 = 2 ** 32;

/** A growing buffer. What was written is `bytes()`: a view, valid until the next write. */
export class WireWriter {
  position = 0;
  buffer: Buffer;

  constructor(size = SIZE_MIN) {
    this.buffer = Buffer.allocUnsafeSlow(size);
  }

  /** Makes room; every write calls it but those whose room was reserved before. */
  reserve(bytes: number): void {
    const needed = this.position + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.position);
    this.buffer = grown;
  }

  bytes(): Buffer {
    return this.buffer.subarray(0, this.position);
  }

  int8(value: number): this {
    this.reserve(1);
    this.buffer[this.position++] = value;
    return this;
  }

  int16(value: number): this {
    this.reserve(2);
    this.position = this.buffer.writeInt16BE(value, this.position);
    return this;
  }

  int32(value: number): this {
    this.reserve(4);
    this.position = this.buffer.writeInt32BE(value, this.position);
    return this;
  }

  int64(value: number): this {
    this.reserve(8);
    putInt64(this.buffer, value, this.position);
    this.position += 8;
    return this;
  }

  varint(value: number): this {
    this.reserve(10);
    this.position = putVarint(this.buffer, value, this.position);
    return this;
  }

  /** Length as int16; undefined is Kafka's null. */
  string(text: string | undefined): this {
    if (text === undefined) return this.int16(-1);
    const length = Buffer.byteLength(text);
    this.int16(length).reserve(length);
    this.position += this.buffer.write(text, this.position);
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.position);
    this.position += bytes.length;
    return this;
  }

  array<T>(items: readonly T[], write: (item: T) => void): this {
    this.int32(items.length);
    for (const item of items) write(item);
    return this;
  }
}

export function putInt64(buffer: Buffer, value: number, at: number): void {
  buffer.writeInt32BE(Math.floor(value / TWO_32), at);
  buffer.writeUInt32BE(value >>> 0, at + 4);
}

export function getInt64(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at) * TWO_32 + buffer.readUInt32BE(at + 4);
}

/** Bytes that `putVarint` takes. */
export function varintSize(value: number): number {
  let rest = value < 0 ? -value * 2 - 1 : value * 2;
  let size = 1;
  while (rest >= 128) {
    rest /= 128;
    size++;
  }
  return size;
}

/** Zig-zag varint; returns the position behind it. */
export function putVarint(buffer: Buffer, value: number, at: number): number {
  let rest = value < 0 ? -value * 2 - 1 : value * 2;
  while (rest >= TWO_32) {
    buffer[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  while (rest >= 128) {
    buffer[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  buffer[at++] = rest;
  return at;
}

/** Reads in order. `position` and `end` may be set by whoever walks through nested parts. */
export class WireReader {
  position = 0;
  end: number;

  constructor(readonly buffer: Buffer) {
    this.end = buffer.length;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  int8(): number {
    return this.buffer.readInt8(this.take(1));
  }

  int16(): number {
    return this.buffer.readInt16BE(this.take(2));
  }

  int32(): number {
    return this.buffer.readInt32BE(this.take(4));
  }

  int64(): number {
    return getInt64(this.buffer, this.take(8));
  }

  varint(): number {
    const { buffer, end } = this;
    let byte = this.position < end ? buffer[this.position++]! : this.fail('a number');
    if (byte < 128) return (byte >>> 1) ^ -(byte & 1);
    let value = byte & 127;
    let scale = 128;
    do {
      if (this.position >= end || scale > 2 ** 63) this.fail('a number');
      byte = buffer[this.position++]!;
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte >= 128);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  string(): string | undefined {
    const length = this.int16();
    if (length < 0) return undefined;
    const start = this.take(length);
    return this.buffer.toString('utf8', start, start + length);
  }

  /** A view, or undefined for null. */
  slice(length: number): Buffer | undefined {
    if (length < 0) return undefined;
    const start = this.take(length);
    return this.buffer.subarray(start, start + length);
  }

  array<T>(read: () => T): T[] {
    const items: T[] = [];
    const count = this.int32();
    for (let i = 0; i < count; i++) items.push(read());
    return items;
  }

  skip(bytes: number): void {
    this.take(bytes);
  }

  private take(bytes: number): number {
    const start = this.position;
    if (bytes < 0 || start + bytes > this.end) this.fail(`${bytes} bytes`);
    this.position = start + bytes;
    return start;
  }

  private fail(wanted: string): never {
    throw new EngineError('CODEC_CORRUPT', `Kafka’s bytes end at ${this.end}, where ${wanted} should stand.`);
  }
}
