/**
 * One partition of the embedded log: a table of record batches by the offset of their first record.
 *
 * Staged records get their offsets at once and are collected into one batch a transaction; they become readable, and
 * `end` moves, when the transaction is stored, or vanish when it failed. Compaction leaves gaps, so a reader looks for
 * the batch around an offset, or the next one behind it.
 *
 * Invariant: a batch lies wholly below `end` or wholly above; offsets of stored records are never given out again.
 */
import type { LogBatch, LogRecord, OutgoingRecord, PartitionBounds, ReadLimits, TopicSpec } from '../log/event-log.js';
import { RecordBatchWriter } from '../log/record-batch.js';
import { lowerBound } from '../memory/key-order.js';
import { offsetOutOfRange } from '../memory/memory-log.js';
import type { BatchCache } from './batch-cache.js';
import { StoredBatch } from './batch-cache.js';
import { uint48 } from './table.js';
import type { Table } from './table.js';

/** Beyond these a new batch begins: a reader decodes a batch as a whole, and compaction rewrites it as a whole. */
export const BATCH_BYTES_MAX = 1_048_576;
export const BATCH_RECORDS_MAX = 4_096;
/** A few readers walk through a partition at different places, each returning to its batch several times. */
const VISITED_MAX = 4;
/** Writers keep their memory, so only as many as usually work at once are kept. */
const IDLE_WRITERS_MAX = 8;

const idleWriters: RecordBatchWriter[] = [];

export class LogPartition {
  /** `topic/3`. */
  readonly name: string;
  /** Lowest stored offset, and the offset behind the highest stored one. */
  start = 0;
  end = 0;
  private next = 0;
  private writer: RecordBatchWriter | undefined;
  private staged: StoredBatch[] = [];
  private visited: StoredBatch[] = [];

  /** @param endKnown what was recorded as `end` when the partition's last records were removed. */
  constructor(
    readonly topic: string,
    readonly partition: number,
    readonly table: Table,
    private readonly cache: BatchCache,
    endKnown: number,
  ) {
    this.name = `${topic}/${partition}`;
    const last = [...table.range({ from: uint48(OFFSET_MAX), reverse: true, limit: 1 })][0];
    this.end = Math.max(endKnown, last === undefined ? 0 : new StoredBatch(last.value).endOffset);
    this.next = this.end;
    this.findStart();
  }

  /** Of a partition that never held a record. */
  beginAt(offset: number): void {
    this.start = this.end = this.next = offset;
  }

  /** Offset of the record, which is part of the transaction being staged. */
  stage(record: OutgoingRecord, timestamp: number): number {
    if (this.writer !== undefined && isFull(this.writer)) this.putStaged();
    this.writer ??= idleWriters.pop() ?? new RecordBatchWriter();
    this.writer.add(this.next, timestamp, record);
    return this.next++;
  }

  /** Puts what was staged into the transaction. */
  putStaged(): void {
    if (this.writer === undefined) return;
    const batch = new StoredBatch(this.writer.finish());
    this.releaseWriter();
    this.staged.push(batch);
    this.table.put(uint48(batch.baseOffset), batch.bytes);
  }

  committed(): void {
    for (const batch of this.staged) this.cache.put(this.name, batch);
    if (this.start === this.end && this.staged[0] !== undefined) this.start = this.staged[0].baseOffset;
    this.staged = [];
    this.end = this.next;
  }

  rolledBack(): void {
    this.writer?.discard();
    this.releaseWriter();
    this.staged = [];
    this.next = this.end;
  }

  private releaseWriter(): void {
    if (this.writer !== undefined && idleWriters.length < IDLE_WRITERS_MAX) idleWriters.push(this.writer);
    this.writer = undefined;
  }

  bounds(): PartitionBounds {
    return { start: this.start, end: this.end };
  }

  read(spec: TopicSpec, from: number, limits: ReadLimits): LogBatch {
    const { start, end } = this;
    const belowStart = from < start && spec.class === 'event';
    if (belowStart || from > end || from < 0) {
      throw offsetOutOfRange(this.topic, this.partition, from, this.bounds());
    }
    const records: LogRecord[] = [];
    let bytes = 0;
    let position = from;
    while (position < end) {
      const batch = this.batchAt(position);
      if (batch === undefined) break;
      const first = lowerBound(batch.records, position, (record, offset) => record.offset - offset);
      for (let i = first; i < batch.records.length; i++) {
        const record = batch.records[i]!;
        records.push(record);
        bytes += record.value.length;
        if (records.length >= limits.recordsMax || bytes > limits.bytesMax) {
          return { records, nextOffset: record.offset + 1 };
        }
      }
      position = batch.endOffset;
      batch.forgetIfLarge();
    }
    return { records, nextOffset: end };
  }

  /** The batch that holds an offset, or the next one behind it. */
  private batchAt(offset: number): StoredBatch | undefined {
    const near = this.cache.get(this.name, offset) ?? this.visited.find((batch) => holds(batch, offset));
    if (near !== undefined) return near;
    const found = this.lookUp(offset);
    if (found === undefined || found.baseOffset >= this.end) return undefined;
    this.visited.unshift(found);
    this.visited.length = Math.min(this.visited.length, VISITED_MAX);
    return found;
  }

  /** An exact hit is the rule for those who read on, and costs a tenth of a cursor. */
  private lookUp(offset: number): StoredBatch | undefined {
    const exact = this.table.get(uint48(offset));
    if (exact !== undefined) return new StoredBatch(exact);
    const below = [...this.table.range({ from: uint48(offset), reverse: true, limit: 1 })][0];
    const around = below === undefined ? undefined : new StoredBatch(below.value);
    if (around !== undefined && holds(around, offset)) return this.cache.get(this.name, around.baseOffset) ?? around;
    const above = [...this.table.range({ from: uint48(offset), limit: 1 })][0];
    return above === undefined ? undefined : new StoredBatch(above.value);
  }

  /** To be called when stored batches were removed or replaced. */
  rewritten(baseOffsets: readonly number[]): void {
    for (const baseOffset of baseOffsets) this.cache.remove(this.name, baseOffset);
    this.visited = [];
    this.findStart();
  }

  private findStart(): void {
    const first = [...this.table.range({ from: uint48(0), limit: 1 })][0];
    this.start = first === undefined ? this.end : first.key.readUIntBE(0, 6);
  }
}

const OFFSET_MAX = 2 ** 48 - 1;

function isFull(writer: RecordBatchWriter): boolean {
  return writer.count >= BATCH_RECORDS_MAX || writer.bytes >= BATCH_BYTES_MAX;
}

function holds(batch: StoredBatch, offset: number): boolean {
  return batch.baseOffset <= offset && offset < batch.endOffset;
}
