/**
 * A training worker (`freshet up --roles train`): takes shards off the queue, one at a time, and answers them.
 *
 * It keeps what the next shard is likely to need again: blobs that many shards share, up to `CACHE_BYTES_MAX`, and the
 * model that was loaded last. It holds nothing that anybody misses: told to stop it hands its shard back at once, killed at
 * any moment its shard goes to another when the lock ends.
 */
import { EngineError } from '../../schemas/errors.js';
import { KernelTeam } from '../../serving/models/kernels/kernel-team.js';
import type { Model } from '../../serving/models/model.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import { RedisClient, redisClientOptionsOf } from '../../streams/redis/index.js';
import type { FreshetConfig } from '../config.js';
import { BlobStore } from './blob-store.js';
import type { BlobRef } from './blob-store.js';
import { workHalfSweep } from './half-sweep-work.js';
import { workRanking } from './ranking-work.js';
import type { LoadSent } from './ranking-work.js';
import { requireOneMaster, ShardServer } from './shard-queue.js';
import type { ShardMessage } from './shard-queue.js';
import { workTrial } from './trial-work.js';

export interface TrainingWorkerOptions {
  readonly config: FreshetConfig;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A model with its training set, or both sides of a factorisation, of a few million people. */
const CACHE_BYTES_MAX = 512 * 2 ** 20;

export class TrainingWorker {
  private readonly blobs: BlobStore;
  private readonly cache = new Map<string, Uint8Array>();
  private cacheBytes = 0;
  private team: KernelTeam | undefined;
  private loaded: { readonly sent: Uint8Array; readonly model: Model } | undefined;
  private server: ShardServer | undefined;
  private working: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly options: TrainingWorkerOptions,
    private readonly client: RedisClient,
  ) {
    this.blobs = new BlobStore(client, options.config.streams.namespace);
  }

  /** Takes shards when this resolves. Throws STORE_UNAVAILABLE, STORE_REFUSED, CONFIG_INVALID. */
  static async start(options: TrainingWorkerOptions): Promise<TrainingWorker> {
    const { config, clock } = options;
    const place = redisClientOptionsOf(config.redis);
    requireOneMaster(place.topology);
    const client = await RedisClient.open({ ...place, clock });
    const worker = new TrainingWorker(options, client);
    try {
      worker.server = new ShardServer({
        ...options,
        redis: config.redis,
        namespace: config.streams.namespace,
        lockMs: config.training.workerLockMs,
        work: (message, signal) => worker.answer(message, signal),
      });
      await worker.server.ready();
      return worker;
    } catch (error) {
      await worker.stop();
      throw error;
    }
  }

  /** A shard that is worked on goes to another worker. Idempotent. */
  async stop(): Promise<void> {
    await this.server?.close();
    await this.working;
    await this.loaded?.model.close();
    this.loaded = undefined;
    await this.team?.close();
    this.team = undefined;
    this.client.close();
  }

  private answer(message: ShardMessage, signal: AbortSignal): Promise<BlobRef> {
    const answer = this.work(message, signal);
    this.working = answer.catch(() => undefined);
    return answer;
  }

  private async work(message: ShardMessage, signal: AbortSignal): Promise<BlobRef> {
    const { clock, logger } = this.options;
    const start = clock.monotonic();
    logger.info('shard taken', { kind: message.kind, shard: message.id });
    const inputs: Uint8Array[] = [];
    for (const ref of message.inputs) inputs.push(await this.read(ref, message.inputs));
    const answer = await this.compute(message, inputs, signal);
    signal.throwIfAborted();
    const ref = await this.blobs.put(message.id, answer);
    logger.info('shard done', { kind: message.kind, shard: message.id, ms: Math.round(clock.monotonic() - start) });
    return ref;
  }

  private async compute(
    { kind, values }: ShardMessage,
    inputs: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const { clock, logger, config } = this.options;
    const { threads, memoryMiB } = config.training;
    switch (kind) {
      case 'half-sweep':
        this.team ??= new KernelTeam({ threads, clock });
        return workHalfSweep(values, inputs, this.team);
      case 'ranking':
        return workRanking(values, inputs, { load: this.load, signal });
      case 'trial':
        return workTrial(values, inputs, { clock, logger, signal, threads, memoryBytesMax: memoryMiB * 2 ** 20 });
      default:
        throw new EngineError('INTERNAL', `A shard is of kind '${kind}', which this build does not know.`);
    }
  }

  private readonly load: LoadSent = async (sent, load) => {
    if (this.loaded?.sent === sent) return this.loaded.model;
    await this.loaded?.model.close();
    this.loaded = undefined;
    const { clock, logger, config } = this.options;
    const model = await load({ clock, logger, threads: config.training.threads });
    this.loaded = { sent, model };
    return model;
  };

  /** Read once for as long as there is room; what was not used for longest goes first, but nothing this shard needs. */
  private async read(ref: BlobRef, needed: readonly BlobRef[]): Promise<Uint8Array> {
    const known = this.cache.get(ref.owner);
    const bytes = known ?? (await this.blobs.get(ref));
    this.cache.delete(ref.owner);
    this.cache.set(ref.owner, bytes);
    if (known === undefined) this.cacheBytes += bytes.length;
    for (const [owner, { length }] of this.cache) {
      if (this.cacheBytes <= CACHE_BYTES_MAX) break;
      if (needed.some((other) => other.owner === owner)) continue;
      this.cache.delete(owner);
      this.cacheBytes -= length;
    }
    return bytes;
  }
}
