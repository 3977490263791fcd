/**
 * Everything a chaos run runs on: real Kafka brokers, a real Redis Cluster, ClickHouse's interface (chDB), and the
 * engine's roles in processes of their own, each of which can be stopped, continued, killed and started again.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ENGINE_FLAGS } from '../../jobs/cli-process.js';
import { silentLogger } from '../../streams/logger.js';
import { systemClock } from '../../streams/clock.js';
import { systemRandom } from '../../streams/random.js';
import { ChdbSupervisor } from '../../streams/warehouse/chdb-supervisor.js';
import { startKafka } from '../harness/servers/kafka.js';
import type { KafkaServer } from '../harness/servers/kafka.js';
import { startRedisCluster } from '../harness/servers/redis.js';
import type { RedisCluster } from '../harness/servers/redis.js';
import {
  createServerDirectory,
  freePorts,
  removeServerDirectory,
  ServerProcess,
} from '../harness/servers/server-process.js';

export interface ChaosSize {
  readonly brokers: number;
  readonly masters: number;
  readonly replicasPerMaster: number;
  readonly streamWorkers: number;
  readonly servingNodes: number;
  readonly partitions: number;
  /** Pause after which a session closes, and time for feedback on a view, ms. */
  readonly closeMs: number;
}

export interface EngineProcess {
  readonly role: 'stream' | 'serve' | 'warehouse';
  readonly process: ServerProcess;
  /** Of serving nodes. */
  readonly url: string | undefined;
}

export interface ChaosCluster {
  readonly kafka: KafkaServer;
  readonly redis: RedisCluster;
  readonly engines: readonly EngineProcess[];
  /** Configuration file that all engines share. */
  readonly config: string;
  readonly directory: string;
  stop(): Promise<void>;
}

/** Small: a dozen JVMs and engines share the machine. */
const BROKER_HEAP_MB = 256;
const CLI = join(process.cwd(), 'dist', 'jobs', 'cli.js');

export async function startChaosCluster(size: ChaosSize): Promise<ChaosCluster> {
  const directory = createServerDirectory('chaos');
  const stops: (() => Promise<void>)[] = [() => Promise.resolve(removeServerDirectory(directory))];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const kafka = await startKafka({ brokers: size.brokers, heapMb: BROKER_HEAP_MB, isShortLived: true });
    stops.push(() => kafka.stop());
    const { masters, replicasPerMaster } = size;
    const redis = await startRedisCluster({ masters, replicasPerMaster });
    stops.push(() => redis.stop());
    const warehouse = await ChdbSupervisor.start({
      directory: join(directory, 'clickhouse'),
      clock: systemClock,
      logger: silentLogger,
      random: systemRandom(),
    });
    stops.push(() => warehouse.close());
    const { url, username, password } = await warehouse.endpoint();
    const config = join(directory, 'cluster.yaml');
    writeFileSync(config, configOf(size, { kafka, redis, clickhouse: { url, username, password } }));
    const engines = await startEngines(size, config, directory);
    stops.push(async () => void (await Promise.all(engines.map(({ process }) => process.stop()))));
    return { kafka, redis, engines, config, directory, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Servers {
  readonly kafka: KafkaServer;
  readonly redis: RedisCluster;
  readonly clickhouse: { readonly url: string; readonly username: string; readonly password: string };
}

function configOf(size: ChaosSize, { kafka, redis, clickhouse }: Servers): string {
  const replicas = Math.min(3, size.brokers);
  const replicasMin = Math.min(2, size.brokers);
  const sections = {
    streams: { storage: 'distributed', partitions: size.partitions },
    operators: { sessionGapMs: size.closeMs, rewardDelayMs: size.closeMs, publishEpsilon: 0 },
    serving: { feedHeartbeatMs: 2_000 },
    kafka: { brokers: kafka.brokers.join(','), replicas, replicasMin },
    redis: { mode: 'cluster', addresses: redis.addresses.join(',') },
    warehouse: { ...clickhouse, blockWaitMs: 500 },
  };
  // JSON is YAML.
  return Object.entries(sections)
    .map(([name, section]) => `${name}: ${JSON.stringify(section)}\n`)
    .join('');
}

async function startEngines(size: ChaosSize, config: string, directory: string): Promise<EngineProcess[]> {
  const ports = await freePorts(size.servingNodes);
  const start = (role: EngineProcess['role'], n: number, port?: number): EngineProcess => {
    const name = `${role}-${n + 1}`;
    const folder = join(directory, name);
    mkdirSync(folder);
    const place = port === undefined ? [] : ['--port', String(port)];
    const args = [CLI, 'up', '--roles', role, '--config', config, '--data', join(folder, 'data'), ...place];
    const process_ = ServerProcess.start({
      name,
      program: process.execPath,
      args: [...ENGINE_FLAGS, '--enable-source-maps', ...args],
      directory: folder,
    });
    return { role, process: process_, url: port === undefined ? undefined : `http://127.0.0.1:${port}` };
  };
  const engines = [
    ...Array.from({ length: size.streamWorkers }, (_, n) => start('stream', n)),
    start('warehouse', 0),
    ...ports.map((port, n) => start('serve', n, port)),
  ];
  for (const { process, url } of engines) {
    if (url !== undefined) await process.ready(() => requireReady(url));
  }
  return engines;
}

export async function requireReady(url: string): Promise<void> {
  const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) });
  if (!response.ok) throw new Error(`${url} answers ${response.status}: ${await response.text()}`);
}
