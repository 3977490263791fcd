/**
 * Kafka's record batch, version 2: encoding for sends, decoding of what was fetched.
 *
 *   base offset i64 · length i32 · leader epoch i32 · magic i8 · CRC-32C u32 of everything behind it · attributes i16 ·
 *   last offset delta i32 · first and highest timestamp i64 · producer id i64, epoch i16, first sequence i32 · count i32 ·
 *   records, compressed as a whole: length, attributes, timestamp delta, offset delta, key, value, headers
 *
 * kafkajs encodes a record as a tree of growing buffers, which costs more a record the more records a send has; here a
 * record is written once, where it stays. An output's origin travels as the header `origin`: varints of offset and index,
 * then source, a zero byte, operator (UTF-8).
 *
 * Invariant: what is decoded equals what was encoded, at the offsets the broker gave, or CODEC_CORRUPT is thrown.
 */
import { EngineError } from '../../schemas/errors.js';
import type { LogRecord, Origin, OutgoingRecord } from '../log/event-log.js';
import { type Compression, compress, decompress } from './compression.js';
import { crc32c } from './crc32c.js';
import { getInt64, putInt64, putVarint, varintSize, WireReader, WireWriter } from './wire.js';

const HEADER_BYTES = 61;
/** Base offset and length, which the length does not count. */
const PREFIX_BYTES = 12;
const CRC_FROM = 21;
const ATTRIBUTE_COMPRESSION = 0x07;
const ATTRIBUTE_TRANSACTIONAL = 0x10;
const ATTRIBUTE_CONTROL = 0x20;
const ORIGIN_HEADER = Buffer.from('origin');
const EMPTY = Buffer.alloc(0);

/** Who sends a batch, as the broker numbers it. */
export interface ProducerId {
  readonly id: number;
  readonly epoch: number;
}

export interface BatchSeal {
  readonly producer: ProducerId;
  /** Of the first record. */
  readonly sequence: number;
  readonly transactional: boolean;
  readonly compression: Compression;
}

/** Collects records of one partition, then is sealed once into the bytes that every attempt to send it repeats. */
export class RecordBatchBuilder {
  count = 0;
  private readonly writer = new WireWriter();
  private firstTimestamp = 0;
  private highestTimestamp = 0;

  /** A tombstone is written for an empty value where `emptyIsNull`, as compaction wants it. */
  constructor(private readonly emptyIsNull: boolean) {
    this.writer.position = HEADER_BYTES;
  }

  get bytes(): number {
    return this.writer.position;
  }

  add(record: OutgoingRecord, timestamp: number): void {
    if (this.count === 0) this.firstTimestamp = this.highestTimestamp = timestamp;
    if (timestamp > this.highestTimestamp) this.highestTimestamp = timestamp;
    const { key, value, origin } = record;
    const { writer } = this;
    const timeDelta = timestamp - this.firstTimestamp;
    const keyBytes = Buffer.byteLength(key);
    const isNull = this.emptyIsNull && value.length === 0;
    const names = origin === undefined ? EMPTY : namesOf(origin);
    const originBytes = origin === undefined ? 0 : varintSize(origin.offset) + varintSize(origin.index) + names.length;
    const length =
      1 +
      varintSize(timeDelta) +
      varintSize(this.count) +
      varintSize(keyBytes) +
      keyBytes +
      (isNull ? 1 : varintSize(value.length) + value.length) +
      1 +
      (origin === undefined ? 0 : 1 + ORIGIN_HEADER.length + varintSize(originBytes) + originBytes);
    writer.reserve(length + 5);
    const { buffer } = writer;
    let at = putVarint(buffer, length, writer.position);
    buffer[at++] = 0;
    at = putVarint(buffer, timeDelta, at);
    at = putVarint(buffer, this.count, at);
    at = putVarint(buffer, keyBytes, at);
    at += buffer.write(key, at, keyBytes === key.length ? 'latin1' : 'utf8');
    at = putVarint(buffer, isNull ? -1 : value.length, at);
    buffer.set(value, at);
    at += value.length;
    at = putVarint(buffer, origin === undefined ? 0 : 1, at);
    if (origin !== undefined) {
      at = putVarint(buffer, ORIGIN_HEADER.length, at);
      at += ORIGIN_HEADER.copy(buffer, at);
      at = putVarint(buffer, originBytes, at);
      at = putVarint(buffer, origin.offset, at);
      at = putVarint(buffer, origin.index, at);
      at += names.copy(buffer, at);
    }
    writer.position = at;
    this.count++;
  }

