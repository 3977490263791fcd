/**
 * Binary layout of a batch of log records, as stored by logs that keep their own files.
 *
 *   header, 38 bytes   version u8, reserved u8, crc32 u32 of everything after it, count u32, base offset, last offset,
 *                      first and last timestamp (u48 each), place of the names u32
 *   records            shape u8: which of these follow; offset gap, timestamp step, then key, value, then origin
 *                      (source, operator, offset step, index)
 *   names              sources and operators that the origins refer to by number
 *
 * Numbers of records are Avro's zig-zag varints. Offsets rise but need not be adjacent, since compaction leaves gaps.
 * Invariant: what is decoded equals what was added, or the decoder throws CODEC_CORRUPT; values are slices of the
 * batch's own buffer, which nobody writes to again.
 */
import { crc32 } from 'node:zlib';
import { BinaryReader } from '../../schemas/binary-reader.js';
import { BinaryWriter, VALUE_INVALID, type Memory } from '../../schemas/binary-writer.js';
import { EngineError, invariant } from '../../schemas/errors.js';
import type { LogRecord, Origin } from './event-log.js';

/** Beyond these a new batch begins: a reader decodes a batch as a whole, and compaction rewrites it as a whole. */
export const BATCH_BYTES_MAX = 1_048_576;
export const BATCH_RECORDS_MAX = 4_096;

const VERSION = 1;
const HEADER_BYTES = 38;
/** The checksum covers everything behind itself. */
const CHECKED_FROM = 6;

/** Bits of a record's shape. A record right behind its predecessor, of the same time and without origin, has none. */
const HAS_GAP = 1;
const HAS_STEP = 2;
const HAS_ORIGIN = 4;

export interface BatchHeader {
  readonly count: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** Timestamps of the first and the latest record. */
  readonly firstTimestamp: number;
  readonly lastTimestamp: number;
}

/** What the writer takes: a LogRecord, or an outgoing record that was given its place. */
export interface BatchEntry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly origin?: Origin | undefined;
}

/** Collects records of one partition into a batch. Reusable: `finish` empties it. */
export class RecordBatchWriter {
  count = 0;
  private readonly writer = new BinaryWriter();
  private readonly sources = new NameTable();
  private readonly operators = new NameTable();
  private baseOffset = 0;
  private nextOffset = 0;
  private firstTimestamp = 0;
  private timestamp = 0;
  private lastTimestamp = 0;
  private originOffset = 0;

  /** Bytes collected so far. */
  get bytes(): number {
    return this.count === 0 ? 0 : this.writer.position;
  }

  /** Adds a record behind all others. Throws EVENT_INVALID, with nothing added, for a key that is not Unicode. */
  add(offset: number, timestamp: number, record: BatchEntry): void {
    this.addHead(offset, timestamp, record.key, record.origin);
    this.writer.writeBytes(record.value);
    this.addTail(offset, timestamp, record.origin);
  }

  /**
   * As `add`, for a value that is written where it will stand; returns its size. What `write` throws is passed on,
   * with nothing added.
   */
  addWritten<T>(
    place: { readonly offset: number; readonly timestamp: number },
    entry: { readonly key: string; readonly origin: Origin },
    write: (value: T, writer: BinaryWriter) => void,
    value: T,
  ): number {
    const { writer } = this;
    const start = this.addHead(place.offset, place.timestamp, entry.key, entry.origin);
    const valueAt = writer.beginSized();
    try {
      write(value, writer);
    } catch (error) {
      writer.position = start;
      throw error;
    }
    const size = writer.endSized(valueAt);
    this.addTail(place.offset, place.timestamp, entry.origin);
    return size;
  }

  /** Returns where the record starts. */
  private addHead(offset: number, timestamp: number, key: string, origin: Origin | undefined): number {
    if (this.count === 0) this.begin(offset, timestamp);
    if (offset < this.nextOffset) invariant(false, 'an offset was added behind a later one', { offset });
    const { writer } = this;
    const start = writer.position;
    const gap = offset - this.nextOffset;
    const step = timestamp - this.timestamp;
    writer.writeByte((gap > 0 ? HAS_GAP : 0) | (step !== 0 ? HAS_STEP : 0) | (origin === undefined ? 0 : HAS_ORIGIN));
    if (gap > 0) writer.writeLong(gap);
    if (step !== 0) writer.writeLong(step);
    try {
      writer.writeString(key);
    } catch (error) {
      writer.position = start;
      throw error === VALUE_INVALID ? keyInvalid(key) : error;
    }
    return start;
  }

