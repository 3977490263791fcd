/**
 * StateStore on LMDB, in the environment of the log: rows, timers, head and outputs move in one write.
 *
 * Heads are kept in memory, so fencing is decided without a read. A commit resolves when it can be read, before it is
 * in the data file: a crash takes rows, offset and outputs back together, and what was acknowledged is in the journal.
 */
import { BinaryReader } from '../../schemas/binary-reader.js';
import { BinaryWriter } from '../../schemas/binary-writer.js';
import { invariant } from '../../schemas/errors.js';
import { SlabMemory } from '../slab-memory.js';
import { settled } from '../memory/memory-log.js';
import { compareTasks, copyHead, isApplied, taskFenced } from '../memory/memory-store.js';
import type {
  Commit,
  CommitOutcome,
  OutboxEntry,
  Prefetched,
  PrefetchRequest,
  ScanRange,
  StateStore,
  TaskContent,
  TaskHead,
  TaskId,
  TimerEntry,
} from '../state/state-store.js';
import { taskName } from '../state/state-store.js';
import type { Environment } from './environment.js';
import type { LmdbLog } from './lmdb-log.js';
import { sizeOfOutputs } from './lmdb-log.js';
import {
  documentKey,
  headKey,
  requireRowKey,
  rowKey,
  rowKeyText,
  ROWS_END,
  taskOf,
  timerBound,
  timerKey,
  timerOf,
} from './state-keys.js';
import type { MemoryTable } from './memory-table.js';
import type { Table } from './table.js';

interface OwnedHead {
  readonly owner: string;
  readonly head: TaskHead;
}

interface Task {
  readonly id: TaskId;
  readonly table: MemoryTable;
  /** undefined before the first acquire and after a drop. */
  current: OwnedHead | undefined;
  /** No timer lies before this: spares the search for due timers that are not there. */
  timersFrom: number;
}

/** Key, tree and page overhead of a row, roughly. */
const ROW_OVERHEAD_BYTES = 64;
/** Rows of a restore written in one transaction. */
const RESTORE_ROWS = 2_000;
const NO_META = new Uint8Array(0);
const TIMER_VALUE = Buffer.from([1]);

export class LmdbStore implements StateStore {
  readonly delivery = 'atomic';
  private readonly heads: MemoryTable;
  private readonly documents: Table;
  private readonly tasksByName = new Map<string, Task>();
  /** Of rows that are read for a moment. */
  private readonly passing = new SlabMemory();

  constructor(
    private readonly environment: Environment,
    private readonly log: LmdbLog,
  ) {
    [this.heads, this.documents] = environment.openMemoryTables(['heads', 'documents']) as [MemoryTable, MemoryTable];
    const stored = [...this.heads.range({})].map(({ key, value }) => ({ id: taskOf(key), head: decodeHead(value) }));
    const tables = environment.openMemoryTables(stored.map(({ id }) => tableName(id)));
    stored.forEach(({ id, head }, i) => this.addTask(id, tables[i]!, head));
  }

  async acquire(id: TaskId, owner: string): Promise<TaskHead> {
    invariant(owner !== '', `Task ${taskName(id)} was acquired with an empty owner token`);
    const task = this.taskOrNew(id);
    return this.environment.write(() => {
      // A restore that was cut short leaves rows without a head.
      if (task.current === undefined) task.table.clear();
      const head = task.current?.head ?? { commitId: '', offset: 0, meta: NO_META };
      this.putHead(task, { owner, head });
      return copyHead(head);
    });
  }

  head(id: TaskId): Promise<TaskHead | undefined> {
    const stored = this.tasksByName.get(taskName(id))?.current;
    return Promise.resolve(stored === undefined ? undefined : copyHead(stored.head));
  }

  prefetch(id: TaskId, request: PrefetchRequest): Promise<Prefetched> {
    return settled(() => {
      const task = this.tasksByName.get(taskName(id));
      const { memory = this.passing } = request;
      const row = (key: string): Buffer | undefined => task?.table.get(rowKey(key), memory);
      const timers = task === undefined ? [] : dueTimers(task, request);
      const commitId = task?.current?.head.commitId ?? '';
      return { commitId, rows: request.keys.map(row), timers, timerRows: timers.map(({ key }) => row(key)) };
    });
  }

