/**
 * One LMDB environment per data directory, held exclusively: the only file that knows the lmdb package.
 *
 * All writes of a process go through `write`: what is asked for in one turn, or while a transaction is under way, is
 * put into the next transaction as a whole. Puts run on lmdb's writer thread; the event loop never waits for the disk.
 *
 * A write says what it waits for: `durable`, what the edge acknowledges, or `stored`, what the next stage may read: a
 * power failure takes state, offsets and outputs back together, and the durable input is processed again.
 *
 * What lmdb 3.5 does, read in its source and tried with a slowed-down fdatasync: with `overlappingSync` a
 * transaction's promise resolves when the file was synced, and a sync covers the whole file and the newest root; so a
 * durable transaction implies that all earlier ones are. Pages freed since the last sync are not reused before it, so
 * a power failure takes the environment back to a synced transaction and never damages it. Without sync (policy
 * `none`) a power failure may damage it; a killed process loses nothing under any policy. An interval saves less than
 * it promises: lmdb's writer seldom starts a transaction before the last one's sync is done.
 *
 * Invariant: of a transaction that fails nothing is stored, its writers are told, and the next one may succeed.
 */
import { mkdirSync } from 'node:fs';
import { open } from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import { EngineError, invariant } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';
import { DirectoryLock } from './directory-lock.js';
import { directoryInvalid, measureDirectory, rethrowCause, writeFailed } from './storage-fault.js';
import { uint48 } from './table.js';
import type { Participant, StorageStats, Table, TableEntry, TableRange } from './table.js';
import { WriteQueue } from './write-queue.js';
import type { PendingWrite } from './write-queue.js';

/**
 * When a write counts as done: `always`: it is durable; an interval: it is stored, and at most that many ms of writes
 * are not yet durable; `none`: it is stored, and the system decides when it becomes durable.
 */
export type SyncPolicy = 'always' | 'none' | { readonly intervalMs: number };

export interface EnvironmentOptions {
  readonly directory: string;
  readonly sync: SyncPolicy;
  readonly clock: Clock;
}

/** Topics × partitions + tasks; the cost of a high limit is a few kB a transaction. */
const TABLES_MAX = 8_192;
/** How often to look whether a transaction can be read before it is durable. */
const VISIBLE_POLL_MS = 1;

export class Environment {
  private readonly root: RootDatabase<Buffer, Buffer>;
  private readonly marks: Database<Buffer, Buffer>;
  private readonly participants: Participant[] = [];
  private readonly pending = new WriteQueue();
  private pumping: Promise<void> | undefined;
  private staging = false;
  private sequence = 0;
  private closed = false;
  /** Transactions that are stored but not known to be durable, oldest first. */
  private unsynced: { readonly done: Promise<void>; readonly since: number; readonly bytes: number }[] = [];
  private pendingBytes = 0;
  private failure: EngineError | undefined;

  private constructor(
    private readonly options: EnvironmentOptions,
    private readonly lock: DirectoryLock,
  ) {
    this.root = open<Buffer, Buffer>({
      path: options.directory,
      noSubdir: false,
      maxDbs: TABLES_MAX,
      encoding: 'binary',
      keyEncoding: 'binary',
      // Grouping is done here; lmdb's own would leave a promise behind that nobody can catch.
      ...{ eventTurnBatching: false },
      ...(options.sync === 'none' ? { noSync: true, overlappingSync: false } : { overlappingSync: true }),
    });
    this.marks = this.root.openDB('marks', { encoding: 'binary', keyEncoding: 'binary' });
    const last = this.marks.getBinary(SEQUENCE_KEY);
    this.sequence = last === undefined ? 0 : last.readUIntBE(0, 6);
  }

  /** Throws DATA_DIRECTORY_LOCKED, DATA_DIRECTORY_INVALID. */
  static open(options: EnvironmentOptions): Environment {
    const { directory } = options;
    try {
      mkdirSync(directory, { recursive: true });
    } catch (cause) {
      throw directoryInvalid(directory, cause);
    }
    const lock = DirectoryLock.take(directory, options.clock);
    try {
      return new Environment(options, lock);
    } catch (cause) {
      lock.release();
      throw directoryInvalid(directory, cause);
    }
  }

