/** Fetch, version 11: record batches of partitions from given offsets on, only what is committed. */
import type { WireRequest } from './kafka-client.js';
import { WireReader, WireWriter } from './wire.js';

export interface FetchPosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export interface FetchLimits {
  /** How long the broker may wait for records, ms. */
  readonly waitMs: number;
  readonly partitionBytesMax: number;
  readonly bytesMax: number;
}

export interface FetchedPartition {
  readonly topic: string;
  readonly partition: number;
  /** Kafka's error number; 0 for none. */
  readonly error: number;
  /** Offset after the last committed record. */
  readonly end: number;
  /** Producers whose transactions were undone, from which offset on. */
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[];
  readonly records: Buffer;
}

const READ_COMMITTED = 1;
const EMPTY = Buffer.alloc(0);

export function fetchRequest(
  positions: readonly FetchPosition[],
  { waitMs, partitionBytesMax, bytesMax }: FetchLimits,
): WireRequest<readonly FetchedPartition[]> {
  const writer = new WireWriter();
  writer.int32(-1).int32(waitMs).int32(1).int32(bytesMax).int8(READ_COMMITTED);
  // No fetch session: positions change with every request.
  writer.int32(0).int32(-1);
  const topics = groupByTopic(positions);
  writer.array([...topics], ([topic, own]) => {
    writer.string(topic).array(own, ({ partition, offset }) => {
      writer.int32(partition).int32(-1).int64(offset).int64(-1).int32(partitionBytesMax);
    });
  });
  writer.int32(0).string('');
  return { apiKey: 1, apiVersion: 11, name: 'Fetch', body: writer.bytes(), decode, waitMs };
}

function groupByTopic(positions: readonly FetchPosition[]): Map<string, FetchPosition[]> {
  const topics = new Map<string, FetchPosition[]>();
  for (const position of positions) {
    const own = topics.get(position.topic);
    if (own === undefined) topics.set(position.topic, [position]);
    else own.push(position);
  }
  return topics;
}

function decode(answer: Buffer): readonly FetchedPartition[] {
  const reader = new WireReader(answer);
  // Throttle time, error and session of the request as a whole.
  reader.skip(4);
  const error = reader.int16();
  reader.skip(4);
  return reader
    .array(() => {
      const topic = reader.string() ?? '';
      return reader.array((): FetchedPartition => {
        const partition = reader.int32();
        const own = reader.int16();
        // The high watermark counts open transactions too.
        reader.skip(8);
        const end = reader.int64();
        reader.skip(8);
        const aborted = reader.array(() => ({ producerId: reader.int64(), firstOffset: reader.int64() }));
        reader.skip(4);
        const records = reader.slice(reader.int32()) ?? EMPTY;
        return { topic, partition, error: own === 0 ? error : own, end, aborted, records };
      });
    })
    .flat();
}
