/**
 * Bugs on purpose: each undoes one promise of the runtime, and the simulation must find it.
 *
 * Where the promise is kept by the store or the log, the port is wrapped; where it is kept inside the task, the method
 * is replaced while a run lasts. Nothing in the runtime knows of this.
 */
import { EngineError } from '../../schemas/errors.js';
import { TaskBatch } from '../../streams/runtime/task-batch.js';
import { Task } from '../../streams/runtime/task.js';
import type { Commit, CommitOutcome, StateStore, TaskHead, TaskId } from '../../streams/state/state-store.js';
import { taskName } from '../../streams/state/state-store.js';
import type { EventLog, OutgoingRecord } from '../../streams/log/event-log.js';
import { BlockLedger } from '../../streams/warehouse/block-ledger.js';
import { TableRepair } from '../../streams/runtime/table-repair.js';
import { TaskLoop } from '../../streams/runtime/task-loop.js';
import { ConnectionLost } from './process.js';
import type { Mutation } from './simulation.js';
import { SimulatedLog } from './simulated-log.js';
import { StoreServer } from './simulated-store.js';

/** Outputs named by a counter of commits and their place in the batch. */
class CounterIdentity extends StoreServer {
  private readonly counts = new Map([['', 0]]);

  override commit(task: TaskId, commit: Commit): CommitOutcome {
    const count = (this.counts.get(commit.previous) ?? 0) + 1;
    this.counts.set(commit.next, count);
    const places = new Map<string, number>();
    const outputs = commit.outputs.map(({ topic, records }) => ({
      topic,
      records: records.map((record) => {
        if (record.origin === undefined) return record;
        const index = places.get(record.origin.operator) ?? 0;
        places.set(record.origin.operator, index + 1);
        return { ...record, origin: { ...record.origin, offset: count, index } };
      }),
    }));
    return super.commit(task, { ...commit, outputs });
  }
}

/** Commits when the stored offset is the one the batch began at, whoever wrote it. */
class FenceByOffset extends StoreServer {
  private readonly offsets = new Map([['', 0]]);

  override commit(task: TaskId, commit: Commit): CommitOutcome {
    this.offsets.set(commit.next, commit.offset);
    const stored = this.memory.headNow(task);
    if (stored?.offset !== this.offsets.get(commit.previous)) return super.commit(task, commit);
    return super.commit(task, { ...commit, previous: stored?.commitId ?? '', owner: ownerOf(this, task) });
  }
}

/** Commits whatever the store fell back to, as long as the owner is the same: the cache is from before. */
class CacheOverRollback extends StoreServer {
  override commit(task: TaskId, commit: Commit): CommitOutcome {
    const stored = this.memory.headNow(task)?.commitId;
    if (stored === commit.next || stored === undefined) return super.commit(task, commit);
    return super.commit(task, { ...commit, previous: stored });
  }
}

/** Now and then half of the rows are written, and the connection breaks. */
class PartialCommit extends StoreServer {
  private commits = 0;

  override commit(task: TaskId, commit: Commit): CommitOutcome {
    const before = this.memory.headNow(task);
    if (this.commits++ % 10 !== 9 || before?.commitId !== commit.previous) return super.commit(task, commit);
    const puts = commit.puts.slice(0, Math.ceil(commit.puts.length / 2));
    const half = { ...commit, next: 'half', puts, deletes: [], timersAdded: [], timersRemoved: [], outputs: [] };
    this.memory.commitNow(task, half);
    this.memory.checkpoint().tasks.get(taskName(task))!.head = before;
    this.remember();
    throw this.failure();
  }

  protected failure(): Error {
    return new ConnectionLost('half-way');
  }
}

/** A script that meets the memory limit (OOM) half-way, and says that nothing was written. */
class FullScript extends PartialCommit {
  protected override failure(): Error {
    return new EngineError('STORAGE_FULL', 'Half of it is written.');
  }
}

/** A script that meets a key of a foreign type (WRONGTYPE) half-way; the worker is started again and goes on. */
class ForeignTypeScript extends PartialCommit {
  protected override failure(): Error {
    return new EngineError('STORE_UNAVAILABLE', 'WRONGTYPE: half of it is written.');
  }
}

function ownerOf(server: StoreServer, task: TaskId): string {
  return server.memory.checkpoint().tasks.get(taskName(task))?.owner ?? '';
}

