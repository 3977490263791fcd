/**
 * StateStore on Redis or Redis Cluster: each task in one slot, each commit one atomic step, outputs kept with the state.
 *
 * Reads go by pipelines that look at the head before and after: when both name the same commit, all between is of that
 * commit, and no script was needed. Acknowledged commits can be lost by a failover; then the whole task falls back to an
 * earlier commit, its offset with it, and fencing by commit ids sees to the rest.
 *
 * Errors of all methods: STORE_UNAVAILABLE (in vain for `unavailableMs`), STORE_REFUSED, STATE_CORRUPT (foreign types
 * under our keys), STORAGE_FULL.
 */
import { EngineError, invariant } from '../../schemas/errors.js';
import { compareTasks, copyHead, taskFenced } from '../memory/memory-store.js';
import type { Metrics } from '../metrics.js';
import type { Random } from '../random.js';
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
import { decodeTimer, encodeTimer, encodeTimerBound } from '../state/timer-bytes.js';
import { CommitWriter, DEFAULT_LIMITS } from './commit-writer.js';
import type { RowTtl, ScriptLimits } from './commit-writer.js';
import { unpackOutputs } from './outbox-codec.js';
import type { RedisClient } from './redis-client.js';
import type { RedisArgument, RedisCall } from './redis-nodes.js';
import { openView } from './scan-view.js';
import type { ViewContext } from './scan-view.js';
import { ACQUIRE, DUE_TIMERS, PUBLISH_HEAD, REGISTER, REPLACE_DOCUMENT, TRIM } from './scripts.js';
import { keysOfTask, metaKeys } from './task-keys.js';
import type { MetaKeys, TaskKeys } from './task-keys.js';

export interface RedisStoreOptions {
  readonly client: RedisClient;
  readonly namespace: string;
  readonly random: Random;
  readonly metrics?: Metrics | undefined;
  /** Collects the rubbish that event-time timers miss; at least twice the age at which they remove state. */
  readonly rowTtl?: RowTtl;
  readonly limits?: ScriptLimits;
}

/** Keys of one MGET, timers of one script: what keeps a single command far below a millisecond. */
const READ_KEYS = 250;
const READ_TIMERS = 250;
/** Reads that met another commit half-way before the task is taken for one that commits faster than it can be read. */
const READ_TRIES_MAX = 20;
/** Rows and timers written at once while a task is restored, keys removed at once when it is dropped. */
const RESTORE_KEYS = 250;

export class RedisStore implements StateStore {
  readonly delivery = 'outbox';
  readonly commitKeysMax: number;
  private readonly client: RedisClient;
  private readonly meta: MetaKeys;
  private readonly keysByTask = new Map<string, TaskKeys>();
  private readonly writer: CommitWriter;

  constructor(private readonly options: RedisStoreOptions) {
    const { client, namespace, limits = DEFAULT_LIMITS, rowTtl = () => undefined, metrics } = options;
    this.client = client;
    this.commitKeysMax = limits.keysMax;
    this.meta = metaKeys(namespace);
    const staged = metrics?.counter('redis_staged_commits_total', 'Commits too large for one script.');
    this.writer = new CommitWriter(client, limits, rowTtl, () => staged?.inc());
  }

  async acquire(task: TaskId, owner: string): Promise<TaskHead> {
    invariant(owner !== '', `Task ${taskName(task)} was acquired with an empty owner token`);
    const keys = this.keysOf(task);
    await this.client.requireOwnerFit(keys.slot);
    await this.client.run(this.meta.slot, REGISTER, [this.meta.tasks], [taskName(task)]);
    for (;;) {
      const stored = (await this.client.run(keys.slot, ACQUIRE, [keys.head], [owner])) as StoredHead | null;
      if (stored !== null) {
        if (stored[3] !== null) await this.writer.moveIn(keys);
        return headOf(stored);
      }
      // A restore or a drop was cut short: what is left belongs to no commit.
      await this.clear(keys);
      await this.client.command(keys.slot, 'UNLINK', keys.head);
    }
  }

