/**
 * EventLog in memory: for tests, the topology test driver, and as the base of the simulation.
 *
 * Every operation has a synchronous core (`appendNow`, `readNow`, …) that the promises wrap, so a simulation can put
 * delays and faults around it and nothing else interleaves. Given the same calls and clock it does the same.
 * `checkpoint` and `rollback` take the log back, as a crash that loses unflushed appends would: both are cheap, since
 * appending only pushes to a partition's list and everything else replaces that list.
 */
import { EngineError, invariant } from '../../schemas/errors.js';
import { partitionFor } from '../../schemas/ids.js';
import type { Clock } from '../clock.js';
import type {
  AppendListener,
  AppendReceipt,
  AssignmentListener,
  EventLog,
  Hint,
  LogBatch,
  LogRecord,
  Membership,
  OutgoingRecord,
  PartitionBounds,
  ReadLimits,
  TopicSpec,
} from '../log/event-log.js';
import { lowerBound } from './key-order.js';
import { TopicRegistry } from './topic-registry.js';

export interface MemoryLogOptions {
  readonly clock: Clock;
  /** Name of this log; give a new one to a log made anew. */
  readonly identity?: string;
  /** How long a compacted topic keeps the tombstone of a removed key, ms. */
  readonly tombstoneGraceMs?: number;
}

/** As Kafka's delete.retention.ms: long enough for a follower that was down for a night to see the removal. */
export const TOMBSTONE_GRACE_MS = 86_400_000;

interface Partition {
  /** Pushed to by appends only; anything else replaces it. */
  records: LogRecord[];
  end: number;
}

/** Opaque; valid for the log that made it, any number of times. */
export interface LogCheckpoint {
  readonly partitions: ReadonlyMap<
    Partition,
    { readonly records: LogRecord[]; readonly length: number; readonly end: number }
  >;
}

export class MemoryLog implements EventLog {
  readonly identity: string;
  private readonly clock: Clock;
  private readonly tombstoneGraceMs: number;
  private readonly registry = new TopicRegistry();
  private readonly partitions = new Map<string, readonly Partition[]>();

  constructor(options: MemoryLogOptions) {
    this.clock = options.clock;
    this.identity = options.identity ?? 'memory';
    this.tombstoneGraceMs = options.tombstoneGraceMs ?? TOMBSTONE_GRACE_MS;
  }

  createTopicsNow(specs: readonly TopicSpec[]): void {
    const undeclared = this.registry.undeclared(specs);
    this.registry.declare(undeclared);
    for (const { name, partitions } of undeclared) {
      if (this.partitions.has(name)) continue;
      this.partitions.set(
        name,
        Array.from({ length: partitions }, () => ({ records: [], end: 0 })),
      );
    }
  }

  /** Throws what `appendNow` would throw, and changes nothing. */
  requireAppendable(topic: string, records: readonly OutgoingRecord[]): void {
    const { partitions } = this.registry.storedTopic(topic);
    for (const { partition } of records) {
      if (partition !== undefined) requirePartition(topic, partition, partitions);
    }
  }

  appendNow(topic: string, records: readonly OutgoingRecord[]): readonly AppendReceipt[] {
    this.requireAppendable(topic, records);
    const partitions = this.partitions.get(topic)!;
    const timestamp = this.clock.now();
    const receipts = records.map(({ key, value, partition, origin }) => {
      const place = partition ?? partitionFor(key, partitions.length);
      const target = partitions[place]!;
      const offset = target.end++;
      target.records.push(Object.freeze({ offset, key, value: Buffer.from(value), timestamp, origin }));
      return { partition: place, offset };
    });
    for (const { partition } of receipts) this.registry.notifyAppended(topic, partition);
    return receipts;
  }

  readNow(topic: string, partition: number, from: number, limits: ReadLimits): LogBatch {
    const { records, end } = this.partition(topic, partition);
    const { start } = boundsOf(records, end);
    const belowStart = from < start && this.registry.topic(topic).class === 'event';
    if (belowStart || from > end || from < 0) throw offsetOutOfRange(topic, partition, from, { start, end });
    const first = lowerBound(records, from, (record, offset) => record.offset - offset);
    let bytes = 0;
    let last = first;
    while (
      last < records.length &&
      (last === first || (last - first < limits.recordsMax && bytes <= limits.bytesMax))
    ) {
      bytes += records[last++]!.value.length;
    }
    const batch = records.slice(first, last);
    return { records: batch, nextOffset: last > first ? batch[batch.length - 1]!.offset + 1 : end };
  }

  beginAtNow(topic: string, partition: number, offset: number): void {
    const place = this.partition(topic, partition);
    if (boundsOf(place.records, place.end).start === offset) return;
    if (place.end > 0) throw partitionNotEmpty(topic, partition, offset);
    place.end = offset;
  }

