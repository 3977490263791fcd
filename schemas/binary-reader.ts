/**
 * Reads Avro's binary encoding from bytes that nobody vouches for.
 *
 * Invariant: nothing is allocated and nothing is looped over before the bytes that would have to be there are known to
 * be there; whatever is wrong ends in one CODEC_CORRUPT that names the position. One reader is reused for all records
 * (decoding is synchronous), so a decode allocates only what it returns.
 */
import { STAGING_BYTES, stagingFor } from './binary-writer.js';
import type { Memory, NumberArray } from './binary-writer.js';
import { EngineError } from './errors.js';

const NO_BYTES = Buffer.alloc(0);
/** Set on an object, it is no property. */
const FORBIDDEN_KEY = '__proto__';
const TWO_27 = 134_217_728;

/**
 * Longest text read by a generated function. Building a short ASCII string from character codes takes a third of the
 * time of the native call that a slice needs; beyond this length the native call wins.
 */
const SHORT_TEXT_MAX = 24;

type ShortText = (bytes: Buffer, position: number) => string | undefined;

/** By length: reads that many bytes as ASCII, or returns undefined when one of them is not. */
const SHORT_TEXTS: readonly ShortText[] = Array.from({ length: SHORT_TEXT_MAX + 1 }, (_, length): ShortText => {
  if (length === 0) return () => '';
  const codes = Array.from({ length }, (_, i) => `c${i}`);
  const reads = codes.map((code, i) => `${code} = b[p + ${i}]`).join(', ');
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- constant text, built once at load
  return new Function(
    'b',
    'p',
    `const ${reads}; return ((${codes.join(' | ')}) & 128) === 0 ? String.fromCharCode(${codes.join(', ')}) : undefined;`,
  ) as ShortText;
});

export class BinaryReader {
  position = 0;
  private bytes: Buffer = NO_BYTES;
  private end = 0;

  /** Starts on new bytes. They are not kept: text and byte fields are copied out. */
  open(bytes: Uint8Array, position: number): void {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = position;
    this.end = bytes.length;
  }

  /** Lets go of the bytes, so that an idle reader keeps no batch alive; reports bytes that nobody read. */
  close(): void {
    const { position, end } = this;
    this.bytes = NO_BYTES;
    this.end = 0;
    if (position !== end) this.fail(`${end - position} bytes follow the value; expected none`, position);
  }

  fail(reason: string, position = this.position): never {
    this.bytes = NO_BYTES;
    throw new EngineError('CODEC_CORRUPT', `Corrupt bytes at position ${position}: ${reason}`, {
      context: { position },
    });
  }

  readBoolean(): boolean {
    const byte = this.readByte();
    if (byte > 1) this.fail(`a boolean is ${byte}; expected 0 or 1`, this.position - 1);
    return byte === 1;
  }

  readInt(): number {
    const value = this.readLong();
    if ((value | 0) !== value) this.fail(`an int is ${value}; expected 32 bits`);
    return value;
  }

