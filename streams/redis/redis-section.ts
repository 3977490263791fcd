/** The `redis` section of the configuration: where the state of a distributed engine is kept. */
import { defineSection, setting } from '../config.js';
import type { ConfigFault, SectionValues } from '../config.js';
import { DEFAULT_ANSWER_MS, DEFAULT_UNAVAILABLE_MS } from './redis-client.js';
import type { RedisClientOptions } from './redis-client.js';
import { parseAddresses } from './redis-nodes.js';
import type { RedisTopology } from './redis-nodes.js';

export const redisSection = defineSection(
  'redis',
  {
    mode: setting.choice(['standalone', 'sentinel', 'cluster'], {
      default: 'standalone',
      description: 'One server, one behind Sentinels that fail it over, or a cluster.',
    }),
    addresses: setting.text({
      default: '127.0.0.1:6379',
      address: 'FRESHET_REDIS',
      description: 'The server, the Sentinels, or some nodes of the cluster: host:port, several by commas.',
    }),
    sentinelName: setting.text({ default: 'mymaster', description: 'Name of the master that the Sentinels watch.' }),
    database: setting.integer({
      default: 0,
      min: 0,
      max: 1_000,
      description: 'Number of the database; a cluster has only 0.',
    }),
    username: setting.optionalText({ description: 'User, where the servers know users.' }),
    password: setting.optionalText({
      secret: 'FRESHET_REDIS_PASSWORD',
      description: 'Password, where the servers ask for one.',
    }),
    tls: setting.flag({ default: false, description: 'Encrypted connections.' }),
    answerMs: setting.integer({
      default: DEFAULT_ANSWER_MS,
      min: 50,
      max: 60_000,
      unit: 'ms',
      description: 'A call without an answer after this long is taken for lost and repeated.',
    }),
    unavailableMs: setting.integer({
      default: DEFAULT_UNAVAILABLE_MS,
      min: 0,
      max: 600_000,
      unit: 'ms',
      description: 'A call is repeated for this long, over failovers and moves, before it fails.',
    }),
    rowTtlDays: setting.integer({
      default: 0,
      min: 0,
      max: 3_650,
      unit: 'days',
      description:
        'Rows of people that nobody wrote for this long are removed by Redis; 0: never. At least twice the age at which event time removes them.',
    }),
  },
  {
    description: 'State of a distributed engine.',
    check: ({ mode, database, addresses }) => {
      const faults: ConfigFault[] = [];
      if (mode === 'cluster' && database !== 0) {
        faults.push({ path: 'database', value: database, expected: '0, the only database of a cluster' });
      }
      if (parseAddresses(addresses) === undefined) {
        faults.push({ path: 'addresses', value: addresses, expected: 'host:port, several by commas' });
      }
      return faults;
    },
  },
);

export type RedisConfig = SectionValues<typeof redisSection>;

/** What a client is opened with, but for clock and metrics. */
export function redisClientOptionsOf(config: RedisConfig): Omit<RedisClientOptions, 'clock' | 'metrics'> {
  const { username, password, tls, answerMs, unavailableMs } = config;
  return { topology: topologyOf(config), username, password, tls, answerMs, unavailableMs };
}

function topologyOf({ mode, addresses, sentinelName, database }: RedisConfig): RedisTopology {
  const nodes = parseAddresses(addresses)!;
  switch (mode) {
    case 'standalone':
      return { mode, address: nodes[0]!, database };
    case 'sentinel':
      return { mode, sentinels: nodes, name: sentinelName };
    case 'cluster':
      return { mode, nodes };
  }
}
