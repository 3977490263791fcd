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
import type { StateStore, TaskId } from '../../streams/state/state-store.js';
import { Assignment } from './assignment.js';
import type { FaultKind } from './faults.js';
import { Process } from './process.js';
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
  readonly task: TaskOptions;
  readonly idleTickAfterMs: number;
  /** Faults that the run injects into the worker's ports, for the simulation's own tests. */
  readonly wrapStore: (store: StateStore, process: Process) => StateStore;
  readonly wrapLog: (log: EventLog, process: Process) => EventLog;
}

const RESTART_MS_MAX = 250;
const PAUSE_MS_MAX = 1_200;
const ZOMBIE_MS_MAX = 400;
const CLOCK_SKEW_MS_MAX = 1_500;

export class Cluster {
  /** Errors that no worker should have stopped with. */
  readonly failures: string[] = [];
  readonly assignment: Assignment;
  private readonly slots: (Process | undefined)[];
  private generation = 0;
  private isHealing = false;

  constructor(private readonly options: ClusterOptions) {
    const { random, network, log } = options;
    this.assignment = new Assignment(
      random.stream('assignment'),
      network.faults,
      (topic) => log.topic(topic).partitions,
    );
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
      log: wrapLog(new SimulatedLog(log, process, network, this.assignment), process),
      store: wrapStore(new SimulatedStore(server, process), process),
      clock: process,
      random: random.stream(name),
    };
    const onStopped = (error: unknown): void => {
      this.failures.push(`${name} stopped: ${String(error)}`);
      this.replace(slot, process);
    };
    const logger = { ...silentLogger, warn: (_: string, { error }: LogFields = {}) => this.countFenced(error) };
    // A look at every turn: time is short here, and faults of ticks and owners are what is sought.
    const worker = new StreamWorker(topology, environment, { task, idleTickAfterMs, lookMs: 0, onStopped, logger });
    worker.start().catch(() => this.replace(slot, process));
  }

  private countFenced(error: unknown): void {
    if (isEngineError(error, 'TASK_FENCED')) this.options.network.faults.note('fenced');
  }

  /** Ends a process and starts its successor after a while. */
  private replace(slot: number, process: Process): void {
    if (this.slots[slot] !== process) return;
    process.kill();
    this.slots[slot] = undefined;
    this.options.network.scheduler.after(this.options.random.int(RESTART_MS_MAX), () => {
      this.assignment.expel(process);
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
    if (isDeclaredDead) network.scheduler.after(random.int(200), () => this.assignment.expel(process));
    network.scheduler.after(ms, () => {
      process.resume();
      if (isDeclaredDead) network.scheduler.after(random.int(ZOMBIE_MS_MAX), () => this.replace(slot, process));
    });
  }

  private moveOwnership(): void {
    this.assignment.rebalance(this.options.random.pick(this.options.topology.stages).input);
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
