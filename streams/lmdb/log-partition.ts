/**
 * One partition of the embedded log: a table of record batches by the offset of their first record.
 *
 *   staged (objects) ─▶ sealed (a batch in memory) ─▶ stored (in the table; the cache keeps the bytes of the latest)
 *                        when full, or at a flush       when the flush is done
 *
 * Records get their offsets when they are staged and can be read at once; a live reader is handed the very objects, which
 * are let go of at the flush. Compaction leaves gaps, so a reader looks for the batch around an offset, or the next one
 * behind it.
 *
 * Invariant: a batch lies wholly below `storedEnd` or wholly above; an offset that was read is never given to another
 * record while the process lives.
 */
import type { LogBatch, LogRecord, OutgoingRecord, PartitionBounds, ReadLimits, TopicSpec } from '../log/event-log.js';
import { BATCH_RECORDS_MAX, decodeBatch, placeBatch, readBatchHeader, RecordBatchWriter } from '../log/record-batch.js';
import { lowerBound } from '../memory/key-order.js';
import { offsetOutOfRange } from '../memory/memory-log.js';
import { copyInto } from '../../schemas/binary-writer.js';
import type { BlockMemory } from '../block-memory.js';
import { SlabMemory } from '../slab-memory.js';
import type { BatchCache } from './batch-cache.js';
import { bufferOf, uint48 } from './table.js';
import type { Participant, Table } from './table.js';

/** Packed batches up to this join others until the flush: a row costs about as much as so many records. */
const JOINED_RECORDS_MAX = 16;
/** A few readers walk through a partition at different places, each returning to its batch until it is through. */
const VISITED_MAX = 4;
/** Records held as objects before they are sealed: those of a bulk write should die young. */
const STAGED_RECORDS_MAX = 1_024;
const STAGED_BYTES_MAX = 262_144;

/** Sealed batches of fewer records are decoded once for all who read them before the flush; more take much memory. */
const LARGE_BATCH_RECORDS = 256;

/** Sealing is synchronous, so one writer does. */
const writer = new RecordBatchWriter();
/** Of stored batches that are read again. */
const passing = new SlabMemory();

class Batch {
  readonly baseOffset: number;
  /** Offset behind its last record. */
  readonly endOffset: number;
  private decoded: readonly LogRecord[] | undefined;

  /** @param isLent its bytes are somebody's who takes them back. */
  constructor(
    readonly bytes: Buffer,
    private readonly isLent = false,
  ) {
    const header = readBatchHeader(bytes);
    this.baseOffset = header.baseOffset;
    this.endOffset = header.lastOffset + 1;
  }

  /** Kept while the batch is small. */
  get records(): readonly LogRecord[] {
    return (this.decoded ??= decodeBatch(this.isLent ? copyInto(passing, this.bytes) : this.bytes));
  }

  /** Of the same records, as they are at hand. */
  with(records: readonly LogRecord[]): this {
    this.decoded = records;
    this.forgetIfLarge();
    return this;
  }

  holds(offset: number): boolean {
    return this.baseOffset <= offset && offset < this.endOffset;
  }

  /** To be called by a reader that is through. */
  forgetIfLarge(): void {
    if (this.decoded !== undefined && this.decoded.length >= LARGE_BATCH_RECORDS) this.decoded = undefined;
  }
}

export class LogPartition implements Participant {
  /** `topic/3`. */
  readonly name: string;
  /** Lowest readable offset, and the offset behind the highest one. */
  start = 0;
  end = 0;
  /** Offset behind the last record in the table. */
  storedEnd = 0;
  private staged: LogRecord[] = [];
  private stagedBytes = 0;
  private sealed: Batch[] = [];
  /** So many of the sealed batches are in the transaction under way. */
  private flushing = 0;
  private visited: Batch[] = [];

  /**
   * @param memory of batches until they are stored.
   * @param endKnown what was recorded as `end` when the partition's last records were removed.
   */
  constructor(
    readonly topic: string,
    readonly partition: number,
    readonly table: Table,
    private readonly cache: BatchCache,
    private readonly memory: BlockMemory,
    endKnown: number,
  ) {
    this.name = `${topic}/${partition}`;
    const last = [...table.range({ from: uint48(OFFSET_MAX), reverse: true, limit: 1 })][0];
    this.end = Math.max(endKnown, last === undefined ? 0 : new Batch(last.value).endOffset);
    this.storedEnd = this.end;
    this.findStart();
  }

  /** Of a partition that never held a record. */
  beginAt(offset: number): void {
    this.start = this.end = this.storedEnd = offset;
  }

  /** Adds a record, whose value must not change any more, and returns its offset. */
  stage({ key, value, origin }: OutgoingRecord, timestamp: number): number {
    const offset = this.end++;
    this.staged.push({ offset, key, value: bufferOf(value), timestamp, origin });
    this.stagedBytes += value.length;
    if (this.staged.length >= STAGED_RECORDS_MAX || this.stagedBytes >= STAGED_BYTES_MAX) this.seal();
    return offset;
  }

