/** Produce, version 7: sealed record batches to the partitions that one broker leads, acknowledged by all replicas. */
import type { WireRequest } from './kafka-client.js';
import { WireReader, WireWriter } from './wire.js';

export interface ProducedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly bytes: Buffer;
}

export interface ProduceResult {
  /** Kafka's error number; 0 for none. */
  readonly error: number;
  /** Offset of the batch's first record. */
  readonly baseOffset: number;
}

const ALL_REPLICAS = -1;

/** The answer has one result a batch, in the order given. At most one batch a partition. */
export function produceRequest(
  batches: readonly ProducedBatch[],
  options: { readonly transactionalId?: string | undefined; readonly timeoutMs: number },
): WireRequest<readonly ProduceResult[]> {
  const bytes = batches.reduce((sum, batch) => sum + batch.bytes.length + batch.topic.length + 32, 64);
  const writer = new WireWriter(bytes);
  writer.string(options.transactionalId).int16(ALL_REPLICAS).int32(options.timeoutMs);
  // A topic must stand once: brokers drop its second entry.
  const topics = [...new Set(batches.map(({ topic }) => topic))];
  writer.array(topics, (topic) => {
    const own = batches.filter((batch) => batch.topic === topic);
    writer.string(topic).array(own, ({ partition, bytes: records }) => {
      writer.int32(partition).int32(records.length).raw(records);
    });
  });
  const decode = (answer: Buffer): readonly ProduceResult[] => decodeResults(answer, batches);
  return { apiKey: 0, apiVersion: 7, name: 'Produce', body: writer.bytes(), decode, waitMs: options.timeoutMs };
}

function decodeResults(answer: Buffer, batches: readonly ProducedBatch[]): readonly ProduceResult[] {
  const reader = new WireReader(answer);
  const results = new Map<string, ProduceResult>();
  reader.array(() => {
    const topic = reader.string() ?? '';
    reader.array(() => {
      const partition = reader.int32();
      const error = reader.int16();
      const baseOffset = reader.int64();
      reader.skip(16);
      results.set(`${topic}/${partition}`, { error, baseOffset });
    });
  });
  return batches.map(({ topic, partition }) => results.get(`${topic}/${partition}`) ?? UNANSWERED);
}

/** As for a request that timed out: it may have been done. */
const UNANSWERED: ProduceResult = { error: 7, baseOffset: -1 };
