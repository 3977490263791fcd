/**
 * What is done to a chaos run's processes, drawn from the seed: kill -9, standing still, failovers, lost writes.
 *
 * Each fault is undone by itself after a while. One broker and one Redis master suffer at a time, as replication of 3 with
 * 2 in sync and one replica a master are made for; of workers and of serving nodes at least one stays.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { systemClock } from '../../streams/clock.js';
import type { Random } from '../../streams/random.js';
import { REPLICA_USER } from '../harness/servers/redis.js';
import type { RedisNode } from '../harness/servers/redis.js';
import type { ServerProcess } from '../harness/servers/server-process.js';
import { requireReady } from './chaos-cluster.js';
import type { ChaosCluster, EngineProcess } from './chaos-cluster.js';

export const CHAOS_FAULTS = [
  'workerKilled',
  'workerStopped',
  'servingKilled',
  'servingStopped',
  'warehouseKilled',
  'brokerKilled',
  'redisKilled',
  'redisLostWrites',
] as const;

export interface ChaosFaultsOptions {
  readonly cluster: ChaosCluster;
  readonly random: Random;
  /** Events acknowledged so far: faults come by progress and not by time, so that a slow machine sees as many. */
  readonly progress: () => number;
  readonly everyEvents: number;
  readonly say: (line: string) => void;
}

export type ChaosFault = (typeof CHAOS_FAULTS)[number];

const DOWN_MS_MAX = 6_000;
/** Longer than a session with the group, now and then: the process comes back as a zombie. */
const STOPPED_MS_MAX = 12_000;
/** More at once, and a small machine does nothing but start processes. */
const AT_ONCE_MAX = 3;
/** A stream worker that was started again is left alone for this long: nobody outside sees when it is ready. */
const WARM_UP_MS = 8_000;
const LOOK_MS = 100;
const LOST_MS = 1_000;
const SERVERS_READY_MS_MAX = 120_000;
const run = promisify(execFile);

export class ChaosFaults {
  readonly counts = Object.fromEntries(CHAOS_FAULTS.map((kind) => [kind, 0])) as Record<ChaosFault, number>;
  private readonly down = new Set<ServerProcess>();
  private readonly healing = new Set<Promise<void>>();
  private isBrokerBusy = false;
  private isRedisBusy = false;

  /** Engines that ended by themselves, for example because they could not start, and were started again. */
  ownExits = 0;
  /** Of Redis's replication stream, that no replica had when its master died. */
  lostBytes = 0;

  constructor(private readonly options: ChaosFaultsOptions) {}

  private get random(): Random {
    return this.options.random;
  }

  private get cluster(): ChaosCluster {
    return this.options.cluster;
  }

  private say(line: string): void {
    this.options.say(line);
  }

  /** Strikes until told to stop, then waits until everything is back. */
  async run(signal: AbortSignal): Promise<void> {
    const { everyEvents, progress } = this.options;
    for (let nextAt = everyEvents; !signal.aborted;) {
      await systemClock.sleep(LOOK_MS, signal).catch(() => undefined);
      this.superviseEngines();
      if (progress() < nextAt || this.healing.size >= AT_ONCE_MAX) continue;
      this.strike(this.random.pick(CHAOS_FAULTS));
      nextAt += everyEvents * (0.5 + this.random.float());
    }
    while (this.healing.size > 0) await Promise.all(this.healing);
    this.superviseEngines();
  }

  /** As a container runtime does it. */
  superviseEngines(): void {
    for (const { process } of this.cluster.engines) {
      if (process.isRunning || this.down.has(process)) continue;
      this.ownExits++;
      process.restart();
    }
  }

  private strike(kind: ChaosFault): void {
    const target = this.targetOf(kind);
    if (target === undefined) return;
    this.counts[kind]++;
    this.say(`${kind} ${target.name}`);
    const healed = target
      .strike()
      .catch((error: unknown) => this.say(`${kind} ${target.name}: ${String(error)}`))
      .finally(() => this.healing.delete(healed));
    this.healing.add(healed);
  }

  private targetOf(kind: ChaosFault): { name: string; strike: () => Promise<void> } | undefined {
    switch (kind) {
      case 'workerKilled':
      case 'servingKilled':
      case 'warehouseKilled':
      case 'workerStopped':
      case 'servingStopped': {
        const role = kind.startsWith('worker') ? 'stream' : kind.startsWith('serving') ? 'serve' : 'warehouse';
        const engine = this.livingEngine(role);
        if (engine === undefined) return undefined;
        const isKill = kind.endsWith('Killed');
        const strike = (): Promise<void> => (isKill ? this.kill(engine) : this.standStill(engine.process));
        return { name: engine.process.name, strike };
      }
      case 'brokerKilled': {
        if (this.isBrokerBusy) return undefined;
        const { process } = this.random.pick(this.cluster.kafka.nodes);
        return { name: process.name, strike: () => this.killBroker(process) };
      }
      case 'redisKilled':
      case 'redisLostWrites': {
        if (this.isRedisBusy) return undefined;
        this.isRedisBusy = true;
        const strike = (): Promise<void> => this.failOver(kind === 'redisLostWrites');
        return { name: 'a master', strike: () => strike().finally(() => (this.isRedisBusy = false)) };
      }
    }
  }

