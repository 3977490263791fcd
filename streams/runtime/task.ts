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
import type { Commit, StateStore, TaskHead, TaskId, TimerEntry } from '../state/state-store.js';
import { taskName } from '../state/state-store.js';
import { BatchOutputs } from './batch-outputs.js';
import { deadLetterBytes, faultOf } from './fault.js';
import type { Fault } from './fault.js';
import { InputReader } from './input-reader.js';
import type { InputBatch, InputEntry } from './input-reader.js';
import { OperatorChain, PARTITION_KEY } from './operator-chain.js';
import { CellLayout } from './cell-layout.js';
import { Row } from './row.js';
import { RowCache } from './row-cache.js';
import { TaskMeta } from './task-meta.js';
import { TimerQueue } from './timer-queue.js';
import type { AnyStage } from './topology.js';

export interface TaskOptions {
  /** Most records a batch takes. */
  readonly batchRecordsMax: number;
  /** A batch ends after the record that passes this many input bytes. */
  readonly batchBytesMax: number;
  /** A batch ends after the record that passes this many output bytes. */
  readonly outputBytesMax: number;
  /** Most timers loaded for a batch; when more are due the batch is cut. */
  readonly timersMax: number;
  /** Approximate memory of the row cache. */
  readonly cacheBytesMax: number;
  /** Other work of the process gets a turn after this long; Infinity never yields. */
  readonly sliceMs: number;
}

export const DEFAULT_TASK_OPTIONS: TaskOptions = {
  batchRecordsMax: 2_000,
  batchBytesMax: 4 << 20,
  outputBytesMax: 8 << 20,
  timersMax: 10_000,
  cacheBytesMax: 64 << 20,
  sliceMs: 5,
};

export interface TaskEnvironment {
  readonly log: EventLog;
  readonly store: StateStore;
  readonly clock: Clock;
  readonly random: Random;
}

/** Counted since the task was opened. */
export interface TaskStatistics {
  records: number;
  timersFired: number;
  commits: number;
  outputs: number;
  outputBytes: number;
  repeatsDropped: number;
  late: number;
  deadLetters: number;
  faultsIgnored: number;
}

/** Tries of one commit attempt whose reply did not come; the attempt keeps its id, so it is applied once. */
const COMMIT_TRIES_MAX = 5;
/** Not the record's fault: our bugs, and an older build over newer state, which would turn every record away. */
const NEVER_ABSORBED = ['INVARIANT_VIOLATED', 'TOPOLOGY_INVALID', 'STATE_VERSION_UNKNOWN'] as const;
/** Records between two looks at the clock. */
const SLICE_CHECK_RECORDS = 32;
type TaskStatus = 'new' | 'ready' | 'fenced' | 'failed' | 'closed';

/** Which timers the batch holds. */
interface TimerPlan {
  /** More are due than were loaded: the batch must not reach beyond `horizon`. */
  readonly isCut: boolean;
  readonly firstTime: number;
  /** All timers with time < horizon are loaded. */
  readonly horizon: number;
}

/** Where a batch stopped. */
interface BatchEnd {
  readonly offset: number;
  readonly records: number;
}

export class Task {
  readonly id: TaskId;
  readonly owner: string;
  readonly statistics: TaskStatistics = {
    records: 0,
    timersFired: 0,
    commits: 0,
    outputs: 0,
    outputBytes: 0,
    repeatsDropped: 0,
    late: 0,
    deadLetters: 0,
    faultsIgnored: 0,
  };
  private status: TaskStatus = 'new';
  private head: TaskHead = { commitId: '', offset: 0, meta: new Uint8Array(0) };
  private meta = new TaskMeta();
  /** The meta as the running batch leaves it. */
  private nextMeta = new TaskMeta();
  private readonly layout: CellLayout;
  private readonly cache: RowCache;
  private readonly timers = new TimerQueue();
  private readonly outputs: BatchOutputs;
  private readonly touched = new Set<Row>();
  private readonly chain: OperatorChain;
  private readonly input: InputReader;
  /** The outbox may hold outputs of an earlier commit or owner; they go before anything new is read. */
  private mayHaveUnsent = true;
  /** Records and timers that failed once: the batch is run again without them. */
  private readonly recordFaults = new Map<number, Fault>();
  private readonly timerFaults = new Map<string, Fault>();

