/**
 * A stream worker: joins one group a stage and runs a task for every partition that is assigned to it.
 *
 * Each task has a loop of its own: step while there is input, then wait for an append. When a timer is due by the
 * wall clock and the partition is idle, the loop appends a tick with its owner's token, so that time moves the same
 * way when the log is replayed. Faults that may pass are retried with growing pauses; final ones stop the worker.
 */
import { isEngineError } from '../../schemas/errors.js';
import type { AssignmentListener, Membership } from '../log/event-log.js';
import type { Logger } from '../logger.js';
import { taskName } from '../state/state-store.js';
import { requireManifest } from './manifest.js';
import { Task } from './task.js';
import type { TaskEnvironment } from './task.js';
import { DEFAULT_TASK_OPTIONS } from './task-options.js';
import type { TaskOptions, TaskStatistics } from './task-options.js';
import type { AnyStage, Topology } from './topology.js';
import { Turn } from './turn.js';

export interface WorkerOptions {
  readonly task: TaskOptions;
  /** Idle partitions get ticks when a timer has been due for this long; undefined: none (import, replay). */
  readonly idleTickAfterMs: number | undefined;
  /** Least time between two looks of an idle task at its ownership and its timers, ms. */
  readonly lookMs: number;
  readonly onStopped: (error: unknown) => void;
  readonly logger: Logger;
}

/** Pause before a step is retried; doubled up to the maximum while it keeps failing. */
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 5_000;
/** An idle loop wakes this often without news. */
const IDLE_LOOK_MS = 250;

export class StreamWorker {
  private readonly loops = new Map<string, TaskLoop>();
  private readonly memberships: Membership[] = [];
  private readonly environment: TaskEnvironment;
  private readonly options: WorkerOptions;
  private paused = false;

  constructor(
    private readonly topology: Topology,
    environment: TaskEnvironment,
    options: Partial<WorkerOptions> & Pick<WorkerOptions, 'logger'>,
  ) {
    // Where the store is a server, tasks gain from waiting for it at the same time.
    this.environment = { ...environment, turn: environment.store.delivery === 'atomic' ? new Turn() : undefined };
    this.options = {
      task: DEFAULT_TASK_OPTIONS,
      idleTickAfterMs: 1_000,
      lookMs: IDLE_LOOK_MS,
      onStopped: () => undefined,
      ...options,
    };
  }

  /** Checks that log and state belong together, then joins the groups. Throws MANIFEST_MISMATCH. */
  async start(): Promise<void> {
    await requireManifest(this.topology, this.environment);
    for (const stage of this.topology.stages) {
      const group = `${this.topology.name}.${stage.name}`;
      this.memberships.push(await this.environment.log.join(group, stage.input, this.assign(stage)));
    }
  }

  /** Finishes running batches, gives the partitions back. Safe to call twice. */
  async stop(): Promise<void> {
    for (const membership of this.memberships.splice(0)) await membership.leave();
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
    let lag = 0;
    for (const loop of this.loops.values()) lag += await loop.lag();
    return lag;
  }

  /** Counters by task, such as `users/3`. */
  statistics(): ReadonlyMap<string, TaskStatistics> {
    return new Map([...this.loops].map(([name, loop]) => [name, loop.task.statistics]));
  }

  private assign(stage: AnyStage): AssignmentListener {
    return async (partitions) => {
      const wanted = new Set(partitions);
      for (const [name, loop] of [...this.loops]) {
        if (loop.stage !== stage || wanted.has(loop.task.id.partition)) continue;
        this.loops.delete(name);
        await loop.stop();
      }
      for (const partition of partitions) {
        const task = new Task(stage, partition, this.environment, this.options.task);
        const name = taskName(task.id);
        if (this.loops.has(name)) continue;
        const loop = new TaskLoop(stage, task, this.environment, this.options);
        this.loops.set(name, loop);
        if (this.paused) void loop.pause();
        loop.start();
      }
    };
  }
}

