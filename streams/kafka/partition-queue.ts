/**
 * What waits to be appended to one partition: appends collected into batches, at most one batch on its way.
 *
 * An idempotent producer numbers the records of a partition, and the broker takes a batch once, and only behind the one
 * before it. So a batch keeps its number and its bytes over all attempts, and the next one is not sealed before this one
 * is acknowledged. A batch that was given up leaves its number in doubt: whatever follows uses a new producer id.
 *
 *     open ── seal ──> sealed ── acknowledged ──> (resolved)
 *                        │  ^
 *                        └──┘ attempt failed, may be repeated
 */
import type { EngineError } from '../../schemas/errors.js';
import { invariant } from '../../schemas/errors.js';
import type { OutgoingRecord } from '../log/event-log.js';
import type { Compression } from './compression.js';
import { type ProducerId, RecordBatchBuilder } from './record-batch.js';

/** One caller's records within one batch. */
export interface AppendPart {
  /** Called with the offset of the part's first record. */
  acknowledged(firstOffset: number): void;
  failed(error: EngineError): void;
}

interface PlacedPart {
  readonly part: AppendPart;
  readonly first: number;
}

export interface QueueLimits {
  readonly batchRecordsMax: number;
  readonly batchBytesMax: number;
  readonly compression: Compression;
}

interface WaitingBatch {
  readonly builder: RecordBatchBuilder;
  readonly parts: PlacedPart[];
  recordBytes: number;
}

interface SealedBatch extends WaitingBatch {
  readonly bytes: Buffer;
  /** When it was sealed, ms on the monotonic clock. */
  readonly sealedAt: number;
  attempts: number;
}

/** Kafka's sequence numbers start anew at 0 behind the highest int32. */
const SEQUENCES = 2 ** 31;

export class PartitionQueue {
  /** On its way, or waiting to be sent once more. */
  sealed: SealedBatch | undefined;
  inFlight = false;
  /** Not to be sent before, ms on the monotonic clock. */
  retryAt = 0;
  private readonly waiting: WaitingBatch[] = [];
  private producer: ProducerId | undefined;
  private sequence = 0;

  constructor(
    readonly topic: string,
    readonly partition: number,
    private readonly isTable: boolean,
    private readonly limits: QueueLimits,
  ) {}

  get isEmpty(): boolean {
    return this.sealed === undefined && this.waiting.length === 0;
  }

  /**
   * Adds one caller's records. They share one batch, which a broker takes as a whole, unless they are more than one
   * batch may hold. Returns the bytes they take.
   */
  add(records: readonly OutgoingRecord[], timestamp: number, part: (count: number) => AppendPart): number {
    let bytes = 0;
    for (let at = 0; at < records.length;) {
      const batch = this.openBatch(records.length - at);
      const { builder } = batch;
      const first = builder.count;
      const before = builder.bytes;
      do builder.add(records[at++]!, timestamp);
      while (at < records.length && builder.count < this.limits.batchRecordsMax && this.hasRoom(builder, records[at]!));
      batch.parts.push({ part: part(builder.count - first), first });
      batch.recordBytes += builder.bytes - before;
      bytes += builder.bytes - before;
    }
    return bytes;
  }

  private openBatch(count: number): WaitingBatch {
    const last = this.waiting.at(-1);
    const { batchRecordsMax, batchBytesMax } = this.limits;
    // A large append gets a batch of its own rather than being cut at the end of another one.
    const fits =
      last !== undefined && last.builder.count + count <= batchRecordsMax && last.builder.bytes < batchBytesMax / 2;
    if (fits) return last;
    const batch: WaitingBatch = { builder: new RecordBatchBuilder(this.isTable), parts: [], recordBytes: 0 };
    this.waiting.push(batch);
    return batch;
  }

  private hasRoom(builder: RecordBatchBuilder, next: OutgoingRecord): boolean {
    return builder.bytes + next.value.length + next.key.length * 3 < this.limits.batchBytesMax;
  }

  /** The batch to send now, numbered; the same one until it is acknowledged or given up. */
  seal(producer: ProducerId, now: number): SealedBatch {
    if (this.sealed !== undefined) return this.sealed;
    const batch = this.waiting.shift();
    invariant(batch !== undefined, `Nothing waits for ${this.topic}/${this.partition}`);
    if (this.producer !== producer) {
      this.producer = producer;
      this.sequence = 0;
    }
    const { compression } = this.limits;
    const bytes = batch.builder.seal({ producer, sequence: this.sequence, transactional: false, compression });
    this.sequence = (this.sequence + batch.builder.count) % SEQUENCES;
    this.sealed = { ...batch, bytes, sealedAt: now, attempts: 0 };
    return this.sealed;
  }

  /** Returns the bytes that are no longer waiting. */
  acknowledge(baseOffset: number): number {
    const { parts, recordBytes } = this.takeSealed();
    for (const { part, first } of parts) part.acknowledged(baseOffset + first);
    return recordBytes;
  }

  /** The caller must not use the same producer again: whether the batch was appended is not known. */
  giveUp(error: EngineError): number {
    const { parts, recordBytes } = this.takeSealed();
    for (const { part } of parts) part.failed(error);
    return recordBytes;
  }

  /** Seals the batch anew for another producer: only where it is known not to have been appended. */
  unseal(): void {
    const { builder, parts, recordBytes } = this.takeSealed();
    this.waiting.unshift({ builder, parts, recordBytes });
  }

  /** Fails everything, sealed or not. */
  abandon(error: EngineError): void {
    if (this.sealed !== undefined) this.giveUp(error);
    for (const { parts } of this.waiting.splice(0)) for (const { part } of parts) part.failed(error);
  }

  private takeSealed(): SealedBatch {
    const { sealed } = this;
    invariant(sealed !== undefined, `Nothing was sent to ${this.topic}/${this.partition}`);
    this.sealed = undefined;
    this.inFlight = false;
    return sealed;
  }
}