  constructor(
    private readonly stage: AnyStage,
    partition: number,
    private readonly environment: TaskEnvironment,
    private readonly options: TaskOptions = DEFAULT_TASK_OPTIONS,
  ) {
    this.id = { stage: stage.name, partition };
    this.owner = environment.random.hex(16);
    this.layout = new CellLayout(stage.operators);
    this.cache = new RowCache(options.cacheBytesMax);
    const source = `${environment.log.identity}/${stage.input}/${partition}`;
    const topics = stage.deadLetters === undefined ? stage.outputs : [...stage.outputs, stage.deadLetters];
    this.outputs = new BatchOutputs(topics, source, partition);
    this.chain = new OperatorChain(this.layout, this.timers, this.outputs, (row) => this.touched.add(row), partition);
    this.input = new InputReader(stage, partition, environment.log);
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
    return this.meta.streamTime;
  }

  /** Whose ticks the input itself says are valid. */
  get tickOwner(): string {
    return this.meta.tickOwner;
  }

  get cachedRows(): number {
    return this.cache.size;
  }

  /**
   * Processes and commits one batch. Returns the number of input records consumed plus timers fired; 0 at the end of
   * the input. After an error that is not final the task may be stepped again: it goes on from the last commit.
   */
  async step(recordsMax: number = this.options.batchRecordsMax): Promise<number> {
    invariant(this.status === 'ready', `a task that is ${this.status} was stepped`, { task: taskName(this.id) });
    try {
      if (this.mayHaveUnsent) await this.sendOutbox();
      return await this.runBatch(recordsMax);
    } catch (error) {
      this.cache.clear();
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
    this.cache.clear();
    throw this.lost();
  }

  private lost(): EngineError {
    return new EngineError(
      'TASK_FENCED',
      `The store does not hold the last commit of task ${taskName(this.id)}; acquire it again.`,
    );
  }

  close(): void {
    this.status = 'closed';
    this.cache.clear();
  }

  private adopt(head: TaskHead): void {
    this.head = head;
    this.meta = TaskMeta.decode(head.meta);
    this.mayHaveUnsent = true;
    this.cache.clear();
  }

  private async reload(): Promise<void> {
    const head = await this.environment.store.head(this.id);
    if (head !== undefined) return this.adopt(head);
    // The store fell back to before this task existed: whoever acquires it next starts from there.
    this.status = 'fenced';
    throw new EngineError('TASK_FENCED', `The store has lost task ${taskName(this.id)}; it must be acquired again.`);
  }

  private async runBatch(recordsMax: number): Promise<number> {
    const limits = { recordsMax, bytesMax: this.options.batchBytesMax };
    for (;;) {
      this.nextMeta = this.meta.clone();
      const batch = await this.input.read(this.head.offset, limits, this.recordFaults);
      if (batch.nextOffset === this.head.offset) return 0;
      try {
        return await this.processAndCommit(batch);
      } catch (error) {
        if (!(error instanceof RetryBatch)) throw error;
        // A record failed half-way: start again from the last commit, this time knowing it.
        this.cache.clear();
      }
    }
  }

  private async processAndCommit(batch: InputBatch): Promise<number> {
    const plan = await this.prefetch(batch);
    const firedBefore = this.statistics.timersFired;
    this.outputs.reset();
    this.touched.clear();
    this.chain.begin(this.cache.get(PARTITION_KEY), this.meta.emitted, this.head.offset);
    const end = await this.process(batch, plan);
    this.nextMeta.emitted = this.chain.emitted(end.offset);
    await this.commit(end.offset);
    this.statistics.records += end.records;
    this.recordFaults.clear();
    this.timerFaults.clear();
    this.cache.turn();
    return end.records + this.statistics.timersFired - firedBefore;
  }

  /** Loads what the batch needs in one round trip: rows of its keys, timers that its event times make due. */
  private async prefetch(batch: InputBatch): Promise<TimerPlan> {
    const wanted = new Set<string>();
    const hasPartitionCells = this.stage.operators.some((operator) => operator.scope === 'partition');
    if (hasPartitionCells && this.cache.get(PARTITION_KEY) === undefined) wanted.add(PARTITION_KEY);
    for (const { key } of batch.entries) if (this.cache.get(key) === undefined) wanted.add(key);
    const keys = [...wanted];
    const { timersMax } = this.options;
    const timersBefore = Math.max(this.meta.streamTime, batch.highestTime);
    const found = await this.environment.store.prefetch(this.id, { keys, timersBefore, timersMax });
    // Rows of a newer commit must not mix with this cache: the store may fall back and then accept a commit on ours.
    if (found.commitId !== this.head.commitId) throw this.lost();
    keys.forEach((key, i) => this.cache.add(new Row(this.layout, key, found.rows[i])));
    found.timers.forEach((timer, i) => {
      if (this.cache.get(timer.key) === undefined) this.cache.add(new Row(this.layout, timer.key, found.timerRows[i]));
    });
    const last = found.timers.length === timersMax ? found.timers[timersMax - 1] : undefined;
    const plan: TimerPlan = {
      isCut: last !== undefined,
      firstTime: found.timers[0]?.time ?? Infinity,
      horizon: last?.time ?? timersBefore,
    };
    this.timers.begin(found.timers, plan.horizon, last);
    return plan;
  }

  private async process(batch: InputBatch, plan: TimerPlan): Promise<BatchEnd> {
    const { clock } = this.environment;
    const { entries } = batch;
    let sliceStart = clock.monotonic();
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      const time = this.timeToReach(entry);
      if (plan.isCut && time > plan.horizon && !this.isRepeat(entry)) {
        if (i === 0) this.fireLoaded(plan, entry.offset);
        return { offset: entry.offset, records: i };
      }
      this.processEntry(entry, time);
      const isFull = this.outputs.bytes > this.options.outputBytesMax;
      if (isFull && i + 1 < entries.length) return { offset: entries[i + 1]!.offset, records: i + 1 };
      if (i % SLICE_CHECK_RECORDS === 0 && clock.monotonic() - sliceStart > this.options.sliceMs) {
        await clock.nextTurn();
        sliceStart = clock.monotonic();
      }
    }
    return { offset: batch.nextOffset, records: entries.length };
  }

