/**
 * A task's work between two commits: reads a batch, loads what it needs, runs the operators, and holds what is to be
 * committed: rows, timers, outputs, bookkeeping.
 *
 * A batch is read and decoded in chunks, because records die young then; what a commit writes does not depend on how
 * it was chunked. Nothing of a batch is stored before the commit, so the store is asked for the same commit throughout;
 * rows that an earlier chunk changed are in the cache, timers that it set or fired are in the queue.
 */
import { EngineError, invariant } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';
import type { EventLog } from '../log/event-log.js';
import type { StateStore, TaskHead, TaskId, TimerEntry } from '../state/state-store.js';
import { taskName } from '../state/state-store.js';
import { BatchOutputs } from './batch-outputs.js';
import { CellLayout } from './cell-layout.js';
import { InputReader } from './input-reader.js';
import type { InputBatch, InputEntry } from './input-reader.js';
import { OperatorChain, PARTITION_KEY } from './operator-chain.js';
import { Row } from './row.js';
import { RowCache } from './row-cache.js';
import type { Slices } from '../slices.js';
import { TaskFaults } from './task-faults.js';
import type { FaultPlace } from './task-faults.js';
import { TaskMeta } from './task-meta.js';
import type { TaskOptions, TaskStatistics } from './task-options.js';
import { TimerQueue } from './timer-queue.js';
import type { AnyStage } from './topology.js';

/** Rows and timers that a record seldom changes more of. */
const KEYS_OF_A_RECORD = 16;
export interface TaskBatchParts {
  readonly id: TaskId;
  readonly stage: AnyStage;
  readonly log: EventLog;
  readonly store: StateStore;
  readonly clock: Clock;
  /** Of those who work in turns, or of the task alone. */
  readonly slices: Slices;
  readonly options: TaskOptions;
  readonly statistics: TaskStatistics;
}

/** Which timers a chunk may rely on. */
interface TimerPlan {
  /** More are due than were loaded: the batch must not reach beyond `horizon`. */
  readonly isCut: boolean;
  readonly firstTime: number;
  /** All timers with time < horizon are loaded. */
  readonly horizon: number;
}

/** Where a chunk or a batch stopped. */
export interface BatchEnd {
  readonly offset: number;
  readonly records: number;
}

/** A batch, and whether it took all there was. */
export interface WholeBatch extends BatchEnd {
  readonly isAtEnd: boolean;
}

export class TaskBatch {
  /** As the records processed so far leave it. */
  meta = new TaskMeta();
  readonly cache: RowCache;
  readonly timers = new TimerQueue();
  readonly outputs: BatchOutputs;
  readonly chain: OperatorChain;
  readonly faults: TaskFaults;
  /** Rows to be stored. */
  readonly touched: Row[] = [];
  private readonly layout: CellLayout;
  private readonly input: InputReader;
  private readonly hasPartitionCells: boolean;
  /** What names its outputs. */
  readonly source: string;

  constructor(private readonly parts: TaskBatchParts) {
    const { id, stage, log, options, statistics } = parts;
    this.layout = new CellLayout(stage.operators);
    this.hasPartitionCells = stage.operators.some(({ scope }) => scope === 'partition');
    this.cache = new RowCache(options.cacheBytesMax);
    this.source = `${log.identity}/${stage.input}/${id.partition}`;
    const topics = stage.deadLetters === undefined ? stage.outputs : [...stage.outputs, stage.deadLetters];
    this.outputs = new BatchOutputs(topics, this.source, id.partition, log);
    this.chain = new OperatorChain(this.layout, this.timers, this.outputs, this.touched, id.partition);
    this.faults = new TaskFaults(stage, id, statistics, (...output) => this.chain.emitFromRuntime(...output));
    this.input = new InputReader(stage, id.partition, log);
  }

  /** Forgets everything that is not in the store. */
  reset(head: TaskHead): void {
    this.meta = TaskMeta.decode(head.meta);
    this.cache.clear();
  }