  async head(task: TaskId): Promise<TaskHead | undefined> {
    const keys = this.keysOf(task);
    const args = [keys.head, 'commit', 'offset', 'meta', 'state'];
    const stored = (await this.client.command(keys.slot, 'HMGET', ...args)) as (Buffer | null)[];
    const [commit, offset, meta, state] = stored;
    if (!commit || state) return undefined;
    return headOf([commit, offset!, meta!, null]);
  }

  async prefetch(task: TaskId, request: PrefetchRequest): Promise<Prefetched> {
    const done = this.timed('redis_prefetch_ms', 'Time to read what a batch needs.');
    const keys = this.keysOf(task);
    for (let tries = 1; ; tries++) {
      const found = await this.tryPrefetch(keys, request);
      if (found !== undefined) {
        done();
        return found;
      }
      if (tries === READ_TRIES_MAX) {
        throw new EngineError('OVERLOADED', `Task ${taskName(task)} commits faster than it can be read.`);
      }
    }
  }

  /** undefined when a commit came between, or one had to be moved in first. */
  private async tryPrefetch(keys: TaskKeys, request: PrefetchRequest): Promise<Prefetched | undefined> {
    const headCall: RedisCall = { command: 'HMGET', args: [keys.head, 'commit', 'pending', 'state'] };
    const calls: RedisCall[] = [headCall];
    const { keys: rowKeys, timersMax, timersBefore } = request;
    for (let at = 0; at < rowKeys.length; at += READ_KEYS) {
      const args = rowKeys.slice(at, at + READ_KEYS).map((key) => keys.rows + key);
      calls.push({ command: 'MGET', args });
    }
    const wantsTimers = timersMax > 0 && timersBefore > -Infinity;
    if (wantsTimers) calls.push(dueTimersCall(keys, '-', request));
    calls.push(headCall);
    const replies = await this.client.call(keys.slot, calls);
    const first = headFields(replies[0]);
    const last = headFields(replies.at(-1));
    if (first.state !== '' || first.commit === undefined) return emptyPrefetched(request);
    if (first.pending !== '') {
      await this.writer.moveIn(keys);
      return undefined;
    }
    if (last.commit !== first.commit || last.pending !== '') return undefined;
    const rows = (replies.slice(1, wantsTimers ? -2 : -1) as (Buffer | null)[][]).flat().map((row) => row ?? undefined);
    const due = wantsTimers ? (replies.at(-2) as DueTimers) : ([[], []] satisfies DueTimers);
    if (wantsTimers && due[0].length === READ_TIMERS && timersMax > READ_TIMERS) {
      const isSame = await this.readMoreTimers(keys, request, first.commit, due);
      if (!isSame) return undefined;
    }
    const [timers, timerRows] = due;
    return {
      commitId: first.commit,
      rows,
      timers: timers.map((timer) => decodeTimer(timer)),
      timerRows: timerRows.map((row) => row ?? undefined),
    };
  }

  /** Adds the timers behind the first page; false when a commit came between. */
  private async readMoreTimers(
    keys: TaskKeys,
    request: PrefetchRequest,
    commit: string,
    due: DueTimers,
  ): Promise<boolean> {
    const [timers, rows] = due;
    for (let left = request.timersMax - timers.length; left > 0;) {
      const from = Buffer.concat([AFTER, timers.at(-1)!]);
      const [more, head] = (await this.client.call(keys.slot, [
        dueTimersCall(keys, from, { ...request, timersMax: left }),
        { command: 'HMGET', args: [keys.head, 'commit', 'pending', 'state'] },
      ])) as [DueTimers, unknown];
      const { commit: now, pending } = headFields(head);
      if (now !== commit || pending !== '') return false;
      timers.push(...more[0]);
      rows.push(...more[1]);
      left -= more[0].length;
      if (more[0].length < READ_TIMERS) break;
    }
    return true;
  }

  async commit(task: TaskId, commit: Commit): Promise<CommitOutcome> {
    const done = this.timed('redis_commit_ms', 'Time of a commit, retries included.');
    const outcome = await this.writer.commit(task, this.keysOf(task), commit);
    done();
    return outcome;
  }

