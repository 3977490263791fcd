/** Real Redis servers for tests: a single one, or a cluster with or without replicas. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createServerDirectory, freePorts, removeServerDirectory, ServerProcess } from './server-process.js';

export interface RedisNode {
  readonly host: string;
  readonly port: number;
  readonly process: ServerProcess;
}

export interface RedisServer extends RedisNode {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  readonly directory: string;
  stop(): Promise<void>;
}

export interface RedisCluster {
  readonly nodes: readonly RedisNode[];
  readonly masters: number;
  /** `127.0.0.1:PORT`, one a node, masters first. */
  readonly addresses: readonly string[];
  readonly directory: string;
  /** Whether all nodes run and agree, and every replica is connected to its master. */
  isWhole(): Promise<boolean>;
  stop(): Promise<void>;
}

export interface RedisOptions {
  /** Further settings, such as `{ maxmemory: '64mb' }`; they win over the defaults. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly detached?: boolean;
}

export interface RedisClusterOptions extends RedisOptions {
  readonly masters?: number;
  readonly replicasPerMaster?: number;
}

const HOST = '127.0.0.1';
/** A node that stays silent for this long is failed over: short, as tests wait for it. */
const NODE_TIMEOUT_MS = 2_000;
const CREATE_MASTERS_MIN = 3;
const run = promisify(execFile);

/** Why Redis tests cannot run here; undefined when they can. */
export function redisMissing(): string | undefined {
  for (const program of ['redis-server', 'redis-cli']) {
    if (spawnSync(program, ['--version']).status !== 0) {
      return `${program} is not installed (Debian: apt-get install redis-server)`;
    }
  }
  return undefined;
}

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const directory = createServerDirectory('redis');
  const [port] = await freePorts(1);
  const process = startNode(port!, directory, options);
  const stop = async (): Promise<void> => {
    await process.stop();
    removeServerDirectory(directory);
  };
  try {
    await process.ready(() => ping(port!));
  } catch (error) {
    await stop();
    throw error;
  }
  return { host: HOST, port: port!, address: `${HOST}:${port}`, directory, process, stop };
}

/** Replicas log in as this user, which a test can turn off at a master to cut them off from it. */
export const REPLICA_USER = 'replica';
const USERS = ['default', REPLICA_USER].map((name) => `user ${name} on nopass ~* &* +@all\n`).join('');

/** Three masters unless told otherwise; all slots are covered and all nodes agree when this resolves. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, replicasPerMaster = 0 } = options;
  const directory = createServerDirectory('redis-cluster');
  const count = masters * (1 + replicasPerMaster);
  // Bus ports of their own: the usual port + 10,000 may be above the highest port.
  const ports = await freePorts(count * 2);
  const nodes = ports.slice(0, count).map((port, i) => {
    const folder = join(directory, String(port));
    mkdirSync(folder);
    const users = join(folder, 'users.acl');
    writeFileSync(users, USERS);
    const settings = {
      aclfile: users,
      masteruser: REPLICA_USER,
      masterauth: REPLICA_USER,
      'cluster-enabled': 'yes',
      'cluster-port': String(ports[count + i]),
      'cluster-node-timeout': String(NODE_TIMEOUT_MS),
      ...options.settings,
    };
    return { host: HOST, port, process: startNode(port, folder, { ...options, settings }) };
  });
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map(({ process }) => process.stop()));
    removeServerDirectory(directory);
  };
  const addresses = nodes.map(({ host, port }) => `${host}:${port}`);
  try {
    await Promise.all(nodes.map(({ process, port }) => process.ready(() => ping(port))));
    const replicas = ['--cluster-replicas', String(replicasPerMaster)];
    if (masters >= CREATE_MASTERS_MIN)
      await run('redis-cli', ['--cluster', 'create', ...addresses, ...replicas, '--cluster-yes']);
    else await joinByHand(nodes, ports.slice(count), replicasPerMaster);
    await Promise.all(nodes.map(({ process, port }) => process.ready(() => requireClusterOk(port, count))));
  } catch (error) {
    await stop();
    throw error;
  }
  const isWhole = async (): Promise<boolean> => {
    await Promise.all(nodes.map(({ port }) => requireClusterOk(port, count)));
    for (const { port } of nodes) {
      const info = await answer(port, 'INFO replication');
      const isConnected = info.includes('role:master') || info.includes('master_link_status:up');
      if (!isConnected) return false;
    }
    const { stdout } = await run('redis-cli', ['-p', String(nodes[0]!.port), 'CLUSTER', 'NODES']);
    return !/fail|handshake|noaddr/.test(stdout) && stdout.match(/ slave |,slave /g)?.length === count - masters;
  };
  return { nodes, masters, addresses, directory, isWhole, stop };
}

/** redis-cli makes no cluster of one master; such a one cannot elect a replica by itself, but can be told to. */
async function joinByHand(nodes: readonly RedisNode[], busPorts: readonly number[], replicas: number): Promise<void> {
  const [master] = nodes as [RedisNode];
  await command(master.port, 'CLUSTER ADDSLOTSRANGE 0 16383', /OK/);
  const id = (await answer(master.port, 'CLUSTER MYID')).trim();
  for (const { port, process } of nodes.slice(1, 1 + replicas)) {
    await command(port, `CLUSTER MEET ${HOST} ${master.port} ${busPorts[0]}`, /OK/);
    await process.ready(() => command(port, `CLUSTER REPLICATE ${id}`, /OK/));
  }
}

