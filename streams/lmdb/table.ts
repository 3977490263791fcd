/**
 * What the log and the store see of the embedded storage: ordered tables of bytes, and transactions to follow.
 *
 * Keys are compared byte by byte, so numbers in keys are big-endian. Everything returned is a copy: the memory map
 * behind it never leaves environment.ts.
 */

/** Follows transactions, to write what several writers share and to move memory along with the disk. */
export interface Participant {
  /** Last chance to put rows into the transaction. */
  beforeCommit(): void;
  /** Everything staged since the last `committed` or `rolledBack` is stored. */
  committed(): void;
  /** None of it is. */
  rolledBack(): void;
}

/** An ordered map of bytes. Keys have 1 to KEY_BYTES_MAX bytes. */
export interface Table {
  /** A copy, owned by the caller. */
  get(key: Buffer): Buffer | undefined;
  /** Entries in key order, or backwards from `from`; one consistent view until the iteration ends. */
  range(bounds: TableRange): Iterable<TableEntry>;
  /** `put`, `remove` and `clear` only within `write`. A value must not change until the write is done. */
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
  /** Size of the data file. Space of removed records is reused, not given back. */
  readonly bytesOnDisk: number;
  readonly freeDiskBytes: number;
  /** Bytes asked to be written that are not known to be durable. */
  readonly unsyncedBytes: number;
}

/** What lmdb-js accepts at its default page size. */
export const KEY_BYTES_MAX = 1_978;

/** Six bytes, big-endian: sorts like the number. */
export function uint48(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(6);
  bytes.writeUIntBE(value, 0, 6);
  return bytes;
}
