/**
 * Where an engine keeps its log and its state, chosen by configuration alone.
 *
 *   no directory   in memory, for evaluation and tests
 *   embedded       LMDB in the data directory, held by this process
 *   distributed    Kafka and Redis, shared by all processes of the engine
 */
import type { Clock } from '../../streams/clock.js';
import { openEmbeddedStorage } from '../../streams/lmdb/index.js';
import type { StorageStats, SyncPolicy } from '../../streams/lmdb/index.js';
import type { EventLog } from '../../streams/log/event-log.js';
import { MemoryLog } from '../../streams/memory/memory-log.js';
import { MemoryStore } from '../../streams/memory/memory-store.js';
import type { Random } from '../../streams/random.js';
import type { StateStore } from '../../streams/state/state-store.js';
import type { FreshetConfig } from '../config.js';

export interface Storage {
  readonly log: EventLog;
  readonly store: StateStore;
  /** Resolves when everything stored so far is durable. */
  flushed(): Promise<void>;
  /** Of this machine's disk; undefined where the data are elsewhere. */
  stats(): StorageStats | undefined;
  close(): Promise<void>;
}

export interface StorageOptions {
  readonly config: FreshetConfig;
  /** Data directory; undefined keeps everything in memory. */
  readonly directory: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { directory, clock, random, config } = options;
  if (directory === undefined) return openMemoryStorage(clock);
  return openEmbeddedStorage({ directory, sync: syncPolicyOf(config), clock, random: random.stream('storage') });
}

function openMemoryStorage(clock: Clock): Storage {
  const log = new MemoryLog({ clock });
  const store = new MemoryStore({ delivery: 'atomic', log });
  return { log, store, flushed: () => Promise.resolve(), stats: () => undefined, close: () => log.close() };
}

function syncPolicyOf({ streams }: FreshetConfig): SyncPolicy {
  return streams.sync === 'interval' ? { intervalMs: streams.syncIntervalMs } : streams.sync;
}