  async commit(id: TaskId, commit: Commit): Promise<CommitOutcome> {
    const task = this.tasksByName.get(taskName(id));
    if (task === undefined) throw taskFenced(id, 'it was never acquired, or was dropped');
    for (const outputs of commit.outputs) this.log.requireStageable(outputs);
    for (const [key] of commit.puts) requireRowKey(key);
    // Everything that can be refused was, before the first change.
    const stage = (): CommitOutcome => {
      if (isApplied(id, task.current, commit)) return 'already-applied';
      for (const [key, value] of commit.puts) task.table.putCopy(rowKey(key), value);
      for (const key of commit.deletes) task.table.remove(rowKey(key));
      for (const timer of commit.timersRemoved) task.table.remove(timerKey(timer));
      for (const timer of commit.timersAdded) {
        task.table.put(timerKey(timer), TIMER_VALUE);
        task.timersFrom = Math.min(task.timersFrom, timer.time);
      }
      for (const outputs of commit.outputs) this.log.stageOutputs(outputs);
      const head = copyHead({ commitId: commit.next, offset: commit.offset, meta: commit.meta });
      this.putHead(task, { owner: commit.owner, head });
      return 'committed';
    };
    return this.environment.write(stage, sizeOfCommit(commit), 'stored');
  }

  /** Outputs are in the log already. */
  outbox(): Promise<readonly OutboxEntry[]> {
    return Promise.resolve([]);
  }

  async trimOutbox(id: TaskId, owner: string): Promise<void> {
    const task = this.tasksByName.get(taskName(id));
    if (task?.current?.owner !== owner) throw taskFenced(id, 'another owner acquired it');
    return Promise.resolve();
  }

  get(id: TaskId, key: string): Promise<Buffer | undefined> {
    return settled(() => this.tasksByName.get(taskName(id))?.table.get(rowKey(key), this.passing));
  }

  async *scan(id: TaskId, range: ScanRange = {}): AsyncGenerator<readonly [key: string, value: Buffer]> {
    const task = this.tasksByName.get(taskName(id));
    if (task?.current === undefined) return;
    const to = range.to === undefined ? ROWS_END : rowKey(range.to);
    const bounds = { from: rowKey(range.from ?? ''), to };
    const limited = range.limit === undefined ? bounds : { ...bounds, limit: range.limit };
    for (const { key, value } of task.table.range(limited)) yield await Promise.resolve([rowKeyText(key), value]);
  }

  async *scanTimers(id: TaskId): AsyncGenerator<TimerEntry> {
    const task = this.tasksByName.get(taskName(id));
    if (task?.current === undefined) return;
    const bounds = { from: timerBound(-Infinity), to: timerBound(Infinity) };
    for (const { key } of task.table.range(bounds)) yield await Promise.resolve(timerOf(key));
  }

  tasks(): Promise<readonly TaskId[]> {
    const stored = [...this.tasksByName.values()].filter((task) => task.current !== undefined);
    return Promise.resolve(stored.map(({ id }) => id).sort(compareTasks));
  }

  readDocument(name: string): Promise<string | undefined> {
    return settled(() => this.documents.get(documentKey(name))?.toString());
  }

  async writeDocument(name: string, text: string): Promise<void> {
    const key = documentKey(name);
    await this.environment.write(() => this.documents.put(key, Buffer.from(text)), text.length);
  }

  async replaceDocument(name: string, expected: string | undefined, text: string): Promise<boolean> {
    const key = documentKey(name);
    const stage = (): boolean => {
      const found = this.documents.get(key)?.toString();
      if (found === expected) this.documents.put(key, Buffer.from(text));
      return found === expected || found === text;
    };
    return this.environment.write(stage, text.length);
  }