export interface RedisSentinels {
  /** The master at the start, then its replica. */
  readonly nodes: readonly RedisNode[];
  /** `127.0.0.1:PORT`, one a Sentinel. */
  readonly addresses: readonly string[];
  readonly name: string;
  stop(): Promise<void>;
}

/** A master with a replica and three Sentinels that fail it over; all know each other when this resolves. */
export async function startRedisSentinels(): Promise<RedisSentinels> {
  const directory = createServerDirectory('redis-sentinel');
  const name = 'mymaster';
  const [masterPort, replicaPort, ...sentinelPorts] = (await freePorts(5)) as [number, number, ...number[]];
  const folderOf = (port: number): string => {
    const folder = join(directory, String(port));
    mkdirSync(folder);
    return folder;
  };
  const nodes = [
    { host: HOST, port: masterPort, process: startNode(masterPort, folderOf(masterPort), {}) },
    {
      host: HOST,
      port: replicaPort,
      process: startNode(replicaPort, folderOf(replicaPort), { settings: { replicaof: `${HOST} ${masterPort}` } }),
    },
  ];
  const sentinels = sentinelPorts.map((port) => startSentinel(port, folderOf(port), { name, masterPort }));
  const stop = async (): Promise<void> => {
    await Promise.all([...sentinels, ...nodes.map((node) => node.process)].map((process) => process.stop()));
    removeServerDirectory(directory);
  };
  try {
    await nodes[0]!.process.ready(() => command(masterPort, 'INFO replication', /connected_slaves:1/));
    const isWatched = /num-slaves\s+1[\s\S]*num-other-sentinels\s+2/;
    await Promise.all(
      sentinels.map((process, i) =>
        process.ready(() => command(sentinelPorts[i]!, `SENTINEL master ${name}`, isWatched)),
      ),
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return { nodes, addresses: sentinelPorts.map((port) => `${HOST}:${port}`), name, stop };
}

/** A Sentinel keeps what it learns in its own configuration, so it needs a file. */
function startSentinel(
  port: number,
  directory: string,
  { name, masterPort }: { name: string; masterPort: number },
): ServerProcess {
  const file = join(directory, 'sentinel.conf');
  const lines = [
    `port ${port}`,
    `bind ${HOST}`,
    `dir ${directory}`,
    `sentinel monitor ${name} ${HOST} ${masterPort} 2`,
    `sentinel down-after-milliseconds ${name} ${NODE_TIMEOUT_MS}`,
    `sentinel failover-timeout ${name} 10000`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const args = [file, '--sentinel'];
  return ServerProcess.start({ name: `sentinel ${port}`, program: 'redis-server', args, directory });
}

function startNode(port: number, directory: string, { settings = {}, detached }: RedisOptions): ServerProcess {
  const all = {
    port: String(port),
    bind: HOST,
    dir: directory,
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '',
    'maxmemory-policy': 'noeviction',
    ...settings,
  };
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
  return ServerProcess.start({ name: `redis ${port}`, program: 'redis-server', args, directory, detached });
}

async function ping(port: number): Promise<void> {
  await command(port, 'PING', /^PONG/);
}

async function requireClusterOk(port: number, nodes: number): Promise<void> {
  await command(port, 'CLUSTER INFO', /cluster_state:ok/);
  await command(port, 'CLUSTER INFO', new RegExp(`cluster_known_nodes:${nodes}\\b`));
}

async function command(port: number, words: string, expected: RegExp): Promise<void> {
  const answered = await answer(port, words);
  if (!expected.test(answered)) throw new Error(`Redis on port ${port} answered ${answered.trim()} to ${words}`);
}

async function answer(port: number, words: string): Promise<string> {
  return (await run('redis-cli', ['-p', String(port), ...words.split(' ')])).stdout;
}