/** The loop around one task. */
class TaskLoop {
  failure: unknown;
  private running: Promise<void> | undefined;
  private stopping = false;
  private paused = false;
  private appended = false;
  private wake: (() => void) | undefined;
  private unsubscribe: (() => void) | undefined;
  private lookedMs = -Infinity;

  constructor(
    readonly stage: AnyStage,
    readonly task: Task,
    private readonly environment: TaskEnvironment,
    private readonly options: WorkerOptions,
  ) {}

  start(): void {
    this.unsubscribe = this.environment.log.onAppend(this.stage.input, (partitions) => {
      if (partitions !== undefined && !partitions.has(this.task.id.partition)) return;
      this.appended = true;
      this.wake?.();
    });
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.unsubscribe?.();
    this.wake?.();
    await this.running;
    this.task.close();
  }

  async pause(): Promise<void> {
    this.paused = true;
    while (this.stepping !== undefined) await this.stepping;
  }

  resume(): void {
    this.paused = false;
    this.wake?.();
  }

  async lag(): Promise<number> {
    const { end } = await this.environment.log.bounds(this.stage.input, this.task.id.partition);
    return end - this.task.offset;
  }

  private stepping: Promise<void> | undefined;

  private async run(): Promise<void> {
    let retryMs = RETRY_MS_MIN;
    let isOpen = false;
    while (!this.stopping) {
      try {
        if (!isOpen) await this.task.open();
        isOpen = true;
        await this.stepOrWait();
        retryMs = RETRY_MS_MIN;
      } catch (error) {
        if (isFinal(error)) {
          this.failure = error;
          this.options.logger.error('task stopped', { task: taskName(this.task.id), error });
          this.options.onStopped(error);
          return;
        }
        this.options.logger.warn('task will retry', { task: taskName(this.task.id), error, retryMs });
        await this.environment.clock.sleep(retryMs);
        retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
      }
    }
  }

  private async stepOrWait(): Promise<void> {
    this.appended = false;
    if (!this.paused) {
      const step = this.task.step();
      this.stepping = step.then(
        () => undefined,
        () => undefined,
      );
      const progress = await step.finally(() => {
        this.stepping = undefined;
      });
      if (progress > 0) return;
      await this.maybeLookAround();
    }
    if (!this.appended || this.paused) await this.waitForInput();
    const { lingerMs = 0 } = this.stage;
    if (this.appended && lingerMs > 0 && !this.stopping) await this.environment.clock.sleep(lingerMs);
  }

  /** Returns at news, or after a while without any. */
  private async waitForInput(): Promise<void> {
    if (this.stopping) return;
    const { clock } = this.environment;
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(IDLE_LOOK_MS, resolve);
      this.wake = () => {
        timer.cancel();
        resolve();
      };
    });
    this.wake = undefined;
  }

  /** What an idle task sees to now and then: that it is still the owner, and that time goes on. */
  private async maybeLookAround(): Promise<void> {
    const now = this.environment.clock.monotonic();
    if (now - this.lookedMs < this.options.lookMs) return;
    this.lookedMs = now;
    await this.task.requireCurrent();
    await this.tickWhenDue();
  }

  /** Moves event time on an idle partition by writing it into the input. */
  private async tickWhenDue(): Promise<void> {
    const { idleTickAfterMs } = this.options;
    if (idleTickAfterMs === undefined || this.appended || this.stopping) return;
    const now = this.environment.clock.now();
    const timer = await this.task.nextTimer();
    if (timer === undefined || timer.time > now - idleTickAfterMs) return;
    const { codec, input } = this.stage;
    const { owner, id } = this.task;
    const records = [];
    if (this.task.tickOwner !== owner) records.push(codec.encodeRuntimeRecord({ type: 'owner', owner }));
    records.push(codec.encodeRuntimeRecord({ type: 'tick', time: now, owner }));
    const key = '';
    await this.environment.log.append(
      input,
      records.map((value) => ({ key, value, partition: id.partition })),
    );
  }
}

/** Errors after which a task must not go on. Everything else may pass: full disks, unreachable servers. */
function isFinal(error: unknown): boolean {
  return isEngineError(error) && !error.retriable;
}
