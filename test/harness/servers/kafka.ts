/**
 * Real Apache Kafka for tests: KRaft brokers from Maven Central's jars, each broker also a controller.
 *
 * The jars are fetched once and kept outside of the checkout; what cannot be fetched is told as a reason to skip.
 */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createServerDirectory, freePorts, removeServerDirectory, ServerProcess } from './server-process.js';
import { KafkaProbe } from './kafka-probe.js';

export interface KafkaNode {
  readonly id: number;
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  readonly process: ServerProcess;
}

export interface KafkaServer {
  readonly nodes: readonly KafkaNode[];
  /** Plain-text listeners, one a broker. */
  readonly brokers: readonly string[];
  /** Listeners that ask for SASL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512); empty unless asked for. */
  readonly saslBrokers: readonly string[];
  /** Listeners with TLS; empty unless asked for. */
  readonly tlsBrokers: readonly string[];
  /** Listeners that tell clients to come by way of a proxy; empty unless asked for. */
  readonly proxiedPorts: readonly number[];
  readonly directory: string;
  /** Waits until every running broker answers. */
  ready(): Promise<void>;
  /** Waits until every partition has all its copies in sync. */
  inSync(): Promise<void>;
  /** Lets go of detached servers without ending them. */
  release(): Promise<void>;
  stop(): Promise<void>;
}

export interface KafkaOptions {
  readonly brokers?: number;
  /** Further server properties; they win over the defaults. */
  readonly properties?: Readonly<Record<string, string>>;
  readonly sasl?: { readonly username: string; readonly password: string };
  /** PKCS12 key store of the server, for a TLS listener. */
  readonly tls?: { readonly keystore: string; readonly password: string };
  /** Port of a proxy in front of the (only) broker. */
  readonly proxyPort?: number;
  readonly heapMb?: number;
  /** For runs where brokers are started again and again: a virtual machine that optimises little is up sooner. */
  readonly isShortLived?: boolean;
  readonly detached?: boolean;
}

const KAFKA_VERSION = '4.1.0';
const LOGGER_VERSION = '1.7.36';
const HOST = '127.0.0.1';
const HEAP_MB = 320;
/** 16 bytes in base64url, as Kafka wants it. */
const CLUSTER_ID = Buffer.from('freshet-tests-01').toString('base64url');
const run = promisify(execFile);

/** Where the jars are kept: outside of the checkout, for all checkouts of a user. */
function jarsDirectory(): string {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(cache, 'freshet', `kafka-${KAFKA_VERSION}`);
}

/** Why Kafka tests cannot run here; undefined when they can. Fetches nothing. */
export function kafkaMissing(): string | undefined {
  if (spawnSync('java', ['-version']).status !== 0) return 'java is not installed (17 or newer)';
  if (existsSync(jarsDirectory())) return undefined;
  return 'Kafka’s jars are not fetched yet (npm run services -- install)';
}

/** Fetches the jars where they are missing. Throws where Maven is missing or cannot reach its repository. */
export async function installKafka(): Promise<string> {
  const target = jarsDirectory();
  if (existsSync(target)) return target;
  mkdirSync(join(target, '..'), { recursive: true });
  const folder = mkdtempSync(`${target}-`);
  try {
    writeFileSync(join(folder, 'pom.xml'), pom());
    const lib = join(folder, 'lib');
    const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${lib}`];
    await run('mvn', ['-q', '-B', '-f', join(folder, 'pom.xml'), ...goal], { maxBuffer: 16 * 1_048_576 });
    // Complete or not there at all, also when two processes fetch at once.
    if (!existsSync(target)) renameSync(lib, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return target;
}

function pom(): string {
  const dependency = (group: string, artifact: string, version: string): string =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`;
  const kafka = ['kafka_2.13', 'kafka-tools'].map((artifact) =>
    dependency('org.apache.kafka', artifact, KAFKA_VERSION),
  );
  // Without a logger a broker that does not start gives no reason.
  const logger = dependency('org.slf4j', 'slf4j-simple', LOGGER_VERSION);
  return (
    '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>' +
    '<groupId>local</groupId><artifactId>kafka-jars</artifactId><version>1</version>' +
    `<dependencies>${kafka.join('')}${logger}</dependencies></project>\n`
  );
}

/** Ready for topics, groups and transactions when it resolves. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaServer> {
  const { brokers: count = 1 } = options;
  const jars = await installKafka();
  const directory = createServerDirectory('kafka');
  const ports = await freePorts(count * 5);
  const portsOf = (kind: number): number[] => ports.slice(kind * count, (kind + 1) * count);
  const [plain, controller, sasl, tls, proxied] = [0, 1, 2, 3, 4].map(portsOf) as [
    number[],
    number[],
    number[],
    number[],
    number[],
  ];
  const nodes: KafkaNode[] = [];
  const addresses = (list: readonly number[]): string[] => list.map((port) => `${HOST}:${port}`);
  const probe = new KafkaProbe(addresses(plain));
  const stop = async (): Promise<void> => {
    await probe.close();
    // What they would still write is removed, and the last of several waits for a quorum that is gone.
    await Promise.all(nodes.map(({ process }) => process.kill()));
    removeServerDirectory(directory);
  };
  const ready = async (): Promise<void> => {
    for (const { process } of nodes) if (process.isRunning) await process.ready(() => probe.requireReady(count));
  };
  try {
    for (let i = 0; i < count; i++) {
      const folder = join(directory, `broker-${i + 1}`);
      mkdirSync(folder);
      const own = { plain: plain[i]!, sasl: sasl[i]!, tls: tls[i]!, proxied: proxied[i]! };
      const place = { id: i + 1, ...own, controller, folder };
      const file = join(folder, 'server.properties');
      writeFileSync(file, properties(place, options));
      await format(jars, file, options);
      nodes.push({ id: i + 1, address: `${HOST}:${plain[i]}`, process: launch(jars, file, place, options) });
    }
    await ready();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    nodes,
    brokers: addresses(plain),
    saslBrokers: options.sasl === undefined ? [] : addresses(sasl),
    tlsBrokers: options.tls === undefined ? [] : addresses(tls),
    proxiedPorts: options.proxyPort === undefined ? [] : proxied,
    directory,
    ready,
    inSync: async () => {
      await ready();
      await nodes[0]!.process.ready(() => probe.requireInSync());
    },
    release: () => probe.close(),
    stop,
  };
}

interface Place {
  readonly id: number;
  readonly plain: number;
  /** Of all nodes. */
  readonly controller: readonly number[];
  readonly sasl: number;
  readonly tls: number;
  readonly proxied: number;
  readonly folder: string;
}

