/**
 * The embedded storage: log and state store of one process in one directory, held exclusively.
 *
 *   const storage = await openEmbeddedStorage({ directory, sync: 'always', clock, random });
 *   … storage.log, storage.store …
 *   await storage.close();
 */
import type { Clock } from '../clock.js';
import type { Random } from '../random.js';
import { Environment } from './environment.js';
import type { SyncPolicy } from './environment.js';
import { LmdbLog } from './lmdb-log.js';
import type { LmdbLogOptions } from './lmdb-log.js';
import { LmdbStore } from './lmdb-store.js';
import type { StorageStats } from './table.js';

export interface EmbeddedStorageOptions extends LmdbLogOptions {
  readonly directory: string;
  readonly sync: SyncPolicy;
  readonly clock: Clock;
  readonly random: Random;
}

export interface EmbeddedStorage {
  readonly log: LmdbLog;
  readonly store: LmdbStore;
  /** Resolves when everything that can be read now will be there after a crash. */
  flushed(): Promise<void>;
  /** For back-pressure. */
  stats(): StorageStats;
  /** Waits for pending writes and gives the directory free. Idempotent. */
  close(): Promise<void>;
}

/** Throws DATA_DIRECTORY_LOCKED, DATA_DIRECTORY_INVALID. */
export async function openEmbeddedStorage(options: EmbeddedStorageOptions): Promise<EmbeddedStorage> {
  const environment = Environment.open(options);
  try {
    const log = await LmdbLog.open(environment, options);
    const store = new LmdbStore(environment, log);
    return {
      log,
      store,
      flushed: () => environment.flushed(),
      stats: () => environment.stats(),
      close: async () => {
        await log.close();
        await environment.close();
      },
    };
  } catch (error) {
    await environment.close();
    throw error;
  }
}

export { LmdbLog } from './lmdb-log.js';
export { LmdbStore } from './lmdb-store.js';
export type { SyncPolicy } from './environment.js';
export type { StorageStats } from './table.js';
