/**
 * Appends to *exact* topics: outside readers that read committed records see each output once.
 *
 * Outputs of one source go through one transactional producer, whose transactions also carry the id of the last output of
 * each operator, as the metadata of a group offset. Opening the producer ends whatever an earlier owner left open, and the
 * stored ids then tell which outputs are there: a resend after a crash, or after an answer that was lost, leaves them out.
 *
 *     open: number of the producer (fences older ones) → last ids
 *     each transaction: register partitions → produce → commit last ids → end
 *
 * Invariant: records and last ids become visible together or not at all; ids only grow.
 */
import { EngineError, invariant } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';
import type { AppendReceipt, Origin, OutgoingRecord } from '../log/event-log.js';
import type { Channel } from './kafka-client.js';
import { BrokerError, errorType, kafkaFault } from './kafka-error.js';
import type { KafkaMetrics } from './kafka-metrics.js';
import type { QueueLimits } from './partition-queue.js';
import { produceRequest } from './produce-request.js';
import { type ProducerId, RecordBatchBuilder } from './record-batch.js';

export interface ExactContext {
  readonly channel: Channel;
  readonly clock: Clock;
  readonly metrics: KafkaMetrics;
  /** Of the ids of producers and groups. */
  readonly prefix: string;
}

export interface ExactOptions extends QueueLimits {
  readonly deliveryMs: number;
}

/** An output's place among those of its operator. */
type LastIds = Record<string, readonly [offset: number, index: number]>;

interface Placed {
  readonly record: OutgoingRecord & { readonly origin: Origin };
  readonly partition: number;
}

