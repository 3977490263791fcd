/**
 * Writes commits: in one script where it fits, otherwise staged in several and made to happen by one.
 *
 *   fits      COMMIT: fence, rows, timers, outputs, head
 *   does not  stage rows, timers and parts of the outputs under the commit's id (nobody reads them; they expire)
 *             → COMMIT_STAGED: fence, head, staged becomes `pending` (one rename)            ← here it happens
 *             → MOVE_IN, some fields at a time, by whoever meets a pending commit: its writer, a reader, the next owner
 *
 * Invariant: no reader ever sees some rows of a commit without the others, whoever dies when; a script touches at most
 * `keysMax` keys and about `bytesMax` bytes, so that no other client waits for it long.
 */
import { copyInto } from '../../schemas/binary-writer.js';
import { invariant, isEngineError } from '../../schemas/errors.js';
import { taskFenced } from '../memory/memory-store.js';
import type { Commit, CommitOutcome, TaskId } from '../state/state-store.js';
import { taskName } from '../state/state-store.js';
import { encodeTimer } from '../state/timer-bytes.js';
import { SlabMemory } from '../slab-memory.js';
import { packOutputs } from './outbox-codec.js';
import type { RedisClient } from './redis-client.js';
import type { RedisArgument, RedisCall } from './redis-nodes.js';
import { COMMIT, COMMIT_STAGED, MOVE_IN } from './scripts.js';
import type { TaskKeys } from './task-keys.js';
import { requireRowKey } from './task-keys.js';

export interface ScriptLimits {
  /** Rows and timers of one script. */
  readonly keysMax: number;
  /** Bytes of rows and outputs of one script; a larger row goes alone. */
  readonly bytesMax: number;
}

/** What stays below 2 ms of the server's time; larger commits are staged. test/bench/RESULTS.md has the measurement. */
export const DEFAULT_LIMITS: ScriptLimits = { keysMax: 1_000, bytesMax: 1 << 20 };

/** ms; undefined: the row stays. */
export type RowTtl = (task: TaskId, key: string) => number | undefined;

/** What was staged for a commit that never came is gone after this long. */
const STAGED_MS = 600_000;
/** Rounds of staging again after a failover lost some of it. */
const STAGING_TRIES_MAX = 5;
const NO_BYTES = Buffer.alloc(0);

/** A field of a staged commit: 'r' + key or 't' + timer; value '-' or '+'. */
type Field = readonly [name: Buffer, value: Buffer];

/** The outputs of a commit as they go into the outbox. */
interface Packed {
  readonly bytes: Buffer | undefined;
  readonly parts: readonly Buffer[];
}

export class CommitWriter {
  /** A command that was given up may wait for its node beyond the end of the commit, whose rows are the caller's then. */
  private readonly copies = new SlabMemory();

  constructor(
    private readonly client: RedisClient,
    private readonly limits: ScriptLimits,
    private readonly rowTtl: RowTtl,
    private readonly onStaged: () => void,
  ) {}

  async commit(task: TaskId, keys: TaskKeys, commit: Commit): Promise<CommitOutcome> {
    invariant(commit.next !== '' && commit.next !== commit.previous, `Task ${taskName(task)}: a commit needs a new id`);
    for (const [key] of commit.puts) requireRowKey(key);
    const packed = this.pack(commit);
    const isStaged = !this.fits(commit, packed);
    if (isStaged) this.onStaged();
    for (let tries = 1; ; tries++) {
      const answer = isStaged
        ? await this.commitStaged(task, keys, commit, packed)
        : await this.commitAtOnce(task, keys, commit, packed);
      if (answer === 'pending') await this.moveIn(keys);
      else if (answer !== 'unstaged') return outcomeOf(task, commit, answer);
      invariant(tries < STAGING_TRIES_MAX, 'A commit was staged and lost again and again', { task: taskName(task) });
    }
  }

  private pack(commit: Commit): Packed {
    const outputs = commit.outputs.filter(({ records }) => records.length > 0);
    if (outputs.length === 0) return { bytes: undefined, parts: [] };
    const bytes = packOutputs(outputs);
    const parts: Buffer[] = [];
    const { bytesMax } = this.limits;
    for (let at = 0; at < bytes.length; at += bytesMax) parts.push(bytes.subarray(at, at + bytesMax));
    return { bytes, parts };
  }

  private fits({ puts, deletes, timersAdded, timersRemoved }: Commit, { bytes, parts }: Packed): boolean {
    const { keysMax, bytesMax } = this.limits;
    if (puts.length + deletes.length + timersAdded.length + timersRemoved.length > keysMax || parts.length > 1)
      return false;
    let size = bytes?.length ?? 0;
    for (const [, value] of puts) size += value.length;
    return size <= bytesMax || puts.length + parts.length <= 1;
  }

  private async commitAtOnce(task: TaskId, keys: TaskKeys, commit: Commit, packed: Packed): Promise<string> {
    const names = [keys.head, keys.timers, keys.outbox, keys.outputs(commit.next), keys.pending, ...keys.views];
    const groups = this.byTtl(task, commit);
    const values: RedisArgument[] = [];
    for (const rows of groups.values()) {
      for (const [key, value] of rows) {
        names.push(keys.rows + key);
        values.push(copyInto(this.copies, value));
      }
    }
    for (const key of commit.deletes) names.push(keys.rows + key);
    const args: RedisArgument[] = [
      ...headOf(commit),
      packed.bytes === undefined ? '0' : '1',
      packed.bytes ?? NO_BYTES,
      String(Buffer.byteLength(keys.rows)),
      String(groups.size),
      ...[...groups].flatMap(([ttl, rows]) => [String(ttl), String(rows.length)]),
      String(commit.timersRemoved.length),
    ];
    for (const value of values) args.push(value);
    for (const timer of commit.timersRemoved) args.push(encodeTimer(timer));
    for (const timer of commit.timersAdded) args.push(encodeTimer(timer));
    return String(await this.client.run(keys.slot, COMMIT, names, args));
  }