  async outbox(task: TaskId): Promise<readonly OutboxEntry[]> {
    const keys = this.keysOf(task);
    const { slot } = keys;
    const ids = ((await this.client.command(slot, 'LRANGE', keys.outbox, '0', '-1')) as Buffer[]).map(String);
    const entries: OutboxEntry[] = [];
    for (const commitId of ids) {
      const fields = (await this.client.command(slot, 'HGETALL', keys.outputs(commitId))) as Buffer[];
      // Another owner has sent and forgotten it meanwhile, and fenced the caller.
      if (fields.length === 0) continue;
      const parts = new Array<Buffer>(fields.length / 2);
      for (let i = 0; i < fields.length; i += 2) parts[Number(fields[i]!.toString())] = fields[i + 1]!;
      entries.push({ commitId, outputs: unpackOutputs(Buffer.concat(parts)) });
    }
    return entries;
  }

  async trimOutbox(task: TaskId, owner: string, commitId: string): Promise<void> {
    const keys = this.keysOf(task);
    // The usual case: it is the oldest. Otherwise what stands before it goes too.
    let ids = [commitId];
    for (;;) {
      const names = [keys.head, keys.outbox, ...ids.map(keys.outputs)];
      const answer = String(await this.client.run(keys.slot, TRIM, names, [owner, ...ids]));
      if (answer === 'owner') throw taskFenced(task, 'another owner acquired it');
      if (answer === 'trimmed') return;
      const present = (await this.client.command(keys.slot, 'LRANGE', keys.outbox, '0', '-1')) as Buffer[];
      const place = present.findIndex((id) => id.toString() === commitId);
      if (place < 0) return;
      ids = present.slice(0, place + 1).map(String);
    }
  }

  async get(task: TaskId, key: string): Promise<Buffer | undefined> {
    const keys = this.keysOf(task);
    for (;;) {
      const [head, row] = await this.client.call(keys.slot, [
        { command: 'HMGET', args: [keys.head, 'commit', 'pending', 'state'] },
        { command: 'GET', args: [keys.rows + key] },
      ]);
      const { commit, pending, state } = headFields(head);
      if (commit === undefined || state !== '') return undefined;
      if (pending === '') return (row as Buffer | null) ?? undefined;
      await this.writer.moveIn(keys);
    }
  }

  async *scan(task: TaskId, range: ScanRange = {}): AsyncGenerator<readonly [key: string, value: Buffer]> {
    const view = await openView(this.viewContext(task));
    if (view === undefined) return;
    try {
      yield* view.rows(range);
    } finally {
      await view.close();
    }
  }

  async *scanTimers(task: TaskId): AsyncGenerator<TimerEntry> {
    const view = await openView(this.viewContext(task));
    if (view === undefined) return;
    try {
      yield* view.timers();
    } finally {
      await view.close();
    }
  }

  async tasks(): Promise<readonly TaskId[]> {
    const names = (await this.client.command(this.meta.slot, 'SMEMBERS', this.meta.tasks)) as Buffer[];
    const listed = names.map((name) => taskOf(name.toString()));
    const heads = await Promise.all(listed.map((task) => this.head(task)));
    return listed.filter((_, i) => heads[i] !== undefined).sort(compareTasks);
  }

  async readDocument(name: string): Promise<string | undefined> {
    const text = (await this.client.command(this.meta.slot, 'GET', this.meta.document(name))) as Buffer | null;
    return text?.toString();
  }

  async writeDocument(name: string, text: string): Promise<void> {
    await this.client.command(this.meta.slot, 'SET', this.meta.document(name), text);
  }

  async replaceDocument(name: string, expected: string | undefined, text: string): Promise<boolean> {
    const args = [expected === undefined ? '0' : '1', expected ?? '', text];
    const answer = await this.client.run(this.meta.slot, REPLACE_DOCUMENT, [this.meta.document(name)], args);
    return String(answer) === 'replaced';
  }