  /** In several transactions; the head comes last, and a task without a head has no content. */
  async restore(id: TaskId, content: TaskContent): Promise<void> {
    const task = this.taskOrNew(id);
    await this.drop(id);
    let entries: [key: Buffer, value: Uint8Array][] = [];
    const flush = async (): Promise<void> => {
      const batch = entries;
      entries = [];
      const bytes = batch.reduce((sum, [, value]) => sum + value.length + ROW_OVERHEAD_BYTES, 0);
      await this.environment.write(() => {
        for (const [key, value] of batch) task.table.put(key, value);
      }, bytes);
    };
    for await (const [key, value] of content.rows) {
      if (entries.push([rowKey(key), Buffer.from(value)]) >= RESTORE_ROWS) await flush();
    }
    for await (const timer of content.timers) {
      if (entries.push([timerKey(timer), TIMER_VALUE]) >= RESTORE_ROWS) await flush();
    }
    await flush();
    await this.environment.write(() => this.putHead(task, { owner: '', head: copyHead(content.head) }));
    task.timersFrom = -Infinity;
  }

  async drop(id: TaskId): Promise<void> {
    const task = this.tasksByName.get(taskName(id));
    if (task === undefined) return;
    await this.environment.write(() => {
      task.table.clear();
      this.heads.remove(headKey(id));
      task.current = undefined;
    });
  }

  /** The environment is closed by whoever opened it. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  private putHead(task: Task, owned: OwnedHead): void {
    this.heads.putCopy(headKey(task.id), encodeHead(owned));
    task.current = owned;
  }

  private taskOrNew({ stage, partition }: TaskId): Task {
    const id = { stage, partition };
    const known = this.tasksByName.get(taskName(id));
    if (known !== undefined) return known;
    const [table] = this.environment.openMemoryTables([tableName(id)]) as [MemoryTable];
    return this.addTask(id, table, undefined);
  }

  private addTask(id: TaskId, table: MemoryTable, head: OwnedHead | undefined): Task {
    const task = { id, table, current: head, timersFrom: -Infinity };
    this.tasksByName.set(taskName(id), task);
    return task;
  }
}

function dueTimers(task: Task, request: PrefetchRequest): TimerEntry[] {
  const { timersFrom = -Infinity, timersBefore, timersMax } = request;
  if (timersBefore <= Math.max(task.timersFrom, timersFrom) || timersMax <= 0) return [];
  const bounds = { from: timerBound(timersFrom), to: timerBound(timersBefore), limit: timersMax };
  const timers = [...task.table.range(bounds)].map(({ key }) => timerOf(key));
  if (timersFrom > task.timersFrom) return timers;
  task.timersFrom = timers[0]?.time ?? nextTimer(task, timersBefore);
  return timers;
}

/** Time of the first timer that is not before `time`: until then there is nothing to look for. */
function nextTimer({ table }: Task, time: number): number {
  const bounds = { from: timerBound(time), to: timerBound(Infinity), limit: 1 };
  for (const { key } of table.range(bounds)) return timerOf(key).time;
  return Infinity;
}

function sizeOfCommit(commit: Commit): number {
  let bytes = commit.meta.length + ROW_OVERHEAD_BYTES;
  for (const [key, value] of commit.puts) bytes += key.length + value.length + ROW_OVERHEAD_BYTES;
  for (const outputs of commit.outputs) bytes += sizeOfOutputs(outputs);
  return bytes + (commit.deletes.length + commit.timersAdded.length + commit.timersRemoved.length) * ROW_OVERHEAD_BYTES;
}

function tableName(id: TaskId): string {
  return `task:${taskName(id)}`;
}

const writer = new BinaryWriter();

function encodeHead({ owner, head }: OwnedHead): Buffer {
  writer.openScratch();
  writer.writeString(owner);
  writer.writeString(head.commitId);
  writer.writeLong(head.offset);
  writer.writeBytes(head.meta);
  return writer.takeScratch();
}

function decodeHead(bytes: Buffer): OwnedHead {
  const reader = new BinaryReader();
  reader.open(bytes, 0);
  const owner = reader.readString();
  const head = { commitId: reader.readString(), offset: reader.readLong(), meta: reader.readBytes() };
  reader.close();
  return { owner, head };
}