  /** The batch as sent; may be called again with another seal, for the same records. */
  seal({ producer, sequence, transactional, compression }: BatchSeal): Buffer {
    const plain = this.writer.bytes();
    const batch =
      compression === 'none'
        ? plain
        : Buffer.concat([plain.subarray(0, HEADER_BYTES), compress(compression, plain.subarray(HEADER_BYTES))]);
    putInt64(batch, 0, 0);
    batch.writeInt32BE(batch.length - PREFIX_BYTES, 8);
    batch.writeInt32BE(-1, 12);
    batch[16] = 2;
    batch.writeInt16BE(CODES[compression] | (transactional ? ATTRIBUTE_TRANSACTIONAL : 0), 21);
    batch.writeInt32BE(this.count - 1, 23);
    putInt64(batch, this.firstTimestamp, 27);
    putInt64(batch, this.highestTimestamp, 35);
    putInt64(batch, producer.id, 43);
    batch.writeInt16BE(producer.epoch, 51);
    batch.writeInt32BE(sequence, 53);
    batch.writeInt32BE(this.count, 57);
    batch.writeUInt32BE(crc32c(batch, CRC_FROM), 17);
    return batch;
  }
}

const CODES: Readonly<Record<Compression, number>> = { none: 0, gzip: 1, snappy: 2, zstd: 4 };
const COMPRESSIONS = new Map<number, Compression>(
  (Object.keys(CODES) as Compression[]).map((compression) => [CODES[compression], compression]),
);

/** Outputs come in runs of one origin's names. */
let latestNames = EMPTY;
let latestSource = '';
let latestOperator = '';

function namesOf({ source, operator }: Origin): Buffer {
  if (source !== latestSource || operator !== latestOperator) {
    latestNames = Buffer.from(`${source}\0${operator}`);
    latestSource = source;
    latestOperator = operator;
  }
  return latestNames;
}

/** A batch within a fetched buffer, not decoded yet. */
export interface StoredBatch {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly producerId: number;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
}

/** The whole batches in what was fetched; a cut one at the end is left out, as brokers may cut there. */
export function splitBatches(fetched: Buffer): StoredBatch[] {
  const batches: StoredBatch[] = [];
  let at = 0;
  while (at + HEADER_BYTES <= fetched.length) {
    const end = at + PREFIX_BYTES + fetched.readInt32BE(at + 8);
    if (end > fetched.length) break;
    const bytes = fetched.subarray(at, end);
    if (bytes[16] !== 2) {
      throw new EngineError('CODEC_CORRUPT', `A batch of records has format ${bytes[16]}; this build reads format 2.`);
    }
    const baseOffset = getInt64(bytes, 0);
    const attributes = bytes.readInt16BE(21);
    batches.push({
      bytes,
      baseOffset,
      lastOffset: baseOffset + bytes.readInt32BE(23),
      producerId: getInt64(bytes, 43),
      isTransactional: (attributes & ATTRIBUTE_TRANSACTIONAL) !== 0,
      isControl: (attributes & ATTRIBUTE_CONTROL) !== 0,
    });
    at = end;
  }
  return batches;
}

/** Whether a control batch ends its producer's transaction by undoing it. */
export function isAbortMarker(batch: StoredBatch): boolean {
  const reader = recordsOf(batch);
  reader.varint();
  reader.skip(1);
  reader.varint();
  reader.varint();
  reader.varint();
  reader.int16();
  return reader.int16() === 0;
}