  /** The stream time that the entry brings. Ticks count only from the owner named last in the input itself. */
  private timeToReach(entry: InputEntry): number {
    const { streamTime, tickOwner } = this.nextMeta;
    if (entry.runtime?.type === 'tick' && entry.runtime.owner !== tickOwner) return streamTime;
    return Math.max(streamTime, entry.time);
  }

  /** A repeat is as if it were not there: nothing may fire on its account. */
  private isRepeat({ origin }: InputEntry): boolean {
    return origin !== undefined && this.nextMeta.hasSeen(origin);
  }

  private processEntry(entry: InputEntry, time: number): void {
    if (entry.origin !== undefined && !this.nextMeta.admit(entry.origin)) {
      this.statistics.repeatsDropped++;
      return;
    }
    this.fireBefore(time, entry.offset);
    this.nextMeta.streamTime = time;
    if (entry.fault !== undefined) this.absorb(entry.fault, entry.offset, entry.key, entry.value);
    else if (entry.runtime === undefined) this.processRecord(entry);
    else if (entry.runtime.type === 'owner') this.nextMeta.tickOwner = entry.runtime.owner;
  }

  private processRecord(entry: InputEntry): void {
    const { stage } = this;
    const lateness = this.nextMeta.streamTime - entry.time;
    if (lateness > stage.allowedLatenessMs) {
      this.statistics.late++;
      if (stage.latePolicy === 'drop') return;
      if (stage.latePolicy === 'dead-letter') {
        const message = `Event time ${entry.time} lies ${lateness} ms behind; ${stage.allowedLatenessMs} ms are allowed.`;
        const fault: Fault = { code: 'EVENT_TIME_INVALID', message, operator: undefined };
        this.deadLetter(fault, entry.offset, entry.key, entry.value);
        return;
      }
    }
    this.chain.streamTime = this.nextMeta.streamTime;
    try {
      this.chain.process(entry.record, this.cache.get(entry.key)!, entry.time, entry.offset);
    } catch (error) {
      this.recordFaults.set(entry.offset, this.requireAbsorbable(error));
      throw new RetryBatch();
    }
  }

  /**
   * More timers are due than one batch takes, and all before the first record: fires loaded ones without reaching
   * the record. Those at the horizon itself wait, unless all are there: others of that time may not be loaded.
   */
  private fireLoaded(plan: TimerPlan, offset: number): void {
    this.fireBefore(plan.firstTime < plan.horizon ? plan.horizon : plan.horizon + 1, offset);
  }

  /** Fires timers with time < `time`; stream time follows each, so operators see the same however batches are cut. */
  private fireBefore(time: number, offset: number): void {
    for (;;) {
      const timer = this.timers.next(time);
      if (timer === undefined) return;
      this.nextMeta.streamTime = Math.max(this.nextMeta.streamTime, timer.time);
      const ordinal = this.layout.ordinalOfName(timer.operator);
      // Timers of an operator that left the topology go when they would have fired.
      if (ordinal !== undefined) this.fireTimer(timer, ordinal, offset);
    }
  }

