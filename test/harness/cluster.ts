/** Kafka and Redis for a suite, and the configuration file by which an engine finds them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { startKafka } from './servers/kafka.js';
import type { KafkaServer } from './servers/kafka.js';
import { startRedis } from './servers/redis.js';
import type { RedisServer } from './servers/redis.js';

export interface Cluster {
  readonly kafka: KafkaServer;
  readonly redis: RedisServer;
  /** Writes `cluster.yaml` into a folder of the caller's, with these settings of `streams`; returns its path. */
  writeConfig(directory: string, streams?: Readonly<Record<string, unknown>>): string;
}

/** Called within `describe`: both servers run from before its first test until after its last one, and only then are there. */
export function useCluster(): Cluster {
  let kafka: KafkaServer | undefined;
  let redis: RedisServer | undefined;
  beforeAll(async () => {
    kafka = await startKafka();
    redis = await startRedis();
  });
  afterAll(async () => {
    await redis?.stop();
    await kafka?.stop();
  });
  return {
    get kafka() {
      return kafka!;
    },
    get redis() {
      return redis!;
    },
    writeConfig(directory, streams = {}) {
      const file = join(directory, 'cluster.yaml');
      const sections = {
        streams,
        kafka: { brokers: kafka!.brokers.join(',') },
        redis: { addresses: redis!.address },
      };
      // JSON is YAML.
      writeFileSync(file, JSON.stringify(sections));
      return file;
    },
  };
}
