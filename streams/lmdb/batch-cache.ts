/**
 * Batches of records kept in memory: those appended lately, so that live followers neither read nor decode them
 * again. Bounded by bytes; the batch used longest ago goes first. A batch is decoded when first asked for.
 */
import type { LogRecord } from '../log/event-log.js';
import { decodeBatch, readBatchHeader } from '../log/record-batch.js';

export class StoredBatch {
  readonly baseOffset: number;
  /** Offset behind its last record. */
  readonly endOffset: number;

  /** @param decoded its records, where they are at hand: kept, like those decoded here, while the batch is small. */
  constructor(
    readonly bytes: Buffer,
    private decoded?: readonly LogRecord[],
  ) {
    this.forgetIfLarge();
    const header = readBatchHeader(bytes);
    this.baseOffset = header.baseOffset;
    this.endOffset = header.lastOffset + 1;
  }

  get records(): readonly LogRecord[] {
    return (this.decoded ??= decodeBatch(this.bytes));
  }

  /** To be called by a reader that is through: large batches are read once, and their records take much memory. */
  forgetIfLarge(): void {
    if (this.decoded !== undefined && this.decoded.length >= LARGE_BATCH_RECORDS) this.decoded = undefined;
  }
}

/** Live batches are smaller, and several followers read them. */
const LARGE_BATCH_RECORDS = 256;
/** Records as objects take about as much memory again as their bytes. */
const OBJECT_FACTOR = 2;
const BATCH_OVERHEAD_BYTES = 256;

export class BatchCache {
  /** In order of use, latest last. */
  private readonly batches = new Map<string, StoredBatch>();
  private bytes = 0;

  constructor(private readonly bytesMax: number) {}

  get(partition: string, baseOffset: number): StoredBatch | undefined {
    const name = nameOf(partition, baseOffset);
    const batch = this.batches.get(name);
    if (batch === undefined) return undefined;
    this.batches.delete(name);
    this.batches.set(name, batch);
    return batch;
  }

  put(partition: string, batch: StoredBatch): void {
    this.remove(partition, batch.baseOffset);
    this.batches.set(nameOf(partition, batch.baseOffset), batch);
    this.bytes += costOf(batch);
    for (const [name, oldest] of this.batches) {
      if (this.bytes <= this.bytesMax) break;
      this.batches.delete(name);
      this.bytes -= costOf(oldest);
    }
  }

  remove(partition: string, baseOffset: number): void {
    const name = nameOf(partition, baseOffset);
    const batch = this.batches.get(name);
    if (batch === undefined) return;
    this.batches.delete(name);
    this.bytes -= costOf(batch);
  }
}

function nameOf(partition: string, baseOffset: number): string {
  return `${partition}@${baseOffset}`;
}

function costOf(batch: StoredBatch): number {
  return batch.bytes.length * OBJECT_FACTOR + BATCH_OVERHEAD_BYTES;
}
