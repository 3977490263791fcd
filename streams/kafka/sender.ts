/**
 * Appends records: an idempotent producer with one send in flight to each broker.
 *
 * Appends of a turn, and those that come while a send is under way, share the next one. A send that failed in a way that
 * passes is repeated, with the same bytes, until the delivery time is over; then its callers hear LOG_UNAVAILABLE and may
 * not conclude that nothing was appended.
 *
 * Invariant: the records of a partition are appended in the order of the calls, each acknowledged batch exactly once.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock, TimerHandle } from '../clock.js';
import type { AppendReceipt, OutgoingRecord } from '../log/event-log.js';
import type { Logger } from '../logger.js';
import { type Channel } from './kafka-client.js';
import { BrokerError, errorType, kafkaFault } from './kafka-error.js';
import type { KafkaMetrics } from './kafka-metrics.js';
import { type AppendPart, PartitionQueue, type QueueLimits } from './partition-queue.js';
import { produceRequest, type ProduceResult } from './produce-request.js';
import type { ProducerId } from './record-batch.js';

export interface SenderOptions extends QueueLimits {
  /** An append is given up when it was not acknowledged for this long, ms. */
  readonly deliveryMs: number;
  /** Bytes that may wait; more appends are refused. */
  readonly waitingBytesMax: number;
}

export interface SenderContext {
  readonly channel: Channel;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: KafkaMetrics;
  readonly onAppended: (topic: string, partition: number) => void;
}

const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 1_000;
/** The broker’s limit for waiting on its replicas. */
const REPLICAS_MS = 15_000;
/** The producer's number is lost or not the broker's: nothing of this attempt was appended. */
const PRODUCER_UNKNOWN = new Set([
  'UNKNOWN_PRODUCER_ID',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
  'PRODUCER_FENCED',
]);
const LEADER_MOVED = new Set([
  'NOT_LEADER_FOR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'FENCED_LEADER_EPOCH',
]);

export class Sender {
  private readonly queues = new Map<string, PartitionQueue>();
  /** Queues with something to send. */
  private readonly ready = new Set<PartitionQueue>();
  private readonly busyNodes = new Set<number>();
  private producer: ProducerId | undefined;
  private opening: Promise<ProducerId> | undefined;
  private retry: TimerHandle | undefined;
  private scheduled = false;
  private closed = false;
  private waitingBytes = 0;
  private idle: (() => void)[] = [];

  constructor(
    private readonly context: SenderContext,
    private readonly options: SenderOptions,
  ) {}

  private get replicasMs(): number {
    return Math.min(REPLICAS_MS, this.options.deliveryMs);
  }

  /** Bytes of appends that are not acknowledged. */
  get unacknowledgedBytes(): number {
    return this.waitingBytes;
  }

  /** Resolves with receipts in the order given. `places` has one partition a record. */
  append(
    topic: string,
    records: readonly OutgoingRecord[],
    places: readonly number[],
    isTable: boolean,
  ): Promise<readonly AppendReceipt[]> {
    if (this.closed) return Promise.reject(new EngineError('LOG_UNAVAILABLE', 'The log is closed.'));
    if (this.waitingBytes > this.options.waitingBytesMax) return Promise.reject(this.overloaded(topic));
    const timestamp = Math.floor(this.context.clock.now());
    return new Promise((resolve, reject) => {
      const call = new AppendCall(records.length, resolve, reject);
      for (const [partition, indexes] of groupPlaces(places)) {
        const queue = this.queue(topic, partition, isTable);
        const own = indexes === undefined ? records : indexes.map((index) => records[index]!);
        let at = 0;
        this.waitingBytes += queue.add(own, timestamp, (count) => {
          const part = call.part(partition, indexes, at, count);
          at += count;
          return part;
        });
        this.ready.add(queue);
      }
      this.schedule();
    });
  }

  private overloaded(topic: string): EngineError {
    return new EngineError(
      'OVERLOADED',
      `${this.waitingBytes} bytes wait to be appended to Kafka, more than ${this.options.waitingBytesMax}; ${topic} must wait.`,
    );
  }