function properties(place: Place, options: KafkaOptions): string {
  const { id, plain, controller, folder } = place;
  const replicas = String(Math.min(3, controller.length));
  const minimum = String(Math.min(2, controller.length));
  const listeners = [`PLAINTEXT://${HOST}:${plain}`, `CONTROLLER://${HOST}:${controller[id - 1]}`];
  const protocols = ['CONTROLLER:PLAINTEXT', 'PLAINTEXT:PLAINTEXT'];
  if (options.sasl !== undefined) {
    listeners.push(`SASL://${HOST}:${place.sasl}`);
    protocols.push('SASL:SASL_PLAINTEXT');
  }
  if (options.tls !== undefined) {
    listeners.push(`TLS://${HOST}:${place.tls}`);
    protocols.push('TLS:SSL');
  }
  const advertised = listeners.filter((listener) => !listener.startsWith('CONTROLLER'));
  if (options.proxyPort !== undefined) {
    listeners.push(`PROXIED://${HOST}:${place.proxied}`);
    advertised.push(`PROXIED://${HOST}:${options.proxyPort}`);
    protocols.push('PROXIED:PLAINTEXT');
  }
  const all: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': String(id),
    'controller.quorum.voters': controller.map((port, i) => `${i + 1}@${HOST}:${port}`).join(),
    listeners: listeners.join(),
    'advertised.listeners': advertised.join(),
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': protocols.join(),
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': join(folder, 'log'),
    'default.replication.factor': replicas,
    'min.insync.replicas': minimum,
    'offsets.topic.replication.factor': replicas,
    // Fifty partitions each, the default, only make a test server start slower.
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': minimum,
    'transaction.state.log.num.partitions': '4',
    'group.initial.rebalance.delay.ms': '0',
    'auto.create.topics.enable': 'false',
    // Several brokers may start at once on a machine that does other things.
    'initial.broker.registration.timeout.ms': '300000',
    // Tests set record times of their own; the cleaner must not judge them while a test runs.
    'log.retention.check.interval.ms': '3600000',
    'log.initial.task.delay.ms': '3600000',
    ...saslProperties(options),
    ...tlsProperties(options),
    ...options.properties,
  };
  return Object.entries(all)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function saslProperties({ sasl }: KafkaOptions): Record<string, string> {
  if (sasl === undefined) return {};
  const { username, password } = sasl;
  const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule';
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule';
  const jaas = 'listener.name.sasl';
  return {
    [`${jaas}.sasl.enabled.mechanisms`]: 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    [`${jaas}.plain.sasl.jaas.config`]: `${plain} required user_${username}="${password}";`,
    [`${jaas}.scram-sha-256.sasl.jaas.config`]: `${scram} required;`,
    [`${jaas}.scram-sha-512.sasl.jaas.config`]: `${scram} required;`,
  };
}

function tlsProperties({ tls }: KafkaOptions): Record<string, string> {
  if (tls === undefined) return {};
  const listener = 'listener.name.tls';
  return {
    [`${listener}.ssl.keystore.type`]: 'PKCS12',
    [`${listener}.ssl.keystore.location`]: tls.keystore,
    [`${listener}.ssl.keystore.password`]: tls.password,
  };
}

async function format(jars: string, file: string, options: KafkaOptions): Promise<void> {
  const { sasl } = options;
  const users = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) =>
    sasl === undefined ? [] : ['--add-scram', `${mechanism}=[name=${sasl.username},password=${sasl.password}]`],
  );
  const args = ['format', '-t', CLUSTER_ID, '-c', file, ...users];
  await run('java', ['-XX:TieredStopAtLevel=1', '-cp', `${jars}/*`, 'kafka.tools.StorageTool', ...args]);
}

function launch(jars: string, file: string, place: Place, options: KafkaOptions): ServerProcess {
  const { heapMb = HEAP_MB, isShortLived = false, detached } = options;
  const compiler = isShortLived ? ['-XX:TieredStopAtLevel=1'] : [];
  const jvm = [`-Xmx${heapMb}m`, '-XX:+UseSerialGC', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn'];
  const args = [...jvm, ...compiler, '-cp', `${jars}/*`, 'kafka.Kafka', file];
  return ServerProcess.start({ name: `kafka ${place.id}`, program: 'java', args, directory: place.folder, detached });
}
