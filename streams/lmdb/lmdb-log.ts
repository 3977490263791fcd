/**
 * EventLog on LMDB: the embedded log of a single process.
 *
 * An append is in the journal when it is acknowledged and can be read at once; the data file gets it with the next flush,
 * all records of a partition as one value. Offsets are given out in memory, since the process holds the directory
 * alone. The state store stages its outputs here too, within the write that moves the state: those are not in the
 * journal, because the input that they come from is.
 */
import { partitionFor } from '../../schemas/ids.js';
import { LONE_SURROGATE } from '../../schemas/binary-writer.js';
import { EngineError } from '../../schemas/errors.js';
import { BlockMemory } from '../block-memory.js';
import type { Clock } from '../clock.js';
import type {
  AppendListener,
  AppendReceipt,
  AssignmentListener,
  EventLog,
  Hint,
  LogBatch,
  Membership,
  OutgoingRecord,
  PartitionBounds,
  ReadLimits,
  TopicSpec,
} from '../log/event-log.js';
import { PackedRecords } from '../log/packed-records.js';
import { partitionNotEmpty, requirePartition, settled, TOMBSTONE_GRACE_MS } from '../memory/memory-log.js';
import { TopicRegistry } from '../memory/topic-registry.js';
import type { Random } from '../random.js';
import type { OutputBatch } from '../state/state-store.js';
import { decodeAppend, encodeAppend } from './appended-entry.js';
import { BatchCache } from './batch-cache.js';
import type { Environment } from './environment.js';
import { LogCatalogue } from './log-catalogue.js';
import { LogCleaner } from './log-cleaner.js';
import { LogPartition } from './log-partition.js';

export interface LmdbLogOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Memory for batches appended lately. */
  readonly cacheBytesMax?: number;
  /** How long a compacted topic keeps the tombstone of a removed key, ms. */
  readonly tombstoneGraceMs?: number;
  /** Bytes that one `clean` looks at. */
  readonly cleanBytesMax?: number;
}

const CACHE_BYTES_MAX = 8 * 1_048_576;
/** As much as a flush takes. A partition's batch of one, under a steady load, has tens of kB. */
const SEALING_BYTES_MAX = 8 * 1_048_576;
const SEALING_SLAB_BYTES = 1_048_576;
/** At a clean a minute: 1 MB/s read beside the live load, and a 4 GB log walked through in an hour. */
const CLEAN_BYTES_MAX = 64 * 1_048_576;
/** Key, lengths, origin: what a record takes beside its value, roughly. */
const RECORD_OVERHEAD_BYTES = 48;

export class LmdbLog implements EventLog {
  private readonly registry = new TopicRegistry();
  private readonly partitions = new Map<string, readonly LogPartition[]>();
  private readonly cache: BatchCache;
  /** Of batches until they are stored. */
  private readonly sealing = new BlockMemory(SEALING_BYTES_MAX, SEALING_SLAB_BYTES);
  private readonly cleaner: LogCleaner;
  private cleaning: Promise<unknown> = Promise.resolve();
  private cleanTurn = 0;

  private constructor(
    readonly identity: string,
    private readonly environment: Environment,
    private readonly catalogue: LogCatalogue,
    private readonly options: LmdbLogOptions,
  ) {
    this.cache = new BatchCache(options.cacheBytesMax ?? CACHE_BYTES_MAX);
    const tombstoneGraceMs = options.tombstoneGraceMs ?? TOMBSTONE_GRACE_MS;
    this.cleaner = new LogCleaner({ environment, catalogue, clock: options.clock, tombstoneGraceMs });
  }

  static async open(environment: Environment, options: LmdbLogOptions): Promise<LmdbLog> {
    const catalogue = new LogCatalogue(environment);
    const identity = await catalogue.identity(() => options.random.stream('log-identity').hex(16));
    const log = new LmdbLog(identity, environment, catalogue, options);
    log.addTopics(catalogue.topics());
    await log.restore();
    return log;
  }

