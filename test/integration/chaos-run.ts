/**
 * One chaos run: servers and engines, traffic and subscribers under faults, then peace, then the verdict.
 *
 *   start ──▶ traffic + faults ──▶ all acknowledged, everything healed ──▶ verify until it is right, or time is up
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '../../jobs/commands/command.js';
import { Engine } from '../../jobs/engine/engine.js';
import { openWarehouseToRead } from '../../jobs/warehouse/open-warehouse.js';
import { systemClock } from '../../streams/clock.js';
import { silentLogger } from '../../streams/logger.js';
import { seededRandom, systemRandom } from '../../streams/random.js';
import { requireReady, startChaosCluster } from './chaos-cluster.js';
import type { ChaosCluster, ChaosSize } from './chaos-cluster.js';
import { ChaosFaults } from './chaos-faults.js';
import type { ChaosFault } from './chaos-faults.js';
import { ChaosSubscriber } from './chaos-subscribers.js';
import { ChaosTraffic } from './chaos-traffic.js';
import { verify } from './chaos-verify.js';
import type { Verdict } from './chaos-verify.js';

export interface ChaosOptions {
  readonly seed: number;
  readonly events: number;
  readonly size: ChaosSize;
  /** About as many. */
  readonly faults: number;
  readonly users: number;
  readonly requestsAtOnce: number;
  readonly say: (line: string) => void;
}

export interface ChaosResult extends Omit<Verdict, 'faults'> {
  readonly seed: number;
  readonly acknowledged: number;
  readonly retries: number;
  readonly reconnects: number;
  /** Engines that ended by themselves and were started again. */
  readonly ownExits: number;
  /** Of Redis's replication stream: writes acknowledged by a master that no replica had when it died. */
  readonly lostStoreBytes: number;
  readonly seconds: number;
  readonly faults: Readonly<Record<ChaosFault, number>>;
  /** What was wrong, in words. */
  readonly violations: readonly string[];
}

export const FULL_SIZE: ChaosSize = {
  brokers: 3,
  masters: 3,
  replicasPerMaster: 1,
  streamWorkers: 3,
  servingNodes: 2,
  partitions: 6,
  closeMs: 60_000,
};

export const SHORT_SIZE: ChaosSize = {
  brokers: 1,
  masters: 1,
  replicasPerMaster: 1,
  streamWorkers: 2,
  servingNodes: 2,
  partitions: 2,
  closeMs: 30_000,
};

const ITEMS = 60;
const SUBSCRIBERS = 40;
const VISITS_PER_REQUEST = 8;
/** From the last acknowledgement to the end of hope: sessions and rewards close meanwhile. */
const SETTLE_MS_MAX = 240_000;
const LOOK_MS = 3_000;

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, say } = options;
  const startedMs = systemClock.monotonic();
  say(`seed ${seed}: starting servers`);
  const cluster = await startChaosCluster(options.size);
  try {
    return await runOn(cluster, options, startedMs);
  } finally {
    await cluster.stop();
  }
}

async function runOn(cluster: ChaosCluster, options: ChaosOptions, startedMs: number): Promise<ChaosResult> {
  const { seed, events, users, requestsAtOnce, say } = options;
  const random = seededRandom(seed);
  const urls = cluster.engines.flatMap(({ url }) => url ?? []);
  const people = Array.from({ length: users }, (_, i) => `user-${i}`);
  const traffic = new ChaosTraffic({
    urls,
    users: people,
    items: Array.from({ length: ITEMS }, (_, i) => `item-${i}`),
    events,
    random: random.stream('traffic'),
    visitsPerRequest: VISITS_PER_REQUEST,
    requestsAtOnce,
  });
  const watched = people.slice(0, SUBSCRIBERS);
  const subscribers = watched.map((user) => new ChaosSubscriber(user, urls, random.stream(`feed-${user}`)));
  const faults = new ChaosFaults({
    cluster,
    random: random.stream('faults'),
    progress: () => traffic.events,
    everyEvents: events / options.faults,
    say: (line) => say(`  ${traffic.events} events: ${line}`),
  });
  const peace = new AbortController();
  try {
    say('traffic and faults');
    const striking = faults.run(peace.signal);
    await traffic.run(new AbortController().signal).finally(() => peace.abort());
    await striking;
    for (const { url, process } of cluster.engines) if (url !== undefined) await process.ready(() => requireReady(url));
    say(`${traffic.events} events acknowledged, ${traffic.retries} requests repeated; settling`);
    const verdict = await settle(cluster, traffic, subscribers, say);
    const { lost, doubled, staleSubscribers, faults: violations } = verdict;
    return {
      seed,
      acknowledged: traffic.events,
      lost,
      doubled,
      staleSubscribers,
      retries: traffic.retries,
      reconnects: subscribers.reduce((sum, { reconnects }) => sum + reconnects, 0),
      ownExits: faults.ownExits,
      lostStoreBytes: faults.lostBytes,
      seconds: Math.round((systemClock.monotonic() - startedMs) / 1_000),
      faults: faults.counts,
      violations,
    };
  } finally {
    peace.abort();
    for (const subscriber of subscribers) subscriber.close();
  }
}

async function settle(
  cluster: ChaosCluster,
  traffic: ChaosTraffic,
  subscribers: readonly ChaosSubscriber[],
  say: (line: string) => void,
): Promise<Verdict> {
  const config = loadConfig({ config: cluster.config, set: undefined });
  const data = join(cluster.directory, 'verifier');
  mkdirSync(data);
  const common = { clock: systemClock, random: systemRandom(), logger: silentLogger };
  const engine = await Engine.open({ config, directory: data, ...common });
  try {
    const { namespace } = config.streams;
    const warehouse = await openWarehouseToRead({ data, namespace, server: config.warehouse, ...common });
    const deadline = systemClock.monotonic() + SETTLE_MS_MAX;
    for (;;) {
      const verdict = await verify({ visits: traffic.acknowledged, engine, warehouse, subscribers });
      const { lost, doubled, staleSubscribers, faults } = verdict;
      if (faults.length === 0 || systemClock.monotonic() > deadline) {
        await warehouse.close();
        return verdict;
      }
      say(`  not there yet: ${lost} too few, ${doubled} too many, ${staleSubscribers} stale; ${faults[0]}`);
      await systemClock.sleep(LOOK_MS);
    }
  } finally {
    await engine.close();
  }
}