  private queue(topic: string, partition: number, isTable: boolean): PartitionQueue {
    const name = `${topic}/${partition}`;
    const known = this.queues.get(name);
    if (known !== undefined) return known;
    const queue = new PartitionQueue(topic, partition, isTable, this.options);
    this.queues.set(name, queue);
    return queue;
  }

  /** Sends at the end of the turn, so that its appends travel together. */
  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      this.dispatch();
    });
  }

  private dispatch(): void {
    if (this.ready.size === 0) return;
    const { producer } = this;
    if (producer === undefined) return void this.openProducer();
    const now = this.context.clock.monotonic();
    const byNode = new Map<number, PartitionQueue[]>();
    let retryAt = Infinity;
    for (const queue of this.ready) {
      if (queue.inFlight) continue;
      if (queue.retryAt > now) {
        retryAt = Math.min(retryAt, queue.retryAt);
        continue;
      }
      const node = this.leaderOf(queue, now);
      if (node === undefined) retryAt = Math.min(retryAt, queue.retryAt);
      else if (!this.busyNodes.has(node)) byNode.set(node, [...(byNode.get(node) ?? []), queue]);
    }
    for (const [node, queues] of byNode) void this.send(node, queues, producer);
    if (retryAt < Infinity) this.wakeIn(retryAt - now);
  }

  private wakeIn(ms: number): void {
    this.retry?.cancel();
    this.retry = this.context.clock.setTimer(Math.max(1, ms), () => {
      this.retry = undefined;
      this.dispatch();
    });
  }

  /** Undefined, with the time of the next look set, while there is none. */
  private leaderOf(queue: PartitionQueue, now: number): number | undefined {
    try {
      return this.context.channel.leader(queue.topic, queue.partition);
    } catch (error) {
      queue.seal(this.producer!, now);
      this.attemptFailed(queue, error);
      this.refresh();
      return undefined;
    }
  }

  private async openProducer(): Promise<void> {
    if (this.opening !== undefined) return;
    this.opening = this.newProducer();
    try {
      this.producer = await this.opening;
    } catch (error) {
      const fault = kafkaFault(error, 'open a producer');
      for (const queue of this.ready) queue.abandon(fault);
      this.ready.clear();
      this.waitingBytes = 0;
    } finally {
      this.opening = undefined;
    }
    this.settleIfIdle();
    this.dispatch();
  }

  /** Tries for as long as an append may take. */
  private async newProducer(): Promise<ProducerId> {
    const { channel, clock } = this.context;
    const giveUpAt = clock.monotonic() + this.options.deliveryMs;
    for (let pauseMs = RETRY_MS_MIN; ; pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX)) {
      try {
        const broker = await channel.anyBroker();
        const { producerId, producerEpoch } = await broker.initProducerId({ transactionTimeout: REPLICAS_MS });
        return { id: Number(producerId), epoch: producerEpoch };
      } catch (error) {
        const fault = kafkaFault(error, 'open a producer');
        if (!fault.retriable || this.closed || clock.monotonic() > giveUpAt) throw fault;
        this.refresh();
        await clock.sleep(pauseMs);
      }
    }
  }

  private async send(node: number, queues: readonly PartitionQueue[], producer: ProducerId): Promise<void> {
    const { channel, clock, metrics } = this.context;
    this.busyNodes.add(node);
    const started = clock.monotonic();
    const batches = queues.map((queue) => {
      queue.inFlight = true;
      const { bytes, builder, attempts } = queue.seal(producer, started);
      metrics.sent(builder.count, bytes.length, attempts > 0);
      return { topic: queue.topic, partition: queue.partition, bytes };
    });
    try {
      const results = await channel.send(node, produceRequest(batches, { timeoutMs: this.replicasMs }));
      queues.forEach((queue, i) => this.settle(queue, results[i]!));
    } catch (error) {
      for (const queue of queues) this.attemptFailed(queue, error);
      this.refresh();
    }
    metrics.sendMs.observe(clock.monotonic() - started);
    this.busyNodes.delete(node);
    this.settleIfIdle();
    this.dispatch();
  }

  private settle(queue: PartitionQueue, { error, baseOffset }: ProduceResult): void {
    if (error === 0) {
      this.waitingBytes -= queue.acknowledge(baseOffset);
      queue.retryAt = 0;
      if (queue.isEmpty) this.ready.delete(queue);
      this.context.onAppended(queue.topic, queue.partition);
      return;
    }
    const fault = new BrokerError(error, `append to ${queue.topic}/${queue.partition}`);
    if (LEADER_MOVED.has(fault.type)) this.refresh();
    this.attemptFailed(queue, fault);
  }

  /** Sets the queue up for its next attempt, or fails its callers. */
  private attemptFailed(queue: PartitionQueue, error: unknown): void {
    const { clock, logger } = this.context;
    const batch = queue.sealed!;
    const fault = kafkaFault(error, `append to ${queue.topic}/${queue.partition}`);
    const isUnknown = PRODUCER_UNKNOWN.has(errorType(error));
    const now = clock.monotonic();
    queue.inFlight = false;
    batch.attempts++;
    if (isUnknown) this.producer = undefined;
    if (isUnknown && batch.attempts === 1) {
      // The first attempt, and it was answered: nothing of it was appended.
      queue.unseal();
      return;
    }
    if (isUnknown || !fault.retriable || this.closed || now - batch.sealedAt > this.options.deliveryMs) {
      logger.warn('append given up', { topic: queue.topic, partition: queue.partition, error: fault });
      // Its number may or may not be used: what follows must not get it.
      this.producer = undefined;
      this.waitingBytes -= queue.giveUp(fault.retriable || !isUnknown ? fault : inDoubt(fault));
      if (queue.isEmpty) this.ready.delete(queue);
      return;
    }
    queue.retryAt = now + Math.min(RETRY_MS_MIN * 2 ** (batch.attempts - 1), RETRY_MS_MAX);
  }

  private refresh(): void {
    // What is not reachable now is looked for again at the next attempt.
    this.context.channel.refresh().catch(() => undefined);
  }

  private settleIfIdle(): void {
    if (this.ready.size > 0) return;
    for (const resolve of this.idle.splice(0)) resolve();
  }

  /** Sends what waits, for as long as an append may take. */
  async close(): Promise<void> {
    if (this.ready.size > 0) await new Promise<void>((resolve) => this.idle.push(resolve));
    this.closed = true;
    this.retry?.cancel();
  }
}