  private addTail(offset: number, timestamp: number, origin: Origin | undefined): void {
    if (origin !== undefined) this.writeOrigin(origin);
    this.nextOffset = offset + 1;
    this.timestamp = timestamp;
    this.lastTimestamp = Math.max(this.lastTimestamp, timestamp);
    this.count++;
  }

  /** Forgets what was added. */
  discard(): void {
    this.count = 0;
  }

  private begin(offset: number, timestamp: number): void {
    this.writer.openScratch();
    for (let i = 0; i < HEADER_BYTES; i++) this.writer.writeByte(0);
    this.sources.clear();
    this.operators.clear();
    this.baseOffset = this.nextOffset = offset;
    this.firstTimestamp = this.timestamp = this.lastTimestamp = timestamp;
    this.originOffset = 0;
  }

  private writeOrigin(origin: Origin): void {
    const { writer } = this;
    writer.writeLong(this.sources.indexOf(origin.source));
    writer.writeLong(this.operators.indexOf(origin.operator));
    writer.writeLong(origin.offset - this.originOffset);
    writer.writeLong(origin.index);
    this.originOffset = origin.offset;
  }

  /** The batch, in Node's pool unless told where. At least one record must have been added. */
  finish(memory?: Memory): Buffer {
    invariant(this.count > 0, 'A batch needs at least one record');
    const { writer } = this;
    const namesAt = writer.position;
    this.sources.write(writer);
    this.operators.write(writer);
    const batch = writer.takeScratch(memory);
    batch[0] = VERSION;
    batch.writeUInt32LE(namesAt, 34);
    const { count, baseOffset, firstTimestamp, lastTimestamp } = this;
    writeHeader(batch, { count, baseOffset, lastOffset: this.nextOffset - 1, firstTimestamp, lastTimestamp });
    this.count = 0;
    return batch;
  }
}

/** Gives a batch whose offsets and timestamps start at 0 its place, in its own buffer; all records get one timestamp. */
export function placeBatch(batch: Buffer, baseOffset: number, timestamp: number): BatchHeader {
  const count = batch.readUInt32LE(6);
  const lastOffset = baseOffset + count - 1;
  const header = { count, baseOffset, lastOffset, firstTimestamp: timestamp, lastTimestamp: timestamp };
  writeHeader(batch, header);
  return header;
}

function writeHeader(batch: Buffer, header: BatchHeader): void {
  batch.writeUInt32LE(header.count, 6);
  batch.writeUIntLE(header.baseOffset, 10, 6);
  batch.writeUIntLE(header.lastOffset, 16, 6);
  batch.writeUIntLE(header.firstTimestamp, 22, 6);
  batch.writeUIntLE(header.lastTimestamp, 28, 6);
  batch.writeUInt32LE(crc32(batch.subarray(CHECKED_FROM)), 2);
}

/**
 * Numbers names in the order of their first use. A few names are the rule, which are compared one by one: a map that is
 * emptied for every batch leaves a table behind each time, which V8 keeps until its next full collection.
 */
class NameTable {
  /** The first `count` are used. */
  private readonly names: string[] = [];
  private count = 0;
  private latestIndex = 0;
  /** Where there are many. */
  private indexes: Map<string, number> | undefined;

  indexOf(name: string): number {
    if (this.latestIndex < this.count && name === this.names[this.latestIndex]) return this.latestIndex;
    let index = this.known(name);
    if (index < 0) {
      index = this.count++;
      this.names[index] = name;
      this.indexes?.set(name, index);
    }
    this.latestIndex = index;
    return index;
  }

  private known(name: string): number {
    if (this.count > FEW_NAMES) {
      this.indexes ??= new Map(this.names.slice(0, this.count).map((known, index) => [known, index]));
      return this.indexes.get(name) ?? -1;
    }
    for (let i = 0; i < this.count; i++) if (this.names[i] === name) return i;
    return -1;
  }

  write(writer: BinaryWriter): void {
    writer.writeLong(this.count);
    for (let i = 0; i < this.count; i++) writer.writeString(this.names[i]);
  }

  clear(): void {
    if (this.count > FEW_NAMES) this.names.length = 0;
    this.count = 0;
    this.indexes = undefined;
  }
}

