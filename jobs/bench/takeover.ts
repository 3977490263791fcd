/**
 * `freshet bench takeover`: a stream worker is killed by SIGKILL while another runs, on Kafka and Redis, with the state of many
 * people: how long their partitions stand still.
 *
 *   kill -9 ──▶ its session with the group ends ──▶ the other is given its partitions ──▶ first commit on them, in the store
 *      └─ an act of each subscriber whose partition it had ─────────────────────▶ feed that names the act, on the socket
 *
 * People's histories are sent over HTTP before any worker runs, then processed; traffic goes on at a steady rate from before
 * the first kill until after the last. In the end the state of everybody who acted must count every acknowledged event once.
 * `ownMs` is what is left of the time to the first commit once partitions were given: where an engine would restore state.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import type { CommandContext } from '../commands/command.js';
import { loadConfig } from '../commands/command.js';
import { awaitFirstCommits } from './first-commits.js';
import { HttpClient } from './load-http.js';
import { measureMachine, medianOf } from './load-report.js';
import { LoadWorld } from './load-world.js';
import { engineServerSettings } from './servers.js';
import type { ServerOptions } from './servers.js';
import { runStreamsPeer } from './streams-peer.js';
import { TakeoverCluster, WORKERS } from './takeover-cluster.js';
import { TakeoverTraffic } from './takeover-traffic.js';

export interface TakeoverOptions extends ServerOptions {
  readonly users: number;
  readonly items: number;
  readonly events: number;
  readonly subscribers: number;
  readonly rate: number;
  readonly kills: number;
  readonly seed: number;
  /** Folder with the jars of Kafka Streams, to measure it first. */
  readonly peer?: string | undefined;
  readonly peerGuarantee: string;
  readonly set?: readonly string[] | undefined;
}

const CONNECTIONS = 32;
/** Beyond the session: to notice, to hand over, and for the first batch. */
const GRACE_MS = 2_000;
/** A commit on its way when its owner died has arrived; a session takes twelve times as long. */
const IN_FLIGHT_MS = 500;
const WAIT_MS_MAX = 90_000;
/** Between two kills, once everybody has caught up. */
const REST_MS = 3_000;
const MISCOUNTS_SHOWN = 3;
/** Itself, and signals to the item stage. */
const RECORDS_PER_EVENT = 8;
const ON_THEIR_WAY_SECONDS = 0.5;