  /** Appends again what is in the journal alone. */
  private async restore(): Promise<void> {
    for (const payload of this.environment.leftInJournal()) {
      const { topic, timestamp, records } = decodeAppend(payload);
      const partitions = this.partitions.get(topic);
      if (partitions === undefined) throw topicLost(topic);
      for (const record of records) this.stageAt(partitions[record.partition]!, record, timestamp);
    }
    await this.environment.restored();
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<void> {
    const undeclared = this.registry.undeclared(specs);
    if (undeclared.length === 0) return;
    await this.catalogue.writeTopics(undeclared);
    // Somebody else may have declared the same while this was written.
    this.addTopics(this.registry.undeclared(specs));
  }

  private addTopics(specs: readonly TopicSpec[]): void {
    const added = specs.filter((spec) => spec.class !== 'hint' && !this.partitions.has(spec.name));
    const names = added.flatMap(({ name, partitions }) =>
      Array.from({ length: partitions }, (_, i) => `log:${name}/${i}`),
    );
    const tables = this.environment.openTables(names);
    let at = 0;
    for (const { name, partitions } of added) {
      const list = tables.slice(at, at + partitions).map((table, i) => {
        const { end } = this.catalogue.place(`${name}/${i}`);
        return new LogPartition(name, i, table, this.cache, this.sealing, end);
      });
      this.partitions.set(name, list);
      at += partitions;
    }
    this.registry.declare(specs);
  }

  topic(name: string): TopicSpec {
    return this.registry.topic(name);
  }

  topics(): readonly TopicSpec[] {
    return this.registry.topics();
  }

  async append(topic: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]> {
    this.requireAppendable(topic, records);
    if (records.length === 0) return [];
    const partitions = this.partitions.get(topic)!;
    const timestamp = Math.floor(this.options.clock.now());
    const placed = records.map((record) => ({
      partition: placeOf(record, partitions.length),
      key: record.key,
      // The caller may go on with its memory.
      value: Buffer.from(record.value),
      origin: record.origin,
    }));
    const stage = (): AppendReceipt[] =>
      placed.map((record) => {
        const { partition } = record;
        return { partition, offset: this.stageAt(partitions[partition]!, record, timestamp) };
      });
    return this.environment.append(() => encodeAppend({ topic, timestamp, records: placed }), stage, sizeOf(records));
  }

  /** Throws what makes records unfit for a topic. */
  requireAppendable(topic: string, records: readonly OutgoingRecord[]): void {
    const { partitions } = this.registry.storedTopic(topic);
    let source = '';
    let operator = '';
    for (const { key, partition, origin } of records) {
      if (partition !== undefined) requirePartition(topic, partition, partitions);
      requireText(topic, key);
      // Origins repeat from record to record.
      if (origin === undefined || (origin.source === source && origin.operator === operator)) continue;
      ({ source, operator } = origin);
      requireText(topic, source);
      requireText(topic, operator);
    }
  }

  /** Adds checked outputs of a task, whose values must not change any more, within the write that moves its state. */
  stageOutputs(outputs: OutputBatch): void {
    const partitions = this.partitions.get(outputs.topic)!;
    const timestamp = Math.floor(this.options.clock.now());
    if (outputs instanceof PackedRecords) {
      outputs.byPartition.forEach((batches, partition) => {
        const target = partitions[partition]!;
        if (batches.length > 0) this.grows(target);
        for (const batch of batches) target.stagePacked(batch, timestamp);
      });
      return;
    }
    const byPartition = partitions.map((): OutgoingRecord[] => []);
    for (const record of outputs.records) byPartition[placeOf(record, partitions.length)]!.push(record);
    byPartition.forEach((records, partition) => {
      const target = partitions[partition]!;
      if (records.length > 0) this.grows(target);
      target.stageAll(records, timestamp);
    });
  }

  /** Throws what makes outputs unfit for their topic. Packed ones were checked when they were packed. */
  requireStageable(outputs: OutputBatch): void {
    if (!(outputs instanceof PackedRecords)) this.requireAppendable(outputs.topic, outputs.records);
  }

  private stageAt(target: LogPartition, record: OutgoingRecord, timestamp: number): number {
    this.grows(target);
    return target.stage(record, timestamp);
  }

  private grows(target: LogPartition): void {
    this.environment.changes(target);
    this.registry.notifyAppended(target.topic, target.partition);
  }

  async beginAt(topic: string, partition: number, offset: number): Promise<void> {
    const place = this.partition(topic, partition);
    if (place.start === offset) return;
    if (place.end > 0) throw partitionNotEmpty(topic, partition, offset);
    await this.environment.transact(() => this.catalogue.putPlace(place.name, { end: offset, cleanedTo: offset }));
    place.beginAt(offset);
  }

  read(topic: string, partition: number, from: number, limits: ReadLimits): Promise<LogBatch> {
    return settled(() => this.partition(topic, partition).read(this.registry.topic(topic), from, limits));
  }

  bounds(topic: string, partition: number): Promise<PartitionBounds> {
    return settled(() => this.partition(topic, partition).bounds());
  }

  private partition(topic: string, partition: number): LogPartition {
    const { partitions } = this.registry.storedTopic(topic);
    requirePartition(topic, partition, partitions);
    return this.partitions.get(topic)![partition]!;
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

  /** Bounded work a call: it goes on where the last one stopped, and takes partitions in turn. */
  clean(turns: Clock = this.options.clock): Promise<number> {
    const cleaned = this.cleaning.then(() => this.cleanSome(turns));
    this.cleaning = cleaned.catch(() => undefined);
    return cleaned;
  }

  private async cleanSome(turns: Clock): Promise<number> {
    // Only what is stored is cleaned; on a full disk, that is where room has to come from.
    await this.environment.flushed().catch(() => undefined);
    const all = this.topics().flatMap(({ name }) => this.partitions.get(name) ?? []);
    const budget = { bytes: this.options.cleanBytesMax ?? CLEAN_BYTES_MAX, turns };
    let removed = 0;
    for (let i = 0; i < all.length && budget.bytes > 0; i++) {
      const partition = all[this.cleanTurn % all.length]!;
      removed += await this.cleaner.clean(partition, this.registry.topic(partition.topic), budget);
      if (budget.bytes > 0) this.cleanTurn++;
    }
    return removed;
  }

  /** Waits for cleaning; the environment is closed by whoever opened it. */
  async close(): Promise<void> {
    await this.cleaning;
  }
}

/** Bytes of outputs in a transaction, roughly. */
export function sizeOfOutputs(outputs: OutputBatch): number {
  return outputs instanceof PackedRecords ? outputs.bytes : sizeOf(outputs.records);
}

export function sizeOf(records: readonly OutgoingRecord[]): number {
  let bytes = 0;
  for (const { key, value } of records) bytes += key.length + value.length + RECORD_OVERHEAD_BYTES;
  return bytes;
}

function placeOf({ partition, key }: OutgoingRecord, partitions: number): number {
  return partition ?? partitionFor(key, partitions);
}

function requireText(topic: string, text: string): void {
  if (LONE_SURROGATE.test(text)) throw textInvalid(topic, text);
}

function textInvalid(topic: string, text: string): EngineError {
  return new EngineError(
    'EVENT_INVALID',
    `A record for topic '${topic}' has the key or origin ${JSON.stringify(text)}, which holds half a surrogate pair; ` +
      'expected Unicode text.',
    { context: { topic } },
  );
}

function topicLost(topic: string): EngineError {
  return new EngineError(
    'DATA_DIRECTORY_INVALID',
    `The journal of the data directory holds records of topic '${topic}', which its data file does not know; the two ` +
      'belong to different directories. Restore both from one copy.',
    { context: { topic } },
  );
}