  /** The head comes last: until then the task reads as if it were not there. */
  async restore(task: TaskId, { head, rows, timers }: TaskContent): Promise<void> {
    const keys = this.keysOf(task);
    await this.client.run(this.meta.slot, REGISTER, [this.meta.tasks], [taskName(task)]);
    const token = await this.clear(keys);
    const { rowTtl = () => undefined } = this.options;
    let calls: RedisCall[] = [];
    const add = async (call: RedisCall): Promise<void> => {
      calls.push(call);
      if (calls.length < RESTORE_KEYS) return;
      await this.client.call(keys.slot, calls);
      calls = [];
    };
    for await (const [key, value] of rows) {
      const ttl = rowTtl(task, key);
      const expiry = ttl === undefined ? [] : ['PX', String(ttl)];
      await add({ command: 'SET', args: [keys.rows + key, Buffer.from(value), ...expiry] });
    }
    for await (const timer of timers) await add({ command: 'ZADD', args: [keys.timers, '0', encodeTimer(timer)] });
    if (calls.length > 0) await this.client.call(keys.slot, calls);
    const args = [token, head.commitId, String(head.offset), Buffer.from(head.meta)];
    const answer = String(await this.client.run(keys.slot, PUBLISH_HEAD, [keys.head], args));
    if (answer !== 'published') throw taskFenced(task, 'somebody acquired or cleared it while it was restored');
  }

  async drop(task: TaskId): Promise<void> {
    const keys = this.keysOf(task);
    await this.clear(keys);
    await this.client.command(keys.slot, 'UNLINK', keys.head);
    await this.client.command(this.meta.slot, 'SREM', this.meta.tasks, taskName(task));
  }

  /** The client is closed by whoever opened it. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Removes everything but the head, which says so in `state` and has neither owner nor commit from then on. */
  private async clear(keys: TaskKeys): Promise<string> {
    const { slot } = keys;
    const token = this.options.random.hex(8);
    await this.client.call(slot, [
      { command: 'HSET', args: [keys.head, 'state', token, 'owner', '', 'commit', ''] },
      { command: 'HDEL', args: [keys.head, 'pending'] },
    ]);
    const base = keys.head.slice(0, -1);
    const head = Buffer.from(keys.head);
    for await (const page of this.client.scan(slot, `${base}*`)) {
      const names = page.filter((key) => !key.equals(head));
      for (let at = 0; at < names.length; at += RESTORE_KEYS) {
        await this.client.command(slot, 'UNLINK', ...names.slice(at, at + RESTORE_KEYS));
      }
    }
    return token;
  }

  private viewContext(task: TaskId): ViewContext {
    const keys = this.keysOf(task);
    const { client, random } = this.options;
    return { client, random, keys, task, settle: () => this.writer.moveIn(keys) };
  }

  private keysOf(task: TaskId): TaskKeys {
    const name = taskName(task);
    let keys = this.keysByTask.get(name);
    if (keys === undefined) {
      keys = keysOfTask(this.options.namespace, task);
      this.keysByTask.set(name, keys);
    }
    return keys;
  }

  private timed(name: string, help: string): () => void {
    const { metrics, client } = this.options;
    if (metrics === undefined) return () => undefined;
    const startMs = client.clock.monotonic();
    return () => metrics.histogram(name, help).observe(client.clock.monotonic() - startMs);
  }
}

/** commit, offset, meta, pending. */
type StoredHead = readonly [Buffer, Buffer, Buffer, Buffer | null];
/** Timers and the rows of their keys. */
type DueTimers = [timers: Buffer[], rows: (Buffer | null)[]];

const AFTER = Buffer.from('(');

function dueTimersCall(keys: TaskKeys, from: RedisArgument, { timersBefore, timersMax }: PrefetchRequest): RedisCall {
  const bound = encodeTimerBound(timersBefore);
  const to = bound === undefined ? '+' : Buffer.concat([AFTER, bound]);
  const count = String(Math.min(timersMax, READ_TIMERS));
  return { script: DUE_TIMERS, keys: [keys.timers], args: [keys.rows, from, to, count] };
}

function headFields(reply: unknown): { commit: string | undefined; pending: string; state: string } {
  const [commit, pending, state] = reply as (Buffer | null)[];
  return { commit: commit?.toString(), pending: pending?.toString() ?? '', state: state?.toString() ?? '' };
}

function emptyPrefetched({ keys }: PrefetchRequest): Prefetched {
  return { commitId: '', rows: keys.map(() => undefined), timers: [], timerRows: [] };
}

function headOf([commit, offset, meta]: StoredHead): TaskHead {
  return copyHead({ commitId: commit.toString(), offset: Number(offset.toString()), meta });
}

function taskOf(name: string): TaskId {
  const slash = name.lastIndexOf('/');
  return { stage: name.slice(0, slash), partition: Number(name.slice(slash + 1)) };
}
