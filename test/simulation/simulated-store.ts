/**
 * The state store as one simulated process sees it, and the server behind it that can fall back to the past.
 *
 * The server remembers itself after every write. With outbox delivery it falls back alone, whole or one task only (a
 * shard of a cluster), while workers keep running: acknowledged commits are lost, the log keeps what was sent. With
 * atomic delivery log and store are one environment: it falls back with the log, and every process dies with it.
 */
import type { LogCheckpoint, MemoryLog } from '../../streams/memory/memory-log.js';
import { MemoryStore } from '../../streams/memory/memory-store.js';
import type { StoreCheckpoint } from '../../streams/memory/memory-store.js';
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
} from '../../streams/state/state-store.js';
import { taskName } from '../../streams/state/state-store.js';
import type { Random } from '../../streams/random.js';
import type { CallOptions, Process } from './process.js';

/** States of the past that a fall-back can choose from. */
const HISTORY_MAX = 64;

interface Past {
  readonly store: StoreCheckpoint;
  readonly log: LogCheckpoint | undefined;
}

/** The server: one for all processes. Mutations of the simulation's own tests override its methods. */
export class StoreServer {
  readonly memory: MemoryStore;
  private readonly history: Past[] = [];

  constructor(
    readonly delivery: 'atomic' | 'outbox',
    private readonly log: MemoryLog,
  ) {
    this.memory = new MemoryStore(delivery === 'atomic' ? { delivery, log } : { delivery });
    this.remember();
  }

  acquire(task: TaskId, owner: string): TaskHead {
    return this.writing(() => this.memory.acquireNow(task, owner));
  }

  commit(task: TaskId, commit: Commit): CommitOutcome {
    return this.writing(() => this.memory.commitNow(task, commit));
  }

  trimOutbox(task: TaskId, owner: string, commitId: string): void {
    this.writing(() => this.memory.trimOutboxNow(task, owner, commitId));
  }

  /** Falls back to any remembered state, more often to a young one. With `only`, that task alone. */
  fallBack(random: Random, only?: TaskId): void {
    const back = Math.floor(this.history.length * random.float() ** 2);
    const past = this.history[this.history.length - 1 - back]!;
    if (past.log !== undefined) this.log.rollback(past.log);
    this.memory.rollback(only === undefined ? past.store : mixed(this.memory.checkpoint(), past.store, only));
    this.history.length -= back;
  }

  private writing<T>(write: () => T): T {
    const result = write();
    this.remember();
    return result;
  }

  remember(): void {
    const log = this.delivery === 'atomic' ? this.log.checkpoint() : undefined;
    this.history.push({ store: this.memory.checkpoint(), log });
    if (this.history.length > HISTORY_MAX) this.history.shift();
  }
}

/** The present with one task as it was. */
function mixed(present: StoreCheckpoint, past: StoreCheckpoint, only: TaskId): StoreCheckpoint {
  const tasks = new Map(present.tasks);
  const name = taskName(only);
  const earlier = past.tasks.get(name);
  if (earlier === undefined) tasks.delete(name);
  else tasks.set(name, earlier);
  return { tasks, documents: present.documents };
}

export class SimulatedStore implements StateStore {
  readonly delivery: 'atomic' | 'outbox';

  constructor(
    private readonly server: StoreServer,
    private readonly process: Process,
    private readonly onAcquire: (task: TaskId) => void = () => undefined,
  ) {
    this.delivery = server.delivery;
  }

  private ask<T>(effect: () => T, options: CallOptions = {}): Promise<T> {
    return this.process.call(effect, { ...options, server: 'store' });
  }

  acquire(task: TaskId, owner: string): Promise<TaskHead> {
    this.onAcquire(task);
    return this.ask(() => this.server.acquire(task, owner), { mayBeLate: true });
  }

  head(task: TaskId): Promise<TaskHead | undefined> {
    return this.ask(() => this.server.memory.headNow(task));
  }

  prefetch(task: TaskId, request: PrefetchRequest): Promise<Prefetched> {
    return this.ask(() => this.server.memory.prefetchNow(task, request));
  }

  commit(task: TaskId, commit: Commit): Promise<CommitOutcome> {
    return this.ask(() => this.server.commit(task, commit), { mayBeLate: true });
  }

  outbox(task: TaskId): Promise<readonly OutboxEntry[]> {
    return this.ask(() => outboxOf(this.server.memory, task));
  }

  trimOutbox(task: TaskId, owner: string, commitId: string): Promise<void> {
    return this.ask(() => this.server.trimOutbox(task, owner, commitId), { mayBeLate: true });
  }

  get(task: TaskId, key: string): Promise<Buffer | undefined> {
    return this.ask(() => {
      const row = this.server.memory.prefetchNow(task, { keys: [key], timersBefore: -Infinity, timersMax: 0 }).rows[0];
      return row;
    });
  }

  async *scan(task: TaskId, range?: ScanRange): AsyncIterable<readonly [key: string, value: Buffer]> {
    yield* await this.ask(() => this.server.memory.rowsNow(task, range));
  }

  async *scanTimers(task: TaskId): AsyncIterable<TimerEntry> {
    yield* await this.ask(() => this.server.memory.timersNow(task));
  }

  tasks(): Promise<readonly TaskId[]> {
    return this.server.memory.tasks();
  }

  readDocument(name: string): Promise<string | undefined> {
    return this.ask(() => undefined).then(() => this.server.memory.readDocument(name));
  }

  writeDocument(name: string, text: string): Promise<void> {
    return this.ask(() => undefined).then(() => this.server.memory.writeDocument(name, text));
  }

  replaceDocument(name: string, expected: string | undefined, text: string): Promise<boolean> {
    return this.ask(() => undefined).then(() => this.server.memory.replaceDocument(name, expected, text));
  }

  restore(task: TaskId, content: TaskContent): Promise<void> {
    return this.server.memory.restore(task, content);
  }

  drop(task: TaskId): Promise<void> {
    return this.server.memory.drop(task);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The memory store offers its outbox as a promise only; a checkpoint shows it at this very instant. */
export function outboxOf(memory: MemoryStore, task: TaskId): readonly OutboxEntry[] {
  return memory.checkpoint().tasks.get(taskName(task))?.outbox ?? [];
}
