/**
 * Batches of records stored lately, as bytes, so that followers a little behind need not read the file.
 *
 * One ring of memory that is written over and over: what came longest ago is gone first. Held one by one, batches and their
 * records would live just long enough for the collector to move them among what stays, some MB a second, where only a full
 * collection finds them again.
 *
 * Invariant: what is handed out is a copy.
 */
import { copyInto, type Memory } from '../../schemas/binary-writer.js';
import { lowerBound } from '../memory/key-order.js';

interface BatchOffsets {
  readonly baseOffset: number;
  /** Offset behind the last record. */
  readonly endOffset: number;
}

interface Entry extends BatchOffsets {
  readonly partition: string;
  /** Where its bytes begin and end. */
  readonly start: number;
  readonly end: number;
}

/** Larger batches are not kept: one would push out too many others. */
const SHARE_MAX = 1 / 8;

export class BatchCache {
  /** In the order of the ring, oldest first. */
  private readonly entries = new Set<Entry>();
  /** The same by rising offsets. */
  private readonly byPartition = new Map<string, Entry[]>();
  private ring: Buffer | undefined;
  private position = 0;

  constructor(private readonly bytesMax: number) {}

  /** The batch that holds an offset. */
  get(partition: string, offset: number, memory: Memory): Buffer | undefined {
    const own = this.byPartition.get(partition);
    if (own === undefined) return undefined;
    const entry = own[lowerBound(own, offset, ({ endOffset }, wanted) => (endOffset <= wanted ? -1 : 0))];
    if (entry === undefined || entry.baseOffset > offset) return undefined;
    return copyInto(memory, this.ring!.subarray(entry.start, entry.end));
  }

  /** Behind all others of its partition. */
  put(partition: string, { baseOffset, endOffset }: BatchOffsets, bytes: Buffer): void {
    if (bytes.length > this.bytesMax * SHARE_MAX) return;
    this.ring ??= Buffer.allocUnsafeSlow(this.bytesMax);
    const start = this.position + bytes.length > this.ring.length ? 0 : this.position;
    const end = start + bytes.length;
    this.makeRoom(start, end);
    bytes.copy(this.ring, start);
    this.position = end;
    const entry = { partition, baseOffset, endOffset, start, end };
    this.entries.add(entry);
    const own = this.byPartition.get(partition);
    if (own === undefined) this.byPartition.set(partition, [entry]);
    else own.push(entry);
  }

  /** Does nothing where there is no such batch. */
  remove(partition: string, baseOffset: number): void {
    const entry = this.byPartition.get(partition)?.find((other) => other.baseOffset === baseOffset);
    if (entry !== undefined) this.drop(entry);
  }

  /** Forgets what stands from the position to the end of a new place, which may lie on the other side of the ring's end. */
  private makeRoom(start: number, end: number): void {
    const isWrapped = start < this.position;
    for (const entry of this.entries) {
      const isAhead = isWrapped && entry.start >= this.position;
      if (!isAhead && (entry.start >= end || entry.end <= start)) break;
      this.drop(entry);
    }
  }

  private drop(entry: Entry): void {
    this.entries.delete(entry);
    const own = this.byPartition.get(entry.partition)!;
    own.splice(own.indexOf(entry), 1);
    if (own.length === 0) this.byPartition.delete(entry.partition);
  }
}