  /**
   * Runs the batch that follows a commit; undefined at the end of the input. Throws RetryBatch when a record failed:
   * the batch must be reset and run again, and will absorb it.
   */
  async run(head: TaskHead, recordsMax: number): Promise<WholeBatch | undefined> {
    const { options, clock, slices } = this.parts;
    const startedMs = clock.monotonic();
    this.outputs.begin(head.offset, this.meta.cuts);
    this.touched.length = 0;
    this.timers.begin();
    let offset = head.offset;
    let records = 0;
    let isAtEnd: boolean;
    for (let bytesLeft = options.batchBytesMax; ;) {
      const limits = { recordsMax: Math.min(options.chunkRecordsMax, recordsMax - records), bytesMax: bytesLeft };
      // Before the read: what was read must not grow old while others have their turn.
      await slices.begin(clock);
      const chunk = await this.input.read(offset, limits, this.faults.records);
      const isFirst = records === 0;
      if (chunk.nextOffset === offset) {
        if (isFirst) return undefined;
        isAtEnd = true;
        break;
      }
      const plan = await this.prefetch(chunk, head.commitId);
      if (isFirst) this.chain.begin(this.cache.get(PARTITION_KEY), this.meta.emitted, offset);
      const end = await this.process(chunk, plan, isFirst);
      offset = end.offset;
      records += end.records;
      bytesLeft -= chunk.bytes;
      const wasCut = offset !== chunk.nextOffset || this.isFull;
      // A chunk that is not full has met the end of the log, unless the log says otherwise.
      isAtEnd = !wasCut && !chunk.hasMore && chunk.entries.length < limits.recordsMax;
      const isLong = records >= recordsMax || bytesLeft <= 0 || clock.monotonic() - startedMs >= options.batchMsMax;
      if (wasCut || isAtEnd || isLong) break;
    }
    this.meta.emitted = this.chain.emitted(offset);
    this.meta.cuts = offset === head.offset ? this.meta.cuts + 1 : 0;
    return { offset, records, isAtEnd };
  }

  /** One more record must still fit. */
  private get isFull(): boolean {
    const { options, store } = this.parts;
    if (this.outputs.bytes > options.outputBytesMax) return true;
    const { commitKeysMax = Infinity } = store;
    return this.touched.length + this.timers.changes > commitKeysMax - KEYS_OF_A_RECORD;
  }

  /** Loads what the chunk needs in one round trip: rows of its keys, timers that its event times make due. */
  private async prefetch(chunk: InputBatch, commitId: string): Promise<TimerPlan> {
    const { id, store, options } = this.parts;
    const keys = this.missingKeys(chunk);
    const { timersMax } = options;
    const timersFrom = this.timers.horizon;
    const timersBefore = Math.max(this.meta.streamTime, chunk.highestTime, timersFrom);
    const { memory } = this.cache;
    const found = await store.prefetch(id, { keys, timersFrom, timersBefore, timersMax, memory });
    // Rows of a newer commit must not mix with this cache: the store may fall back and then accept a commit on ours.
    if (found.commitId !== commitId) throw lost(id);
    keys.forEach((key, i) => this.cache.add(new Row(this.layout, key, found.rows[i])));
    for (const entry of chunk.entries) entry.row ??= this.cache.get(entry.key);
    found.timers.forEach(({ key }, i) => {
      const stored = found.timerRows[i];
      if (this.cache.get(key) === undefined) this.cache.add(new Row(this.layout, key, stored));
      else if (stored !== undefined) memory.release(stored);
    });
    const last = found.timers.length === timersMax ? found.timers[timersMax - 1] : undefined;
    const horizon = last?.time ?? timersBefore;
    this.timers.extend(found.timers, horizon, last);
    return { isCut: last !== undefined, firstTime: found.timers[0]?.time ?? Infinity, horizon };
  }

  /** Keys of the chunk without a row in the cache; the others' rows are put into the entries. */
  private missingKeys(chunk: InputBatch): string[] {
    const wanted = new Set<string>();
    if (this.hasPartitionCells && this.cache.get(PARTITION_KEY) === undefined) wanted.add(PARTITION_KEY);
    for (const entry of chunk.entries) {
      entry.row = this.cache.get(entry.key);
      if (entry.row === undefined) wanted.add(entry.key);
    }
    return [...wanted];
  }

