/**
 * An append as the journal keeps it: everything that is needed to append it again, at the end of the same partitions.
 *
 * Offsets are not part of it: what tasks had sent to the same partition since the last flush is gone after a crash,
 * and will be sent again behind it.
 */
import { BinaryReader } from '../../schemas/binary-reader.js';
import { BinaryWriter } from '../../schemas/binary-writer.js';
import type { OutgoingRecord } from '../log/event-log.js';

export interface Append {
  readonly topic: string;
  /** When it was appended, ms since epoch. */
  readonly timestamp: number;
  /** Each with its partition. */
  readonly records: readonly PlacedRecord[];
}

export type PlacedRecord = OutgoingRecord & { readonly partition: number };

const LAYOUT = 1;
/** Encoding is synchronous, so one writer and one reader do. */
const writer = new BinaryWriter();
const reader = new BinaryReader();

export function encodeAppend({ topic, timestamp, records }: Append): Buffer {
  writer.openScratch();
  writer.writeLong(LAYOUT);
  writer.writeString(topic);
  writer.writeLong(timestamp);
  writer.writeLong(records.length);
  for (const { partition, key, value, origin } of records) {
    writer.writeLong(partition);
    writer.writeString(key);
    writer.writeBytes(value);
    writer.writeByte(origin === undefined ? 0 : 1);
    if (origin === undefined) continue;
    writer.writeString(origin.source);
    writer.writeString(origin.operator);
    writer.writeLong(origin.offset);
    writer.writeLong(origin.index);
  }
  return writer.takeScratch();
}

/** Throws CODEC_CORRUPT. */
export function decodeAppend(payload: Buffer): Append {
  reader.open(payload, 0);
  const layout = reader.readLong();
  if (layout !== LAYOUT) reader.fail(`the layout of an append is ${layout}; this build reads ${LAYOUT}`);
  const topic = reader.readString();
  const timestamp = reader.readLong();
  const records: PlacedRecord[] = [];
  // The least that a record takes: partition, key, value and whether it has an origin.
  const count = reader.readCount(4);
  for (let i = 0; i < count; i++) {
    const record = { partition: reader.readLong(), key: reader.readString(), value: reader.readBytes() };
    records.push(reader.readBoolean() ? { ...record, origin: readOrigin() } : record);
  }
  reader.close();
  return { topic, timestamp, records };
}

function readOrigin(): NonNullable<OutgoingRecord['origin']> {
  const [source, operator] = [reader.readString(), reader.readString()];
  return { source, operator, offset: reader.readLong(), index: reader.readLong() };
}
