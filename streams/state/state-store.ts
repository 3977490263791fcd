/**
 * Port: keyed state of tasks, committed atomically with the offset it belongs to.
 *
 * A task is one partition of one stage. Everything it keeps — rows, timers, its head {owner, commitId, offset, meta} —
 * moves in one `commit`; so a new owner goes on at once and a store that fell back to an older commit is still
 * consistent: the log repairs the rest. Adapters: LMDB, memory, Redis. One conformance suite runs on all of them.
 *
 * Fencing. `acquire` writes a random owner token. `commit` applies only when the stored owner is the caller's and the
 * stored commitId is the caller's `previous`; when the stored commitId already is `next`, the reply of an earlier try
 * was lost and the answer is `already-applied`. Neither an epoch nor an offset would do: both can be issued twice
 * after a failover that lost writes.
 */
import type { Memory } from '../../schemas/binary-writer.js';
import type { OutgoingRecord } from '../log/event-log.js';

export interface TaskId {
  /** Stage name; shadow rebuilds use a name of their own. */
  readonly stage: string;
  readonly partition: number;
}

export interface TaskHead {
  /** Random per commit attempt; '' before the first commit. */
  readonly commitId: string;
  /** Next input offset to process. */
  readonly offset: number;
  /** The task's own bookkeeping, opaque to the store; empty before the first commit. */
  readonly meta: Uint8Array;
}

/** A timer's identity is all three fields. */
export interface TimerEntry {
  /** Event time, ms since epoch; integer. */
  readonly time: number;
  readonly operator: string;
  readonly key: string;
}

/** Outputs for one topic, in order. */
export interface OutputBatch {
  readonly topic: string;
  readonly records: readonly OutgoingRecord[];
}

export interface Commit {
  readonly owner: string;
  /** commitId the cache was built on. */
  readonly previous: string;
  /** Random id of this attempt; the same on a retry of the same attempt. */
  readonly next: string;
  readonly offset: number;
  readonly meta: Uint8Array;
  /** Rows to write, each key once. Their bytes are the caller's again when `commit` has resolved. */
  readonly puts: readonly (readonly [key: string, value: Uint8Array])[];
  readonly deletes: readonly string[];
  readonly timersAdded: readonly TimerEntry[];
  readonly timersRemoved: readonly TimerEntry[];
  readonly outputs: readonly OutputBatch[];
}

export type CommitOutcome = 'committed' | 'already-applied';

export interface Prefetched {
  /** The commit that was read: it differs from the caller's when somebody else has committed since. */
  readonly commitId: string;
  /** One entry a key asked for, in that order; undefined where there is no row. Owned by the caller. */
  readonly rows: readonly (Buffer | undefined)[];
  /** Timers due, in order of (time, operator, key); at most `timersMax`. */
  readonly timers: readonly TimerEntry[];
  /** Rows of the timers' keys, aligned with `timers`. */
  readonly timerRows: readonly (Buffer | undefined)[];
}

export interface PrefetchRequest {
  readonly keys: readonly string[];
  /** Event time, inclusive: earlier timers are of no interest, and may be left out. Absent: all are. */
  readonly timersFrom?: number;
  /** Event time, exclusive. */
  readonly timersBefore: number;
  readonly timersMax: number;
  /** Where rows are put, if the store copies them anyway; absent: anywhere. */
  readonly memory?: Memory;
}

export interface ScanRange {
  /** Inclusive. */
  readonly from?: string | undefined;
  /** Exclusive. */
  readonly to?: string | undefined;
  readonly limit?: number | undefined;
}

/** One commit's outputs waiting to be sent. */
export interface OutboxEntry {
  readonly commitId: string;
  readonly outputs: readonly OutputBatch[];
}

export interface StateStore {
  /**
   * `atomic`: outputs are appended to their topics in the commit itself.
   * `outbox`: outputs are kept with the state and the task must send and trim them.
   */
  readonly delivery: 'atomic' | 'outbox';

  /**
   * Rows and timers beyond which a commit costs several times as much; a task ends its batch before, where it can.
   * undefined: the size of a commit does not matter.
   */
  readonly commitKeysMax?: number | undefined;

  /** Makes `owner` the only one who can commit, and returns where to go on. */
  acquire(task: TaskId, owner: string): Promise<TaskHead>;

  /** The head as stored, without acquiring. undefined before the first acquire. */
  head(task: TaskId): Promise<TaskHead | undefined>;

  /** Everything a batch needs, in one round trip. Reads the last commit. */
  prefetch(task: TaskId, request: PrefetchRequest): Promise<Prefetched>;

  /** Throws TASK_FENCED (drop the cache, stop), STORAGE_FULL (nothing was written; may be retried with the same id). */
  commit(task: TaskId, commit: Commit): Promise<CommitOutcome>;

  /** `outbox` delivery only: what has not been trimmed, oldest first. */
  outbox(task: TaskId): Promise<readonly OutboxEntry[]>;

  /**
   * `outbox` delivery only: forgets entries up to and including that of a commit; none when it is not there. Named by
   * commit and not by a number: after a store fell back numbers are given out again, and a late request would forget what
   * was never sent. Throws TASK_FENCED.
   */
  trimOutbox(task: TaskId, owner: string, commitId: string): Promise<void>;

  /** One row of the last commit, for queries. */
  get(task: TaskId, key: string): Promise<Buffer | undefined>;

  /** Rows in key order (UTF-8 bytes) over one consistent view of the last commit. */
  scan(task: TaskId, range?: ScanRange): AsyncIterable<readonly [key: string, value: Buffer]>;

  /** All timers in order, over one consistent view. */
  scanTimers(task: TaskId): AsyncIterable<TimerEntry>;

  /** Tasks that have a head, sorted by stage and partition. */
  tasks(): Promise<readonly TaskId[]>;

  /** Small named documents beside the tasks: manifest, migrations. */
  readDocument(name: string): Promise<string | undefined>;
  writeDocument(name: string, text: string): Promise<void>;
  /**
   * Writes a document where it says `expected`, in one step; undefined: where there is none. False, with nothing changed,
   * where it says something else. True where it says `text` already: an earlier try's reply was lost. So two writers never
   * both succeed, as long as no two write the same text.
   */
  replaceDocument(name: string, expected: string | undefined, text: string): Promise<boolean>;

  /**
   * Replaces everything a task has, reading rows to their end before timers. Used by snapshot import, migration and
   * repartition; the task must not run.
   */
  restore(task: TaskId, content: TaskContent): Promise<void>;

  /** Removes a task with all it has. */
  drop(task: TaskId): Promise<void>;

  close(): Promise<void>;
}

export interface TaskContent {
  readonly head: TaskHead;
  readonly rows: AsyncIterable<readonly [key: string, value: Uint8Array]>;
  readonly timers: AsyncIterable<TimerEntry>;
}

/** `users/3`, as used in logs, metrics and messages. */
export function taskName(task: TaskId): string {
  return `${task.stage}/${task.partition}`;
}
