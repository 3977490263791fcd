/**
 * The workers of a run and what is done to them: crashes and restarts, pauses, take-overs, stores that fall back.
 *
 * Each worker slot is one process at a time. A process that dies or stops is followed by a new one after a while; a
 * paused one may have been declared dead meanwhile and goes on as a zombie until somebody notices.
 */
import type { EventLog } from '../../streams/log/event-log.js';
import { silentLogger } from '../../streams/logger.js';
import type { LogFields } from '../../streams/logger.js';
import type { MemoryLog } from '../../streams/memory/memory-log.js';
import type { Random } from '../../streams/random.js';
import type { TaskOptions } from '../../streams/runtime/task-options.js';
import type { Topology } from '../../streams/runtime/topology.js';
import { StreamWorker } from '../../streams/runtime/worker.js';
import { isEngineError } from '../../schemas/errors.js';
import { taskName } from '../../streams/state/state-store.js';
import type { StateStore, TaskId } from '../../streams/state/state-store.js';
import { Assignment } from './assignment.js';
import { GroupCoordinator } from './group-coordinator.js';
import type { FaultKind } from './faults.js';
import { Process, SERVERS } from './process.js';
import type { Network } from './process.js';
import { SimulatedLog } from './simulated-log.js';
import { SimulatedStore } from './simulated-store.js';
import type { StoreServer } from './simulated-store.js';

export interface ClusterOptions {
  readonly network: Network;
  readonly log: MemoryLog;
  readonly server: StoreServer;
  readonly topology: Topology;
  readonly tasks: readonly TaskId[];
  readonly random: Random;
  readonly workers: number;
  /** Kafka's group protocol, instead of a coordinator that tells members late and in no order. */
  readonly hasGroupProtocol: boolean;
  readonly task: TaskOptions;
  readonly idleTickAfterMs: number;
  /** Faults that the run injects into the worker's ports, for the simulation's own tests. */
  readonly wrapStore: (store: StateStore, process: Process) => StateStore;
  readonly wrapLog: (log: EventLog, process: Process) => EventLog;
}

/** Tables are looked through this often: time is short here. */
export const REPAIR_MS = 300;
const RESTART_MS_MAX = 250;
const PAUSE_MS_MAX = 1_200;
const ZOMBIE_MS_MAX = 400;
const CUT_MS_MAX = 800;
const CLOCK_SKEW_MS_MAX = 1_500;

export class Cluster {
  /** Errors that no worker should have stopped with. */
  readonly failures: string[] = [];
  readonly coordinator: Assignment | GroupCoordinator;
  /** When a process last learned that its task was fenced, by process and task, virtual ms. */
  private readonly fencedMs = new Map<string, number>();
  private readonly slots: (Process | undefined)[];
  private generation = 0;
  private isHealing = false;

  constructor(private readonly options: ClusterOptions) {
    const { random, network, log } = options;
    const partitionsOf = (topic: string): number => log.topic(topic).partitions;
    this.coordinator = options.hasGroupProtocol
      ? new GroupCoordinator(network.scheduler, network.faults, partitionsOf)
      : new Assignment(random.stream('assignment'), network.faults, partitionsOf);
    this.slots = new Array<Process | undefined>(options.workers).fill(undefined);
  }

  start(): void {
    this.slots.forEach((_, slot) => this.startSlot(slot));
  }

  /** Draws the times of the faults that strike the cluster as a whole. */
  scheduleFaults(durationMs: number): void {
    const { random, network } = this.options;
    const strikes: [FaultKind, number, () => void][] = [
      ['pause', 2.5, () => this.pauseOne()],
      ['ownershipMove', 2, () => this.moveOwnership()],
      ['wallClockJump', 0.7, () => this.jumpClock()],
      ['networkCut', 1.5, () => this.cutNetwork()],
    ];
    if (this.options.server.delivery === 'atomic') strikes.push(['powerLoss', 1.5, () => this.losePower()]);
    else {
      strikes.push(['storeRollback', 1.2, () => this.options.server.fallBack(random)]);
      strikes.push(['taskRollback', 2, () => this.options.server.fallBack(random, random.pick(this.options.tasks))]);
    }
    for (const [kind, usual, strike] of strikes) {
      const times = Math.round(usual * network.faults.intensity(kind) * random.float() * 2);
      for (let i = 0; i < times; i++) {
        network.scheduler.after(random.int(durationMs), () => {
          if (this.isHealing) return;
          network.faults.note(kind);
          strike();
        });
      }
    }
  }

  /** Ends all faults. With `fresh`, every worker is replaced; otherwise those that live must do. */
  heal(fresh: boolean): void {
    this.isHealing = true;
    this.options.network.faults.stop();
    for (const process of this.slots) process?.cutFrom.clear();
    this.slots.forEach((process, slot) => {
      if (process === undefined) return;
      if (fresh) this.replace(slot, process);
      else if (process.paused) process.resume();
    });
  }