  private fireTimer(timer: TimerEntry, ordinal: number, offset: number): void {
    const fault = this.timerFaults.size === 0 ? undefined : this.timerFaults.get(faultIdOf(timer, offset));
    if (fault !== undefined) {
      this.absorb(fault, offset, timer.key, undefined);
      return;
    }
    this.statistics.timersFired++;
    this.chain.streamTime = this.nextMeta.streamTime;
    const row = this.cache.get(timer.key);
    invariant(row !== undefined, 'the row of a due timer was not loaded', { key: timer.key });
    try {
      this.chain.fire(ordinal, row, timer.time, offset);
    } catch (error) {
      this.timerFaults.set(faultIdOf(timer, offset), this.requireAbsorbable(error));
      throw new RetryBatch();
    }
  }

  /** The fault as the policy may treat it; rethrows what must stop the task. */
  private requireAbsorbable(error: unknown): Fault {
    const mustStop = this.stage.faultPolicy === 'fail' || isEngineError(error, ...NEVER_ABSORBED);
    if (!mustStop) return faultOf(error);
    if (isEngineError(error) && !error.retriable) throw error;
    throw new EngineError('TASK_FAILED', `Task ${taskName(this.id)} stopped: ${String(error)}`, { cause: error });
  }

  private absorb(fault: Fault, offset: number, key: string, value: Buffer | undefined): void {
    switch (this.stage.faultPolicy) {
      case 'fail':
        throw new EngineError(
          'TASK_FAILED',
          `Task ${taskName(this.id)} cannot process the record at offset ${offset}: ${fault.message} Its fault policy is 'fail'.`,
          { context: { offset, key, code: fault.code } },
        );
      case 'continue':
        this.statistics.faultsIgnored++;
        return;
      case 'dead-letter':
        this.deadLetter(fault, offset, key, value);
    }
  }

  private deadLetter(fault: Fault, offset: number, key: string, value: Buffer | undefined): void {
    this.statistics.deadLetters++;
    const place = { topic: this.stage.input, partition: this.id.partition, offset, key };
    const bytes = deadLetterBytes(fault, place, value, this.nextMeta.streamTime);
    this.chain.emitFromRuntime(this.stage.deadLetters!, key, bytes, offset);
  }

  private async commit(offset: number): Promise<void> {
    const puts: [string, Uint8Array][] = [];
    const deletes: string[] = [];
    for (const row of this.touched) {
      this.chain.publishNow(row);
      const encoded = row.encode();
      if (encoded === undefined) deletes.push(row.key);
      else puts.push([row.key, encoded]);
    }
    const commit: Commit = {
      owner: this.owner,
      previous: this.head.commitId,
      next: this.environment.random.hex(16),
      offset,
      meta: this.nextMeta.encode(),
      puts,
      deletes,
      timersAdded: this.timers.additions,
      timersRemoved: this.timers.removals,
      outputs: this.outputs.batches(),
    };
    this.mayHaveUnsent = true;
    await this.commitOnce(commit);
    this.head = { commitId: commit.next, offset, meta: commit.meta };
    this.meta = this.nextMeta;
    this.statistics.commits++;
    this.statistics.outputs += this.outputs.eventCount;
    this.statistics.outputBytes += this.outputs.bytes;
    await this.sendOutbox();
    for (const { topic, hints } of this.outputs.hintBatches()) this.environment.log.sendHints(topic, hints);
  }

  /** The same attempt again while its outcome is unknown: the store answers 'already-applied' if it had worked. */
  private async commitOnce(commit: Commit): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.environment.store.commit(this.id, commit);
        return;
      } catch (error) {
        if (isEngineError(error) || tries === COMMIT_TRIES_MAX) throw error;
      }
    }
  }

  /** Sends committed outputs in order, one send in flight; stops at the first failure. */
  private async sendOutbox(): Promise<void> {
    const { log, store } = this.environment;
    for (const entry of store.delivery === 'atomic' ? [] : await store.outbox(this.id)) {
      for (const { topic, records } of entry.outputs) await log.append(topic, records);
      await store.trimOutbox(this.id, this.owner, entry.sequence);
    }
    this.mayHaveUnsent = false;
  }
}

/** With the offset: a late record may set the same timer again, and then it may well succeed. */
function faultIdOf({ time, operator, key }: TimerEntry, offset: number): string {
  return `${offset}/${time}/${operator}/${key}`;
}

/** Control flow inside a task: the batch has to be run again from the last commit. */
class RetryBatch extends Error {}
