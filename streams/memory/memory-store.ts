/**
 * StateStore in memory: for tests, the topology test driver, and as the base of the simulation.
 *
 * Every operation has a synchronous core (`commitNow`, `prefetchNow`, …) that the promises wrap. With delivery
 * `atomic` the outputs are appended to the MemoryLog in the same synchronous step as the state moves; with `outbox`
 * they are kept with the state. `checkpoint` and `rollback` take the whole store back to an earlier commit, as a
 * failover that loses its last second does: a checkpoint shares the tasks' maps, and the first commit after it copies
 * what it changes.
 */
import { EngineError, invariant } from '../../schemas/errors.js';
import type {
  Commit,
  CommitOutcome,
  OutboxEntry,
  OutputBatch,
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
import { compareKeys, compareTimers, lowerBound } from './key-order.js';
import { settled } from './memory-log.js';
import type { MemoryLog } from './memory-log.js';

export type MemoryStoreOptions =
  { readonly delivery: 'outbox' } | { readonly delivery: 'atomic'; readonly log: MemoryLog };

interface Task {
  readonly id: TaskId;
  owner: string;
  head: TaskHead;
  rows: Map<string, Buffer>;
  /** Sorted by compareTimers. */
  timers: TimerEntry[];
  outbox: readonly OutboxEntry[];
}

/** Opaque; valid for the store that made it, any number of times. */
export interface StoreCheckpoint {
  readonly tasks: ReadonlyMap<string, Task>;
  readonly documents: ReadonlyMap<string, string>;
}

export class MemoryStore implements StateStore {
  readonly delivery: 'atomic' | 'outbox';
  private readonly log: MemoryLog | undefined;
  private tasksByName = new Map<string, Task>();
  private documents = new Map<string, string>();
  /** Tasks whose maps a checkpoint shares. */
  private shared = new Set<Task>();

  constructor(options: MemoryStoreOptions) {
    this.delivery = options.delivery;
    this.log = options.delivery === 'atomic' ? options.log : undefined;
  }

  acquireNow(id: TaskId, owner: string): TaskHead {
    invariant(owner !== '', `Task ${taskName(id)} was acquired with an empty owner token`);
    const task = this.writable(id) ?? this.addTask(id);
    task.owner = owner;
    return copyHead(task.head);
  }

  headNow(id: TaskId): TaskHead | undefined {
    const task = this.tasksByName.get(taskName(id));
    return task === undefined ? undefined : copyHead(task.head);
  }

  prefetchNow(id: TaskId, request: PrefetchRequest): Prefetched {
    const task = this.tasksByName.get(taskName(id));
    const row = (key: string): Buffer | undefined => copyRow(task?.rows.get(key));
    const before = { time: request.timersBefore, operator: '', key: '' };
    const due = lowerBound(task?.timers ?? [], before, compareTimers);
    const timers = task?.timers.slice(0, Math.min(due, request.timersMax)) ?? [];
    const commitId = task?.head.commitId ?? '';
    return { commitId, rows: request.keys.map(row), timers, timerRows: timers.map(({ key }) => row(key)) };
  }

  commitNow(id: TaskId, commit: Commit): CommitOutcome {
    if (isApplied(id, this.tasksByName.get(taskName(id)), commit)) return 'already-applied';
    if (this.log !== undefined) {
      for (const { topic, records } of commit.outputs) this.log.requireAppendable(topic, records);
    }
    const task = this.writable(id)!;
    for (const [key, value] of commit.puts) task.rows.set(key, Buffer.from(value));
    for (const key of commit.deletes) task.rows.delete(key);
    for (const timer of commit.timersRemoved) removeTimer(task.timers, timer);
    for (const timer of commit.timersAdded) addTimer(task.timers, timer);
    task.head = copyHead({ commitId: commit.next, offset: commit.offset, meta: commit.meta });
    const outputs = commit.outputs.filter(({ records }) => records.length > 0);
    if (this.log !== undefined) {
      for (const { topic, records } of outputs) this.log.appendNow(topic, records);
    } else if (outputs.length > 0) {
      task.outbox = [...task.outbox, { commitId: commit.next, outputs: outputs.map(copyOutputs) }];
    }
    return 'committed';
  }

  trimOutboxNow(id: TaskId, owner: string, commitId: string): void {
    const task = this.writable(id);
    if (task?.owner !== owner) throw taskFenced(id, 'another owner acquired it');
    task.outbox = task.outbox.slice(1 + task.outbox.findIndex((entry) => entry.commitId === commitId));
  }

  rowsNow(id: TaskId, range: ScanRange = {}): (readonly [key: string, value: Buffer])[] {
    const { from, to, limit } = range;
    const rows = [...(this.tasksByName.get(taskName(id))?.rows ?? [])]
      .filter(([key]) => from === undefined || compareKeys(key, from) >= 0)
      .filter(([key]) => to === undefined || compareKeys(key, to) < 0)
      .sort(([left], [right]) => compareKeys(left, right));
    return rows.slice(0, limit ?? rows.length).map(([key, value]) => [key, Buffer.from(value)]);
  }

  timersNow(id: TaskId): TimerEntry[] {
    return [...(this.tasksByName.get(taskName(id))?.timers ?? [])];
  }

  /** Remembers the store as it is; costs one step a task now, and one copy of a task that changes later. */
  checkpoint(): StoreCheckpoint {
    const tasks = new Map(this.tasksByName);
    for (const task of tasks.values()) this.shared.add(task);
    return { tasks, documents: new Map(this.documents) };
  }

  /** Goes back to a checkpoint: heads, owners, rows, timers, outboxes and documents. The log is not touched. */
  rollback(checkpoint: StoreCheckpoint): void {
    this.tasksByName = new Map(checkpoint.tasks);
    this.documents = new Map(checkpoint.documents);
    this.shared = new Set(checkpoint.tasks.values());
  }

  private addTask(id: TaskId): Task {
    const head = { commitId: '', offset: 0, meta: new Uint8Array(0) };
    const { stage, partition } = id;
    const task = { id: { stage, partition }, owner: '', head, rows: new Map(), timers: [], outbox: [] };
    this.tasksByName.set(taskName(id), task);
    return task;
  }

  /** The task, copied first when a checkpoint shares it. */
  private writable(id: TaskId): Task | undefined {
    const task = this.tasksByName.get(taskName(id));
    if (task === undefined || !this.shared.has(task)) return task;
    const copy = { ...task, rows: new Map(task.rows), timers: [...task.timers] };
    this.tasksByName.set(taskName(id), copy);
    this.shared.delete(task);
    return copy;
  }

  acquire(task: TaskId, owner: string): Promise<TaskHead> {
    return settled(() => this.acquireNow(task, owner));
  }

  head(task: TaskId): Promise<TaskHead | undefined> {
    return settled(() => this.headNow(task));
  }

  prefetch(task: TaskId, request: PrefetchRequest): Promise<Prefetched> {
    return settled(() => this.prefetchNow(task, request));
  }

  commit(task: TaskId, commit: Commit): Promise<CommitOutcome> {
    return settled(() => this.commitNow(task, commit));
  }

  outbox(task: TaskId): Promise<readonly OutboxEntry[]> {
    return settled(() => this.tasksByName.get(taskName(task))?.outbox ?? []);
  }

  trimOutbox(task: TaskId, owner: string, commitId: string): Promise<void> {
    return settled(() => this.trimOutboxNow(task, owner, commitId));
  }

  get(task: TaskId, key: string): Promise<Buffer | undefined> {
    return settled(() => copyRow(this.tasksByName.get(taskName(task))?.rows.get(key)));
  }

  scan(task: TaskId, range?: ScanRange): AsyncIterable<readonly [key: string, value: Buffer]> {
    return iterate(this.rowsNow(task, range));
  }

  scanTimers(task: TaskId): AsyncIterable<TimerEntry> {
    return iterate(this.timersNow(task));
  }

  tasks(): Promise<readonly TaskId[]> {
    return settled(() => [...this.tasksByName.values()].map(({ id }) => id).sort(compareTasks));
  }

  readDocument(name: string): Promise<string | undefined> {
    return settled(() => this.documents.get(name));
  }

  writeDocument(name: string, text: string): Promise<void> {
    return settled(() => void this.documents.set(name, text));
  }

  replaceDocument(name: string, expected: string | undefined, text: string): Promise<boolean> {
    return settled(() => {
      const found = this.documents.get(name);
      if (found === expected) this.documents.set(name, text);
      return found === expected || found === text;
    });
  }

  async restore(id: TaskId, content: TaskContent): Promise<void> {
    const rows = new Map<string, Buffer>();
    for await (const [key, value] of content.rows) rows.set(key, Buffer.from(value));
    const timers: TimerEntry[] = [];
    for await (const timer of content.timers) addTimer(timers, timer);
    const task = this.addTask(id);
    task.rows = rows;
    task.timers = timers;
    task.head = copyHead(content.head);
  }

  drop(task: TaskId): Promise<void> {
    return settled(() => void this.tasksByName.delete(taskName(task)));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The fencing rule of the port: true when the commit was applied before; throws TASK_FENCED when it must not be. */
export function isApplied(
  id: TaskId,
  task: { readonly owner: string; readonly head: TaskHead } | undefined,
  commit: Commit,
): boolean {
  invariant(commit.next !== '' && commit.next !== commit.previous, `Task ${taskName(id)}: a commit needs a new id`);
  if (task === undefined) throw taskFenced(id, 'it was never acquired, or was dropped');
  if (task.head.commitId === commit.next) return true;
  if (task.owner !== commit.owner || task.owner === '') throw taskFenced(id, 'another owner acquired it');
  if (task.head.commitId !== commit.previous) {
    throw taskFenced(id, `its last commit is '${task.head.commitId}', not '${commit.previous}'`);
  }
  return false;
}

export function taskFenced(id: TaskId, reason: string): EngineError {
  return new EngineError('TASK_FENCED', `Task ${taskName(id)} is fenced: ${reason}; drop its cache and stop.`, {
    context: { task: taskName(id) },
  });
}

export function compareTasks(left: TaskId, right: TaskId): number {
  return compareKeys(left.stage, right.stage) || left.partition - right.partition;
}

export function copyHead(head: TaskHead): TaskHead {
  return { commitId: head.commitId, offset: head.offset, meta: Uint8Array.from(head.meta) };
}

/** The caller may reuse its buffers once the commit returned. */
function copyOutputs({ topic, records }: OutputBatch): OutputBatch {
  return { topic, records: records.map((record) => ({ ...record, value: Buffer.from(record.value) })) };
}

function copyRow(value: Buffer | undefined): Buffer | undefined {
  return value === undefined ? undefined : Buffer.from(value);
}

function addTimer(timers: TimerEntry[], timer: TimerEntry): void {
  const { time, operator, key } = timer;
  const place = lowerBound(timers, timer, compareTimers);
  const present = timers[place];
  if (present === undefined || compareTimers(present, timer) !== 0) timers.splice(place, 0, { time, operator, key });
}

function removeTimer(timers: TimerEntry[], timer: TimerEntry): void {
  const place = lowerBound(timers, timer, compareTimers);
  const present = timers[place];
  if (present !== undefined && compareTimers(present, timer) === 0) timers.splice(place, 1);
}

async function* iterate<T>(elements: readonly T[]): AsyncGenerator<T> {
  for (const element of elements) yield await Promise.resolve(element);
}
