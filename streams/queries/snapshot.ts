/**
 * Partition snapshots: everything a task has, in one checksummed file, to be restored where the log still reaches back
 * to its offset.
 *
 * Layout: gzip over a sequence of frames, each u32 length + bytes. The first frame is a JSON header, then one frame a
 * row (u32 key length, key, value), an empty frame, one JSON frame a timer, an empty frame, and a last frame with the
 * SHA-256 of all frames before it. Memory use is one frame, however large the partition.
 */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import { EngineError } from '../../schemas/errors.js';
import type { StateStore, TaskId, TimerEntry } from '../state/state-store.js';
import { taskName } from '../state/state-store.js';

interface SnapshotHeader {
  readonly format: 1;
  readonly log: string;
  readonly task: TaskId;
  readonly commitId: string;
  readonly offset: number;
  readonly meta: string;
}

/** Streams a snapshot of a task that is not running. `log` is the identity of the log its offset belongs to. */
export async function exportSnapshot(store: StateStore, task: TaskId, log: string): Promise<Readable> {
  const head = await store.head(task);
  if (head === undefined) throw new EngineError('NOT_FOUND', `There is no state for task ${taskName(task)}.`);
  const meta = Buffer.from(head.meta).toString('base64');
  const header: SnapshotHeader = { format: 1, log, task, commitId: head.commitId, offset: head.offset, meta };
  return Readable.from(frames(store, task, header)).pipe(createGzip({ level: 1 }));
}

async function* frames(store: StateStore, task: TaskId, header: SnapshotHeader): AsyncIterable<Buffer> {
  const digest = createHash('sha256');
  yield frame(digest, Buffer.from(JSON.stringify(header)));
  for await (const [key, value] of store.scan(task)) {
    const name = Buffer.from(key);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(name.length);
    yield frame(digest, Buffer.concat([length, name, value]));
  }
  yield frame(digest, Buffer.alloc(0));
  for await (const timer of store.scanTimers(task)) yield frame(digest, Buffer.from(JSON.stringify(timer)));
  yield frame(digest, Buffer.alloc(0));
  yield frame(createHash('sha256'), digest.digest());
}

function frame(digest: Hash, body: Buffer): Buffer {
  const whole = Buffer.alloc(4 + body.length);
  whole.writeUInt32LE(body.length);
  body.copy(whole, 4);
  digest.update(whole);
  return whole;
}

/**
 * Replaces a task's state by a snapshot. Throws SNAPSHOT_INVALID when it is damaged or of another log; the whole file
 * is checked before anything is replaced, so it is read twice.
 */
export async function importSnapshot(store: StateStore, open: () => Readable, log: string): Promise<TaskId> {
  const header = await verifySnapshot(open(), log);
  const reader = new FrameReader(open().pipe(createGunzip()));
  await reader.next();
  const head = { commitId: header.commitId, offset: header.offset, meta: Buffer.from(header.meta, 'base64') };
  await store.restore(header.task, { head, rows: readRows(reader), timers: readTimers(reader) });
  return header.task;
}

/** Which task a snapshot is of, and the input offset where it goes on. Checks the whole file. Throws SNAPSHOT_INVALID. */
export async function readSnapshotPlace(file: Readable, log: string): Promise<{ task: TaskId; offset: number }> {
  const { task, offset } = await verifySnapshot(file, log);
  return { task, offset };
}

async function verifySnapshot(file: Readable, log: string): Promise<SnapshotHeader> {
  const digest = createHash('sha256');
  const reader = new FrameReader(file.pipe(createGunzip()));
  try {
    const header = JSON.parse((await reader.next(digest)).toString()) as SnapshotHeader;
    for (let sections = 0; sections < 2;) if ((await reader.next(digest)).length === 0) sections++;
    const expected = await reader.next();
    if (!expected.equals(digest.digest())) throw new Error('its checksum does not match');
    if (header.log !== log) throw new Error(`it belongs to log '${header.log}', this is log '${log}'`);
    return header;
  } catch (cause) {
    throw new EngineError('SNAPSHOT_INVALID', `The snapshot cannot be used: ${(cause as Error).message}.`, { cause });
  }
}

async function* readRows(reader: FrameReader): AsyncIterable<readonly [string, Buffer]> {
  for (;;) {
    const body = await reader.next();
    if (body.length === 0) return;
    const keyEnd = 4 + body.readUInt32LE();
    yield [body.toString('utf8', 4, keyEnd), body.subarray(keyEnd)];
  }
}

async function* readTimers(reader: FrameReader): AsyncIterable<TimerEntry> {
  for (;;) {
    const body = await reader.next();
    if (body.length === 0) return;
    yield JSON.parse(body.toString()) as TimerEntry;
  }
}

/** Cuts a byte stream into frames; a short stream is an error. */
class FrameReader {
  private readonly chunks: AsyncIterator<Buffer>;
  private pending: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  async next(digest?: Hash): Promise<Buffer> {
    const length = (await this.take(4)).readUInt32LE();
    const body = await this.take(length);
    if (digest !== undefined) frame(digest, body);
    return body;
  }

  private async take(length: number): Promise<Buffer> {
    const parts = [this.pending];
    let have = this.pending.length;
    while (have < length) {
      const next = await this.chunks.next();
      if (next.done === true) throw new Error('it ends too early');
      parts.push(next.value);
      have += next.value.length;
    }
    const whole = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    this.pending = whole.subarray(length);
    return whole.subarray(0, length);
  }
}