  /** Opens tables, creating what is missing, in one transaction. Waits for the disk: for starting up. */
  openTables(names: readonly string[]): Table[] {
    invariant(!this.staging, 'Tables cannot be opened while a transaction is staged');
    return this.root.transactionSync(() =>
      names.map(
        (name) =>
          new LmdbTable(this.root.openDB(name, { encoding: 'binary', keyEncoding: 'binary' }), () =>
            this.requireOpen(),
          ),
      ),
    );
  }

  join(participant: Participant): void {
    this.participants.push(participant);
  }

  /**
   * Runs `stage` within the next transaction and resolves with its result once that is stored, or, where `durable` is
   * asked for and the policy is `always`, once it is durable. `stage` is synchronous and may throw before its first
   * put: then it alone fails. `bytes` is its size, roughly. Throws STORAGE_FULL, after which nothing of it was written.
   */
  write<T>(stage: () => T, bytes = 0, until: 'stored' | 'durable' = 'durable'): Promise<T> {
    if (this.closed) return Promise.reject(new EngineError('INVARIANT_VIOLATED', 'The storage is closed'));
    this.pendingBytes += bytes;
    const written = this.pending.add(stage, bytes, this.options.sync === 'always' && until === 'durable');
    this.pumping ??= this.pump();
    return written;
  }

  /** Resolves when everything stored so far is durable; under `none`, at once. Throws what made it fail. */
  async flushed(): Promise<void> {
    await Promise.all(this.unsynced.map(({ done }) => done));
    if (this.failure !== undefined) throw this.failure;
  }

  stats(): StorageStats {
    const unsynced = this.unsynced.reduce((sum, { bytes }) => sum + bytes, this.pendingBytes);
    return { ...measureDirectory(this.options.directory), unsyncedBytes: unsynced };
  }

  /** Waits for pending writes; then nothing may use the tables any more. Idempotent. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.pumping;
    await Promise.allSettled(this.unsynced.map(({ done }) => done));
    await this.root.close();
    this.lock.release();
  }

  /** Writes groups, one after another, until nothing is pending. Never throws. */
  private async pump(): Promise<void> {
    while (!this.pending.isEmpty) {
      // Lets all writers of this turn in.
      await this.options.clock.nextTurn();
      await this.writeGroup(this.pending.takeGroup());
    }
    this.pumping = undefined;
  }

  private async writeGroup(group: readonly PendingWrite[]): Promise<void> {
    const bytes = group.reduce((sum, write) => sum + write.bytes, 0);
    const staged: { readonly write: PendingWrite; readonly result: unknown }[] = [];
    let durable: Promise<void>;
    try {
      if (this.failure !== undefined) throw this.failure;
      await this.withinLimits();
      ({ durable } = await this.stored(this.transact(group, staged), bytes));
    } catch (cause) {
      const error = cause instanceof EngineError ? cause : writeFailed(this.options.directory, cause, bytes);
      for (const participant of this.participants) participant.rolledBack();
      for (const { write } of staged) write.reject(error);
      // Never staged: the environment had failed before.
      if (staged.length === 0) for (const write of group) write.reject(error);
      await this.reclaim();
      return;
    } finally {
      this.pendingBytes -= bytes;
    }
    for (const participant of this.participants) participant.committed();
    for (const { write, result } of staged) {
      if (write.untilDurable) durable.then(() => write.resolve(result as never), write.reject);
      else write.resolve(result as never);
    }
  }

  /**
   * lmdb uses pages that a transaction freed only when another one followed it. On a full disk nothing but a very
   * small one can, so it is made here; without it the space that cleaning won would stay out of reach.
   */
  private async reclaim(): Promise<void> {
    const done = this.root.batch(() => void this.marks.put(RECLAIM_KEY, uint48(this.sequence)));
    await done.then(() => undefined, rethrowCause).catch(() => undefined);
  }

  /** Hands one transaction to lmdb's writer thread; the promise is lmdb's. */
  private transact(group: readonly PendingWrite[], staged: { write: PendingWrite; result: unknown }[]): Promise<void> {
    // An idle reader's view would keep pages that were freed since from being used again.
    this.root.resetReadTxn();
    const done = this.root.batch(() => {
      this.staging = true;
      try {
        for (const write of group) {
          try {
            staged.push({ write, result: write.stage() });
          } catch (error) {
            write.reject(error);
          }
        }
        for (const participant of this.participants) participant.beforeCommit();
        this.sequence++;
        if (this.pollsVisibility) void this.marks.put(SEQUENCE_KEY, uint48(this.sequence));
      } finally {
        this.staging = false;
      }
    });
    return done.then(() => undefined, rethrowCause);
  }