  private byTtl(task: TaskId, { puts }: Commit): Map<number, (readonly [string, Uint8Array])[]> {
    const groups = new Map<number, (readonly [string, Uint8Array])[]>();
    for (const put of puts) {
      const ttl = this.rowTtl(task, put[0]) ?? 0;
      const group = groups.get(ttl);
      if (group === undefined) groups.set(ttl, [put]);
      else group.push(put);
    }
    return groups;
  }

  private async commitStaged(task: TaskId, keys: TaskKeys, commit: Commit, { parts }: Packed): Promise<string> {
    const outputs = keys.outputs(commit.next);
    const staged = keys.staged(commit.next);
    const fields = this.fieldsOf(task, commit);
    try {
      for (const [i, part] of parts.entries()) await this.stage(keys, outputs, [[Buffer.from(String(i)), part]]);
      for (const chunk of this.chunks(fields)) await this.stage(keys, staged, chunk);
    } catch (error) {
      // Memory that ran out is not to be kept until the staged part expires.
      if (isEngineError(error, 'STORAGE_FULL')) await this.client.command(keys.slot, 'UNLINK', staged, outputs);
      throw error;
    }
    const names = [keys.head, keys.timers, keys.outbox, outputs, keys.pending, staged];
    const args = [...headOf(commit), String(parts.length), String(fields.length)];
    const answer = String(await this.client.run(keys.slot, COMMIT_STAGED, names, args));
    if (answer === 'committed' || answer === 'applied') await this.moveIn(keys);
    return answer;
  }

  private async stage(keys: TaskKeys, key: string, fields: readonly Field[]): Promise<void> {
    const calls: RedisCall[] = [
      { command: 'HSET', args: [key, ...fields.flat()] },
      { command: 'PEXPIRE', args: [key, String(STAGED_MS)] },
    ];
    await this.client.call(keys.slot, calls);
  }

  private fieldsOf(task: TaskId, commit: Commit): Field[] {
    const fields = new Map<string, Field>();
    const add = (name: Buffer, value: Buffer): void => void fields.set(name.toString('latin1'), [name, value]);
    for (const [key, value] of commit.puts) {
      const ttl = this.rowTtl(task, key) ?? 0;
      add(Buffer.from(`r${key}`), Buffer.concat([Buffer.from(`+${ttl}:`), value]));
    }
    for (const key of commit.deletes) add(Buffer.from(`r${key}`), DELETE);
    for (const timer of commit.timersRemoved) add(timerField(timer), DELETE);
    for (const timer of commit.timersAdded) add(timerField(timer), ADD);
    return [...fields.values()];
  }

  private *chunks(fields: readonly Field[]): Generator<Field[]> {
    let chunk: Field[] = [];
    let bytes = 0;
    for (const field of fields) {
      const size = field[1].length;
      if (chunk.length > 0 && (chunk.length === this.limits.keysMax || bytes + size > this.limits.bytesMax)) {
        yield chunk;
        chunk = [];
        bytes = 0;
      }
      chunk.push(field);
      bytes += size;
    }
    if (chunk.length > 0) yield chunk;
  }

  /** Moves the pending commit in, if there is one; returns when there is none. */
  async moveIn(keys: TaskKeys): Promise<void> {
    const { slot } = keys;
    for (;;) {
      const [id, sampled] = (await this.client.call(slot, [
        { command: 'HGET', args: [keys.head, 'pending'] },
        { command: 'HRANDFIELD', args: [keys.pending, String(Math.ceil(this.limits.keysMax / 4))] },
      ])) as [Buffer | null, Buffer[]];
      if (id === null) return;
      const sizes = await this.client.call(
        slot,
        sampled.map((field) => ({ command: 'HSTRLEN', args: [keys.pending, field] })),
      );
      // As many as fit, and at least one.
      let bytes = 0;
      const fields = sampled.filter((_, i) => (bytes += Number(sizes[i])) <= this.limits.bytesMax || i === 0);
      const rows = fields.filter((field) => field[0] === ROW).map((field) => keys.rows + field.toString('utf8', 1));
      const names = [keys.head, keys.pending, keys.timers, ...keys.views, ...rows];
      await this.client.run(slot, MOVE_IN, names, [id, ...fields]);
    }
  }
}

const ROW = 0x72;
const DELETE = Buffer.from('-');
const ADD = Buffer.from('+');

function timerField(timer: Commit['timersAdded'][number]): Buffer {
  const field = encodeTimer(timer, 1);
  field[0] = 0x74;
  return field;
}

function headOf({ owner, previous, next, offset, meta }: Commit): RedisArgument[] {
  return [owner, previous, next, String(offset), asBuffer(meta)];
}

function outcomeOf(task: TaskId, commit: Commit, answer: string): CommitOutcome {
  if (answer === 'committed') return 'committed';
  if (answer === 'applied') return 'already-applied';
  if (answer === 'owner') throw taskFenced(task, 'another owner acquired it');
  if (answer === 'absent') throw taskFenced(task, 'it was never acquired, or was dropped');
  const stored = answer.slice('commit '.length);
  throw taskFenced(task, `its last commit is '${stored}', not '${commit.previous}'`);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
