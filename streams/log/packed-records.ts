/**
 * The events that a task's batch sends to one topic, packed from the start as the log stores them: a batch of bytes a
 * partition, which only lacks its place.
 *
 * A task emits more records than it reads and keeps them until its commit. As objects they would be what the garbage
 * collector copies most; as bytes they are nothing to it, and the embedded log stores them as they are. Whoever needs
 * them one by one (outboxes, the log in memory) asks for `records`.
 *
 * Invariant: within a partition records keep the order in which they were added.
 */
import type { BinaryWriter } from '../../schemas/binary-writer.js';
import { partitionFor } from '../../schemas/ids.js';
import { SlabMemory } from '../slab-memory.js';
import type { OutputBatch } from '../state/state-store.js';
import type { OutgoingRecord } from './event-log.js';
import { BATCH_BYTES_MAX, BATCH_RECORDS_MAX, decodeBatch, RecordBatchWriter } from './record-batch.js';

/** Writers keep their memory, so only as many as usually work at once are kept. */
const IDLE_WRITERS_MAX = 16;

const idleWriters: RecordBatchWriter[] = [];
/** Of batches until they are stored: apart from Node's pool, where what stays would keep them. */
const memory = new SlabMemory();

/** Writes a value behind what a writer has written already, such as `recordWriter` of the schemas makes. */
export type ValueWriter<T> = (value: T, writer: BinaryWriter) => void;

/** Which input record and operator a record is due to; the source is that of all. */
export interface PackedOrigin {
  readonly operator: string;
  readonly offset: number;
  readonly index: number;
}

export class PackedRecords implements OutputBatch {
  private readonly writers: (RecordBatchWriter | undefined)[];
  /** By partition: batches whose offsets and timestamps start at 0. */
  private readonly batches: Buffer[][];
  private unpacked: OutgoingRecord[] | undefined;

  constructor(
    readonly topic: string,
    partitions: number,
    private readonly source: string,
  ) {
    this.writers = new Array<RecordBatchWriter | undefined>(partitions).fill(undefined);
    this.batches = Array.from({ length: partitions }, () => []);
  }

  /** Lets `write` put the value where it will stand, and returns its size. Throws what `write` throws. */
  addWritten<T>(key: string, write: ValueWriter<T>, value: T, { operator, offset, index }: PackedOrigin): number {
    const partition = partitionFor(key, this.writers.length);
    const writer = (this.writers[partition] ??= idleWriters.pop() ?? new RecordBatchWriter());
    if (writer.count >= BATCH_RECORDS_MAX || writer.bytes >= BATCH_BYTES_MAX) {
      this.batches[partition]!.push(writer.finish(memory));
    }
    const place = { offset: writer.count, timestamp: 0 };
    return writer.addWritten(place, { key, origin: { source: this.source, operator, offset, index } }, write, value);
  }

  /** Nothing can be added any more. To be called before anything is read, and once only. */
  finish(): this {
    this.writers.forEach((writer, partition) => {
      if (writer !== undefined && writer.count > 0) this.batches[partition]!.push(writer.finish(memory));
    });
    this.release();
    return this;
  }

  /** The same records for another topic of as many partitions; called after `finish`, shares their bytes. */
  renamed(topic: string): PackedRecords {
    const renamed = new PackedRecords(topic, 0, this.source);
    renamed.batches.push(...this.batches);
    return renamed;
  }

  /** Forgets everything. */
  discard(): void {
    for (const writer of this.writers) writer?.discard();
    this.release();
  }

  private release(): void {
    for (const writer of this.writers) {
      if (writer !== undefined && idleWriters.length < IDLE_WRITERS_MAX) idleWriters.push(writer);
    }
    this.writers.fill(undefined);
  }

  /** By partition: batches to be placed by `placeBatch`. */
  get byPartition(): readonly (readonly Buffer[])[] {
    return this.batches;
  }

  /** Of all batches. */
  get bytes(): number {
    let bytes = 0;
    for (const batches of this.batches) for (const batch of batches) bytes += batch.length;
    return bytes;
  }

  /** One by one, partition after partition. */
  get records(): readonly OutgoingRecord[] {
    this.unpacked ??= this.batches.flatMap((batches, partition) =>
      batches.flatMap((batch) =>
        decodeBatch(batch).map(({ key, value, origin }) => ({ key, value, partition, origin })),
      ),
    );
    return this.unpacked;
  }
}

/** The writer of values that are bytes already. */
export function writeFixed(value: Uint8Array, writer: BinaryWriter): void {
  writer.writeFixed(value);
}
