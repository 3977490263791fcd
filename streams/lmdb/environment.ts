/**
 * One data directory, held exclusively: a data file, a journal, and in memory what the file does not have yet.
 *
 *   write   ─▶ memory (readable at once) ──────────────┐
 *   append  ─▶ journal ─▶ memory ─▶ journal synced: ok  ├─▶ flush: one transaction of the data file ─▶ journal released
 *
 * A flush takes everything that was written before it, so the file always holds one moment: a state, its offsets,
 * outputs and timers move together however often they moved since the last flush. A process that is killed, or loses
 * power, goes on from the last flush; appends that were acknowledged since are in the journal and are appended again,
 * and tasks process them again with the same output identities. What leaves the process must therefore wait for
 * `flushed`, unless it may be seen twice.
 *
 * Invariant: a write is in memory as a whole or refused as a whole, and everything that a flush could not store is
 * stored by a later one, or the directory fails for good and says so.
 */
import { mkdirSync } from 'node:fs';
import { invariant, isEngineError } from '../../schemas/errors.js';
import type { EngineError } from '../../schemas/errors.js';
import { BlockMemory } from '../block-memory.js';
import type { Clock, TimerHandle } from '../clock.js';
import { DirectoryLock } from './directory-lock.js';
import { Journal } from './journal.js';
import { LmdbFile } from './lmdb-file.js';
import { MemoryTable } from './memory-table.js';
import { directoryInvalid, freeBytesOf, measureDirectory, writeFailed } from './storage-fault.js';
import { uint48 } from './table.js';
import type { Participant, StorageStats, Table } from './table.js';

/**
 * When an append counts as done. `always`: it is durable; an interval: a killed process does not lose it, and at most
 * that many ms of appends are not yet durable; `none`: a killed process does not lose it, a power failure may, and may
 * damage the directory.
 */
export type SyncPolicy = 'always' | 'none' | { readonly intervalMs: number };

export interface EnvironmentOptions {
  readonly directory: string;
  readonly sync: SyncPolicy;
  readonly clock: Clock;
}

/** What changes often in this time is written once; so much is processed again after a crash. */
const FLUSH_MS = 250;
/** Held in memory before a flush begins without waiting. */
const FLUSH_BYTES = 8 * 1_048_576;
/** Held in memory before writers wait for a flush. */
const HELD_BYTES_MAX = 64 * 1_048_576;
/** Left on the disk for the flush of what is held, when the journal grows: a transaction copies the pages it changes. */
const FLUSH_ROOM_FACTOR = 2;
const FLUSH_ROOM_BYTES = 1_048_576;
/** Pause before a flush that failed is tried again by itself. */
const RETRY_MS = 250;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: EngineError) => void;
}

export class Environment {
  private readonly file: LmdbFile;
  private readonly marks: Table;
  private journal: Journal;
  /** Of rows that wait for their flush. */
  private readonly copies = new BlockMemory(2 * FLUSH_BYTES);
  private changed = new Set<Participant>();
  private heldBytes = 0;
  private waiters: Waiter[] = [];
  private running: Promise<void> | undefined;
  private isAgain = false;
  private turn: Promise<void> | undefined;
  private flushTimer: TimerHandle | undefined;
  private syncTimer: TimerHandle | undefined;
  /** Why the last flush, or the journal, failed; cleared by a flush that works, unless it is final. */
  private failure: EngineError | undefined;
  private isClosed = false;