  /**
   * Zig-zag variable-length integer. The low 28 bits are gathered as an int32 and the rest as a second one, so that
   * every integer up to 2^53 - 1 comes out exact; beyond that a number would lie, and the read fails.
   */
  readLong(): number {
    const { bytes, end } = this;
    let position = this.position;
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (position >= end) this.failTruncated('an integer');
      const byte = bytes[position++] as number;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.position = position;
        return (low >>> 1) ^ -(low & 1);
      }
    }
    let high = 0;
    for (let scale = 1; scale <= 0x1000_0000; scale *= 128) {
      if (position >= end) this.failTruncated('an integer');
      const byte = bytes[position++] as number;
      high += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        const magnitude = high * TWO_27 + (low >>> 1);
        const value = (low & 1) === 0 ? magnitude : -magnitude - 1;
        if (!Number.isSafeInteger(value)) break;
        this.position = position;
        return value;
      }
    }
    return this.fail('an integer is beyond 2^53 - 1 or longer than its encoding allows');
  }

  readFloat(): number {
    this.require(4, 'a float');
    const value = this.bytes.readFloatLE(this.position);
    this.position += 4;
    return Number.isFinite(value) ? value : this.fail(`a float is ${value}; expected a finite number`);
  }

  readDouble(): number {
    this.require(8, 'a double');
    const value = this.bytes.readDoubleLE(this.position);
    this.position += 8;
    return Number.isFinite(value) ? value : this.fail(`a double is ${value}; expected a finite number`);
  }

  readString(): string {
    const length = this.readLength();
    const position = this.position;
    this.position = position + length;
    if (length <= SHORT_TEXT_MAX) {
      const text = (SHORT_TEXTS[length] as ShortText)(this.bytes, position);
      if (text !== undefined) return text;
    }
    return this.bytes.toString('utf8', position, position + length);
  }

  /** Of a map. */
  readKey(): string {
    const key = this.readString();
    if (key === FORBIDDEN_KEY) this.failKey();
    return key;
  }

  /** Passes over text or bytes and returns where they begin: at their length. */
  readPlace(): number {
    const place = this.position;
    const length = this.readLength();
    this.position += length;
    return place;
  }

  /** As `readPlace`, of a map's key. */
  readKeyPlace(): number {
    const place = this.position;
    const length = this.readLength();
    const start = this.position;
    this.position = start + length;
    if (length === FORBIDDEN_KEY.length && this.bytes.toString('latin1', start, start + length) === FORBIDDEN_KEY) {
      this.failKey();
    }
    return place;
  }

  readBytes(memory?: Memory): Buffer {
    return this.readFixed(this.readLength(), memory);
  }

  /** Passes over bytes. */
  skip(size: number): void {
    this.require(size, 'bytes');
    this.position += size;
  }

  /**
   * A copy, in Node's pool unless told where: what is decoded must outlive the batch, whose memory may belong to a
   * memory-mapped file.
   */
  readFixed(size: number, memory: Memory = Buffer): Buffer {
    this.require(size, 'bytes');
    const copy = memory.allocUnsafe(size);
    this.bytes.copy(copy, 0, this.position, this.position + size);
    this.position += size;
    return copy;
  }

  /** Fills `target` with bytes that were read already, from a position on. */
  copyBack(from: number, target: Buffer): void {
    if (from + target.length > this.position) this.fail('bytes are asked for that were not read yet');
    this.bytes.copy(target, 0, from, from + target.length);
  }

  /** Fills the first `count` numbers as `BinaryWriter.writeNumbers` wrote them. Allocates nothing. */
  readNumbers(target: NumberArray, count: number): void {
    const staging = stagingFor(target);
    const width = staging.BYTES_PER_ELEMENT;
    this.require(count * width, 'numbers');
    for (let from = 0; from < count; from += staging.length) {
      const part = Math.min(staging.length, count - from);
      this.bytes.copy(STAGING_BYTES, 0, this.position, this.position + part * width);
      for (let i = 0; i < part; i++) target[from + i] = staging[i]!;
      this.position += part * width;
    }
  }

  /** Index of an enum symbol or a union branch. */
  readIndex(count: number): number {
    const index = this.readLong();
    if (index < 0 || index >= count) this.fail(`an index is ${index}; expected 0 to ${count - 1}`);
    return index;
  }

  /** Count of the next block of an array or map; 0 ends it. Each value takes at least `width` bytes. */
  readCount(width: number): number {
    let count = this.readLong();
    if (count < 0) {
      count = -count;
      // Size of the block in bytes: only of use to somebody who skips it.
      this.readLong();
    }
    if (count * width > this.end - this.position) {
      this.fail(`a block of ${count} values does not fit the ${this.end - this.position} bytes left`);
    }
    return count;
  }

  private failKey(): never {
    return this.fail(`a map has the key ${FORBIDDEN_KEY}, which is not accepted`);
  }

  /** Of text or bytes, which are there. */
  readLength(): number {
    const length = this.readLong();
    if (length < 0) this.fail(`a length is ${length}; expected none below 0`);
    this.require(length, 'text or bytes');
    return length;
  }

  private readByte(): number {
    this.require(1, 'a boolean');
    return this.bytes[this.position++] as number;
  }

  private require(size: number, what: string): void {
    if (size > this.end - this.position) this.failTruncated(what, size);
  }

  private failTruncated(what: string, size = 1): never {
    this.fail(`${what} of at least ${size} bytes does not fit the ${this.end - this.position} bytes left`);
  }
}
