/**
 * What `bench takeover` runs on: one serving node and two stream workers, each a process of its own, over a log and a store
 * on servers; and the same log and store opened here, to look at from outside.
 */
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import { stageLag } from '../../streams/queries/stage-lag.js';
import type { Topology } from '../../streams/runtime/topology.js';
import type { StateStore, TaskId } from '../../streams/state/state-store.js';
import type { CommandContext } from '../commands/command.js';
import { loadConfig } from '../commands/command.js';
import { createTopologyOf } from '../engine/engine.js';
import { openStorage } from '../engine/current-storage.js';
import type { Storage } from '../engine/current-storage.js';
import { EngineProcess } from './load-engine.js';
import { WorkerProcess } from './worker-process.js';

export const WORKERS = 2;
const LOOK_MS = 50;
/** A start, and two rebalances of both groups. */
const BALANCE_MS_MAX = 120_000;
const PROGRESS_MS_MAX = 300_000;

export class TakeoverCluster {
  private readonly workers: WorkerProcess[] = [];
  /** Workers started so far: each has a directory of its own. */
  private started = 0;

  private constructor(
    private readonly context: CommandContext,
    private readonly place: { readonly set: readonly string[]; readonly folder: string },
    readonly edge: EngineProcess,
    private readonly storage: Storage,
    private readonly topology: Topology,
  ) {}

  /** The serving node alone: what is sent to it waits in the log until `startWorkers`. */
  static async open(
    context: CommandContext,
    { set, folder }: { readonly set: readonly string[]; readonly folder: string },
  ): Promise<TakeoverCluster> {
    const { clock, random, logger } = context;
    const config = loadConfig({ set });
    const args = ['--roles', 'serve'];
    const edge = await EngineProcess.start({ clock, set, args, directory: join(folder, 'serve') });
    try {
      const storage = await openStorage({ config, directory: folder, clock, random, logger });
      return new TakeoverCluster(context, { set, folder }, edge, storage, createTopologyOf(config).topology);
    } catch (error) {
      await edge.stop();
      throw error;
    }
  }

  get store(): StateStore {
    return this.storage.store;
  }

  get userStage(): string {
    return this.topology.stages[0]!.name;
  }

  /** Of each stage. */
  get partitions(): number {
    return this.storage.log.topic(this.topology.stages[0]!.input).partitions;
  }

  worker(i: number): WorkerProcess {
    return this.workers[i]!;
  }

  startWorkers(): void {
    for (let i = 0; i < WORKERS; i++) this.startWorker(i);
  }

  /** In place of one that is gone. */
  startWorker(i: number): void {
    const { clock } = this.context;
    const { set, folder } = this.place;
    this.workers[i] = new WorkerProcess({ clock, set, directory: join(folder, `worker-${this.started++}`) });
  }

  /** Resolves when each worker has partitions of each stage, all of them together. Throws NOT_READY. */
  async balanced(): Promise<void> {
    const { clock } = this.context;
    const deadlineMs = clock.monotonic() + BALANCE_MS_MAX;
    const stages = this.topology.stages.map(({ name }) => name);
    const isBalanced = (): boolean => {
      const tasks = this.workers.map((worker) => worker.tasks);
      return isSharedOut(tasks, stages, this.partitions);
    };
    while (!isBalanced()) {
      for (const worker of this.workers) worker.requireRunning();
      if (clock.monotonic() > deadlineMs) {
        throw new EngineError('NOT_READY', `The workers did not share all partitions within ${BALANCE_MS_MAX} ms.`);
      }
      await clock.sleep(LOOK_MS);
    }
  }

  /** Resolves when at most so many input records wait. Throws NOT_READY when nothing moves for minutes. */
  async caughtUp(recordsMax: number): Promise<void> {
    const { clock, terminal } = this.context;
    let [least, leastMs] = [Infinity, clock.monotonic()];
    for (;;) {
      const lag = await stageLag(this.topology, this.storage.log, this.storage.store);
      if (lag <= recordsMax) return;
      if (lag < least) [least, leastMs] = [lag, clock.monotonic()];
      for (const worker of this.workers) worker.requireRunning();
      if (clock.monotonic() - leastMs > PROGRESS_MS_MAX) {
        throw new EngineError('NOT_READY', `${lag} records wait, and nothing moved for ${PROGRESS_MS_MAX} ms.`);
      }
      terminal.progress(() => `${lag} records wait`);
      await clock.sleep(LOOK_MS);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.stop()));
    await this.edge.stop();
    await this.storage.close();
  }
}

/** Whether every partition of every stage is somebody's, nobody's twice, and nobody has none. */
export function isSharedOut(
  tasks: readonly (readonly TaskId[])[],
  stages: readonly string[],
  partitions: number,
): boolean {
  return stages.every((stage) => {
    const own = tasks.map((each) => each.filter((task) => task.stage === stage).map(({ partition }) => partition));
    const all = own.flat();
    return own.every(({ length }) => length > 0) && all.length === partitions && new Set(all).size === partitions;
  });
}
