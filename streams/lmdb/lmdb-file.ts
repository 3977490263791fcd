/**
 * The data file of a directory: tables of bytes in LMDB, written in transactions. The only file that knows the lmdb
 * package.
 *
 * What lmdb 3.5 does, read in its source and tried with a slowed-down fdatasync: puts are collected by the event loop
 * and written by lmdb's own thread; with `overlappingSync` a transaction's promise resolves when the file was synced,
 * and a sync covers the whole file and the newest root. Pages freed since the last sync are not reused before it, so a
 * power failure takes the file back to a synced transaction and never damages it. Without sync a power failure may
 * damage it; a killed process loses nothing that a transaction wrote.
 *
 * Transactions run one after another: with two under way a file was seen not to recover from a full disk.
 */
import { open } from 'lmdb';
import type { Database, RangeOptions, RootDatabase } from 'lmdb';
import type { Memory } from '../../schemas/binary-writer.js';
import { invariant } from '../../schemas/errors.js';
import type { Table, TableEntry, TableRange } from './table.js';

/** Topics × partitions + tasks; the cost of a high limit is a few kB a transaction. */
const TABLES_MAX = 8_192;
const RECLAIM_KEY = Buffer.from('reclaim');

export class LmdbFile {
  private readonly root: RootDatabase<Buffer, Buffer>;
  private readonly spare: Database<Buffer, Buffer>;
  private latest: Promise<void> = Promise.resolve();
  private isStaging = false;
  private isClosed = false;

  /** @param isSynced whether a transaction's promise waits for the disk. */
  constructor(directory: string, isSynced: boolean) {
    this.root = open<Buffer, Buffer>({
      path: directory,
      noSubdir: false,
      maxDbs: TABLES_MAX,
      encoding: 'binary',
      keyEncoding: 'binary',
      // Grouping is done by the environment; lmdb's own would leave a promise behind that nobody can catch.
      ...{ eventTurnBatching: false },
      ...(isSynced ? { overlappingSync: true } : { noSync: true, overlappingSync: false }),
    });
    this.spare = this.root.openDB('marks', { encoding: 'binary', keyEncoding: 'binary' });
  }

  /** Opens tables, creating what is missing, in one transaction. Waits for the disk: for starting up. */
  openTables(names: readonly string[]): Table[] {
    invariant(!this.isStaging, 'Tables cannot be opened while a transaction is staged');
    return this.root.transactionSync(() =>
      names.map(
        (name) =>
          new LmdbTable(this.root.openDB(name, { encoding: 'binary', keyEncoding: 'binary' }), () =>
            invariant(!this.isClosed, 'The storage is closed'),
          ),
      ),
    );
  }

  /**
   * Puts what `stage` puts in one transaction; resolves when it is stored and, where syncing, durable. `stage` runs
   * when no other transaction is under way. Rejects with lmdb's error, after which nothing of it is stored.
   */
  transact(stage: () => void): Promise<void> {
    const done = this.latest.then(() => this.write(stage));
    this.latest = done.catch(() => undefined);
    return done;
  }

  /** Waits for transactions under way; then nothing may use the tables any more. */
  async close(): Promise<void> {
    await this.latest;
    this.isClosed = true;
    await this.root.close();
  }

  private async write(stage: () => void): Promise<void> {
    // An idle reader's view would keep pages that were freed since from being used again.
    this.root.resetReadTxn();
    const staged = (): void => {
      this.isStaging = true;
      try {
        stage();
      } finally {
        this.isStaging = false;
      }
    };
    try {
      await this.root.batch(staged).then(undefined, rethrowCause);
    } catch (error) {
      await this.reclaim();
      throw error;
    }
    // Reads that follow must see it.
    this.root.resetReadTxn();
  }

  /**
   * lmdb uses pages that a transaction freed only when another one followed it. On a full disk nothing but a very
   * small one can, so it is made here; without it the space that cleaning won would stay out of reach.
   */
  private async reclaim(): Promise<void> {
    const done = this.root.batch(() => void this.spare.put(RECLAIM_KEY, RECLAIM_KEY));
    await done.then(undefined, rethrowCause).catch(() => undefined);
  }
}

/** lmdb rejects with a general error that carries a promise of the real one. */
async function rethrowCause(error: unknown): Promise<never> {
  if (error instanceof Error && 'commitError' in error) await error.commitError;
  throw error;
}

const NO_BYTES = Buffer.alloc(0);

class LmdbTable implements Table {
  /** lmdb's shared buffer, and a view of all its memory: the shared one's own length is that of the latest value. */
  private shared: Buffer | undefined;
  private memory: Buffer = NO_BYTES;

  constructor(
    private readonly database: Database<Buffer, Buffer>,
    private readonly requireOpen: () => void,
  ) {}

  get(key: Buffer, memory: Memory = Buffer): Buffer | undefined {
    this.requireOpen();
    const shared = this.database.getBinaryFast(key);
    if (shared === undefined) return undefined;
    if (shared !== this.shared) {
      this.shared = shared;
      this.memory = Buffer.from(shared.buffer, shared.byteOffset, shared.byteLength);
    }
    const copy = memory.allocUnsafe(shared.length);
    this.memory.copy(copy, 0, 0, copy.length);
    return copy;
  }

  *range({ from, to, reverse, limit }: TableRange): Generator<TableEntry> {
    this.requireOpen();
    const bounds: RangeOptions = {};
    if (from !== undefined) bounds.start = from;
    if (to !== undefined) bounds.end = to;
    if (reverse !== undefined) bounds.reverse = reverse;
    if (limit !== undefined) bounds.limit = limit;
    for (const entry of this.database.getRange(bounds)) {
      yield entry;
      // An iteration may rest for long; its cursor must not be moved once the file is closed.
      this.requireOpen();
    }
  }

  // The promises of single puts are part of the transaction's.
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