export async function runTakeover(context: CommandContext, options: TakeoverOptions): Promise<void> {
  const { clock, terminal, random } = context;
  const servers = engineServerSettings(options, random);
  if (servers.length === 0) {
    throw new EngineError('USAGE_INVALID', 'bench takeover runs on servers: name them by --kafka and --redis.');
  }
  const set = [...servers, ...(options.set ?? [])];
  const machine = measureMachine(clock);
  const folder = mkdtempSync(join(tmpdir(), 'freshet-takeover-'));
  try {
    // First: jars that are not there are told at once.
    const peer = await maybeMeasurePeer(context, options, { set, folder });
    const figures = await measureCluster(context, options, { set, folder });
    const { users, items, subscribers, rate } = options;
    const barMs = loadConfig({ set }).kafka.sessionMs + GRACE_MS;
    const told = { users, items, subscribers, rate, barMs, ...figures, ...peer };
    terminal.result({ bench: 'takeover', ...told, machine, after: measureMachine(clock) });
    const { miscounted, currentShare } = figures;
    if (miscounted === 0 && currentShare === 1) return;
    const missing = `${miscounted} people are miscounted, ${currentShare * 100} % of the feeds became current`;
    throw new EngineError('INVARIANT_VIOLATED', `${missing}; expected none and all.`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Place {
  readonly set: readonly string[];
  readonly folder: string;
}

async function measureCluster(context: CommandContext, options: TakeoverOptions, place: Place) {
  const cluster = await TakeoverCluster.open(context, place);
  try {
    return { partitions: cluster.partitions, ...(await measure(context, options, cluster)) };
  } finally {
    await cluster.stop();
  }
}

async function maybeMeasurePeer({ terminal }: CommandContext, options: TakeoverOptions, { set, folder }: Place) {
  const { peer: jars, peerGuarantee: guarantee, users, events, rate, kills } = options;
  if (jars === undefined) return {};
  terminal.say(`Kafka Streams, ${guarantee}`);
  const { sessionMs, heartbeatMs } = loadConfig({ set }).kafka;
  const shape = { users, events, rate, kills, sessionMs, heartbeatMs };
  const runs = await runStreamsPeer({ jars, guarantee, kafka: options.kafka!, folder, ...shape });
  return { peer: { guarantee, median: medianOf(runs), highest: highestOf(runs), runs } };
}

async function measure(context: CommandContext, options: TakeoverOptions, cluster: TakeoverCluster) {
  const { clock, terminal } = context;
  const { items, users, events: historyEvents, rate, subscribers, seed } = options;
  const { url } = cluster.edge;
  const world = new LoadWorld({ items, users, seed: `takeover-${seed}`, nowMs: clock.now() });
  const http = new HttpClient(url, CONNECTIONS);
  try {
    terminal.say(`sending ${items} items and ${users * historyEvents} events of ${users} users`);
    await world.loadCatalogue(http);
    await world.loadHistory(http, { eventsPerUser: historyEvents, users });
    const startedMs = clock.monotonic();
    cluster.startWorkers();
    await cluster.balanced();
    await cluster.caughtUp(0);
    const prepareSeconds = (clock.monotonic() - startedMs) / 1_000;
    terminal.say(`processed in ${prepareSeconds.toFixed(0)} s; opening ${subscribers} feeds`);
    const traffic = new TakeoverTraffic({ clock, http, world, rate, subscribers, historyEvents });
    await traffic.start(url);
    const runs = [];
    for (let n = 0; n < options.kills; n++) runs.push(await kill(context, options, { cluster, traffic, n }));
    await traffic.stop();
    await cluster.caughtUp(0);
    const { checkedUsers, miscounts } = await traffic.check();
    for (const { userId, expected, counted } of miscounts.slice(0, MISCOUNTS_SHOWN)) {
      terminal.say(`${userId}: ${counted} events counted, ${expected} acknowledged`);
    }
    const { acknowledged, failed, firstFailure } = traffic;
    if (failed > 0) terminal.say(`${failed} requests failed: ${String(firstFailure)}`);
    return {
      kills: runs.length,
      median: medianOf(runs),
      highest: highestOf(runs),
      currentShare: Math.min(...runs.map((run) => run.currentShare)),
      ...{ acknowledged, failedRequests: failed, checkedUsers, miscounted: miscounts.length },
      prepareSeconds,
      runs,
    };
  } finally {
    http.close();
  }
}

interface Kill {
  readonly cluster: TakeoverCluster;
  readonly traffic: TakeoverTraffic;
  readonly n: number;
}

async function kill({ clock, terminal }: CommandContext, { rate }: TakeoverOptions, { cluster, traffic, n }: Kill) {
  await cluster.balanced();
  // Under traffic there is always something on its way.
  await cluster.caughtUp(Math.ceil(rate * RECORDS_PER_EVENT * ON_THEIR_WAY_SECONDS));
  await clock.sleep(REST_MS);
  const victim = cluster.worker(n % WORKERS);
  const survivor = cluster.worker((n + 1) % WORKERS);
  const { tasks } = victim;
  const { store, userStage, partitions: count } = cluster;
  const dead = new Set(tasks.filter(({ stage }) => stage === userStage).map(({ partition }) => partition));
  const killedMs = clock.monotonic();
  await victim.kill();
  const wait = { killedMs, inFlightMs: IN_FLIGHT_MS, waitMsMax: WAIT_MS_MAX };
  const [commits, feeds] = await Promise.all([
    awaitFirstCommits({ clock, store, tasks, ...wait }),
    traffic.refresh({ dead, count }, { name: `kill-${n}`, atMs: killedMs, waitMsMax: WAIT_MS_MAX }),
  ]);
  const assignedMs = survivor.assignedMs(userStage) - killedMs;
  const of = (stage: (name: string) => boolean): number[] =>
    [...commits].filter(([task]) => stage(task)).map(([, ms]) => ms);
  const isUsers = (task: string): boolean => task.startsWith(`${userStage}/`);
  const firstCommitMs = Math.min(...of(isUsers));
  const run = {
    assignedMs,
    firstCommitMs,
    /** Of the last of its partitions. */
    usersMs: Math.max(...of(isUsers)),
    itemsMs: Math.max(...of((task) => !isUsers(task))),
    ownMs: firstCommitMs - assignedMs,
    ...feeds,
  };
  const [commitMs, feedsMs] = [Math.max(...commits.values()), feeds.feedsMs].map((ms) => ms.toFixed(0));
  terminal.say(`kill ${n + 1}: all partitions after ${commitMs} ms, 99 % of ${feeds.feeds} feeds after ${feedsMs} ms`);
  cluster.startWorker(n % WORKERS);
  return run;
}

/** The highest of each number over the runs, taken by itself. */
function highestOf<T extends Readonly<Record<string, number>>>(runs: readonly T[]): T {
  const names = Object.keys(runs[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, Math.max(...runs.map((run) => run[name]!))])) as T;
}
