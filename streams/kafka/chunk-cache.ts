/**
 * Record batches fetched lately, shared by all readers of this process, decoded when first read.
 *
 * Readers walk a partition a micro-batch at a time and fetch far more at once, several readers follow one topic, and what
 * a long poll brought is read a moment later: the cache is where they meet.
 *
 * Records as objects take several times the memory of their bytes, and every full collection walks them. They are kept for
 * the readers that come soon; a later one decodes again.
 *
 * Invariant: a chunk holds every committed record from its start to its end, both known exactly; bytes and decoded records
 * are bounded.
 */
import type { LogBatch, LogRecord, ReadLimits } from '../log/event-log.js';
import { decodeRecords, isAbortMarker, splitBatches, type StoredBatch } from './record-batch.js';
import type { FetchedPartition } from './fetch-request.js';

interface ChunkBatch {
  readonly batch: StoredBatch;
  /** Undone or of the broker's own: it has no records for readers. */
  readonly isHidden: boolean;
}

/** Live records of some seconds; of a backlog, the batches that a few readers walk through. */
const DECODED_RECORDS_MAX = 32_768;
const DECODED_BYTES_MAX = 32 * 1_048_576;

/** Batches whose records are kept as objects; the one asked for longest ago goes first. */
class DecodedBatches {
  private readonly batches = new Map<StoredBatch, readonly LogRecord[]>();
  private records = 0;
  private bytes = 0;

  recordsOf(batch: StoredBatch): readonly LogRecord[] {
    const known = this.batches.get(batch);
    if (known !== undefined) {
      this.batches.delete(batch);
      this.batches.set(batch, known);
      return known;
    }
    const records = decodeRecords(batch);
    this.batches.set(batch, records);
    this.records += records.length;
    this.bytes += batch.bytes.length;
    for (const oldest of this.batches.keys()) {
      const isWithin = this.records <= DECODED_RECORDS_MAX && this.bytes <= DECODED_BYTES_MAX;
      if (isWithin || oldest === batch) break;
      this.forget(oldest);
    }
    return records;
  }

  /** Records kept. */
  get kept(): number {
    return this.records;
  }

  forget(batch: StoredBatch): void {
    const records = this.batches.get(batch);
    if (records === undefined) return;
    this.batches.delete(batch);
    this.records -= records.length;
    this.bytes -= batch.bytes.length;
  }
}

export class Chunk {
  readonly bytes: number;
  /** Offset after the last batch. */
  readonly next: number;
  /** The log went on behind the last batch when this was fetched. */
  readonly hasMore: boolean;
  private readonly batches: readonly ChunkBatch[];

  constructor(
    readonly start: number,
    fetched: FetchedPartition,
    private readonly decoded: DecodedBatches,
  ) {
    const batches = splitBatches(fetched.records);
    this.batches = visible(batches, fetched.aborted);
    this.next = batches.length === 0 ? start : batches.at(-1)!.lastOffset + 1;
    this.bytes = fetched.records.length;
    this.hasMore = this.next > start && this.next < fetched.end;
  }

  read(from: number, { recordsMax, bytesMax }: ReadLimits): LogBatch {
    const records: LogRecord[] = [];
    let bytes = 0;
    let nextOffset = from;
    for (let i = this.indexOf(from); i < this.batches.length; i++) {
      const entry = this.batches[i]!;
      if (!entry.isHidden) {
        const own = this.decoded.recordsOf(entry.batch);
        let at = own.length > 0 && own[0]!.offset < from ? lowerBound(own, from) : 0;
        for (; at < own.length; at++) {
          const record = own[at]!;
          records.push(record);
          bytes += record.value.length;
          if (records.length >= recordsMax || bytes > bytesMax) {
            const isLast = at + 1 === own.length;
            return { records, nextOffset: isLast ? entry.batch.lastOffset + 1 : record.offset + 1 };
          }
        }
      }
      nextOffset = entry.batch.lastOffset + 1;
    }
    return { records, nextOffset, hasMore: this.hasMore };
  }

  /** Nobody finds the chunk any more. */
  leave(): void {
    for (const { batch } of this.batches) this.decoded.forget(batch);
  }

  /** First batch that reaches the offset. */
  private indexOf(from: number): number {
    let low = 0;
    let high = this.batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.batches[middle]!.batch.lastOffset < from) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function lowerBound(records: readonly LogRecord[], offset: number): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (records[middle]!.offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Leaves out what was undone: the broker names the producers, their markers end it. */
function visible(batches: readonly StoredBatch[], aborted: FetchedPartition['aborted']): readonly ChunkBatch[] {
  const pending = [...aborted].sort((left, right) => left.firstOffset - right.firstOffset);
  const undone = new Set<number>();
  return batches.map((batch) => {
    while (pending.length > 0 && pending[0]!.firstOffset <= batch.lastOffset) undone.add(pending.shift()!.producerId);
    const isUndone = batch.isTransactional && undone.has(batch.producerId);
    if (batch.isControl && isUndone && isAbortMarker(batch)) undone.delete(batch.producerId);
    return { batch, isHidden: batch.isControl || isUndone };
  });
}

export class ChunkCache {
  readonly decoded = new DecodedBatches();
  private readonly partitions = new Map<string, Chunk[]>();
  /** In the order of their last use. */
  private readonly recent = new Map<Chunk, string>();
  private bytes = 0;

  constructor(private readonly bytesMax: number) {}

  /** The chunk that goes on at an offset. */
  find(place: string, from: number): Chunk | undefined {
    const chunk = this.partitions.get(place)?.find((one) => one.start <= from && from < one.next);
    if (chunk !== undefined && this.bytes > this.bytesMax / 2) {
      this.recent.delete(chunk);
      this.recent.set(chunk, place);
    }
    return chunk;
  }

  add(place: string, chunk: Chunk): void {
    if (chunk.next === chunk.start) return;
    const own = this.partitions.get(place) ?? [];
    this.partitions.set(place, own);
    for (const covered of own.filter((one) => chunk.start <= one.start && one.next <= chunk.next))
      this.remove(covered, place);
    own.push(chunk);
    this.recent.set(chunk, place);
    this.bytes += chunk.bytes;
    for (const [oldest, its] of this.recent) {
      if (this.bytes <= this.bytesMax || oldest === chunk) break;
      this.remove(oldest, its);
    }
  }

  private remove(chunk: Chunk, place: string): void {
    const own = this.partitions.get(place)!;
    own.splice(own.indexOf(chunk), 1);
    this.recent.delete(chunk);
    this.bytes -= chunk.bytes;
    chunk.leave();
  }
}
