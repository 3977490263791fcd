/**
 * The loop around one partition's task: steps while there is input, then waits for an append.
 *
 *   acquiring ──> running ──stop──> stopped
 *       ^            │ └─ a final fault ──> failed      (the worker stops)
 *       └ confirmed ─┘ fenced: the task is dropped
 *
 * A fenced task means that another owner went on (this process stood still and was replaced) or that the store fell
 * back. Which of the two it was, only the group knows: the loop acquires again once a heartbeat of its present
 * membership has succeeded, and not before; a process that was replaced hears of its loss instead, and is stopped.
 * Faults that may pass are retried with growing pauses.
 *
 * When a timer is due by the wall clock and the partition is idle, the loop appends a tick with its owner's token, so
 * that time moves the same way when the log is replayed.
 */
import { isEngineError } from '../../schemas/errors.js';
import type { Logger } from '../logger.js';
import { taskName } from '../state/state-store.js';
import { TableRepair } from './table-repair.js';
import { Task } from './task.js';
import type { TaskEnvironment } from './task.js';
import type { TaskOptions } from './task-options.js';
import type { AnyStage } from './topology.js';

export interface TaskLoopOptions {
  readonly task: TaskOptions;
  /** Idle partitions get ticks when a timer has been due for this long; undefined: none (import, replay). */
  readonly idleTickAfterMs: number | undefined;
  /** Least time between two looks of an idle task at its ownership and its timers, ms. */
  readonly lookMs: number;
  /** Time between two looks of an owner for old values in its tables, ms. */
  readonly repairMs: number;
  readonly onStopped: (error: unknown) => void;
  readonly logger: Logger;
}

export interface TaskPlace {
  readonly stage: AnyStage;
  readonly partition: number;
  /** As `Membership.confirmed`, of the group that assigned the partition. */
  readonly confirmed: () => Promise<void>;
}

/** Pause before a step is retried; doubled up to the maximum while it keeps failing. */
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 5_000;
/** A stage that lingers rests this many times as long as its batch took, … */
const REST_SHARE = 2;
/** … at most so many times the stage's own measure: a loop that is busy is spared batches, not made to wait for good. */
const LINGER_FACTOR_MAX = 5;
/** An idle loop wakes this often without news. */
export const IDLE_LOOK_MS = 250;

export class TaskLoop {
  failure: unknown;
  /** Replaced when it was fenced. */
  task: Task;
  private running: Promise<void> | undefined;
  private readonly stopping = new AbortController();
  private paused = false;
  private appended = false;
  private wake: (() => void) | undefined;
  private unsubscribe: (() => void) | undefined;
  private stepping: Promise<void> | undefined;
  private lookedMs = -Infinity;
  private readonly repairs: readonly TableRepair[];

  constructor(
    private readonly place: TaskPlace,
    private readonly environment: TaskEnvironment,
    private readonly options: TaskLoopOptions,
  ) {
    this.task = this.createTask();
    this.repairs = this.createRepairs();
  }

  get stage(): AnyStage {
    return this.place.stage;
  }

  get partition(): number {
    return this.place.partition;
  }

  start(): void {
    this.unsubscribe = this.environment.log.onAppend(this.stage.input, (partitions) => {
      if (partitions !== undefined && !partitions.has(this.partition)) return;
      this.appended = true;
      this.wake?.();
    });
    this.running = this.run();
    for (const repair of this.repairs) repair.open();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.unsubscribe?.();
    this.wake?.();
    await Promise.all(this.repairs.map((repair) => repair.close()));
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
    const { end } = await this.environment.log.bounds(this.stage.input, this.partition);
    return end - this.task.offset;
  }

  private createTask(): Task {
    return new Task(this.stage, this.partition, this.environment, this.options.task);
  }

  /** Only what is sent after the commit can be sent late. */
  private createRepairs(): TableRepair[] {
    const { log, store, clock } = this.environment;
    if (store.delivery === 'atomic') return [];
    const { logger, repairMs: lookMs } = this.options;
    const { partition } = this;
    const tables = this.stage.outputs.filter((topic) => log.topic(topic).class === 'table');
    return tables.map((topic) => new TableRepair({ log, clock, logger, topic, partition, lookMs }));
  }

  private get isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  private async run(): Promise<void> {
    let retryMs = RETRY_MS_MIN;
    let isOpen = false;
    while (!this.isStopping) {
      try {
        if (!isOpen) await this.task.open();
        isOpen = true;
        await this.stepOrWait();
        retryMs = RETRY_MS_MIN;
      } catch (error) {
        const isFenced = isEngineError(error, 'TASK_FENCED');
        if (!isFenced && isFinal(error)) {
          this.failure = error;
          this.options.logger.error('task stopped', { task: taskName(this.task.id), error });
          this.options.onStopped(error);
          return;
        }
        this.options.logger.warn('task will retry', { task: taskName(this.task.id), error, retryMs });
        await this.rest(retryMs);
        retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
        if (!isFenced) continue;
        await this.dropTask();
        isOpen = false;
      }
    }
  }

  /** Returns when the partition may be acquired again, or the loop is to stop. */
  private async dropTask(): Promise<void> {
    this.task.close();
    this.task = this.createTask();
    this.lookedMs = -Infinity;
    const stopped = new Promise<void>((resolve) => {
      if (this.isStopping) resolve();
      else this.stopping.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([this.place.confirmed(), stopped]);
  }

  private async rest(ms: number): Promise<void> {
    await this.environment.clock.sleep(ms, this.stopping.signal).catch(() => undefined);
  }

  private async stepOrWait(): Promise<void> {
    const { clock } = this.environment;
    this.appended = false;
    if (!this.paused) {
      const startedMs = clock.monotonic();
      const step = this.task.step();
      this.stepping = step.then(
        () => undefined,
        () => undefined,
      );
      const progress = await step.finally(() => {
        this.stepping = undefined;
      });
      if (this.task.hasMetEnd) clock.caughtUp?.();
      if (progress > 0) {
        if (this.task.hasMetEnd) await this.linger(clock.monotonic() - startedMs);
        return;
      }
      await this.maybeLookAround();
    }
    if (!this.appended || this.paused) await this.waitForInput();
    if (this.appended) await this.linger();
  }

  /** Lets input gather, where the stage wants that: the longer, the longer the last batch took. */
  private async linger(tookMs = 0): Promise<void> {
    const { lingerMs = 0 } = this.stage;
    const restMs = Math.min(LINGER_FACTOR_MAX * lingerMs, Math.max(lingerMs, REST_SHARE * tookMs));
    if (restMs > 0) await this.rest(restMs);
  }

  /** Returns at news, or after a while without any. */
  private async waitForInput(): Promise<void> {
    if (this.isStopping) return;
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
    if (idleTickAfterMs === undefined || this.appended || this.isStopping) return;
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