/** A port with some methods replaced. */
function changed<T extends object>(port: T, changes: Partial<T>): T {
  return new Proxy(port, {
    get(target, name) {
      const own = (changes as Record<string | symbol, unknown>)[name];
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** The offset is committed first, then the state. */
function offsetFirst(store: StateStore): StateStore {
  return changed(store, {
    async commit(task, commit) {
      const nothing = { puts: [], deletes: [], timersAdded: [], timersRemoved: [], outputs: [] };
      const between = `${commit.next}-offset`;
      await store.commit(task, { ...commit, ...nothing, next: between });
      return store.commit(task, { ...commit, previous: between });
    },
  });
}

/** A new owner takes it that its predecessor has sent everything. */
function forgetfulOwner(store: StateStore): StateStore {
  return changed(store, {
    async acquire(task, owner) {
      const head = await store.acquire(task, owner);
      const last = (await store.outbox(task)).at(-1);
      if (last !== undefined) await store.trimOutbox(task, owner, last.commitId);
      return head;
    },
  });
}

/**
 * An idempotent producer that gives the sequence of a send whose fate is unknown to the next records for that partition: the
 * broker takes them for a repeat, and acknowledges what it does not store.
 */
function reusedSequence(log: EventLog): EventLog {
  const unknown = new Map<string, string>();
  const contentOf = (records: readonly OutgoingRecord[]): string =>
    records.map(({ value, origin }) => `${Buffer.from(value).toString('latin1')} ${JSON.stringify(origin)}`).join();
  return changed(log, {
    async append(topic: string, records: readonly OutgoingRecord[]) {
      const content = contentOf(records);
      const failed = unknown.get(topic);
      unknown.delete(topic);
      if (failed !== undefined && failed !== content) return records.map(() => ({ partition: 0, offset: 0 }));
      try {
        return await log.append(topic, records);
      } catch (error) {
        unknown.set(topic, content);
        throw error;
      }
    },
  });
}

/** A transactional producer that does not keep the last output ids beside its outputs. */
function forgottenIds(log: EventLog): EventLog {
  return changed(log, {
    append: (topic: string, records: readonly OutgoingRecord[]) =>
      log instanceof SimulatedLog ? log.appendAnyway(topic, records) : log.append(topic, records),
  });
}

/** A task that was fenced is acquired again at once: by a zombie as well as by its successor. */
const zombieAcquires = (): (() => void) =>
  replaceIn<{ place: { confirmed: () => Promise<void> } }>(TaskLoop.prototype, (original) => {
    const dropTask = original('dropTask');
    return {
      dropTask() {
        this.place = { ...this.place, confirmed: () => Promise.resolve() };
        return Reflect.apply(dropTask, this, []);
      },
    };
  });

/** Nobody looks for old values that landed behind newer ones. */
const unmendedTables = (): (() => void) =>
  replaceIn<object>(TableRepair.prototype, () => ({ look: () => Promise.resolve() }));

/** A block whose insert was cut off is inserted again whole, whatever is there of it. */
const sinkDoubles = (): (() => void) =>
  replaceIn<object>(BlockLedger.prototype, () => ({
    readStored: () => Promise.resolve({ keys: new Set<string>(), lastOffset: -1 }),
  }));

/** Who found what an interrupted block left within its first block believes that there is no more behind it. */
const sinkForgets = (): (() => void) =>
  replaceIn<object>(BlockLedger.prototype, (original) => {
    const readStored = original('readStored');
    return {
      async readStored(...args) {
        const stored = (await Reflect.apply(readStored, this, args)) as object;
        return { ...stored, lastOffset: -1 };
      },
    };
  });

/** The inside of a task, as mutations see it. */
interface TaskInside {
  id: TaskId;
  owner: string;
  environment: {
    log: { append(topic: string, records: unknown): Promise<unknown> };
    store: StateStore;
    clock: { sleep(ms: number): Promise<void> };
  };
  head: TaskHead;
  mayHaveUnsent: boolean;
}

/** The inside of the work between two commits. */
interface BatchInside {
  meta: { streamTime: number };
  deferred: { time: number; offset: number } | undefined;
  isDeferring: boolean;
  fireBefore(time: number, offset: number): void;
}

type Method<T> = (this: T, ...args: never[]) => unknown;
type Methods<T> = (original: (name: string) => Method<T>) => Record<string, Method<T>>;

/** Replaces methods of all tasks, or of all their batches, until the returned function is called. */
const replaceMethods = (methods: Methods<TaskInside>): (() => void) => replaceIn(Task.prototype, methods);
const replaceInBatches = (methods: Methods<BatchInside>): (() => void) => replaceIn(TaskBatch.prototype, methods);

function replaceIn<T>(owner: object, methods: Methods<T>): () => void {
  const prototype = owner as unknown as Record<string, Method<T>>;
  const replaced = methods((name) => prototype[name]!);
  const before = Object.keys(replaced).map((name) => [name, prototype[name]!] as const);
  for (const [name, method] of Object.entries(replaced)) prototype[name] = method;
  return () => {
    for (const [name, method] of before) prototype[name] = method;
  };
}

/** Sends are in flight side by side, and a failed one is tried again while later ones go on. */
const unorderedSends = (): (() => void) =>
  replaceMethods(() => ({
    async sendOutbox() {
      const { log, store, clock } = this.environment;
      if (store.delivery === 'atomic') return;
      const send = async (topic: string, records: unknown): Promise<void> => {
        for (let tries = 0; tries < 5; tries++) {
          try {
            await log.append(topic, records);
            return;
          } catch {
            await clock.sleep(40);
          }
        }
      };
      for (const entry of await store.outbox(this.id)) {
        for (const { topic, records } of entry.outputs) void send(topic, records);
        await store.trimOutbox(this.id, this.owner, entry.commitId);
      }
      this.mayHaveUnsent = false;
    },
  }));

/** Timers fire once the whole batch is through. */
const timersAtBatchEnd = (): (() => void) =>
  replaceInBatches((original) => {
    const [fireBefore, processEntry, process] = [original('fireBefore'), original('processEntry'), original('process')];
    return {
      fireBefore(this: BatchInside, ...args: [time: number, offset: number]) {
        if (this.isDeferring) this.deferred = { time: args[0], offset: args[1] };
        else Reflect.apply(fireBefore, this, args);
      },
      processEntry(this: BatchInside, ...args) {
        this.isDeferring = true;
        try {
          Reflect.apply(processEntry, this, args);
        } finally {
          this.isDeferring = false;
        }
      },
      async process(this: BatchInside, ...args) {
        const end = await (Reflect.apply(process, this, args) as Promise<unknown>);
        const { deferred } = this;
        this.deferred = undefined;
        if (deferred !== undefined) this.fireBefore(deferred.time, deferred.offset);
        return end;
      },
    };
  });

/** A tick counts whoever sent it. */
const anybodysTick = (): (() => void) =>
  replaceInBatches(() => ({
    timeToReach(this: BatchInside, entry: { time: number }) {
      return Math.max(this.meta.streamTime, entry.time);
    },
  }));

/** A commit without a reply counts as not applied: the batch is run again on what the store now holds. */
const lostReplyIsFailure = (): (() => void) =>
  replaceMethods(() => ({
    async commitOnce(this: TaskInside, commit: Commit) {
      await this.environment.store.commit(this.id, commit);
    },
    async reload(this: TaskInside) {
      const stored = await this.environment.store.head(this.id);
      if (stored !== undefined) this.head = { ...this.head, commitId: stored.commitId };
    },
  }));

export interface PlantedBug {
  readonly name: string;
  readonly mutation: Mutation;
  /** Seeds that were needed to find it when it was planted; a measure of how sharp the simulation is. */
  readonly foundAfter: number;
  /** What at least one violation must say: for bugs that would also be found by their looks, their harm. */
  readonly harm?: RegExp;
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'outputs are named by a counter instead of the input offset',
    mutation: { server: (...made) => new CounterIdentity(...made) },
    foundAfter: 1,
    harm: /lost or repeated/,
  },
  {
    name: 'commits are fenced by the offset only',
    mutation: { server: (...made) => new FenceByOffset(...made) },
    foundAfter: 47,
  },
  {
    name: 'the cache is kept when the store falls back',
    mutation: { server: (...made) => new CacheOverRollback(...made) },
    foundAfter: 3,
  },
  { name: 'the offset is committed before the state', mutation: { wrapStore: offsetFirst }, foundAfter: 3 },
  { name: "a predecessor's outbox is forgotten", mutation: { wrapStore: forgetfulOwner }, foundAfter: 1 },
  { name: 'outputs are sent late and out of order', mutation: { patch: unorderedSends }, foundAfter: 1 },
  { name: 'timers fire at the end of the batch', mutation: { patch: timersAtBatchEnd }, foundAfter: 1 },
  { name: 'ticks of a fenced owner are accepted', mutation: { patch: anybodysTick }, foundAfter: 10 },
  { name: 'a commit whose reply was lost is applied twice', mutation: { patch: lostReplyIsFailure }, foundAfter: 10 },
  {
    name: 'a commit is applied in part',
    mutation: { server: (...made) => new PartialCommit(...made) },
    foundAfter: 31,
  },
  {
    name: 'a script meets the memory limit half-way and its writes stay',
    mutation: { server: (...made) => new FullScript(...made) },
    foundAfter: 1,
  },
  {
    name: 'a script meets a foreign type half-way and its writes stay',
    mutation: { server: (...made) => new ForeignTypeScript(...made) },
    foundAfter: 1,
  },
  {
    name: 'a paused zombie acquires again without asking its group',
    mutation: { patch: zombieAcquires },
    foundAfter: 13,
    harm: /had not confirmed it/,
  },
  {
    name: 'the sequence of a failed send is used again for other records',
    mutation: { wrapLog: reusedSequence },
    foundAfter: 70,
    harm: /lost or repeated/,
  },
  {
    name: 'an exact topic forgets the last ids that were sent',
    mutation: { wrapLog: forgottenIds },
    foundAfter: 8,
    harm: /in the log twice/,
  },
  {
    name: 'compaction keeps an old value of a table',
    mutation: { patch: unmendedTables },
    foundAfter: 8,
    harm: /compaction keeps/,
  },
  {
    name: 'the sink doubles what a torn block had stored',
    mutation: { patch: sinkDoubles },
    foundAfter: 2,
    harm: /the warehouse has .* 2 times/,
  },
  {
    name: 'the sink doubles what a longer block had stored',
    mutation: { patch: sinkForgets },
    foundAfter: 335,
    harm: /the warehouse has .* 2 times/,
  },
];