  private async process(chunk: InputBatch, plan: TimerPlan, isFirst: boolean): Promise<BatchEnd> {
    const { entries } = chunk;
    const { slices, clock } = this.parts;
    await slices.begin(clock);
    const end = (offset: number, records: number): BatchEnd => {
      slices.end(clock);
      return { offset, records };
    };
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      const time = this.timeToReach(entry);
      if (plan.isCut && time > plan.horizon && !this.isRepeat(entry)) {
        if (i === 0 && isFirst) this.fireLoaded(plan, entry.offset);
        return end(entry.offset, i);
      }
      this.processEntry(entry, time);
      if (this.isFull && i + 1 < entries.length) return end(entries[i + 1]!.offset, i + 1);
      if (slices.isOver(clock)) await slices.next(clock);
    }
    return end(chunk.nextOffset, entries.length);
  }

  /** The stream time that the entry brings. Ticks count only from the owner named last in the input itself. */
  private timeToReach(entry: InputEntry): number {
    const { streamTime, tickOwner } = this.meta;
    if (entry.runtime?.type === 'tick' && entry.runtime.owner !== tickOwner) return streamTime;
    return Math.max(streamTime, entry.time);
  }

  /** A repeat is as if it were not there: nothing may fire on its account. */
  private isRepeat({ origin, key }: InputEntry): boolean {
    return origin !== undefined && this.meta.hasSeen(origin, key);
  }

  private processEntry(entry: InputEntry, time: number): void {
    if (entry.origin !== undefined && !this.meta.admit(entry.origin, entry.key)) {
      this.parts.statistics.repeatsDropped++;
      return;
    }
    this.fireBefore(time, entry.offset);
    this.meta.streamTime = time;
    if (entry.fault !== undefined) this.faults.absorb(entry.fault, this.placeOf(entry));
    else if (entry.runtime === undefined) this.processRecord(entry);
    else if (entry.runtime.type === 'owner') this.meta.tickOwner = entry.runtime.owner;
  }

  private processRecord(entry: InputEntry): void {
    const { streamTime } = this.meta;
    const isLate = streamTime - entry.time > this.parts.stage.allowedLatenessMs;
    if (isLate && !this.mayProcessLate(entry)) return;
    this.chain.streamTime = streamTime;
    try {
      this.chain.process(entry.record, entry.row!, entry.time, entry.offset);
    } catch (error) {
      this.faults.noteRecord(entry.offset, error);
      throw new RetryBatch();
    }
  }

  private mayProcessLate(entry: InputEntry): boolean {
    const { stage, statistics } = this.parts;
    statistics.late++;
    if (stage.latePolicy === 'dead-letter') {
      const lateness = this.meta.streamTime - entry.time;
      const message = `Event time ${entry.time} lies ${lateness} ms behind; ${stage.allowedLatenessMs} ms are allowed.`;
      this.faults.deadLetter({ code: 'EVENT_TIME_INVALID', message, operator: undefined }, this.placeOf(entry));
    }
    return stage.latePolicy === 'process';
  }

  private placeOf({ offset, key, value }: InputEntry): FaultPlace {
    return { offset, key, value, streamTime: this.meta.streamTime };
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
      this.meta.streamTime = Math.max(this.meta.streamTime, timer.time);
      const ordinal = this.layout.ordinalOfName(timer.operator);
      // Timers of an operator that left the topology go when they would have fired.
      if (ordinal !== undefined) this.fireTimer(timer, ordinal, offset);
    }
  }

  private fireTimer(timer: TimerEntry, ordinal: number, offset: number): void {
    const { streamTime } = this.meta;
    const fault = this.faults.ofTimer(timer, offset);
    if (fault !== undefined) {
      this.faults.absorb(fault, { offset, key: timer.key, value: undefined, streamTime });
      return;
    }
    this.parts.statistics.timersFired++;
    this.chain.streamTime = streamTime;
    const row = this.cache.get(timer.key);
    invariant(row !== undefined, 'the row of a due timer was not loaded', { key: timer.key });
    try {
      this.chain.fire(ordinal, row, timer.time, offset);
    } catch (error) {
      this.faults.noteTimer(timer, offset, error);
      throw new RetryBatch();
    }
  }
}

/** Control flow inside a task: the batch has to be run again from the last commit. */
export class RetryBatch extends Error {}

export function lost(id: TaskId): EngineError {
  return new EngineError(
    'TASK_FENCED',
    `The store does not hold the last commit of task ${taskName(id)}; acquire it again.`,
  );
}