  private constructor(
    private readonly options: EnvironmentOptions,
    private readonly lock: DirectoryLock,
  ) {
    this.file = new LmdbFile(options.directory, options.sync !== 'none');
    [this.marks] = this.file.openTables(['marks']) as [Table];
    this.journal = this.journalBehind(this.journaled());
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

  /** Tables whose rows are put by participants in a flush, or in `transact`; creates what is missing. For starting up. */
  openTables(names: readonly string[]): Table[] {
    return this.file.openTables(names);
  }

  /** Tables whose rows are put in `write` and can be read at once; creates what is missing. For starting up. */
  openMemoryTables(names: readonly string[]): MemoryTable[] {
    const onChanged = (table: MemoryTable): void => this.changes(table);
    return this.file.openTables(names).map((table) => new MemoryTable(table, this.copies, onChanged));
  }

  /** The participant has something for the next flush. Only within `write`, `append` and `restored`. */
  changes(participant: Participant): void {
    this.changed.add(participant);
  }

  /**
   * Runs `stage`, which must be synchronous and throw before its first change or not at all. What it changed can be
   * read at once. Resolves with its result; for `durable`, after a flush, unless the policy is `none`. `bytes` is its
   * size, roughly. Throws STORAGE_FULL while the file cannot take what is held already; a `durable` write that was
   * changed in memory when the disk turned out to be full is told so too, and is stored when there is room.
   */
  async write<T>(stage: () => T, bytes = 0, until: 'stored' | 'durable' = 'durable'): Promise<T> {
    // Before and not behind it: who hears of the change should be told as soon as others can read it.
    if (until === 'stored') await this.nextTurn();
    while (this.mustWait()) await this.flushing();
    const result = stage();
    this.held(bytes);
    if (until === 'durable') await this.flushed();
    return result;
  }

  /**
   * As `write`, for what is acknowledged to the outside: resolves when the entry, from which it can be done again, is
   * in the journal as the policy asks. Throws STORAGE_FULL, with nothing changed.
   */
  async append<T>(entry: () => Buffer, stage: () => T, bytes: number): Promise<T> {
    while (this.mustWait()) await this.flushing();
    try {
      this.journal.append(entry());
    } catch (cause) {
      if (isEngineError(cause)) throw cause;
      void this.flushing();
      throw writeFailed(this.options.directory, cause, bytes);
    }
    const result = stage();
    this.held(bytes);
    await this.acknowledged();
    return result;
  }

  /** Puts into tables of `openTables` at once, in a transaction of its own. Throws STORAGE_FULL, with nothing stored. */
  async transact(stage: () => void, bytes = 0): Promise<void> {
    invariant(!this.isClosed, 'The storage is closed');
    try {
      await this.file.transact(stage);
    } catch (cause) {
      throw writeFailed(this.options.directory, cause, bytes);
    }
  }

  /** Payloads that a process left in the journal. They must be staged, in order, before `restored`. */
  leftInJournal(): Buffer[] {
    return Journal.recover(this.options.directory, this.journaled()).map(({ payload }) => payload);
  }

  /** Stores what was restored and begins a new journal. Throws STORAGE_FULL. */
  async restored(): Promise<void> {
    await this.flushed();
    this.journal = this.journalBehind(this.journaled());
    this.journal.begin();
  }

  /** Resolves when everything written so far is in the data file and, unless the policy is `none`, durable. */
  flushed(): Promise<void> {
    if (this.changed.size === 0 && this.running === undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject });
      void this.flushing();
    });
  }

  stats(): StorageStats {
    const { bytesOnDisk, freeDiskBytes } = measureDirectory(this.options.directory);
    return { bytesOnDisk: bytesOnDisk + this.journal.bytesOnDisk, freeDiskBytes, unflushedBytes: this.heldBytes };
  }

  /** Flushes; then nothing may use the tables any more. Idempotent. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.syncTimer?.cancel();
    // What a full disk does not take stays in the journal as far as it was acknowledged.
    await this.flushed().catch(() => undefined);
    this.flushTimer?.cancel();
    await this.running;
    await this.journal.close();
    await this.file.close();
    this.lock.release();
  }

  /** Whether a writer has to wait for a flush. Throws when the storage takes nothing. */
  private mustWait(): boolean {
    invariant(!this.isClosed, 'The storage is closed');
    // The flush that is tried again and again shows when there is room.
    if (this.failure !== undefined) throw this.failure;
    return this.heldBytes > HELD_BYTES_MAX;
  }

  private held(bytes: number): void {
    this.heldBytes += bytes;
    if (this.heldBytes >= FLUSH_BYTES) void this.flushing();
    else this.flushTimer ??= this.options.clock.setTimer(FLUSH_MS, () => void this.flushing());
  }

  private async acknowledged(): Promise<void> {
    const { sync, clock } = this.options;
    if (sync === 'always') return this.syncJournal();
    if (sync !== 'none') {
      this.syncTimer ??= clock.setTimer(sync.intervalMs, () => {
        this.syncTimer = undefined;
        this.syncJournal().catch(() => undefined);
      });
    }
    await this.nextTurn();
  }

  /** Who writes in a loop must not keep everybody else waiting, though nothing here waits for a disk. */
  private nextTurn(): Promise<void> {
    this.turn ??= this.options.clock.nextTurn().then(() => (this.turn = undefined));
    return this.turn;
  }

  /** After a sync that failed nobody knows what the disk holds: nothing is taken any more. */
  private async syncJournal(): Promise<void> {
    try {
      await this.journal.synced();
    } catch (cause) {
      this.failure = directoryInvalid(this.options.directory, cause);
      throw this.failure;
    }
  }

  /** One flush for all who ask while none runs, and one more for those who ask meanwhile. Never rejects. */
  private flushing(): Promise<void> {
    if (this.running !== undefined) this.isAgain = true;
    this.running ??= this.run();
    return this.running;
  }

  private async run(): Promise<void> {
    do {
      // Lets all writers of this turn in.
      await this.options.clock.nextTurn();
      this.isAgain = false;
      await this.flush();
    } while (this.isAgain && this.failure === undefined);
    // In one step with the last look: who asks later must find nothing running.
    this.running = undefined;
  }

  private async flush(): Promise<void> {
    this.flushTimer?.cancel();
    this.flushTimer = undefined;
    let flushing: ReadonlySet<Participant> = new Set();
    let waiters: readonly Waiter[] = [];
    let sequence = 0;
    let bytes = 0;
    try {
      await this.file.transact(() => {
        flushing = this.changed;
        waiters = this.waiters;
        ({ last: sequence } = this.journal);
        bytes = this.heldBytes;
        this.changed = new Set();
        this.waiters = [];
        this.heldBytes = 0;
        for (const participant of flushing) participant.flush();
        this.marks.put(JOURNALED, uint48(sequence));
      });
    } catch (cause) {
      this.flushFailed(writeFailed(this.options.directory, cause, bytes), { flushing, waiters, bytes });
      return;
    }
    for (const participant of flushing) participant.flushed();
    this.journal.release(sequence);
    if (this.failure?.code === 'STORAGE_FULL') this.failure = undefined;
    for (const { resolve } of waiters) resolve();
  }

  private flushFailed(
    error: EngineError,
    { flushing, waiters, bytes }: { flushing: Iterable<Participant>; waiters: readonly Waiter[]; bytes: number },
  ): void {
    for (const participant of flushing) {
      participant.flushFailed();
      this.changed.add(participant);
    }
    this.heldBytes += bytes;
    this.failure ??= error;
    for (const { reject } of [...waiters, ...this.waiters.splice(0)]) reject(this.failure);
    if (!this.isClosed) this.flushTimer ??= this.options.clock.setTimer(RETRY_MS, () => void this.flushing());
  }

  private journalBehind(sequence: number): Journal {
    const { directory, clock } = this.options;
    const mayGrow = (bytes: number): boolean =>
      freeBytesOf(directory) - bytes >= FLUSH_ROOM_FACTOR * this.heldBytes + FLUSH_ROOM_BYTES;
    return new Journal(directory, sequence, mayGrow, clock);
  }

  /** Sequence of the last journal entry that the data file holds. */
  private journaled(): number {
    return this.marks.get(JOURNALED)?.readUIntBE(0, 6) ?? 0;
  }
}

const JOURNALED = Buffer.from('journaled');
