/**
 * Writes Avro's binary encoding, either into memory of its own that grows, or into a caller's buffer that does not.
 *
 * Invariant: not one byte outside [start, end) of the value is touched, so values can be packed into a shared buffer.
 * Values arrive checked by the generated code; text is checked here, where it is looked at anyway. The two reasons to
 * stop are thrown as constants without a stack: the caller turns them into a full error, or into a negative position.
 */

/** The value does not fit its schema; describe-fault.ts finds out where. */
export const VALUE_INVALID = new (class ValueInvalid extends Error {})('value does not fit the schema');
/** The caller's buffer is too small. */
export const TARGET_FULL = new (class TargetFull extends Error {})('target buffer is full');

const TWO_27 = 134_217_728;

/** Longest text tried as ASCII, character by character; also keeps the length prefix in one byte (63 is the bound). */
const SHORT_TEXT_MAX = 40;

/** Longest bytes copied in a loop, below which a native copy costs more than it saves. */
const SHORT_BYTES_MAX = 24;

/** Bytes of an integer of 54 bits, the most that a zig-zag of a safe integer takes. */
const LONG_WIDTH_MAX = 8;

/** Bytes set aside for a length that is not known yet: enough for 8,191 bytes. */
const SIZE_WIDTH = 2;

const SCRATCH_BYTES_START = 4096;
/** Scratch memory above this is given back after use, so that one large value does not stay for good. */
const SCRATCH_BYTES_KEPT = 1_048_576;

export type NumberArray = Float32Array | Float64Array | Uint32Array | Uint16Array;

const STAGING = new ArrayBuffer(1024);
/** Numbers pass through here on their way to and from bytes; see `stagingFor`. */
export const STAGING_BYTES = Buffer.from(STAGING);
const STAGING_F32 = new Float32Array(STAGING);
const STAGING_F64 = new Float64Array(STAGING);
const STAGING_U32 = new Uint32Array(STAGING);
const STAGING_U16 = new Uint16Array(STAGING);

/** The same memory as STAGING_BYTES, in the width of the given numbers. */
export function stagingFor(values: NumberArray): NumberArray {
  if (values instanceof Float32Array) return STAGING_F32;
  if (values instanceof Float64Array) return STAGING_F64;
  return values instanceof Uint32Array ? STAGING_U32 : STAGING_U16;
}

/** Where bytes are put that outlive the writer's next value; Node's pool is one. */
export interface Memory {
  allocUnsafe(size: number): Buffer;
}

export function copyInto(memory: Memory, bytes: Uint8Array): Buffer {
  const copy = memory.allocUnsafe(bytes.length);
  copy.set(bytes);
  return copy;
}

