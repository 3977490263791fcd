/**
 * Port: the partitioned, ordered, replayable log.
 *
 * Topics have a fixed number of partitions; a record's place is (topic, partition, offset). Offsets of a partition
 * start at 0 and grow by one. Records of one key land in one partition and keep their order. Adapters: LMDB
 * (embedded), memory (tests, simulation), Kafka. One conformance suite runs on all of them.
 *
 * Concurrency: all methods may be called concurrently; `append` calls of one caller to one partition keep their order.
 */
import type { DeliveryClass } from '../../schemas/topics.js';
import type { Clock } from '../clock.js';

export interface TopicSpec {
  /** Physical name, namespace included. */
  readonly name: string;
  readonly partitions: number;
  readonly class: DeliveryClass;
  /** Records older than this, ms since they were appended, may be removed from the front. */
  readonly retentionMs?: number | undefined;
  /** Outside readers see each output once: logs that several processes write to send it in transactions. */
  readonly exact?: boolean | undefined;
}

/**
 * Which input record and operator produced an output: stable over replays, because it names no counter.
 * Readers keep the highest (offset, index) per (source, operator) and drop what is not above it.
 */
export interface Origin {
  /** Generation, topic and partition of the input, such as `1/default.user-events/3`; or an import's file hash. */
  readonly source: string;
  readonly operator: string;
  /** Offset of the input record. */
  readonly offset: number;
  /** Place among the outputs of that operator for that input record, from 0. */
  readonly index: number;
}

export interface OutgoingRecord {
  readonly key: string;
  readonly value: Uint8Array;
  /** Chosen by the key's hash when absent. */
  readonly partition?: number | undefined;
  readonly origin?: Origin | undefined;
}

export interface LogRecord {
  readonly offset: number;
  readonly key: string;
  /** Owned by the reader; the log never reuses it. */
  readonly value: Buffer;
  /** When it was appended, ms since epoch. */
  readonly timestamp: number;
  readonly origin: Origin | undefined;
}

export interface LogBatch {
  readonly records: readonly LogRecord[];
  /** Where to read on. Past the last record; greater than `from` even when compaction left no record. */
  readonly nextOffset: number;
  /** There was more than this when it was read, though it is less than was asked for. Absent: less means the end. */
  readonly hasMore?: boolean;
}

export interface ReadLimits {
  /** At most this many records; at least one is returned when there is one. */
  readonly recordsMax: number;
  /** Stop after the record that passes this many value bytes. */
  readonly bytesMax: number;
}

export interface PartitionBounds {
  /** Lowest offset still stored. */
  readonly start: number;
  /** Offset that the next record will get. */
  readonly end: number;
}

export interface AppendReceipt {
  readonly partition: number;
  /** -1 for an output of an exact topic that an earlier try had appended. */
  readonly offset: number;
}

/** 'The state behind this key moved.' Never stored; may be lost; versions repair it. */
export interface Hint {
  readonly key: string;
  readonly partition: number;
  /** Version of the state: offset after the commit. */
  readonly offset: number;
  /** Event ids folded in, latest last, bounded by the sender. */
  readonly eventIds: readonly string[];
}

/** Which partitions a group member may work on. Called with the full new set; resolve when the loss was acted on. */
export type AssignmentListener = (partitions: readonly number[]) => Promise<void>;

export interface Membership {
  /** Tells tools that watch the group's lag how far a partition was read. Nothing depends on it; may be absent. */
  report?(partition: number, offset: number): void;
  /**
   * Resolves once the group has confirmed, after the call, that this membership is its present one. Stays pending when it
   * is not any more: the listener hears of that.
   */
  confirmed(): Promise<void>;
  leave(): Promise<void>;
}

export type HintsListener = (hints: readonly Hint[]) => void;

/** Hints of this partition may have been lost: compare versions. */
export type GapListener = (partition: number) => void;

/** Told which partitions grew; undefined: any of them may have. */
export type AppendListener = (partitions: ReadonlySet<number> | undefined) => void;

export interface EventLog {
  /** Changes when the log was made anew; a state store remembers the log it belongs to. */
  readonly identity: string;

  /** Creates what is missing. Throws TOPIC_MISMATCH where an existing topic differs. Idempotent. */
  createTopics(specs: readonly TopicSpec[]): Promise<void>;

  /** Throws TOPIC_UNKNOWN. */
  topic(name: string): TopicSpec;

  /** All topics, sorted by name. */
  topics(): readonly TopicSpec[];

  /**
   * Appends all records or none per partition; resolves, in the order given, when they are as durable as the sync
   * policy says. Throws STORAGE_FULL, TOPIC_UNKNOWN.
   *
   * An append to an *exact* topic may resolve before its records can be read: Kafka answers the end of a transaction before
   * it has marked it in every partition. Whoever appends and then reads waits until the records are there.
   */
  append(topic: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]>;

  /**
   * The caller sends no more outputs of a source (`Origin.source`): what is kept for sending them is given up, so that whoever
   * sends them next, here too, begins as a new owner does. No append of that source may be under way. Absent: nothing is
   * kept.
   */
  endSource?(source: string): void;

  /**
   * Makes an empty partition begin at an offset, so that what is copied there keeps the places that states know. Does
   * nothing where it begins there already, and may be repeated after a crash. Throws TOPIC_MISMATCH when the partition
   * holds records. Nobody may append meanwhile.
   */
  beginAt(topic: string, partition: number, offset: number): Promise<void>;

  /** Records from an offset on; none at the end. Never waits for new ones. Throws OFFSET_OUT_OF_RANGE. */
  read(topic: string, partition: number, from: number, limits: ReadLimits): Promise<LogBatch>;

  bounds(topic: string, partition: number): Promise<PartitionBounds>;

  /** Calls back soon after records were appended to the topic; may be called without cause. Returns unsubscribe. */
  onAppend(topic: string, listener: AppendListener): () => void;

  /** Whether anybody would get a hint now; absent: somebody may. */
  wantsHints?(topic: string): boolean;

  /** Sends a hint on a topic of class `hint`. Returns at once; may lose it. */
  sendHints(topic: string, hints: readonly Hint[]): void;

  /** Returns unsubscribe. A log whose hints cannot get lost never calls `onGap`. */
  onHints(topic: string, listener: HintsListener, onGap?: GapListener): () => void;

  /** Joins a group that shares a topic's partitions. Embedded logs have one member and assign everything. */
  join(group: string, topic: string, listener: AssignmentListener): Promise<Membership>;

  /** Who is in a group now, as a person would look for them. Absent: nobody but this process can be. */
  members?(group: string): Promise<readonly string[]>;

  /**
   * Removes what retention and compaction allow. Returns the number of records removed. Safe at any time.
   * @param turns whose turns are waited for between two slices of the work; the log's own otherwise
   */
  clean(turns?: Clock): Promise<number>;

  close(): Promise<void>;
}