  boundsNow(topic: string, partition: number): PartitionBounds {
    const { records, end } = this.partition(topic, partition);
    return boundsOf(records, end);
  }

  cleanNow(): number {
    let removed = 0;
    for (const spec of this.registry.topics()) {
      for (const partition of this.partitions.get(spec.name)!) {
        const kept = this.retained(spec, partition.records);
        removed += partition.records.length - kept.length;
        if (kept.length < partition.records.length) partition.records = kept;
      }
    }
    return removed;
  }

  private retained(spec: TopicSpec, records: readonly LogRecord[]): LogRecord[] {
    const now = this.clock.now();
    const oldest = spec.retentionMs === undefined ? -Infinity : now - spec.retentionMs;
    const firstKept = records.findIndex((record) => record.timestamp >= oldest);
    const kept = firstKept < 0 ? [] : records.slice(firstKept);
    if (spec.class !== 'table') return kept;
    const lastOffset = new Map(kept.map((record) => [record.key, record.offset]));
    const tombstonesFrom = now - this.tombstoneGraceMs;
    return kept.filter(
      ({ key, offset, value, timestamp }) =>
        lastOffset.get(key) === offset && (value.length > 0 || timestamp > tombstonesFrom),
    );
  }

  /** Remembers where every partition stands. */
  checkpoint(): LogCheckpoint {
    const all = [...this.partitions.values()].flat();
    return {
      partitions: new Map(all.map((partition) => [partition, { ...partition, length: partition.records.length }])),
    };
  }

  /** Goes back to a checkpoint; partitions of topics created since become empty. */
  rollback(checkpoint: LogCheckpoint): void {
    for (const partition of [...this.partitions.values()].flat()) {
      const earlier = checkpoint.partitions.get(partition);
      partition.records = earlier === undefined ? [] : earlier.records.slice(0, earlier.length);
      partition.end = earlier === undefined ? 0 : earlier.end;
    }
  }

  private partition(topic: string, partition: number): Partition {
    const { partitions } = this.registry.storedTopic(topic);
    requirePartition(topic, partition, partitions);
    return this.partitions.get(topic)![partition]!;
  }

  createTopics(specs: readonly TopicSpec[]): Promise<void> {
    return settled(() => this.createTopicsNow(specs));
  }

  topic(name: string): TopicSpec {
    return this.registry.topic(name);
  }

  topics(): readonly TopicSpec[] {
    return this.registry.topics();
  }

  append(topic: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]> {
    return settled(() => this.appendNow(topic, records));
  }

  beginAt(topic: string, partition: number, offset: number): Promise<void> {
    return settled(() => this.beginAtNow(topic, partition, offset));
  }

  read(topic: string, partition: number, from: number, limits: ReadLimits): Promise<LogBatch> {
    return settled(() => this.readNow(topic, partition, from, limits));
  }

  bounds(topic: string, partition: number): Promise<PartitionBounds> {
    return settled(() => this.boundsNow(topic, partition));
  }

  onAppend(topic: string, listener: AppendListener): () => void {
    return this.registry.onAppend(topic, listener);
  }

  wantsHints(topic: string): boolean {
    return this.registry.wantsHints(topic);
  }

  sendHints(topic: string, hints: readonly Hint[]): void {
    this.registry.sendHints(topic, hints);
  }

  onHints(topic: string, listener: (hints: readonly Hint[]) => void): () => void {
    return this.registry.onHints(topic, listener);
  }

  join(group: string, topic: string, listener: AssignmentListener): Promise<Membership> {
    return this.registry.join(group, topic, listener);
  }

  clean(): Promise<number> {
    return settled(() => this.cleanNow());
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The call's result or its error, as a promise. */
export function settled<T>(call: () => T): Promise<T> {
  return new Promise((resolve) => resolve(call()));
}

export function requirePartition(topic: string, partition: number, partitions: number): void {
  const exists = Number.isInteger(partition) && partition >= 0 && partition < partitions;
  invariant(exists, `Topic '${topic}' has partitions 0–${partitions - 1}, but ${partition} was asked for`);
}

export function offsetOutOfRange(topic: string, partition: number, from: number, bounds: PartitionBounds): EngineError {
  return new EngineError(
    'OFFSET_OUT_OF_RANGE',
    `Offset ${from} of ${topic}/${partition} is not in the log, which holds ${bounds.start} to ${bounds.end} (exclusive).`,
    { context: { topic, partition, offset: from, start: bounds.start, end: bounds.end } },
  );
}

export function partitionNotEmpty(topic: string, partition: number, offset: number): EngineError {
  return new EngineError(
    'TOPIC_MISMATCH',
    `${topic}/${partition} cannot begin at offset ${offset}: it holds records already.`,
    { context: { topic, partition, offset } },
  );
}

function boundsOf(records: readonly LogRecord[], end: number): PartitionBounds {
  return { start: records[0]?.offset ?? end, end };
}
