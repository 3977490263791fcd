/**
 * One seeded run: a small cluster under load and faults, then a healed one that drains, then the verdict.
 *
 *   draw the run from the seed → workers, senders and faults for some virtual seconds → heal → drain → verify
 *
 * Everything is decided by the seed: the same seed gives the same run, event by event.
 */
import type { EventLog, TopicSpec } from '../../streams/log/event-log.js';
import { MemoryLog } from '../../streams/memory/memory-log.js';
import { seededRandom } from '../../streams/random.js';
import type { Random } from '../../streams/random.js';
import type { TaskOptions } from '../../streams/runtime/task-options.js';
import type { Topology } from '../../streams/runtime/topology.js';
import type { StateStore, TaskId } from '../../streams/state/state-store.js';
import { taskName } from '../../streams/state/state-store.js';
import { Cluster, REPAIR_MS } from './cluster.js';
import { FAULT_KINDS, FaultPlan } from './faults.js';
import type { FaultCounts } from './faults.js';
import { Process, VERY_LATE_MS } from './process.js';
import type { Network } from './process.js';
import { Scheduler } from './scheduler.js';
import { SimulatedLog } from './simulated-log.js';
import { NO_SINK_FAULTS, SimulatedSink } from './sink.js';
import type { SinkFaults } from './sink.js';
import { outboxOf, StoreServer } from './simulated-store.js';
import {
  DEAD_LETTERS,
  HINTS,
  ITEM_EVENTS,
  ITEM_STATE,
  SESSIONS,
  simulatedTopology,
  TRENDS,
  USER_EVENTS,
} from './stages.js';
import { publishedIn, verify } from './verify.js';
import { importFile, produce } from './workload.js';

/** A bug to plant, for the tests that show the simulation finds it. */
export interface Mutation {
  readonly server?: (delivery: 'atomic' | 'outbox', log: MemoryLog) => StoreServer;
  readonly wrapStore?: (store: StateStore, process: Process) => StateStore;
  readonly wrapLog?: (log: EventLog, process: Process) => EventLog;
  /** Changes code of the runtime in place; returns how to undo that. */
  readonly patch?: () => () => void;
}

export interface RunResult {
  readonly seed: number;
  /** In words; empty when the run was right. */
  readonly violations: readonly string[];
  readonly faults: FaultCounts;
  readonly sinkFaults: SinkFaults;
  readonly delivery: 'atomic' | 'outbox';
  /** Input records of both stages. */
  readonly records: number;
  readonly events: number;
}

/** A healed cluster that has not drained after this long is stuck. */
const DRAIN_MS_MAX = 40_000;

export async function simulate(seed: number, mutation: Mutation = {}): Promise<RunResult> {
  const undo = mutation.patch?.();
  try {
    return await run(seed, mutation);
  } finally {
    undo?.();
  }
}

async function run(seed: number, mutation: Mutation): Promise<RunResult> {
  const random = seededRandom(`simulation-${seed}`);
  const scheduler = new Scheduler();
  const faults = new FaultPlan(random.stream('faults'));
  const network: Network = { scheduler, faults, random: random.stream('network'), delayMsMax: random.pick([1, 5, 15]) };
  const log = new MemoryLog({ clock: new Process('log', network, () => undefined, false), identity: 'sim' });
  const partitions = { users: 1 + random.int(2), items: 1 + random.int(2) };
  log.createTopicsNow(topicsOf(partitions, random.float() < 0.5));
  const delivery = random.float() < 0.3 ? 'atomic' : 'outbox';
  const server = mutation.server?.(delivery, log) ?? new StoreServer(delivery, log);
  const topology = drawTopology(random);
  const tasks = tasksOf(topology, log);
  const cluster = new Cluster({
    network,
    log,
    server,
    topology,
    tasks,
    random: random.stream('cluster'),
    workers: 1 + random.int(3),
    hasGroupProtocol: random.float() < 0.5,
    task: drawTaskOptions(random),
    idleTickAfterMs: 50 + random.int(200),
    wrapStore: mutation.wrapStore ?? ((store) => store),
    wrapLog: mutation.wrapLog ?? ((own) => own),
  });
  const durationMs = 1_000 + random.int(1_500);
  const sink = delivery === 'outbox' ? new SimulatedSink(seed, scheduler, log, cluster) : undefined;
  cluster.start();
  sink?.start();
  cluster.scheduleFaults(durationMs);
  startSenders(log, network, cluster, random, durationMs);
  await scheduler.runUntil(durationMs);
  cluster.heal(random.float() < 0.5);
  sink?.heal();
  const isDrained = await drain(scheduler, cluster, tasks, topology, log, server);
  // Late values of tables are mended at the next looks of their owners; then only what compaction keeps is judged.
  await scheduler.runUntil(scheduler.elapsedMs + 3 * REPAIR_MS + VERY_LATE_MS);
  const published = publishedIn(log);
  log.cleanNow();
  const stored = (await sink?.drain()) ?? [];
  const violations = [...cluster.failures, ...isDrained, ...verify(topology, log, server, published), ...stored];
  const records = tasks.reduce((sum, task) => sum + endOf(task, topology, log), 0);
  const counts = { ...faults.counts };
  for (const kind of FAULT_KINDS) counts[kind] += sink?.faults.network[kind] ?? 0;
  const sinkFaults = sink?.faults ?? NO_SINK_FAULTS;
  return { seed, violations, faults: counts, sinkFaults, delivery, records, events: scheduler.steps };
}

