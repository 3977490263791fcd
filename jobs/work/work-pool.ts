/**
 * The coordinator of shared work: shards out, answers back in order.
 *
 * Bounded: `OUTSTANDING_MAX` shards are on Redis at a time; inputs and answers of a shard are forgotten when it is done.
 * While no worker is connected it waits, and gives up after `waitMs`.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Random } from '../../streams/random.js';
import { RedisClient, redisClientOptionsOf } from '../../streams/redis/index.js';
import type { FreshetConfig } from '../config.js';
import { BlobStore } from './blob-store.js';
import type { BlobRef } from './blob-store.js';
import { requireOneMaster, ShardQueue } from './shard-queue.js';

/** A piece of work. Inputs are bytes of its own, or blobs that `share` put. */
export interface Shard {
  readonly kind: 'half-sweep' | 'ranking' | 'trial';
  readonly values: object;
  readonly inputs: readonly (Uint8Array | BlobRef)[];
}

export interface WorkPoolOptions {
  readonly config: FreshetConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Enough for some dozens of workers to have a next one at hand. */
const OUTSTANDING_MAX = 64;
const WATCH_MS = 2_000;

export class WorkPool {
  private sequence = 0;
  private readonly id: string;

  private constructor(
    private readonly options: WorkPoolOptions,
    private readonly client: RedisClient,
    private readonly blobs: BlobStore,
    private readonly queue: ShardQueue,
  ) {
    this.id = options.random.hex(12);
  }

  /** Throws STORE_UNAVAILABLE, STORE_REFUSED, CONFIG_INVALID. */
  static async open(options: WorkPoolOptions): Promise<WorkPool> {
    const { config, clock } = options;
    const { namespace } = config.streams;
    const place = redisClientOptionsOf(config.redis);
    requireOneMaster(place.topology);
    const client = await RedisClient.open({ ...place, clock });
    try {
      const queue = new ShardQueue({ ...options, redis: config.redis, namespace });
      return new WorkPool(options, client, new BlobStore(client, namespace), queue);
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Puts what several shards need; the caller forgets it. */
  share(bytes: Uint8Array): Promise<BlobRef> {
    return this.blobs.put(this.nextId(), bytes);
  }

  async forget(...refs: readonly BlobRef[]): Promise<void> {
    for (const ref of refs) await this.blobs.forget(ref);
  }

  /**
   * Answers in the order of the shards. Throws the first failure and takes back what nobody began; WORKERS_UNAVAILABLE
   * when no worker was connected for too long.
   */
  async run(
    shards: readonly Shard[],
    signal: AbortSignal,
    onDone: (done: number) => void = () => undefined,
  ): Promise<Uint8Array[]> {
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const answers: Uint8Array[] = [];
    let [next, done] = [0, 0];
    const lane = async (): Promise<void> => {
      for (let i = next++; i < shards.length && !either.aborted; i = next++) {
        answers[i] = await this.answerTo(shards[i]!, either);
        onDone(++done);
      }
    };
    const watch = this.watchWorkers((error) => failed.abort(error));
    try {
      const lanes = Array.from({ length: Math.min(OUTSTANDING_MAX, shards.length) }, () =>
        lane().catch((error: unknown) => failed.abort(error)),
      );
      await Promise.all(lanes);
    } finally {
      watch.cancel();
    }
    either.throwIfAborted();
    return answers;
  }

  async close(): Promise<void> {
    await this.queue.close();
    this.client.close();
  }

  private async answerTo({ kind, values, inputs }: Shard, signal: AbortSignal): Promise<Uint8Array> {
    const id = this.nextId();
    const refs: BlobRef[] = [];
    const own: BlobRef[] = [];
    try {
      for (const input of inputs) {
        if (input instanceof Uint8Array) own.push(await this.blobs.put(this.nextId(), input));
        else await this.blobs.keep(input);
        refs.push(input instanceof Uint8Array ? own.at(-1)! : input);
      }
      const answer = await this.queue.run({ id, kind, values, inputs: refs }, signal);
      const bytes = await this.blobs.get(answer);
      await this.blobs.forget(answer);
      return bytes;
    } finally {
      await this.forget(...own);
    }
  }

  private nextId(): string {
    return `${this.id}-${this.sequence++}`;
  }

  private watchWorkers(onUnavailable: (error: EngineError) => void): { cancel(): void } {
    const { clock, logger, config } = this.options;
    const waitMs = config.training.workersWaitMs;
    let seenMs = clock.monotonic();
    let isToldOf = false;
    const look = async (): Promise<void> => {
      const workers = await this.queue.workers().catch(() => 0);
      const now = clock.monotonic();
      if (workers > 0) seenMs = now;
      else if (!isToldOf) {
        isToldOf = true;
        logger.warn('no training worker is connected; waiting for `freshet up --roles train`', { waitMs });
      }
      if (now - seenMs < waitMs) return;
      onUnavailable(
        new EngineError(
          'WORKERS_UNAVAILABLE',
          `No training worker was connected for ${waitMs} ms. Start some with \`freshet up --roles train\` on the same Redis and namespace, or train without --workers.`,
        ),
      );
    };
    let looking: Promise<void> | undefined;
    return clock.setInterval(Math.min(WATCH_MS, waitMs), () => {
      looking ??= look().finally(() => (looking = undefined));
    });
  }
}