/** A record that was there already: where is not known any more. */
const ALREADY_THERE = -1;
const TRANSACTION_MS_MAX = 60_000;
const REPLICAS_MS = 15_000;
const RETRY_MS_MIN = 5;
const RETRY_MS_MAX = 1_000;
const FENCED = new Set(['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'INVALID_PRODUCER_ID_MAPPING']);
const SEQUENCES = 2 ** 31;

/** One topic, one source. Calls run one after another. */
export class ExactSender {
  private readonly id: string;
  private producer: ProducerId | undefined;
  private lastIds: LastIds = {};
  private readonly sequences = new Map<number, number>();
  private running: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly topic: string,
    source: string,
    private readonly context: ExactContext,
    private readonly options: ExactOptions,
  ) {
    this.id = `${context.prefix}freshet.${topic}.${source}`;
  }

  /** Throws TASK_FENCED when another owner sends for this source now. */
  append(records: readonly Placed[]): Promise<readonly AppendReceipt[]> {
    const done = this.running.then(() => this.appendNow(records));
    this.running = done.catch(() => undefined);
    return done;
  }

  private async appendNow(records: readonly Placed[]): Promise<readonly AppendReceipt[]> {
    const { clock } = this.context;
    const giveUpAt = clock.monotonic() + this.options.deliveryMs;
    for (let pauseMs = RETRY_MS_MIN; ; pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX)) {
      try {
        if (this.producer === undefined) await this.open();
        return await this.transact(records);
      } catch (error) {
        const wasOpen = this.producer !== undefined;
        // Whatever became of the transaction: opening anew ends it, and the stored ids say whether it counted.
        this.producer = undefined;
        if (wasOpen && FENCED.has(errorType(error))) throw this.fenced(error);
        const fault = kafkaFault(error, `append to ${this.topic} exactly once`);
        if (!fault.retriable || clock.monotonic() > giveUpAt) throw fault;
        await clock.sleep(pauseMs);
        await this.context.channel.refresh().catch(() => undefined);
      }
    }
  }

  private fenced(cause: unknown): EngineError {
    return new EngineError('TASK_FENCED', `Another owner sends the outputs of '${this.id}' now.`, { cause });
  }

  private async open(): Promise<void> {
    const { channel } = this.context;
    const coordinator = await channel.transactionCoordinator(this.id);
    const { producerId, producerEpoch } = await this.patiently(() =>
      coordinator.initProducerId({ transactionalId: this.id, transactionTimeout: TRANSACTION_MS_MAX }),
    );
    const group = await channel.groupCoordinator(this.id);
    const { responses } = await group.offsetFetch({
      groupId: this.id,
      topics: [{ topic: this.topic, partitions: [{ partition: 0, offset: '' }] }],
    });
    const [stored] = responses[0]?.partitions ?? [];
    const metadata = (stored as { metadata?: string | null } | undefined)?.metadata ?? '';
    this.lastIds = metadata === '' ? {} : (JSON.parse(metadata) as LastIds);
    this.sequences.clear();
    this.producer = { id: Number(producerId), epoch: producerEpoch };
  }

  private async transact(records: readonly Placed[]): Promise<readonly AppendReceipt[]> {
    const lastIds = { ...this.lastIds };
    const receipts: AppendReceipt[] = records.map(({ partition }) => ({ partition, offset: ALREADY_THERE }));
    const fresh = new Map<number, number[]>();
    records.forEach(({ record: { origin }, partition }, i) => {
      if (!isAbove(origin, lastIds[origin.operator])) return;
      lastIds[origin.operator] = [origin.offset, origin.index];
      const own = fresh.get(partition);
      if (own === undefined) fresh.set(partition, [i]);
      else own.push(i);
    });
    if (fresh.size === 0) return receipts;
    const producer = this.producer!;
    const place = { transactionalId: this.id, producerId: producer.id, producerEpoch: producer.epoch };
    const { channel } = this.context;
    const coordinator = await channel.transactionCoordinator(this.id);
    const topics = [{ topic: this.topic, partitions: [...fresh.keys()] }];
    await this.patiently(() => coordinator.addPartitionsToTxn({ ...place, topics }));
    for (const [partition, indexes] of fresh) {
      const base = await this.produce(
        producer,
        partition,
        indexes.map((i) => records[i]!.record),
      );
      indexes.forEach((index, i) => (receipts[index] = { partition, offset: base + i }));
    }
    await this.patiently(() => coordinator.addOffsetsToTxn({ ...place, groupId: this.id }));
    const group = await channel.groupCoordinator(this.id);
    const offset = Math.max(...Object.values(lastIds).map(([own]) => own)) + 1;
    const partitions = [{ partition: 0, offset, metadata: JSON.stringify(lastIds) }];
    await this.patiently(() =>
      group.txnOffsetCommit({ ...place, groupId: this.id, topics: [{ topic: this.topic, partitions }] }),
    );
    await this.patiently(() => coordinator.endTxn({ ...place, transactionResult: true }));
    this.lastIds = lastIds;
    return receipts;
  }

  /** Returns the offset of the first record. */
  private async produce(
    producer: ProducerId,
    partition: number,
    records: readonly Placed['record'][],
  ): Promise<number> {
    const { channel, clock, metrics } = this.context;
    const builder = new RecordBatchBuilder(false);
    const timestamp = Math.floor(clock.now());
    for (const record of records) builder.add(record, timestamp);
    const sequence = this.sequences.get(partition) ?? 0;
    const { compression } = this.options;
    const bytes = builder.seal({ producer, sequence, transactional: true, compression });
    metrics.sent(records.length, bytes.length, false);
    const request = produceRequest([{ topic: this.topic, partition, bytes }], {
      transactionalId: this.id,
      timeoutMs: REPLICAS_MS,
    });
    const started = clock.monotonic();
    const [result] = await channel.send(channel.leader(this.topic, partition), request);
    metrics.sendMs.observe(clock.monotonic() - started);
    if (result!.error !== 0) throw new BrokerError(result!.error, `append to ${this.topic}/${partition}`);
    this.sequences.set(partition, (sequence + records.length) % SEQUENCES);
    return result!.baseOffset;
  }

  /** The transaction before may still be ending, and coordinators be loading. */
  private async patiently<T>(call: () => Promise<T>): Promise<T> {
    const { clock } = this.context;
    const giveUpAt = clock.monotonic() + TRANSACTION_MS_MAX;
    for (let pauseMs = RETRY_MS_MIN; ; pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX)) {
      try {
        return await call();
      } catch (error) {
        if (!ENDING.has(errorType(error)) || clock.monotonic() > giveUpAt) throw error;
        await clock.sleep(pauseMs);
      }
    }
  }
}

const ENDING = new Set(['CONCURRENT_TRANSACTIONS', 'GROUP_LOAD_IN_PROGRESS', 'COORDINATOR_LOAD_IN_PROGRESS']);

function isAbove({ offset, index }: Origin, last: readonly [number, number] | undefined): boolean {
  return last === undefined || offset > last[0] || (offset === last[0] && index > last[1]);
}

/** Records of exact topics must say where they come from. */
export function requireOrigins(topic: string, records: readonly OutgoingRecord[]): void {
  const without = records.find(({ origin }) => origin === undefined);
  invariant(without === undefined, `Exact topic '${topic}' takes outputs only; a record has no origin`);
}
