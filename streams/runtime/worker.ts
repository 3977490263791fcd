/**
 * A stream worker: joins one group a stage and runs a task for every partition that is assigned to it.
 *
 * Each task has a loop of its own (task-loop.ts). A final fault of one stops the worker; a fenced one acquires again.
 */
import type { AssignmentListener, Membership } from '../log/event-log.js';
import type { Politeness } from '../politeness.js';
import { taskName } from '../state/state-store.js';
import { requireManifest } from './manifest.js';
import { IDLE_LOOK_MS, TaskLoop } from './task-loop.js';
import type { TaskLoopOptions } from './task-loop.js';
import type { TaskEnvironment } from './task.js';
import { backgroundSliceMs, DEFAULT_TASK_OPTIONS } from './task-options.js';
import type { TaskStatistics } from './task-options.js';
import type { AnyStage, Topology } from './topology.js';
import { Turn } from './turn.js';

const TABLE_REPAIR_MS = 5_000;

export type WorkerOptions = TaskLoopOptions;

export class StreamWorker {
  private readonly loops = new Map<string, TaskLoop>();
  /** By stage. They are there before they resolve: the first assignment comes while a group is being joined. */
  private readonly memberships = new Map<AnyStage, Promise<Membership>>();
  private readonly turns: { readonly foreground: Turn; readonly background: Turn } | undefined;
  private readonly options: WorkerOptions;
  private paused = false;

  constructor(
    private readonly topology: Topology,
    private readonly environment: TaskEnvironment,
    options: Partial<WorkerOptions> & Pick<WorkerOptions, 'logger'>,
    private readonly politeness?: Politeness,
  ) {
    this.options = {
      task: DEFAULT_TASK_OPTIONS,
      idleTickAfterMs: 1_000,
      lookMs: IDLE_LOOK_MS,
      repairMs: TABLE_REPAIR_MS,
      onStopped: () => undefined,
      ...options,
    };
    // Where the store is a server, tasks gain from waiting for it at the same time.
    if (environment.store.delivery === 'atomic') {
      const foreground = new Turn(this.options.task.sliceMs);
      // A batch that gives way to others is long under way: nobody may stand in line behind it.
      const background = politeness === undefined ? foreground : new Turn(backgroundSliceMs(this.options.task));
      this.turns = { foreground, background };
    }
  }

  /** Checks that log and state belong together, then joins the groups. Throws MANIFEST_MISMATCH. */
  async start(): Promise<void> {
    await requireManifest(this.topology, this.environment);
    for (const stage of this.topology.stages) {
      const joining = this.environment.log.join(groupOf(this.topology, stage), stage.input, this.assign(stage));
      this.memberships.set(stage, joining);
      await joining;
    }
  }

  /** Finishes running batches, gives the partitions back. Safe to call twice. */
  async stop(): Promise<void> {
    for (const joining of this.memberships.values()) await (await joining.catch(() => undefined))?.leave();
    this.memberships.clear();
    await Promise.all([...this.loops.values()].map((loop) => loop.stop()));
    this.loops.clear();
  }

  /** Stops taking new batches; resolves when none is running. */
  async pause(): Promise<void> {
    this.paused = true;
    await Promise.all([...this.loops.values()].map((loop) => loop.pause()));
  }

  resume(): void {
    this.paused = false;
    for (const loop of this.loops.values()) loop.resume();
  }

  /** Resolves when every task has consumed all input there is, outputs to later stages included. */
  async drain(): Promise<void> {
    while ((await this.lag()) > 0) {
      const failed = [...this.loops.values()].find((loop) => loop.failure !== undefined);
      if (failed !== undefined) throw failed.failure;
      await this.environment.clock.sleep(2);
    }
  }

  /** Input records not yet processed, over all tasks. */
  async lag(): Promise<number> {
    const lags = await Promise.all([...this.loops.values()].map((loop) => loop.lag()));
    return lags.reduce((sum, lag) => sum + lag, 0);
  }

  /** Counters by task, such as `users/3`. */
  statistics(): ReadonlyMap<string, TaskStatistics> {
    return new Map([...this.loops].map(([name, loop]) => [name, loop.task.statistics]));
  }

  private environmentOf(stage: AnyStage): TaskEnvironment {
    const { environment, turns, politeness } = this;
    if (stage.isBackground !== true) return { ...environment, turn: turns?.foreground };
    const clock = politeness?.backgroundClock() ?? environment.clock;
    return { ...environment, clock, turn: turns?.background };
  }

  private assign(stage: AnyStage): AssignmentListener {
    return async (partitions) => {
      const wanted = new Set(partitions);
      for (const [name, loop] of [...this.loops]) {
        if (loop.stage !== stage || wanted.has(loop.partition)) continue;
        this.loops.delete(name);
        await loop.stop();
      }
      for (const partition of partitions) {
        const name = taskName({ stage: stage.name, partition });
        if (this.loops.has(name)) continue;
        const confirmed = async (): Promise<void> => (await this.memberships.get(stage))?.confirmed();
        const loop = new TaskLoop({ stage, partition, confirmed }, this.environmentOf(stage), this.options);
        this.loops.set(name, loop);
        if (this.paused) void loop.pause();
        loop.start();
      }
    };
  }
}

/** Group whose members share the partitions of a stage. */
export function groupOf(topology: Topology, stage: AnyStage): string {
  return `${topology.name}.${stage.name}`;
}
