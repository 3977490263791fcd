/**
 * Reads partitions from given offsets: from the cache, or by a fetch that does not wait.
 *
 * Reads of a turn from one broker share a fetch, questions for bounds a request. When more is there than was fetched, the next piece is fetched while the
 * reader works. An offset outside of the log is an error with the bounds, never a jump.
 */
import type { EngineError } from '../../schemas/errors.js';
import type { LogBatch, PartitionBounds, ReadLimits } from '../log/event-log.js';
import { offsetOutOfRange } from '../memory/memory-log.js';
import type { Clock } from '../clock.js';
import { Chunk, ChunkCache } from './chunk-cache.js';
import { type FetchedPartition, type FetchPosition, fetchRequest } from './fetch-request.js';
import type { Channel } from './kafka-client.js';
import { BrokerError, kafkaFault } from './kafka-error.js';
import type { KafkaMetrics } from './kafka-metrics.js';

export interface ReaderOptions {
  readonly partitionBytesMax: number;
  readonly cacheBytesMax: number;
}

export interface ReaderContext {
  readonly channel: Channel;
  readonly clock: Clock;
  readonly metrics: KafkaMetrics;
}

interface WaitingFetch {
  readonly position: FetchPosition;
  resolve(fetched: FetchedPartition): void;
  reject(error: unknown): void;
}

interface OffsetQuestion {
  readonly topic: string;
  readonly partition: number;
  resolve(offset: number): void;
  reject(error: unknown): void;
}

/** A fetch of many partitions at once stays below this. */
export const FETCH_BYTES_MAX = 32 * 1_048_576;
const RETRY_MS = 50;
const RETRY_MS_MAX = 500;
/** Some ten seconds: topics just made have no leader yet, and a failover takes a while. */
const ATTEMPTS_MAX = 25;
const OFFSET_OUT_OF_RANGE = 1;
const EARLIEST = -2;
const LATEST = -1;
const READ_COMMITTED = 1;

export class PartitionReader {
  readonly cache: ChunkCache;
  private readonly waiting = new Map<number, WaitingFetch[]>();
  /** Of this turn, by leader and what is asked for. */
  private readonly questions = new Map<string, OffsetQuestion[]>();
  /** Fetches under way by place and offset. */
  private readonly ahead = new Map<string, Promise<Chunk>>();

  constructor(
    private readonly context: ReaderContext,
    private readonly options: ReaderOptions,
  ) {
    this.cache = new ChunkCache(options.cacheBytesMax);
  }

  async read(topic: string, partition: number, from: number, limits: ReadLimits): Promise<LogBatch> {
    const place = `${topic}/${partition}`;
    const position = { topic, partition, offset: from };
    const chunk =
      this.cache.find(place, from) ?? (await (this.ahead.get(`${place}@${from}`) ?? this.fetchChunk(position)));
    const batch = chunk.read(from, limits);
    // What lies beyond is there already when the reader comes back.
    if (chunk.hasMore && this.cache.find(place, chunk.next) === undefined)
      this.fetchAhead(topic, partition, chunk.next);
    return batch;
  }

  private fetchAhead(topic: string, partition: number, offset: number): void {
    const name = `${topic}/${partition}@${offset}`;
    if (this.ahead.has(name)) return;
    const fetching = this.fetchChunk({ topic, partition, offset }).finally(() => this.ahead.delete(name));
    this.ahead.set(name, fetching);
    // Whoever reads there meets the error again.
    fetching.catch(() => undefined);
  }

  private async fetchChunk(position: FetchPosition): Promise<Chunk> {
    const { topic, partition, offset } = position;
    if (offset < 0) throw await this.outOfRange(position);
    return this.retried(`read ${topic}/${partition}`, async () => {
      const fetched = await this.fetch(position);
      if (fetched.error === OFFSET_OUT_OF_RANGE) throw await this.outOfRange(position);
      if (fetched.error !== 0) throw new BrokerError(fetched.error, `read ${topic}/${partition}`);
      return this.take(offset, fetched);
    });
  }