  /**
   * Waits until the transaction can be read; resolves with a promise for its being durable, which under a policy other
   * than `always` nobody waits for. Throws when nothing of it was stored.
   */
  private async stored(done: Promise<void>, bytes: number): Promise<{ readonly durable: Promise<void> }> {
    if (!this.pollsVisibility) {
      await done;
      return { durable: done };
    }
    const entry = { done, since: this.options.clock.monotonic(), bytes };
    this.unsynced.push(entry);
    let visible = false;
    const durable = done.then(
      () => undefined,
      (error: unknown) => {
        // Writers were told that it is stored: nothing that follows can be trusted.
        if (visible) this.failure = writeFailed(this.options.directory, error, bytes);
        throw this.failure ?? error;
      },
    );
    const settled = durable.catch(() => undefined);
    void settled.then(() => (this.unsynced = this.unsynced.filter((other) => other !== entry)));
    await this.readable(this.sequence, done);
    visible = true;
    return { durable };
  }

  /** lmdb only tells when a transaction is durable; a counter in it shows when it is stored. */
  private get pollsVisibility(): boolean {
    return this.options.sync !== 'none';
  }

  /** Resolves when a transaction can be read, or is durable, whichever is first. */
  private readable(sequence: number, done: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const poll = this.options.clock.setInterval(VISIBLE_POLL_MS, () => {
        this.root.resetReadTxn();
        const mark = this.marks.getBinary(SEQUENCE_KEY);
        if (mark === undefined || mark.readUIntBE(0, 6) < sequence) return;
        poll.cancel();
        resolve();
      });
      done.finally(() => poll.cancel()).then(resolve, reject);
    });
  }

  /**
   * Holds a new transaction back until the last one is durable; under an interval, only while the oldest is not for too
   * long. With several under way an environment was seen not to recover from a full disk, so `always` has one at a time.
   */
  private async withinLimits(): Promise<void> {
    const { sync, clock } = this.options;
    const oldest = this.unsynced[0];
    if (oldest === undefined) return;
    const isDue = typeof sync === 'string' || clock.monotonic() - oldest.since >= sync.intervalMs;
    if (isDue) await oldest.done.catch(() => undefined);
  }

  private requireOpen(): void {
    invariant(!this.closed, `The storage in '${this.options.directory}' is closed`);
  }
}

const NO_BYTES = Buffer.alloc(0);
const SEQUENCE_KEY = Buffer.from('sequence');
const RECLAIM_KEY = Buffer.from('reclaim');

class LmdbTable implements Table {
  /** lmdb's shared buffer, and a view of all its memory: the shared one's own length is that of the latest value. */
  private shared: Buffer | undefined;
  private memory: Buffer = NO_BYTES;

  constructor(
    private readonly database: Database<Buffer, Buffer>,
    private readonly requireOpen: () => void,
  ) {}

  get(key: Buffer): Buffer | undefined {
    this.requireOpen();
    const shared = this.database.getBinaryFast(key);
    if (shared === undefined) return undefined;
    if (shared !== this.shared) {
      this.shared = shared;
      this.memory = Buffer.from(shared.buffer, shared.byteOffset, shared.byteLength);
    }
    const copy = Buffer.allocUnsafe(shared.length);
    this.memory.copy(copy, 0, 0, copy.length);
    return copy;
  }

  *range({ from, to, reverse, limit }: TableRange): Generator<TableEntry> {
    this.requireOpen();
    const entries = this.database.getRange({
      ...(from === undefined ? {} : { start: from }),
      ...(to === undefined ? {} : { end: to }),
      ...(reverse === undefined ? {} : { reverse }),
      ...(limit === undefined ? {} : { limit }),
    });
    for (const entry of entries) {
      yield entry;
      // An iteration may rest for long; its cursor must not be moved once the environment is gone.
      this.requireOpen();
    }
  }

  // The promises of single puts are part of the batch's, which the environment awaits.
  put(key: Buffer, value: Uint8Array): void {
    void this.database.put(key, value as Buffer);
  }

  remove(key: Buffer): void {
    void this.database.remove(key);
  }

  clear(): void {
    void this.database.clearAsync();
  }
}
