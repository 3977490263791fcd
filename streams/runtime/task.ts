/**
 * A task: one partition of one stage, processed in micro-batches with exactly-once state.
 *
 *   open ──> ready ──step──> ready … ──close──> closed
 *              │  fenced by another owner ──> fenced     (final: the cache is gone, open a new task)
 *              └─ a fault its policy does not absorb ──> failed (final)
 *
 * A step: read a batch at the committed offset → decode, drop repeats by output identity → prefetch the rows of its
 * keys and every timer its highest event time makes due, in one round trip → for each record fire the timers due
 * before it, then run the operators → commit rows, timers, offset and outputs at once → (outbox stores) send.
 * Operators are synchronous and cannot see where batches are cut, so any cut gives the same state and output ids.
 *
 * Concurrency: one `step` at a time. The cache belongs to the last commitId; any doubt about the commit drops it.
 */
import { EngineError, invariant, isEngineError } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';
import type { EventLog } from '../log/event-log.js';
import type { Random } from '../random.js';
import { Slices } from '../slices.js';
import type { Commit, OutboxEntry, StateStore, TaskHead, TaskId, TimerEntry } from '../state/state-store.js';
import { taskName } from '../state/state-store.js';
import { lost, RetryBatch, TaskBatch } from './task-batch.js';
import type { WholeBatch } from './task-batch.js';
import { backgroundSliceMs, DEFAULT_TASK_OPTIONS, emptyStatistics } from './task-options.js';
import type { TaskOptions, TaskStatistics } from './task-options.js';
import type { AnyStage } from './topology.js';
import type { Turn } from './turn.js';

export interface TaskEnvironment {
  readonly log: EventLog;
  readonly store: StateStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Shared by tasks that are to work one after another; absent: side by side. */
  readonly turn?: Turn | undefined;
}

/** Tries of one commit attempt whose reply did not come; the attempt keeps its id, so it is applied once. */
const COMMIT_TRIES_MAX = 5;

type EncodedRows = Pick<Commit, 'puts' | 'deletes'>;

interface PreparedBatch {
  readonly end: WholeBatch;
  readonly rows: EncodedRows;
}

type TaskStatus = 'new' | 'ready' | 'fenced' | 'failed' | 'closed';

export class Task {
  readonly id: TaskId;
  readonly owner: string;
  readonly statistics: TaskStatistics = emptyStatistics();
  private status: TaskStatus = 'new';
  private head: TaskHead = { commitId: '', offset: 0, meta: new Uint8Array(0) };
  /** The outbox may hold outputs of an earlier commit or owner; they go before anything new is read. */
  private mayHaveUnsent = true;
  private readonly batch: TaskBatch;
  private readonly slices: Slices;
  private metEnd = false;

  constructor(
    stage: AnyStage,
    partition: number,
    private readonly environment: TaskEnvironment,
    private readonly options: TaskOptions = DEFAULT_TASK_OPTIONS,
  ) {
    this.id = { stage: stage.name, partition };
    this.owner = environment.random.hex(16);
    const sliceMs = stage.isBackground === true ? backgroundSliceMs(options) : options.sliceMs;
    const slices = environment.turn?.slices ?? new Slices(sliceMs);
    this.slices = slices;
    const { id, statistics } = this;
    this.batch = new TaskBatch({ ...environment, id, stage, options, statistics, slices });
  }

  /** Takes ownership of the partition; whoever had it is fenced from now on. */
  async open(): Promise<void> {
    invariant(this.status === 'new', 'a task is opened once', { task: taskName(this.id) });
    this.adopt(await this.environment.store.acquire(this.id, this.owner));
    this.status = 'ready';
  }

  /** Next input offset, as committed. */
  get offset(): number {
    return this.head.offset;
  }

  get streamTime(): number {
    return this.batch.meta.streamTime;
  }

  /** Whose ticks the input itself says are valid. */
  get tickOwner(): string {
    return this.batch.meta.tickOwner;
  }

  /** Whether the last batch took all the input there was. */
  get hasMetEnd(): boolean {
    return this.metEnd;
  }

  get cachedRows(): number {
    return this.batch.cache.size;
  }

  /**
   * Processes and commits one batch. Returns the number of input records consumed plus timers fired; 0 at the end of
   * the input. After an error that is not final the task may be stepped again: it goes on from the last commit.
   */
  async step(recordsMax: number = this.options.batchRecordsMax): Promise<number> {
    invariant(this.status === 'ready', `a task that is ${this.status} was stepped`, { task: taskName(this.id) });
    try {
      if (this.mayHaveUnsent) await this.sendOutbox();
      return await this.runAndCommit(recordsMax);
    } catch (error) {
      this.batch.reset(this.head);
      if (isEngineError(error, 'TASK_FENCED')) this.status = 'fenced';
      else if (isEngineError(error) && !error.retriable) this.status = 'failed';
      else await this.reload();
      throw error;
    }
  }

  /** The earliest timer still waiting; undefined when there is none. */
  async nextTimer(): Promise<TimerEntry | undefined> {
    const request = { keys: [], timersBefore: Infinity, timersMax: 1 };
    return (await this.environment.store.prefetch(this.id, request)).timers[0];
  }