  /** As `stage`, of several. Many become a batch of their own, or they would be objects until the flush. */
  stageAll(records: readonly OutgoingRecord[], timestamp: number): void {
    if (records.length <= JOINED_RECORDS_MAX) {
      for (const record of records) this.stage(record, timestamp);
      return;
    }
    this.seal();
    for (const record of records) {
      writer.add(this.end++, timestamp, record);
      if (writer.count >= BATCH_RECORDS_MAX || writer.bytes >= STAGED_BYTES_MAX) this.sealWritten();
    }
    if (writer.count > 0) this.sealWritten();
  }

  /** As `stage`, for records that were packed already. The buffer belongs to the partition from now on. */
  stagePacked(packed: Buffer, timestamp: number): void {
    if (readBatchHeader(packed).count <= JOINED_RECORDS_MAX) {
      for (const record of decodeBatch(packed)) this.stage(record, timestamp);
      return;
    }
    this.seal();
    const { lastOffset } = placeBatch(packed, this.end, timestamp);
    this.end = lastOffset + 1;
    this.sealed.push(new Batch(packed));
  }

  private seal(): void {
    if (this.staged.length === 0) return;
    for (const record of this.staged) writer.add(record.offset, record.timestamp, record);
    this.sealWritten().with(this.staged);
    this.staged = [];
    this.stagedBytes = 0;
  }

  private sealWritten(): Batch {
    const batch = new Batch(writer.finish(this.memory), true);
    this.sealed.push(batch);
    return batch;
  }

  flush(): void {
    this.seal();
    this.flushing = this.sealed.length;
    for (const { baseOffset, bytes } of this.sealed) this.table.put(uint48(baseOffset), bytes);
  }

  flushed(): void {
    for (const batch of this.sealed.splice(0, this.flushing)) {
      this.cache.put(this.name, batch, batch.bytes);
      this.memory.release(batch.bytes);
      this.storedEnd = batch.endOffset;
    }
    this.flushing = 0;
  }

  flushFailed(): void {
    this.flushing = 0;
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
      const available = batch?.records ?? this.staged;
      const first = lowerBound(available, position, (record, offset) => record.offset - offset);
      for (let i = first; i < available.length; i++) {
        const record = available[i]!;
        records.push(record);
        bytes += record.value.length;
        if (records.length >= limits.recordsMax || bytes > limits.bytesMax) {
          return { records, nextOffset: record.offset + 1 };
        }
      }
      position = batch?.endOffset ?? end;
      if (batch !== undefined) this.leave(batch);
    }
    return { records, nextOffset: end };
  }

  /** The batch that holds an offset, or the next one behind it; undefined where only staged records follow. */
  private batchAt(offset: number): Batch | undefined {
    if (offset < this.storedEnd) {
      const stored = this.storedAt(offset);
      if (stored !== undefined) return stored;
    }
    return this.sealed.find((batch) => offset < batch.endOffset);
  }

  private storedAt(offset: number): Batch | undefined {
    const visited = this.visited.find((batch) => batch.holds(offset));
    if (visited !== undefined) return visited;
    const found = this.lookUp(offset);
    if (found === undefined || found.baseOffset >= this.storedEnd) return undefined;
    this.visited.unshift(found);
    this.visited.length = Math.min(this.visited.length, VISITED_MAX);
    return found;
  }

  /** A reader is through with a batch. Others who stand in it decode it again: it is seldom, and records take memory. */
  private leave(batch: Batch): void {
    batch.forgetIfLarge();
    const index = this.visited.indexOf(batch);
    if (index >= 0) this.visited.splice(index, 1);
  }

  /** An exact hit is the rule for those who read on, and costs a tenth of a cursor. */
  private lookUp(offset: number): Batch | undefined {
    const exact = this.cache.get(this.name, offset, passing) ?? this.table.get(uint48(offset), passing);
    if (exact !== undefined) return new Batch(exact);
    const below = [...this.table.range({ from: uint48(offset), reverse: true, limit: 1 })][0];
    const around = below === undefined ? undefined : new Batch(below.value);
    if (around?.holds(offset) === true) return around;
    const above = [...this.table.range({ from: uint48(offset), limit: 1 })][0];
    return above === undefined ? undefined : new Batch(above.value);
  }

  /** To be called when stored batches were removed or replaced. */
  rewritten(baseOffsets: readonly number[]): void {
    for (const baseOffset of baseOffsets) this.cache.remove(this.name, baseOffset);
    this.visited = [];
    this.findStart();
  }

  private findStart(): void {
    const first = [...this.table.range({ from: uint48(0), limit: 1 })][0];
    this.start = first === undefined ? this.storedEnd : first.key.readUIntBE(0, 6);
  }
}

const OFFSET_MAX = 2 ** 48 - 1;
