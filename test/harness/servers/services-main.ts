/**
 * Real servers for developers: `npm run services -- start|stop|status|install [--json]`.
 *
 * `start` leaves Kafka, Redis and ClickHouse's interface (chDB) running on free ports and prints their addresses; `stop`
 * ends what `start` started, by the pids it noted. `install` fetches what can be fetched and says what is missing.
 */
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../../streams/clock.js';
import { type ClickhouseAddress, type ClickhouseServer, keepClickhouse, startClickhouse } from './clickhouse.js';
import { installKafka, kafkaMissing, type KafkaServer, startKafka } from './kafka.js';
import { type RedisCluster, redisMissing, type RedisServer, startRedis, startRedisCluster } from './redis.js';

interface Noted {
  readonly kafka: readonly string[];
  readonly redis: string;
  readonly redisCluster: readonly string[];
  readonly clickhouse: ClickhouseAddress;
  readonly processes: readonly { readonly pid: number; readonly directory: string }[];
  readonly directories: readonly string[];
}

const NOTE = join(process.cwd(), '.cache', 'services.json');
/** An action that only `start` uses. */
const KEEP_CLICKHOUSE = 'keep-clickhouse';
const STOP_MS_MAX = 20_000;
const STOP_LOOK_MS = 50;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      brokers: { type: 'string', default: '1' },
      'redis-masters': { type: 'string', default: '0' },
      'redis-replicas': { type: 'string', default: '0' },
    },
  });
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  const [action] = positionals;
  if (action === 'install') return install(print);
  if (action === KEEP_CLICKHOUSE) {
    await keepClickhouse(positionals[1]!);
    return 0;
  }
  if (action === 'stop') {
    const stopped = await stop();
    print(values.json ? JSON.stringify({ stopped }) : `${stopped} servers stopped`);
    return 0;
  }
  if (action !== 'start' && action !== 'status') {
    print(
      'Usage: npm run services -- start|stop|status|install [--brokers N] [--redis-masters N --redis-replicas N] [--json]',
    );
    return 2;
  }
  const noted = action === 'status' ? readNote() : await start(values);
  if (noted === undefined) {
    print(values.json ? JSON.stringify({ running: false }) : 'No services are running');
    return 1;
  }
  const { kafka, redis, redisCluster, clickhouse } = noted;
  if (values.json) print(JSON.stringify({ running: true, kafka, redis, redisCluster, clickhouse }));
  else
    print(
      [
        `kafka          ${kafka.join()}`,
        `redis          ${redis}`,
        `redis cluster  ${redisCluster.join() || '–'}`,
        `clickhouse     ${clickhouse.url} (user ${clickhouse.username}, password ${clickhouse.password})`,
      ].join('\n'),
    );
  return 0;
}

async function install(print: (text: string) => void): Promise<number> {
  let kafka: string | undefined;
  try {
    await installKafka();
    kafka = kafkaMissing();
  } catch (error) {
    kafka = `Kafka’s jars could not be fetched: ${error instanceof Error ? error.message : String(error)}`;
  }
  const missing = [kafka, redisMissing()].filter((reason) => reason !== undefined);
  for (const reason of missing) print(reason);
  if (missing.length === 0) print('Kafka and Redis can be started');
  return missing.length === 0 ? 0 : 1;
}

async function start(options: { brokers: string; 'redis-masters': string; 'redis-replicas': string }): Promise<Noted> {
  if (readNote() !== undefined) throw new Error('Services are running already; npm run services -- stop ends them');
  const missing = redisMissing();
  if (missing !== undefined) throw new Error(missing);
  await installKafka();
  const masters = Number(options['redis-masters']);
  const detached = true;
  const started: (KafkaServer | RedisServer | RedisCluster | ClickhouseServer)[] = [];
  try {
    const kafka = await startKafka({ brokers: Number(options.brokers), detached });
    started.push(kafka);
    const redis = await startRedis({ detached });
    started.push(redis);
    const cluster =
      masters === 0
        ? undefined
        : await startRedisCluster({ masters, replicasPerMaster: Number(options['redis-replicas']), detached });
    if (cluster !== undefined) started.push(cluster);
    // This very program, told to keep the database.
    const clickhouse = await startClickhouse([process.argv[1]!, KEEP_CLICKHOUSE], detached);
    started.push(clickhouse);
    const processes = [...kafka.nodes, redis, ...(cluster?.nodes ?? []), clickhouse].map((node) => node.process);
    const noted: Noted = {
      kafka: kafka.brokers,
      redis: redis.address,
      redisCluster: cluster?.addresses ?? [],
      clickhouse: clickhouse.address,
      processes: processes.map(({ pid, directory }) => ({ pid, directory })),
      directories: started.map(({ directory }) => directory),
    };
    mkdirSync(dirname(NOTE), { recursive: true });
    writeFileSync(NOTE, `${JSON.stringify(noted, undefined, 2)}\n`);
    await kafka.release();
    return noted;
  } catch (error) {
    await Promise.all(started.map((server) => server.stop()));
    throw error;
  }
}

function readNote(): Noted | undefined {
  return existsSync(NOTE) ? (JSON.parse(readFileSync(NOTE, 'utf8')) as Noted) : undefined;
}

async function stop(): Promise<number> {
  const noted = readNote();
  if (noted === undefined) return 0;
  const ours = noted.processes.filter(isOurs);
  for (const { pid } of ours) process.kill(pid, 'SIGTERM');
  const deadline = systemClock.monotonic() + STOP_MS_MAX;
  for (const noticed of ours) {
    while (isOurs(noticed) && systemClock.monotonic() < deadline) await systemClock.sleep(STOP_LOOK_MS);
    if (isOurs(noticed)) process.kill(noticed.pid, 'SIGKILL');
  }
  for (const directory of noted.directories) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  rmSync(NOTE);
  return ours.length;
}

/** A pid may have gone to another program since: ours works in its folder. */
function isOurs({ pid, directory }: { pid: number; directory: string }): boolean {
  try {
    process.kill(pid, 0);
    return !existsSync('/proc') || readlinkSync(`/proc/${pid}/cwd`) === directory;
  } catch {
    return false;
  }
}

process.exitCode = await main();
