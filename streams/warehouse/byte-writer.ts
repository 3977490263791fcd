/** A buffer that grows as it is written: little-endian numbers, varints and UTF-8 as ClickHouse's binary formats have them. */

/** UTF-8 takes at most this many bytes for each UTF-16 unit. */
const BYTES_A_UNIT = 3;
/** Texts up to here fit a length of one byte, whatever their characters. */
const SHORT_TEXT = 42;
const VARINT_BYTES_MAX = 10;

export class ByteWriter {
  private bytes: Buffer;
  private length = 0;

  constructor(bytesExpected: number) {
    this.bytes = Buffer.allocUnsafe(Math.max(64, bytesExpected));
  }

  /** What was written; the writer must not be used after. */
  take(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  /** Where `bytes` more go; the caller writes all of them into `target()`. */
  reserve(bytes: number): number {
    const at = this.length;
    this.length += bytes;
    if (this.length > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.length, this.bytes.length * 2));
      this.bytes.copy(larger, 0, 0, at);
      this.bytes = larger;
    }
    return at;
  }

  /** Valid until the next `reserve`. */
  target(): Buffer {
    return this.bytes;
  }

  varint(value: number): void {
    let at = this.reserve(VARINT_BYTES_MAX);
    let left = value;
    for (; left >= 0x80; left = Math.floor(left / 0x80)) this.bytes[at++] = (left % 0x80) | 0x80;
    this.bytes[at++] = left;
    this.length = at;
  }

  uint64(value: number): void {
    const at = this.reserve(8);
    this.bytes.writeUInt32LE(value % 2 ** 32, at);
    this.bytes.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
  }

  /** Length in bytes, then UTF-8. */
  text(text: string): void {
    if (text.length > SHORT_TEXT) return this.longText(text);
    const at = this.reserve(1 + text.length * BYTES_A_UNIT);
    const written = this.writeUnits(text, at + 1);
    this.bytes[at] = written;
    this.length = at + 1 + written;
  }

  private longText(text: string): void {
    const bytes = Buffer.byteLength(text, 'utf8');
    this.varint(bytes);
    const at = this.reserve(bytes);
    this.bytes.write(text, at, 'utf8');
  }

  /** A call into the runtime costs more than the characters of a short text. */
  private writeUnits(text: string, at: number): number {
    const { bytes } = this;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x80) return bytes.write(text, at, 'utf8');
      bytes[at + i] = unit;
    }
    return text.length;
  }
}
