/**
 * The journal of a directory: what was appended and acknowledged, and is not yet in the data file.
 *
 *   append ─▶ entry at the end of a segment ─▶ sync ─▶ acknowledged ─ … ─▶ flushed to the data file ─▶ released
 *
 * An entry is small and its sync touches no tree, so an acknowledgement costs one write to one place. Segments are
 * files that are written over once the data file has all they hold, because a sync of bytes that the file already had
 * room for moves no metadata: here a quarter of the time of a sync that makes the file longer.
 *
 * An entry: length u32, crc32 u32 of what follows, sequence u48, payload. Sequences grow by one over all segments, so
 * what is left of an earlier use of a segment is told from what belongs there.
 *
 * Invariant: `append` either wrote the whole entry or throws, and then the entry is as if it had never been asked for.
 */
import { closeSync, fdatasync, fdatasyncSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { readdirSync, readFileSync, rmSync, writevSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Clock } from '../clock.js';
import { SyncPace } from './sync-pace.js';

export interface JournalEntry {
  readonly sequence: number;
  readonly payload: Buffer;
}

/** A segment is left for the next one at this size, unless its only entry is larger. */
const SEGMENT_BYTES = 8 * 1_048_576;
/** Room made at a time. */
const ROOM_BYTES = 1_048_576;
/** Of as many bytes: what a segment holds where no entry was written. */
const NOTHING_YET = Buffer.alloc(ROOM_BYTES);
const HEADER_BYTES = 14;
const FOLDER = 'journal';

interface Segment {
  readonly path: string;
  readonly descriptor: number;
  /** Where the next entry goes. */
  position: number;
  /** Bytes that the file has room for. */
  room: number;
  /** Of its last entry. */
  last: number;
}

export class Journal {
  private readonly folder: string;
  private readonly pace: SyncPace;
  /** The last one is written to; those before it wait to be released. */
  private used: Segment[] = [];
  private free: Segment[] = [];
  private created = 0;
  private readonly unsynced = new Set<Segment>();
  private running: Promise<void> | undefined;
  private following: Promise<void> | undefined;

  /**
   * `begin` has to be called before `append`.
   * @param last sequence of the last entry that there ever was
   * @param mayGrow whether the disk has room for so many bytes more: what the journal takes, a flush cannot use
   */
  constructor(
    private readonly directory: string,
    public last: number,
    private readonly mayGrow: (bytes: number) => boolean,
    clock: Clock,
  ) {
    this.pace = new SyncPace(clock);
    this.folder = join(directory, FOLDER);
  }

  /** Removes what an earlier process left. */
  begin(): void {
    rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(this.folder);
    syncFolder(this.directory);
  }

  /** What a process that ended without closing left behind `flushed`, in order, up to the first gap. */
  static recover(directory: string, flushed: number): JournalEntry[] {
    const found = new Map<number, Buffer>();
    for (const path of segmentPaths(join(directory, FOLDER))) {
      for (const { sequence, payload } of entriesOf(readFileSync(path))) found.set(sequence, payload);
    }
    const entries: JournalEntry[] = [];
    for (let sequence = flushed + 1; found.has(sequence); sequence++) {
      entries.push({ sequence, payload: found.get(sequence)! });
    }
    return entries;
  }

  get bytesOnDisk(): number {
    return [...this.used, ...this.free].reduce((sum, { room }) => sum + room, 0);
  }

  /** Writes an entry, which a killed process no longer loses. Throws the system's error, with nothing written. */
  append(payload: Buffer): void {
    const size = HEADER_BYTES + payload.length;
    const segment = this.segmentFor(size);
    this.makeRoom(segment, size);
    const sequence = this.last + 1;
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header.writeUInt32LE(payload.length, 0);
    header.writeUIntLE(sequence, 8, 6);
    header.writeUInt32LE(checksum(header, payload), 4);
    writeWhole(segment, [header, payload]);
    segment.position += size;
    segment.last = this.last = sequence;
    this.unsynced.add(segment);
  }

  /** Resolves when everything appended so far is durable. One sync is under way at a time, for all who ask meanwhile. */
  synced(): Promise<void> {
    if (this.unsynced.size === 0) return this.running ?? Promise.resolve();
    this.following ??= this.syncAfter(this.running);
    return this.following;
  }

  private async syncAfter(earlier: Promise<void> | undefined): Promise<void> {
    await earlier?.catch(() => undefined);
    this.running = this.following;
    this.following = undefined;
    const segments = [...this.unsynced];
    this.unsynced.clear();
    const onTheSpot = (): void => segments.forEach(({ descriptor }) => fdatasyncSync(descriptor));
    if (!this.pace.tryNow(onTheSpot)) await Promise.all(segments.map(({ descriptor }) => sync(descriptor)));
    this.running = undefined;
  }

  /** The data file durably holds everything up to `sequence`: its segments may be written over. */
  release(sequence: number): void {
    const released = this.used.filter(({ last }) => last <= sequence);
    this.used = this.used.filter(({ last }) => last > sequence);
    for (const segment of released) {
      segment.position = 0;
      this.free.push(segment);
    }
  }

  async close(): Promise<void> {
    await this.synced().catch(() => undefined);
    for (const { descriptor } of [...this.used, ...this.free]) closeSync(descriptor);
    this.used = this.free = [];
  }

  private segmentFor(size: number): Segment {
    const current = this.used.at(-1);
    if (current !== undefined && (current.position === 0 || current.position + size <= SEGMENT_BYTES)) return current;
    const next = this.free.pop() ?? this.create();
    this.used.push(next);
    return next;
  }

  /** So that the sync of an entry does not make the file longer. */
  private makeRoom(segment: Segment, size: number): void {
    const needed = segment.position + size;
    if (needed <= segment.room) return;
    const room = Math.ceil(needed / ROOM_BYTES) * ROOM_BYTES;
    if (!this.mayGrow(room - segment.room))
      throw noSpace(`${segment.path} must not grow by ${room - segment.room} bytes`);
    for (let from = segment.room; from < room; from += ROOM_BYTES) {
      writeWhole({ ...segment, position: from }, [NOTHING_YET]);
    }
    segment.room = room;
  }

  private create(): Segment {
    const path = join(this.folder, String(this.created++));
    const segment = { path, descriptor: openSync(path, 'w'), position: 0, room: 0, last: this.last };
    syncFolder(this.folder);
    return segment;
  }
}

/** Throws the system's error, also where it wrote a part. */
function writeWhole({ descriptor, position, path }: Segment, buffers: readonly Buffer[]): void {
  const size = buffers.reduce((sum, { length }) => sum + length, 0);
  const written = writevSync(descriptor, buffers, position);
  if (written === size) return;
  throw noSpace(`${written} of ${size} bytes were written to ${path}`);
}

function noSpace(reason: string): Error {
  return Object.assign(new Error(reason), { code: 'ENOSPC' });
}

/** Or a power failure may take a file away that was itself synced. */
function syncFolder(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function sync(descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(descriptor, (error) => (error === null ? resolve() : reject(error)));
  });
}

function checksum(header: Buffer, payload: Buffer): number {
  return crc32(payload, crc32(header.subarray(8)));
}

function segmentPaths(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Entries of a segment up to the first that is torn, or is left of an earlier use. */
function* entriesOf(bytes: Buffer): Generator<JournalEntry> {
  let expected: number | undefined;
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const header = bytes.subarray(at, at + HEADER_BYTES);
    const end = at + HEADER_BYTES + header.readUInt32LE(0);
    const sequence = header.readUIntLE(8, 6);
    if (end > bytes.length || sequence === 0 || sequence !== (expected ?? sequence)) return;
    const payload = bytes.subarray(at + HEADER_BYTES, end);
    if (checksum(header, payload) !== header.readUInt32LE(4)) return;
    yield { sequence, payload };
    expected = sequence + 1;
    at = end;
  }
}
