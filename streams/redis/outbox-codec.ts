/**
 * The outputs of one commit as one packed value: what waits in the outbox until it is sent.
 *
 *   u8 format, number of topics; a topic: name, number of records; a record: u8 shape (which of the following differ
 *   from the record before), key, value, then partition, source, operator, offset, index as far as they are there
 *
 * Numbers are zig-zag varints, texts and bytes carry their length.
 */
import { BinaryReader } from '../../schemas/binary-reader.js';
import { BinaryWriter } from '../../schemas/binary-writer.js';
import { EngineError } from '../../schemas/errors.js';
import type { OutgoingRecord } from '../log/event-log.js';
import type { OutputBatch } from '../state/state-store.js';

const FORMAT = 1;
const HAS_PARTITION = 1;
const HAS_ORIGIN = 2;
const NEW_SOURCE = 4;
const NEW_OPERATOR = 8;

const writer = new BinaryWriter();
const reader = new BinaryReader();

export function packOutputs(outputs: readonly OutputBatch[]): Buffer {
  writer.openScratch();
  writer.writeLong(FORMAT);
  writer.writeLong(outputs.length);
  for (const { topic, records } of outputs) {
    writer.writeString(topic);
    writer.writeLong(records.length);
    let source = '';
    let operator = '';
    for (const record of records) {
      writeRecord(record, source, operator);
      if (record.origin !== undefined) ({ source, operator } = record.origin);
    }
  }
  return writer.takeScratch();
}

function writeRecord({ key, value, partition, origin }: OutgoingRecord, source: string, operator: string): void {
  let shape = partition === undefined ? 0 : HAS_PARTITION;
  if (origin !== undefined) {
    shape |= HAS_ORIGIN;
    if (origin.source !== source) shape |= NEW_SOURCE;
    if (origin.operator !== operator) shape |= NEW_OPERATOR;
  }
  writer.writeLong(shape);
  writer.writeString(key);
  writer.writeBytes(value);
  if (partition !== undefined) writer.writeLong(partition);
  if (origin === undefined) return;
  if (shape & NEW_SOURCE) writer.writeString(origin.source);
  if (shape & NEW_OPERATOR) writer.writeString(origin.operator);
  writer.writeLong(origin.offset);
  writer.writeLong(origin.index);
}

/** Throws STATE_CORRUPT. */
export function unpackOutputs(bytes: Buffer): OutputBatch[] {
  try {
    reader.open(bytes, 0);
    const format = reader.readLong();
    if (format !== FORMAT) throw new EngineError('STATE_VERSION_UNKNOWN', `The outbox has format ${format}.`);
    const outputs = Array.from({ length: reader.readLong() }, readTopic);
    reader.close();
    return outputs;
  } catch (cause) {
    if (cause instanceof EngineError && cause.code === 'STATE_VERSION_UNKNOWN') throw cause;
    throw new EngineError('STATE_CORRUPT', 'The packed outputs of a commit cannot be read.', { cause });
  }
}

function readTopic(): OutputBatch {
  const topic = reader.readString();
  const count = reader.readLong();
  const records: OutgoingRecord[] = [];
  let source = '';
  let operator = '';
  for (let i = 0; i < count; i++) {
    const shape = reader.readLong();
    const key = reader.readString();
    const value = reader.readBytes();
    const partition = shape & HAS_PARTITION ? reader.readLong() : undefined;
    if (shape & NEW_SOURCE) source = reader.readString();
    if (shape & NEW_OPERATOR) operator = reader.readString();
    const origin =
      shape & HAS_ORIGIN ? { source, operator, offset: reader.readLong(), index: reader.readLong() } : undefined;
    records.push({ key, value, partition, origin });
  }
  return { topic, records };
}