/** All records of a batch, in order. Values are views of its bytes. Throws CODEC_CORRUPT. */
export function decodeRecords(batch: StoredBatch): LogRecord[] {
  const { bytes, baseOffset } = batch;
  if (crc32c(bytes, CRC_FROM) !== bytes.readUInt32BE(17)) {
    throw new EngineError('CODEC_CORRUPT', `The batch of records at offset ${baseOffset} has a wrong checksum.`);
  }
  const firstTimestamp = getInt64(bytes, 27);
  // Where the broker stamped the records itself, their own times do not count.
  const stampedAt = (bytes.readInt16BE(21) & 0x08) === 0 ? undefined : getInt64(bytes, 35);
  const count = bytes.readInt32BE(57);
  const reader = recordsOf(batch);
  const { buffer } = reader;
  const records: LogRecord[] = [];
  for (let i = 0; i < count; i++) {
    const length = reader.varint();
    const end = reader.position + length;
    if (length < 0 || end > reader.end) throw damaged(baseOffset);
    reader.skip(1);
    const timestamp = stampedAt ?? firstTimestamp + reader.varint();
    if (stampedAt !== undefined) reader.varint();
    const offset = baseOffset + reader.varint();
    const keyLength = Math.max(0, reader.varint());
    const keyAt = reader.position;
    reader.skip(keyLength);
    const key = keyLength === 0 ? '' : textOf(buffer, keyAt, keyAt + keyLength);
    const value = reader.slice(reader.varint()) ?? EMPTY;
    const headers = reader.varint();
    const origin = headers === 0 ? undefined : originOf(reader, headers);
    if (reader.position !== end) throw damaged(baseOffset);
    records.push({ offset, key, value, timestamp, origin });
  }
  return records;
}

function damaged(baseOffset: number): EngineError {
  return new EngineError(
    'CODEC_CORRUPT',
    `A record in the batch at offset ${baseOffset} has a length that is not its own.`,
  );
}

function recordsOf({ bytes, baseOffset }: StoredBatch): WireReader {
  const code = bytes.readInt16BE(21) & ATTRIBUTE_COMPRESSION;
  const body = bytes.subarray(HEADER_BYTES);
  if (code === 0) return new WireReader(body);
  const compression = COMPRESSIONS.get(code);
  if (compression !== undefined) return new WireReader(decompress(compression, body));
  throw new EngineError(
    'CODEC_CORRUPT',
    `The batch of records at offset ${baseOffset} is compressed by method ${code} (${code === 3 ? 'lz4' : 'unknown'}); ` +
      'this build reads gzip, snappy and, on Node 22.15 and newer, zstd.',
  );
}

/** Keys are short and mostly ASCII: for those the character loop beats a call into the runtime. */
function textOf(buffer: Buffer, start: number, end: number): string {
  for (let i = start; i < end; i++) if (buffer[i]! > 0x7f) return buffer.toString('utf8', start, end);
  return buffer.toString('latin1', start, end);
}

function originOf(reader: WireReader, headers: number): Origin | undefined {
  let origin: Origin | undefined;
  for (let i = 0; i < headers; i++) {
    const key = reader.slice(reader.varint());
    const length = reader.varint();
    if (key === undefined || length < 0 || !key.equals(ORIGIN_HEADER)) {
      reader.skip(Math.max(0, length));
      continue;
    }
    const end = reader.position + length;
    const offset = reader.varint();
    const index = reader.varint();
    const names = reader.slice(end - reader.position);
    if (names === undefined)
      throw new EngineError('CODEC_CORRUPT', 'The origin of a record is longer than its header.');
    if (!names.equals(decodedNames.bytes)) rememberNames(names);
    origin = { source: decodedNames.source, operator: decodedNames.operator, offset, index };
  }
  return origin;
}

interface OriginNames {
  /** A copy, so that a whole fetched buffer is not kept. */
  readonly bytes: Buffer;
  readonly source: string;
  readonly operator: string;
}

/** Pairs of names met: few, each in thousands of records that are kept. */
const NAMES_MAX = 1_024;
const namesMet = new Map<string, OriginNames>();
let decodedNames: OriginNames = { bytes: EMPTY, source: '', operator: '' };

function rememberNames(names: Buffer): void {
  const text = names.toString();
  let met = namesMet.get(text);
  if (met === undefined) {
    const [source = '', operator = ''] = text.split('\0');
    met = { bytes: Buffer.from(names), source, operator };
    if (namesMet.size >= NAMES_MAX) namesMet.clear();
    namesMet.set(text, met);
  }
  decodedNames = met;
}