export class BinaryWriter {
  position = 0;
  private bytes: Buffer;
  private limit: number;
  private scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES_START);
  private growing = true;

  constructor() {
    this.bytes = this.scratch;
    this.limit = this.scratch.length;
  }

  /** Starts a value in the writer's own, growing memory. */
  openScratch(): void {
    this.bytes = this.scratch;
    this.limit = this.scratch.length;
    this.position = 0;
    this.growing = true;
  }

  /** Starts a value in a caller's buffer, which stays as large as it is. */
  openTarget(target: Buffer, position: number): void {
    this.bytes = target;
    this.limit = target.length;
    this.position = position;
    this.growing = false;
  }

  /** Lets go of the caller's buffer; the position stays to be read. */
  closeTarget(): void {
    this.bytes = this.scratch;
    this.limit = 0;
    this.growing = false;
  }

  /** A copy of what stands in the writer's own memory, in Node's pool unless told where. */
  takeScratch(memory: Memory = Buffer): Buffer {
    const copy = memory.allocUnsafe(this.position);
    this.copyScratch(copy);
    return copy;
  }

  /** As `takeScratch`, into bytes of that very length. */
  copyScratch(target: Buffer): void {
    this.bytes.copy(target, 0, 0, this.position);
    if (this.scratch.length > SCRATCH_BYTES_KEPT) this.scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES_START);
  }

  writeByte(byte: number): void {
    this.require(1);
    this.bytes[this.position++] = byte;
  }

  /** Zig-zag variable-length integer; see BinaryReader.readLong for the split at 28 bits. */
  writeLong(value: number): void {
    // Only close to the end is the exact width worth knowing: a value that just fits must not be refused.
    if (this.position + LONG_WIDTH_MAX > this.limit) this.require(longWidth(value));
    const bytes = this.bytes;
    let position = this.position;
    if (value >= -0x4000_0000 && value < 0x4000_0000) {
      let rest = (value << 1) ^ (value >> 31);
      // Unsigned shift: zig-zag of a 31-bit number fills all 32 bits.
      while (rest >>> 0 > 0x7f) {
        bytes[position++] = (rest & 0x7f) | 0x80;
        rest >>>= 7;
      }
      bytes[position++] = rest;
    } else {
      const magnitude = value < 0 ? -value - 1 : value;
      let high = Math.floor(magnitude / TWO_27);
      const low = (magnitude - high * TWO_27) * 2 + (value < 0 ? 1 : 0);
      bytes[position++] = (low & 0x7f) | 0x80;
      bytes[position++] = ((low >>> 7) & 0x7f) | 0x80;
      bytes[position++] = ((low >>> 14) & 0x7f) | 0x80;
      bytes[position++] = ((low >>> 21) & 0x7f) | 0x80;
      while (high > 0x7f) {
        bytes[position++] = (high & 0x7f) | 0x80;
        high >>>= 7;
      }
      bytes[position++] = high;
    }
    this.position = position;
  }

  writeFloat(value: number): void {
    this.require(4);
    this.bytes.writeFloatLE(value, this.position);
    this.position += 4;
  }

  writeDouble(value: number): void {
    this.require(8);
    this.bytes.writeDoubleLE(value, this.position);
    this.position += 8;
  }

  writeString(value: unknown): void {
    if (typeof value !== 'string') throw VALUE_INVALID;
    const length = value.length;
    if (length <= SHORT_TEXT_MAX) {
      this.require(length + 1);
      const bytes = this.bytes;
      const position = this.position;
      let i = 0;
      for (; i < length; i++) {
        const code = value.charCodeAt(i);
        if (code > 0x7f) break;
        bytes[position + 1 + i] = code;
      }
      if (i === length) {
        bytes[position] = length << 1;
        this.position = position + 1 + length;
        return;
      }
    }
    this.writeLongText(value);
  }

  writeBytes(value: Uint8Array): void {
    this.writeLong(value.length);
    this.writeFixed(value);
  }

  /** Starts bytes whose length is known once they are written; returns what `endSized` needs. */
  beginSized(): number {
    this.skip(SIZE_WIDTH);
    return this.position;
  }

  /** Puts the length in front, in two bytes if it fits there, and returns it. */
  endSized(start: number): number {
    const size = this.position - start;
    const zigzag = size * 2;
    if (zigzag >= 1 << (7 * SIZE_WIDTH)) {
      this.moveBehindSize(start, size);
    } else {
      this.bytes[start - 2] = (zigzag & 0x7f) | 0x80;
      this.bytes[start - 1] = zigzag >>> 7;
    }
    return size;
  }

  private moveBehindSize(start: number, size: number): void {
    const more = longWidth(size) - SIZE_WIDTH;
    this.require(more);
    this.bytes.copyWithin(start + more, start, start + size);
    this.position = start - SIZE_WIDTH;
    this.writeLong(size);
    this.position = start + more + size;
  }

  writeFixed(value: Uint8Array): void {
    const size = value.length;
    this.require(size);
    const { bytes, position } = this;
    if (size <= SHORT_BYTES_MAX) {
      for (let i = 0; i < size; i++) bytes[position + i] = value[i] as number;
    } else {
      bytes.set(value, position);
    }
    this.position = position + size;
  }

  /** Leaves room for bytes that are put in once they are known; what stands there until then is undefined. */
  skip(size: number): void {
    this.require(size);
    this.position += size;
  }

  /** Copies part of a buffer without making a view of it. */
  writeSlice(source: Buffer, start: number, size: number): void {
    this.require(size);
    source.copy(this.bytes, this.position, start, start + size);
    this.position += size;
  }

  /** Numbers start to end as they stand in memory: little-endian on every platform Node runs on but s390x. */
  writeNumbers(values: NumberArray, start = 0, end = values.length): void {
    // By way of shared memory: a view of a small array would first move the array out of V8's heap.
    const staging = stagingFor(values);
    for (let from = start; from < end; from += staging.length) {
      const count = Math.min(staging.length, end - from);
      const size = count * staging.BYTES_PER_ELEMENT;
      for (let i = 0; i < count; i++) staging[i] = values[from + i]!;
      this.require(size);
      STAGING_BYTES.copy(this.bytes, this.position, 0, size);
      this.position += size;
    }
  }

  private writeLongText(value: string): void {
    // A lone surrogate has no UTF-8: Node would write U+FFFD in its place and two different texts would become one.
    if (LONE_SURROGATE.test(value)) throw VALUE_INVALID;
    const size = Buffer.byteLength(value, 'utf8');
    this.writeLong(size);
    this.require(size);
    this.bytes.write(value, this.position, size, 'utf8');
    this.position += size;
  }

  private require(size: number): void {
    if (this.position + size > this.limit) this.grow(size);
  }

  private grow(size: number): void {
    if (!this.growing) throw TARGET_FULL;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.limit * 2, this.position + size));
    this.bytes.copy(larger, 0, 0, this.position);
    this.scratch = larger;
    this.bytes = larger;
    this.limit = larger.length;
  }
}

/** With the u flag a surrogate matches only where it is not part of a pair. */
export const LONE_SURROGATE = /\p{Surrogate}/u;

/** Bytes that `writeLong` takes for a number. */
export function longWidth(value: number): number {
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  let width = 1;
  // Dividing a power of two out is exact but for the bits dropped, which do not change the width.
  while (rest >= 128) {
    rest /= 128;
    width++;
  }
  return width;
}