  private startSlot(slot: number): void {
    const { network, log, server, topology, random, task, idleTickAfterMs, wrapStore, wrapLog } = this.options;
    const name = `worker-${slot}-${this.generation++}`;
    const process = new Process(name, network, () => this.replace(slot, process));
    if (network.faults.strikes('clockSkew'))
      process.clockSkewMs = random.int(2 * CLOCK_SKEW_MS_MAX) - CLOCK_SKEW_MS_MAX;
    process.onStuck = (ms) => this.freeze(slot, process, ms);
    this.slots[slot] = process;
    const environment = {
      log: wrapLog(new SimulatedLog(log, process, network, this.coordinator), process),
      store: wrapStore(new SimulatedStore(server, process, (task) => this.audit(process, task)), process),
      clock: process,
      random: random.stream(name),
    };
    const onStopped = (error: unknown): void => {
      this.failures.push(`${name} stopped: ${String(error)}`);
      this.replace(slot, process);
    };
    const logger = { ...silentLogger, warn: (_: string, fields: LogFields = {}) => this.noteFenced(process, fields) };
    // A look at every turn: time is short here, and faults of ticks and owners are what is sought.
    const worker = new StreamWorker(topology, environment, {
      task,
      idleTickAfterMs,
      lookMs: 0,
      repairMs: REPAIR_MS,
      onStopped,
      logger,
    });
    worker.start().catch(() => this.replace(slot, process));
  }

  private noteFenced(process: Process, { task, error }: LogFields): void {
    if (!isEngineError(error, 'TASK_FENCED')) return;
    const { faults, scheduler } = this.options.network;
    faults.note('fenced');
    this.fencedMs.set(`${process.name} ${String(task)}`, scheduler.elapsedMs);
  }

  /** A task that was fenced may be acquired again only on a later word of the group. */
  private audit(process: Process, task: TaskId): void {
    const { coordinator } = this;
    const fencedMs = this.fencedMs.get(`${process.name} ${taskName(task)}`);
    if (fencedMs === undefined || !(coordinator instanceof GroupCoordinator)) return;
    const { input } = this.options.topology.stages.find(({ name }) => name === task.stage)!;
    if (coordinator.confirmedAt(process, input) >= fencedMs) return;
    this.failures.push(`${process.name} acquired ${taskName(task)} though its group had not confirmed it`);
  }

  /** Ends a process and starts its successor after a while. */
  private replace(slot: number, process: Process): void {
    if (this.slots[slot] !== process) return;
    process.kill();
    this.slots[slot] = undefined;
    this.options.network.scheduler.after(this.options.random.int(RESTART_MS_MAX), () => {
      this.expel(process);
      if (this.slots[slot] === undefined) this.startSlot(slot);
    });
  }

  private pauseOne(): void {
    const { random } = this.options;
    const slot = random.int(this.slots.length);
    const process = this.slots[slot];
    if (process === undefined || process.paused) return;
    this.freeze(slot, process, random.int(PAUSE_MS_MAX));
  }

  /** Stands still; may be declared dead meanwhile, and then goes on as a zombie until somebody notices. */
  private freeze(slot: number, process: Process, ms: number): void {
    const { random, network } = this.options;
    process.pause();
    const isDeclaredDead = random.float() < 0.6;
    if (isDeclaredDead) network.scheduler.after(random.int(200), () => this.expel(process));
    network.scheduler.after(ms, () => {
      process.resume();
      if (isDeclaredDead) network.scheduler.after(random.int(ZOMBIE_MS_MAX), () => this.replace(slot, process));
    });
  }

  /** A group protocol finds out by itself who is gone. */
  private expel(process: Process): void {
    if (this.coordinator instanceof Assignment) this.coordinator.expel(process);
  }

  /** A process does not reach some of its servers for a while. */
  private cutNetwork(): void {
    const { random, network } = this.options;
    const process = this.slots[random.int(this.slots.length)];
    if (process === undefined) return;
    for (const server of SERVERS) if (random.float() < 0.5) process.cutFrom.add(server);
    network.scheduler.after(random.int(CUT_MS_MAX), () => process.cutFrom.clear());
  }

  private moveOwnership(): void {
    this.coordinator.rebalance(this.options.random.pick(this.options.topology.stages).input);
  }

  private jumpClock(): void {
    const { random, network } = this.options;
    network.scheduler.jumpWallClock(random.int(4_000) - 2_000);
  }

  /** The one process of an embedded engine dies with its storage; what was not flushed is gone. */
  private losePower(): void {
    const { server, random } = this.options;
    this.slots.forEach((process, slot) => {
      if (process === undefined) return;
      this.replace(slot, process);
      process.kill({ together: true });
    });
    server.fallBack(random);
  }
}