  /** One that may be struck; undefined when it is the last of its role. */
  private livingEngine(role: EngineProcess['role']): EngineProcess | undefined {
    const own = this.cluster.engines.filter((engine) => engine.role === role);
    const living = own.filter(({ process }) => !this.down.has(process));
    if (living.length <= (own.length > 1 ? 1 : 0)) return undefined;
    return this.random.pick(living);
  }

  private async kill({ process, url }: EngineProcess): Promise<void> {
    this.down.add(process);
    await process.kill();
    await systemClock.sleep(this.random.int(DOWN_MS_MAX));
    process.restart();
    try {
      if (url === undefined) await systemClock.sleep(WARM_UP_MS);
      else await process.ready(() => requireReady(url));
    } finally {
      this.down.delete(process);
    }
  }

  private async standStill(process: ServerProcess): Promise<void> {
    this.down.add(process);
    process.signal('SIGSTOP');
    await systemClock.sleep(this.random.int(STOPPED_MS_MAX));
    process.signal('SIGCONT');
    this.down.delete(process);
  }

  private async killBroker(process: ServerProcess): Promise<void> {
    this.isBrokerBusy = true;
    await process.kill();
    await systemClock.sleep(this.random.int(DOWN_MS_MAX));
    process.restart();
    await this.cluster.kafka.inSync().finally(() => (this.isBrokerBusy = false));
  }

  /**
   * Kills a master; its replica takes over and the old one comes back as its replica. To lose writes that were
   * acknowledged, the replica is cut off first, and the master goes on by itself for a second.
   */
  private async failOver(losesWrites: boolean): Promise<void> {
    const { nodes } = this.cluster.redis;
    const [master, replica] = await this.pair(this.random.shuffle([...nodes]));
    if (replica !== undefined && losesWrites) {
      await cli(master, 'ACL', 'SETUSER', REPLICA_USER, 'off');
      await cli(master, 'CLIENT', 'KILL', 'TYPE', 'replica');
      await systemClock.sleep(LOST_MS);
      const bytes = (await replicationOffset(master)) - (await replicationOffset(replica));
      this.lostBytes += bytes;
      this.say(`${bytes} bytes of acknowledged writes are lost with ${master.process.name}`);
    }
    await master.process.kill();
    if (replica !== undefined) {
      // A majority of masters elects; a single one has nobody left to vote.
      if (this.cluster.redis.masters === 1) await cli(replica, 'CLUSTER', 'FAILOVER', 'TAKEOVER');
      await until(async () => (await roleOf(replica)) === 'master');
    }
    await systemClock.sleep(this.random.int(DOWN_MS_MAX));
    master.process.restart();
    await until(() => this.cluster.redis.isWhole());
  }

  /** A master whose replica has caught up, and that replica; without replicas any master alone. */
  private async pair(nodes: readonly RedisNode[]): Promise<[RedisNode, RedisNode | undefined]> {
    for (const node of nodes) {
      const info = await cli(node, 'INFO', 'replication');
      if (!info.includes('role:master')) continue;
      const port = /slave0:ip=[^,]*,port=(\d+),state=online/.exec(info)?.[1];
      const replica = nodes.find((other) => String(other.port) === port);
      if (replica !== undefined || nodes.length === this.cluster.redis.masters) return [node, replica];
    }
    throw new Error('no master has a replica that is online');
  }
}

async function cli({ port }: RedisNode, ...words: string[]): Promise<string> {
  return (await run('redis-cli', ['-p', String(port), ...words])).stdout;
}

async function roleOf(node: RedisNode): Promise<string> {
  return (await cli(node, 'ROLE')).split('\n')[0]!.trim();
}

async function replicationOffset(node: RedisNode): Promise<number> {
  const info = await cli(node, 'INFO', 'replication');
  const offset = /slave_repl_offset:(\d+)/.exec(info) ?? /master_repl_offset:(\d+)/.exec(info);
  return Number(offset![1]);
}

async function until(check: () => Promise<boolean>): Promise<void> {
  const deadline = systemClock.monotonic() + SERVERS_READY_MS_MAX;
  while (!(await check().catch(() => false))) {
    if (systemClock.monotonic() > deadline) throw new Error('the servers did not come back in time');
    await systemClock.sleep(100);
  }
}