  /**
   * For a task that is idle: throws TASK_FENCED (final) when the store no longer holds its last commit, because another
   * owner went on or the store fell back. One that commits finds out by that; without input nobody else would.
   */
  async requireCurrent(): Promise<void> {
    const head = await this.environment.store.head(this.id);
    if (head?.commitId === this.head.commitId) return;
    this.status = 'fenced';
    this.batch.reset(this.head);
    throw lost(this.id);
  }

  /** No step may be running. */
  close(): void {
    this.status = 'closed';
    this.batch.reset(this.head);
    this.environment.log.endSource?.(this.batch.source);
  }

  private adopt(head: TaskHead): void {
    this.head = head;
    this.mayHaveUnsent = true;
    this.batch.reset(head);
  }

  private async reload(): Promise<void> {
    const head = await this.environment.store.head(this.id);
    if (head !== undefined) return this.adopt(head);
    // The store fell back to before this task existed: whoever acquires it next starts from there.
    this.status = 'fenced';
    throw new EngineError('TASK_FENCED', `The store has lost task ${taskName(this.id)}; it must be acquired again.`);
  }

  private async runAndCommit(recordsMax: number): Promise<number> {
    const { statistics, batch } = this;
    const firedBefore = statistics.timersFired;
    const prepared = await this.prepare(recordsMax);
    this.metEnd = prepared?.end.isAtEnd ?? true;
    if (prepared === undefined) return 0;
    await this.commit(prepared);
    const { end } = prepared;
    statistics.records += end.records;
    batch.faults.clear();
    batch.cache.turn();
    return end.records + statistics.timersFired - firedBefore;
  }

  /** All that a batch does before it commits. */
  private prepare(recordsMax: number): Promise<PreparedBatch | undefined> {
    const { turn } = this.environment;
    const work = async (): Promise<PreparedBatch | undefined> => {
      const end = await this.runUntilAbsorbed(recordsMax);
      return end && { end, rows: await this.encodeRows() };
    };
    return turn === undefined ? work() : turn.take(work);
  }

  private async runUntilAbsorbed(recordsMax: number): Promise<WholeBatch | undefined> {
    for (;;) {
      try {
        return await this.batch.run(this.head, recordsMax);
      } catch (error) {
        if (!(error instanceof RetryBatch)) throw error;
        // A record failed half-way: start again from the last commit, this time knowing it.
        this.batch.reset(this.head);
      }
    }
  }

  private async commit({ end: { offset }, rows: { puts, deletes } }: PreparedBatch): Promise<void> {
    const { batch, statistics } = this;
    const commit: Commit = {
      owner: this.owner,
      previous: this.head.commitId,
      next: this.environment.random.hex(16),
      offset,
      meta: batch.meta.encode(),
      puts,
      deletes,
      timersAdded: batch.timers.additions,
      timersRemoved: batch.timers.removals,
      outputs: batch.outputs.batches(),
    };
    this.mayHaveUnsent = true;
    await this.commitOnce(commit);
    this.head = { commitId: commit.next, offset, meta: commit.meta };
    statistics.commits++;
    statistics.outputs += batch.outputs.eventCount;
    statistics.outputBytes += batch.outputs.bytes;
    // The state has moved, so its readers may know; they need not wait for what goes to other stages.
    for (const { topic, hints } of batch.outputs.hintBatches()) this.environment.log.sendHints(topic, hints);
    // The outbox was empty before this commit: what is in it now need not be read back.
    await this.sendOutbox([{ commitId: commit.next, outputs: commit.outputs }]);
  }

  private async encodeRows(): Promise<EncodedRows> {
    const { batch, slices } = this;
    const { clock } = this.environment;
    const puts: [string, Uint8Array][] = [];
    const deletes: string[] = [];
    await slices.begin(clock);
    for (const row of batch.touched) {
      batch.chain.publishNow(row);
      const encoded = row.encode(batch.cache.memory);
      if (encoded === undefined) deletes.push(row.key);
      else puts.push([row.key, encoded]);
      if (slices.isOver(clock)) await slices.next(clock);
    }
    slices.end(clock);
    return { puts, deletes };
  }

  /** The same attempt again while its outcome is unknown: the store answers 'already-applied' if it had worked. */
  private async commitOnce(commit: Commit): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.environment.store.commit(this.id, commit);
        return;
      } catch (error) {
        // The store may yet read the rows of this try.
        this.batch.cache.memory.forget();
        if (isEngineError(error) || tries === COMMIT_TRIES_MAX) throw error;
      }
    }
  }

  /** Sends committed outputs in order, one send in flight; stops at the first failure. `known`: all there is to send. */
  private async sendOutbox(known?: readonly OutboxEntry[]): Promise<void> {
    const { log, store } = this.environment;
    for (const { commitId, outputs } of store.delivery === 'atomic' ? [] : (known ?? (await store.outbox(this.id)))) {
      for (const { topic, records } of outputs) await log.append(topic, records);
      if (outputs.length > 0) await store.trimOutbox(this.id, this.owner, commitId);
    }
    this.mayHaveUnsent = false;
  }
}
