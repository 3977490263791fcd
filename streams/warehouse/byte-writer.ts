/** A buffer that grows as it is written: little-endian numbers, varints and UTF-8 as ClickHouse's binary formats have them. */

import { grownBuffer } from '../typed-growth.js';

const VARINT_BYTES_MAX = 10;

export class ByteWriter {
  private buffer: Buffer;
  private length = 0;

  constructor(bytesExpected: number) {
    this.buffer = Buffer.allocUnsafe(Math.max(64, bytesExpected));
  }

  /** What was written: good until the writer is cleared. */
  take(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  /** Keeps its memory. */
  clear(): void {
    this.length = 0;
  }

  /** Where `bytes` more go. */
  private reserve(bytes: number): number {
    const at = this.length;
    this.length += bytes;
    this.buffer = grownBuffer(this.buffer, at, this.length);
    return at;
  }

  varint(value: number): void {
    let at = this.reserve(VARINT_BYTES_MAX);
    let left = value;
    for (; left >= 0x80; left = Math.floor(left / 0x80)) this.buffer[at++] = (left % 0x80) | 0x80;
    this.buffer[at++] = left;
    this.length = at;
  }

  uint64(value: number): void {
    const at = this.reserve(8);
    this.buffer.writeUInt32LE(value % 2 ** 32, at);
    this.buffer.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
  }

  bytes(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length);
    this.buffer.set(bytes, at);
  }

  /** Length in bytes, then UTF-8. */
  text(text: string): void {
    const bytes = Buffer.byteLength(text, 'utf8');
    this.varint(bytes);
    const at = this.reserve(bytes);
    this.buffer.write(text, at, 'utf8');
  }
}
