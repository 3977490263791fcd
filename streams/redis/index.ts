/**
 * State on Redis: the store, and the hints that tell serving nodes whose state moved.
 *
 *   const redis = await openRedisStorage({ topology, namespace, clock, random, logger });
 *   … redis.store, redis.hints …
 *   await redis.close();
 */
import { RedisClient } from './redis-client.js';
import type { RedisClientOptions } from './redis-client.js';
import { RedisHints } from './redis-hints.js';
import { RedisStore } from './redis-store.js';
import type { RedisStoreOptions } from './redis-store.js';

export type RedisStorageOptions = RedisClientOptions & Omit<RedisStoreOptions, 'client'>;

export interface RedisStorage {
  readonly store: RedisStore;
  readonly hints: RedisHints;
  /** Processor time that the masters have used since they were started: for benchmarks. */
  serverCpuSeconds(): Promise<number>;
  /** Gives the connections back. Idempotent. */
  close(): Promise<void>;
}

/** Throws STORE_UNAVAILABLE; STORE_REFUSED for wrong credentials, an old version, or a node that may evict keys. */
export async function openRedisStorage(options: RedisStorageOptions): Promise<RedisStorage> {
  const client = await RedisClient.open(options);
  const hints = new RedisHints({ ...options, client });
  const store = new RedisStore({ ...options, client });
  return {
    store,
    hints,
    serverCpuSeconds: () => client.serverCpuSeconds(),
    close: () => {
      hints.close();
      client.close();
      return Promise.resolve();
    },
  };
}

export { RedisClient };
export type { RedisTopology } from './redis-nodes.js';
export { RedisHints } from './redis-hints.js';
export type { RowTtl } from './commit-writer.js';
export { RedisStore } from './redis-store.js';
export { slotOfTag } from './slot-tags.js';
export { redisClientOptionsOf, redisSection } from './redis-section.js';
export type { RedisConfig } from './redis-section.js';
