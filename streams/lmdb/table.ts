/**
 * What the log and the store see of the embedded storage: ordered tables of bytes, and flushes to take part in.
 *
 * Keys are compared byte by byte, so numbers in keys are big-endian.
 */
import type { Memory } from '../../schemas/binary-writer.js';

/** Holds changes in memory that the data file does not have yet. */
export interface Participant {
  /** Puts all of its changes into the transaction being made. */
  flush(): void;
  /** What was put is stored: it need not be held any more. */
  flushed(): void;
  /** Nothing of it is: the next flush puts it again, with what came meanwhile. */
  flushFailed(): void;
}

/** An ordered map of bytes. Keys have 1 to KEY_BYTES_MAX bytes. */
export interface Table {
  /** A copy, owned by the caller, in Node's pool unless told where. */
  get(key: Buffer, memory?: Memory): Buffer | undefined;
  /** Entries in key order, or backwards from `from`; one consistent view until the iteration ends. */
  range(bounds: TableRange): Iterable<TableEntry>;
  /** `put`, `remove` and `clear` only within a write, or a transaction. A value must not change any more. */
  put(key: Buffer, value: Uint8Array): void;
  remove(key: Buffer): void;
  clear(): void;
}

export interface TableRange {
  /** Inclusive. */
  readonly from?: Buffer;
  /** Exclusive. */
  readonly to?: Buffer;
  readonly reverse?: boolean;
  readonly limit?: number;
}

export interface TableEntry {
  readonly key: Buffer;
  /** A copy, owned by the caller. */
  readonly value: Buffer;
}

export interface StorageStats {
  /** Size of data file and journal. Space of removed records is reused, not given back. */
  readonly bytesOnDisk: number;
  readonly freeDiskBytes: number;
  /** Bytes held in memory until the next flush, roughly. */
  readonly unflushedBytes: number;
}

/** What lmdb-js accepts at its default page size. */
export const KEY_BYTES_MAX = 1_978;

/** Six bytes, big-endian: sorts like the number. */
export function uint48(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(6);
  bytes.writeUIntBE(value, 0, 6);
  return bytes;
}

/** A view of the same bytes. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
