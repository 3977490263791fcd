/**
 * Where an engine keeps its log and its state, chosen by configuration alone.
 *
 *   no directory   in memory, for evaluation and tests
 *   embedded       LMDB in the data directory, held by this process
 *   distributed    Kafka and Redis, shared by all processes of the engine
 */
import type { Clock } from '../../streams/clock.js';
import { parseStage } from '../../streams/generations/layout.js';
import type { Layout } from '../../streams/generations/layout.js';
import { viewOf } from '../../streams/generations/views.js';
import type { LogAndStore } from '../../streams/generations/views.js';
import { kafkaOptionsOf, openKafkaLog } from '../../streams/kafka/index.js';
import { openEmbeddedStorage } from '../../streams/lmdb/index.js';
import type { StorageStats, SyncPolicy } from '../../streams/lmdb/index.js';
import type { EventLog } from '../../streams/log/event-log.js';
import type { Logger } from '../../streams/logger.js';
import { MemoryLog } from '../../streams/memory/memory-log.js';
import { MemoryStore } from '../../streams/memory/memory-store.js';
import { createMetrics } from '../../streams/metrics.js';
import type { Metrics } from '../../streams/metrics.js';
import type { Random } from '../../streams/random.js';
import { openRedisStorage, redisClientOptionsOf } from '../../streams/redis/index.js';
import type { RowTtl } from '../../streams/redis/index.js';
import type { StateStore } from '../../streams/state/state-store.js';
import { USER_STAGE } from '../../operators/engine-topology.js';
import { PARTITION_KEY } from '../../streams/runtime/operator-chain.js';
import type { FreshetConfig } from '../config.js';

const DAY_MS = 86_400_000;

/** Document with the number that makes feed versions of a log made anew higher. */
export const GENERATION_DOCUMENT = 'generation';

/** Log and state as the servers or files have them, all generations of topics and tasks beside each other. */
export interface PhysicalStorage {
  readonly log: EventLog;
  readonly store: StateStore;
  /** Resolves when everything that can be read now will be there after a crash. */
  flushed(): Promise<void>;
  /** Of this machine's disk; undefined where the data are elsewhere. */
  stats(): StorageStats | undefined;
  /** Hints pass between processes, and may get lost on the way. Absent: they do not. */
  readonly losesHints?: boolean;
  close(): Promise<void>;
}

export interface StorageOptions {
  readonly config: FreshetConfig;
  /** Data directory; undefined keeps everything in memory. */
  readonly directory: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics?: Metrics;
  /** Token of an announced repartition that this process is part of: it may take tasks that others must let go. */
  readonly token?: string | undefined;
  /** Distributed: identity of the log that goes on there, for a cluster that has none yet. */
  readonly identity?: string;
}

/** Log and state through the generation in force. */
export function viewOfGeneration(physical: LogAndStore, layout: Layout): LogAndStore {
  return viewOf(physical, { layout }, [GENERATION_DOCUMENT]);
}

export async function openPhysicalStorage(options: StorageOptions): Promise<PhysicalStorage> {
  const { directory, clock, random, config } = options;
  if (directory === undefined) return openMemoryStorage(clock);
  if (config.streams.storage === 'distributed') return openDistributedStorage(options);
  return openEmbeddedStorage({ directory, sync: syncPolicyOf(config), clock, random: random.stream('storage') });
}

function openMemoryStorage(clock: Clock): PhysicalStorage {
  const log = new MemoryLog({ clock });
  const store = new MemoryStore({ delivery: 'atomic', log });
  return { log, store, flushed: () => Promise.resolve(), stats: () => undefined, close: () => log.close() };
}

/** The directory holds nothing of log and state then: only what belongs to this process. */
async function openDistributedStorage(options: StorageOptions): Promise<PhysicalStorage> {
  const { config, clock, logger, identity } = options;
  const { namespace } = config.streams;
  const metrics = options.metrics ?? createMetrics({ namespace, includeProcess: false });
  const random = options.random.stream('storage');
  const redis = await openRedisStorage({
    ...redisClientOptionsOf(config.redis),
    ...{ namespace, clock, random, metrics, rowTtl: rowTtlOf(config) },
  });
  try {
    const { hints } = redis;
    const servers = { hints, clock, random, logger, metrics, identity };
    const log = await openKafkaLog({ ...kafkaOptionsOf(config.kafka), ...servers });
    return {
      log,
      store: redis.store,
      // What an append or a commit resolved for is with its servers, which answer for it.
      flushed: () => Promise.resolve(),
      stats: () => undefined,
      losesHints: true,
      close: async () => {
        await log.close();
        await redis.close();
      },
    };
  } catch (error) {
    await redis.close();
    throw error;
  }
}

/** Only rows of people are left to Redis to collect; event-time timers come first. */
function rowTtlOf({ redis }: FreshetConfig): RowTtl {
  const ttlMs = redis.rowTtlDays * DAY_MS;
  const isOfPerson = (stage: string, key: string): boolean =>
    parseStage(stage).stage === USER_STAGE && key !== PARTITION_KEY;
  return ({ stage }, key) => (ttlMs > 0 && isOfPerson(stage, key) ? ttlMs : undefined);
}

function syncPolicyOf({ streams }: FreshetConfig): SyncPolicy {
  return streams.sync === 'interval' ? { intervalMs: streams.syncIntervalMs } : streams.sync;
}