function inDoubt(cause: EngineError): EngineError {
  return new EngineError('LOG_UNAVAILABLE', cause.message, { cause });
}

/** One `append`: fills in receipts, resolves when all are there. */
class AppendCall {
  private readonly receipts: AppendReceipt[];
  private missing: number;

  constructor(
    count: number,
    private readonly resolve: (receipts: readonly AppendReceipt[]) => void,
    private readonly reject: (error: EngineError) => void,
  ) {
    this.receipts = new Array<AppendReceipt>(count);
    this.missing = count;
  }

  /** `indexes` are the places of a partition's records among all; all of them when undefined. */
  part(partition: number, indexes: readonly number[] | undefined, from: number, count: number): AppendPart {
    return {
      acknowledged: (firstOffset) => {
        for (let i = 0; i < count; i++) {
          const index = indexes === undefined ? from + i : indexes[from + i]!;
          this.receipts[index] = { partition, offset: firstOffset + i };
        }
        this.missing -= count;
        if (this.missing === 0) this.resolve(this.receipts);
      },
      failed: (error) => this.reject(error),
    };
  }
}

/** Indexes by partition, in order; undefined for all of them where there is one partition only. */
function groupPlaces(places: readonly number[]): Map<number, number[] | undefined> {
  const first = places[0]!;
  if (places.every((place) => place === first)) return new Map([[first, undefined]]);
  const groups = new Map<number, number[]>();
  places.forEach((place, index) => {
    const own = groups.get(place);
    if (own === undefined) groups.set(place, [index]);
    else own.push(index);
  });
  return groups;
}
