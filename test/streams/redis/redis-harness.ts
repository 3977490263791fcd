/** A store on a real server, in a namespace of its own, so that the tests of a file can share the server. */
import { systemClock } from '../../../streams/clock.js';
import { systemRandom } from '../../../streams/random.js';
import { RedisClient } from '../../../streams/redis/redis-client.js';
import type { RedisClientOptions } from '../../../streams/redis/redis-client.js';
import { parseAddresses } from '../../../streams/redis/redis-nodes.js';
import type { RedisTopology } from '../../../streams/redis/redis-nodes.js';
import { RedisStore } from '../../../streams/redis/redis-store.js';
import type { RedisStoreOptions } from '../../../streams/redis/redis-store.js';
import type { RedisCluster, RedisServer } from '../../harness/servers/redis.js';

const random = systemRandom();

export interface OpenStore {
  readonly client: RedisClient;
  readonly store: RedisStore;
  readonly namespace: string;
  /** A second store on the same data, over a connection of its own. */
  readonly reopen: () => Promise<OpenStore>;
  readonly close: () => Promise<void>;
}

export type OpenOptions = Partial<RedisClientOptions> & Partial<RedisStoreOptions>;

export function topologyOf(server: RedisServer | RedisCluster): RedisTopology {
  if ('nodes' in server) return { mode: 'cluster', nodes: parseAddresses(server.addresses.join())! };
  return { mode: 'standalone', address: { host: server.host, port: server.port } };
}

export async function openStore(topology: RedisTopology, options: OpenOptions = {}): Promise<OpenStore> {
  const { namespace = `t${random.hex(4)}` } = options;
  const client = await RedisClient.open({ topology, clock: systemClock, ...options });
  const store = new RedisStore({ random, ...options, client, namespace });
  const opened: OpenStore[] = [];
  return {
    client,
    store,
    namespace,
    reopen: async () => {
      const again = await openStore(topology, { ...options, namespace });
      opened.push(again);
      return again;
    },
    close: async () => {
      for (const other of opened) await other.close();
      client.close();
    },
  };
}