function topicsOf(partitions: { users: number; items: number }, isExact: boolean): TopicSpec[] {
  return [
    { name: USER_EVENTS, partitions: partitions.users, class: 'event' },
    { name: ITEM_EVENTS, partitions: partitions.items, class: 'event' },
    { name: SESSIONS, partitions: 2, class: 'event' },
    { name: TRENDS, partitions: 1, class: 'event', exact: isExact },
    { name: DEAD_LETTERS, partitions: 1, class: 'event' },
    { name: ITEM_STATE, partitions: partitions.items, class: 'table' },
    { name: HINTS, partitions: partitions.users, class: 'hint' },
  ];
}

function drawTopology(random: Random): Topology {
  const lateness = random.pick([Infinity, 400, 900]);
  return simulatedTopology(
    { latePolicy: random.pick(['process', 'dead-letter', 'drop']), allowedLatenessMs: lateness },
    { latePolicy: random.pick(['process', 'drop']), allowedLatenessMs: random.pick([Infinity, 300]) },
  );
}

function drawTaskOptions(random: Random): TaskOptions {
  return {
    batchRecordsMax: random.pick([1, 3, 8, 30]),
    batchMsMax: random.pick([0, 20, Infinity]),
    batchBytesMax: random.pick([200, 1 << 20]),
    outputBytesMax: random.pick([1, 150, 1 << 20]),
    chunkRecordsMax: random.pick([1, 2, 5, 1_000]),
    timersMax: random.pick([1, 2, 5, 1_000]),
    cacheBytesMax: random.pick([0, 3_000, 1 << 20]),
    sliceMs: random.pick([-1, Infinity]),
  };
}

function tasksOf(topology: Topology, log: MemoryLog): TaskId[] {
  return topology.stages.flatMap((stage) =>
    Array.from({ length: log.topic(stage.input).partitions }, (_, partition) => ({ stage: stage.name, partition })),
  );
}

function startSenders(log: MemoryLog, network: Network, cluster: Cluster, random: Random, durationMs: number): void {
  // What is left is idle time under faults: ticks and take-overs without input.
  const share = 0.3 + 0.6 * random.float();
  const sender = (name: string, records: number) => {
    const process = new Process(name, network, () => undefined, false);
    const own = new SimulatedLog(log, process, network, cluster.coordinator);
    return { process, log: own, random: random.stream(name), durationMs: durationMs * share, records };
  };
  void produce(sender('producer', 20 + random.int(50)));
  if (random.float() < 0.6) void importFile(sender('importer', 8 + random.int(20)), network.faults);
}

/** Lets the healed cluster work until nothing is left to do; says what is left when it does not come to that. */
async function drain(
  scheduler: Scheduler,
  cluster: Cluster,
  tasks: readonly TaskId[],
  topology: Topology,
  log: MemoryLog,
  server: StoreServer,
): Promise<string[]> {
  const leftOver = (task: TaskId): string | undefined => {
    const { memory } = server;
    const lag = endOf(task, topology, log) - (memory.headNow(task)?.offset ?? 0);
    if (lag > 0) return `${lag} input records of ${taskName(task)}`;
    if (outboxOf(memory, task).length > 0) return `the outbox of ${taskName(task)}`;
    const timer = memory.timersNow(task)[0];
    return timer === undefined
      ? undefined
      : `timer ${timer.operator} of ${taskName(task)}, ${scheduler.now() - timer.time} ms overdue`;
  };
  const isDone = (): boolean => cluster.failures.length > 0 || tasks.every((task) => leftOver(task) === undefined);
  if (await scheduler.runUntil(scheduler.elapsedMs + DRAIN_MS_MAX, isDone)) return [];
  const left = tasks.map(leftOver).filter((text) => text !== undefined);
  return [`a healed cluster did not drain in ${DRAIN_MS_MAX} ms: ${left.join('; ')} are left`];
}

function endOf(task: TaskId, topology: Topology, log: MemoryLog): number {
  const stage = topology.stages.find(({ name }) => name === task.stage)!;
  return log.boundsNow(stage.input, task.partition).end;
}