const FEW_NAMES = 16;

/** Encoding is synchronous, so one writer does: a new one would grow to the size of a large batch each time. */
const batchWriter = new RecordBatchWriter();

/** Encodes records that have their place already, as compaction does. */
export function encodeBatch(records: readonly LogRecord[]): Buffer {
  batchWriter.discard();
  for (const record of records) batchWriter.add(record.offset, record.timestamp, record);
  return batchWriter.finish();
}

/** Reads what a batch says about itself, without checking or decoding its records. Throws CODEC_CORRUPT. */
export function readBatchHeader(batch: Buffer): BatchHeader {
  if (batch.length < HEADER_BYTES) throw corrupt(`it has ${batch.length} bytes, fewer than its header`);
  if (batch[0] !== VERSION) throw corrupt(`its version is ${batch[0]}; this build reads version ${VERSION}`);
  return {
    count: batch.readUInt32LE(6),
    baseOffset: batch.readUIntLE(10, 6),
    lastOffset: batch.readUIntLE(16, 6),
    firstTimestamp: batch.readUIntLE(22, 6),
    lastTimestamp: batch.readUIntLE(28, 6),
  };
}

/** Decoding is synchronous, so one reader does. */
const reader = new BinaryReader();

/**
 * The records at or above offset `from`. The buffer belongs to the records from now on. Records below `from` are
 * walked over without being built. Throws CODEC_CORRUPT.
 */
export function decodeBatch(batch: Buffer, from = 0): LogRecord[] {
  const header = readBatchHeader(batch);
  const namesAt = batch.readUInt32LE(34);
  if (crc32(batch.subarray(CHECKED_FROM)) !== batch.readUInt32LE(2)) throw corrupt('its checksum does not match');
  if (namesAt < HEADER_BYTES || namesAt > batch.length) throw corrupt(`its names are said to stand at ${namesAt}`);
  reader.open(batch, namesAt);
  const sources = readNames();
  const operators = readNames();
  reader.close();

  reader.open(batch.subarray(0, namesAt), HEADER_BYTES);
  const records: LogRecord[] = [];
  const walk = { offset: header.baseOffset - 1, timestamp: header.firstTimestamp, originOffset: 0 };
  for (let i = 0; i < header.count; i++) {
    const shape = readByte(batch);
    walk.offset += 1 + ((shape & HAS_GAP) === 0 ? 0 : reader.readLong());
    if ((shape & HAS_STEP) !== 0) walk.timestamp += reader.readLong();
    const wanted = walk.offset >= from;
    const key = wanted ? reader.readString() : (readSlice(batch), '');
    const value = readSlice(batch);
    const origin = (shape & HAS_ORIGIN) === 0 ? undefined : readOrigin(sources, operators, walk);
    if (wanted) records.push({ offset: walk.offset, key, value, timestamp: walk.timestamp, origin });
  }
  reader.close();
  return records;
}

function readNames(): string[] {
  const names: string[] = [];
  const count = reader.readCount(1);
  for (let i = 0; i < count; i++) names.push(reader.readString());
  return names;
}

function readByte(batch: Buffer): number {
  const byte = batch[reader.position++];
  return byte ?? reader.fail('the batch ends within a record');
}

function readSlice(batch: Buffer): Buffer {
  const length = reader.readLong();
  const start = reader.position;
  if (length < 0 || start + length > batch.length) reader.fail(`a length is ${length}, which the batch does not hold`);
  reader.position = start + length;
  return batch.subarray(start, start + length);
}

function readOrigin(sources: readonly string[], operators: readonly string[], walk: { originOffset: number }): Origin {
  const source = sources[reader.readLong()] ?? reader.fail('an origin names an unknown source');
  const operator = operators[reader.readLong()] ?? reader.fail('an origin names an unknown operator');
  walk.originOffset += reader.readLong();
  return { source, operator, offset: walk.originOffset, index: reader.readLong() };
}

function corrupt(reason: string): EngineError {
  return new EngineError('CODEC_CORRUPT', `A stored batch of records is damaged: ${reason}.`);
}

function keyInvalid(key: string): EngineError {
  return new EngineError(
    'EVENT_INVALID',
    `Key ${JSON.stringify(key)} holds half a surrogate pair; expected Unicode text.`,
  );
}