  /** Again, with growing pauses and news of who leads what, until it works or is final. */
  private async retried<T>(what: string, call: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        const fault = kafkaFault(error, what);
        if (!fault.retriable || attempt === ATTEMPTS_MAX) throw fault;
        await this.context.clock.sleep(Math.min(RETRY_MS * attempt, RETRY_MS_MAX));
        await this.context.channel.refresh().catch(() => undefined);
      }
    }
  }

  /** Puts what was fetched where readers find it. */
  take(from: number, fetched: FetchedPartition): Chunk {
    const { topic, partition, end } = fetched;
    const chunk = new Chunk(from, fetched, this.cache.decoded);
    this.cache.add(`${topic}/${partition}`, chunk);
    this.context.metrics.fetched(chunk.bytes);
    this.context.metrics.lag(topic, partition, Math.max(0, end - from));
    return chunk;
  }

  private fetch(position: FetchPosition): Promise<FetchedPartition> {
    const node = this.context.channel.leader(position.topic, position.partition);
    return new Promise((resolve, reject) => {
      const waiting = this.waiting.get(node);
      const entry = { position, resolve, reject };
      if (waiting !== undefined) {
        waiting.push(entry);
        return;
      }
      this.waiting.set(node, [entry]);
      queueMicrotask(() => void this.flush(node));
    });
  }

  private async flush(node: number): Promise<void> {
    // Two readers of one partition at once: the second one asks again, and meets the cache.
    const all = this.waiting.get(node)!;
    this.waiting.delete(node);
    const limits = { waitMs: 0, partitionBytesMax: this.options.partitionBytesMax, bytesMax: FETCH_BYTES_MAX };
    for (const entries of withoutRepeats(all)) {
      try {
        const request = fetchRequest(
          entries.map(({ position }) => position),
          limits,
        );
        const fetched = await this.context.channel.send(node, request);
        for (const entry of entries) {
          const { topic, partition } = entry.position;
          const own = fetched.find((one) => one.partition === partition && one.topic === topic);
          if (own === undefined) entry.reject(new Error(`the broker did not answer for ${topic}/${partition}`));
          else entry.resolve(own);
        }
      } catch (error) {
        for (const entry of entries) entry.reject(error);
      }
    }
  }

  private async outOfRange({ topic, partition, offset }: FetchPosition): Promise<EngineError> {
    return offsetOutOfRange(topic, partition, offset, await this.bounds(topic, partition));
  }

  async bounds(topic: string, partition: number): Promise<PartitionBounds> {
    return this.retried(`find the bounds of ${topic}/${partition}`, async () => {
      const [start, end] = await Promise.all([
        this.offsetAt(topic, partition, EARLIEST),
        this.offsetAt(topic, partition, LATEST),
      ]);
      return { start, end };
    });
  }

  private offsetAt(topic: string, partition: number, timestamp: number): Promise<number> {
    const node = this.context.channel.leader(topic, partition);
    const key = `${node}/${timestamp}`;
    return new Promise((resolve, reject) => {
      const question = { topic, partition, resolve, reject };
      const waiting = this.questions.get(key);
      if (waiting !== undefined) {
        waiting.push(question);
        return;
      }
      this.questions.set(key, [question]);
      queueMicrotask(() => {
        const asked = this.questions.get(key)!;
        this.questions.delete(key);
        void this.askOffsets(asked, timestamp);
      });
    });
  }

  /** Of partitions with one leader, in one request. Where that fails each is asked for by itself: one may be at fault. */
  private async askOffsets(questions: readonly OffsetQuestion[], timestamp: number): Promise<void> {
    const partitionsOf = new Map<string, Set<number>>();
    for (const { topic, partition } of questions) {
      const partitions = partitionsOf.get(topic);
      if (partitions === undefined) partitionsOf.set(topic, new Set([partition]));
      else partitions.add(partition);
    }
    const topics = [...partitionsOf].map(([topic, partitions]) => ({
      topic,
      partitions: [...partitions].map((partition) => ({ partition, timestamp })),
    }));
    const any = questions[0]!;
    try {
      const broker = await this.context.channel.leaderBroker(any.topic, any.partition);
      const { responses } = await broker.listOffsets({ replicaId: -1, isolationLevel: READ_COMMITTED, topics });
      const found = new Map(
        responses.flatMap(({ topic, partitions }) =>
          partitions.map(({ partition, offset }) => [`${topic}/${partition}`, Number(offset)] as const),
        ),
      );
      for (const question of questions) {
        const offset = found.get(`${question.topic}/${question.partition}`);
        if (offset !== undefined) question.resolve(offset);
        else question.reject(new Error(`the broker did not answer for ${question.topic}/${question.partition}`));
      }
    } catch (error) {
      if (questions.length === 1) questions[0]!.reject(error);
      else for (const question of questions) void this.askOffsets([question], timestamp);
    }
  }
}

/** A request may name a partition once only. */
function withoutRepeats(entries: readonly WaitingFetch[]): WaitingFetch[][] {
  const rounds: WaitingFetch[][] = [];
  const counts = new Map<string, number>();
  for (const entry of entries) {
    const name = `${entry.position.topic}/${entry.position.partition}`;
    const round = counts.get(name) ?? 0;
    counts.set(name, round + 1);
    (rounds[round] ??= []).push(entry);
  }
  return rounds;
}
