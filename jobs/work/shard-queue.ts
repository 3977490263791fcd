/**
 * Shards of training as jobs on BullMQ over Redis. This file alone imports bullmq.
 *
 *   waiting ──taken──▶ active ──▶ completed: the coordinator reads the answer and removes the job
 *      ▲                 │ └────▶ failed: by an error that trying again does not mend, or too often
 *      ├──handed back────┤        (the worker was told to stop: the next one takes it at once)
 *      └─lock not renewed┘        (the worker was killed or cut off)
 *
 * A shard may be worked on twice, when a worker was taken for dead that is not; its answer depends on its inputs alone, and
 * the coordinator takes one answer a shard. A job that Redis lost is added again under the same id.
 */
import { Queue, QueueEvents, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import type { Job, JobsOptions } from 'bullmq';
import { EngineError, ERROR_CODES, isEngineError } from '../../schemas/errors.js';
import type { ErrorCode } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import { redisClientOptionsOf } from '../../streams/redis/index.js';
import type { RedisConfig, RedisTopology } from '../../streams/redis/index.js';
import type { BlobRef } from './blob-store.js';

export interface ShardQueueOptions {
  readonly redis: RedisConfig;
  readonly namespace: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a shard is, small; what is large lies in blobs. */
export interface ShardMessage {
  /** Unique; the job's id, and the owner of its answer. */
  readonly id: string;
  readonly kind: string;
  readonly values: object;
  readonly inputs: readonly BlobRef[];
}

/** Changes whenever a build's shards mean something else, so that workers of two builds do not meet. */
const QUEUE = 'train-1';
/** How often a job is looked at when no event tells of its end. */
const LOOK_MS = 1_000;
/** A coordinator's calls fail after so many lost connections, and are tried again by itself. */
const RETRIES = 2;
/** A worker that is told to stop waits this long for Redis to take its shard back. */
const HAND_BACK_MS = 2_000;
/** Failures of one shard that may pass, such as a network that fails. */
const ATTEMPTS = 5;
const BACKOFF_MS = 500;
/** Workers that may die over one shard before it is held to be what kills them. */
const DEATHS_MAX = 5;
/** Jobs whose coordinator died are forgotten after a while. */
const KEPT = { age: 3_600, count: 10_000 };
const JOB: JobsOptions = {
  attempts: ATTEMPTS,
  backoff: { type: 'fixed', delay: BACKOFF_MS },
  removeOnComplete: KEPT,
  removeOnFail: KEPT,
};

/** The coordinator's side. */
export class ShardQueue {
  private readonly queue: Queue<ShardMessage, BlobRef>;
  private readonly events: QueueEvents;

  constructor(private readonly options: ShardQueueOptions) {
    const { redis, logger } = options;
    const place = { prefix: prefixOf(options) };
    this.queue = new Queue(QUEUE, { ...place, connection: connectionOf(redis, RETRIES) });
    this.events = new QueueEvents(QUEUE, { ...place, connection: connectionOf(redis, null) });
    const onError = (error: Error): void => logger.debug('connection of the training queue', { error });
    this.queue.on('error', onError);
    this.events.on('error', onError);
    // Both get a listener for each shard that is out.
    this.events.setMaxListeners(0);
    this.queue.setMaxListeners(0);
  }

  /** The answer to a shard. Throws what its worker threw, and the signal's reason; waits for ever while nobody works. */
  async run(message: ShardMessage, signal: AbortSignal): Promise<BlobRef> {
    const { clock, logger } = this.options;
    const { id } = message;
    for (;;) {
      if (signal.aborted) {
        await this.remove(id);
        throw signal.reason;
      }
      try {
        const job = await this.queue.add(message.kind, message, { ...JOB, jobId: id });
        const answer = await this.look(job);
        if (answer === undefined) continue;
        await this.remove(id);
        return answer;
      } catch (error) {
        if (isEngineError(error)) throw error;
        logger.debug('the training queue does not answer; trying again', { error });
        await clock.sleep(LOOK_MS);
      }
    }
  }

  /** How many workers are connected. */
  async workers(): Promise<number> {
    return this.queue.getWorkersCount();
  }

  async close(): Promise<void> {
    await Promise.all([this.events.close(), this.queue.close()]);
  }

  private async look(job: Job<ShardMessage, BlobRef>): Promise<BlobRef | undefined> {
    try {
      return await job.waitUntilFinished(this.events, LOOK_MS);
    } catch (error) {
      // Out of patience, or failed: only its state tells which.
      if ((await job.getState()) !== 'failed') return undefined;
      const failed = await this.queue.getJob(job.id!);
      throw failureOf(failed?.failedReason ?? String(error), job);
    }
  }

  /** What was never taken is not worked on any more; what is worked on ends by itself. */
  private async remove(id: string): Promise<void> {
    await this.queue.remove(id).catch((error: unknown) => this.options.logger.debug('a shard stays queued', { error }));
  }
}

export interface ShardServerOptions extends ShardQueueOptions {
  /** A worker that was silent for this long is taken for dead. */
  readonly lockMs: number;
  /** Works on one shard at a time; the signal is aborted when the server stops. */
  readonly work: (message: ShardMessage, signal: AbortSignal) => Promise<BlobRef>;
}

/** The worker's side. */
export class ShardServer {
  private readonly worker: Worker<ShardMessage, BlobRef>;
  private readonly stopping = new AbortController();
  /** Gives the shard that is worked on back to the queue, once. */
  private handBack: () => Promise<void> = async () => undefined;

  constructor(private readonly options: ShardServerOptions) {
    const { redis, lockMs, logger } = options;
    this.worker = new Worker(QUEUE, (job: Job<ShardMessage, BlobRef>, token) => this.process(job, token), {
      prefix: prefixOf(options),
      connection: connectionOf(redis, null),
      concurrency: 1,
      lockDuration: lockMs,
      stalledInterval: Math.ceil(lockMs / 2),
      maxStalledCount: DEATHS_MAX,
      removeOnComplete: KEPT,
      removeOnFail: KEPT,
    });
    this.worker.on('error', (error) => logger.debug('connection of a training worker', { error }));
    this.worker.on('stalled', (id) => logger.warn('a shard of training is given to another worker', { shard: id }));
  }

  /** Resolves once shards can be taken. */
  async ready(): Promise<void> {
    await this.worker.waitUntilReady();
  }

  /** Leaves what it is at to others, at once. */
  async close(): Promise<void> {
    this.stopping.abort(new EngineError('TRAINING_CANCELLED', 'The training worker was stopped.'));
    // Before the shard is given back: it would be taken again.
    await this.worker.pause(true);
    // Without Redis there is nobody to give it to: its lock ends by itself.
    await Promise.race([this.handBack(), this.options.clock.sleep(HAND_BACK_MS)]);
    await this.worker.close(true);
  }

  private async process(job: Job<ShardMessage, BlobRef>, token: string | undefined): Promise<BlobRef> {
    const { work, logger } = this.options;
    const { signal } = this.stopping;
    let given: Promise<void> | undefined;
    const handBack = (): Promise<void> =>
      (given ??= job.moveToWait(token).then(
        () => logger.info('shard handed back', { kind: job.name, shard: job.id }),
        (error: unknown) => logger.debug('a shard is not handed back; its lock will end', { shard: job.id, error }),
      ));
    this.handBack = handBack;
    try {
      const answer = await work(job.data, signal);
      if (given === undefined) return answer;
    } catch (error) {
      if (!signal.aborted) throw failureToTell(error);
    } finally {
      this.handBack = async () => undefined;
    }
    await handBack();
    // Tells BullMQ that the job is where it was moved to.
    throw new WaitingError();
  }
}

/** BullMQ keeps a failure's message only. */
function failureToTell(error: unknown): Error {
  const code: ErrorCode = isEngineError(error) ? error.code : 'INTERNAL';
  const message = JSON.stringify({ code, message: error instanceof Error ? error.message : String(error) });
  const mayPass = isEngineError(error) ? error.retriable || error.code === 'TRAINING_CANCELLED' : false;
  return mayPass ? new Error(message) : new UnrecoverableError(message);
}

function failureOf(reason: string, { name, id }: Pick<Job, 'name' | 'id'>): EngineError {
  const context = { kind: name, shard: id };
  try {
    const { code, message } = JSON.parse(reason) as { code: string; message: string };
    if (Object.hasOwn(ERROR_CODES, code)) return new EngineError(code as ErrorCode, message, { context });
  } catch {
    // Said by BullMQ itself.
  }
  return new EngineError('SHARD_FAILED', `No worker finished a shard of '${name}': ${reason}.`, { context });
}

function prefixOf({ namespace }: ShardQueueOptions): string {
  return `{${namespace}:train}`;
}

/** @param retries of a call over lost connections; null: it waits for as long as Redis is away, as blocking calls must */
function connectionOf(redis: RedisConfig, retries: number | null): Record<string, unknown> {
  const { topology, username, password, tls } = redisClientOptionsOf(redis);
  const common = {
    maxRetriesPerRequest: retries,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === true ? { tls: {} } : {}),
  };
  if (topology.mode === 'standalone') return { ...common, ...topology.address, db: topology.database ?? 0 };
  const { sentinels, name } = requireOneMaster(topology);
  return { ...common, sentinels, name };
}

/** Throws CONFIG_INVALID. */
export function requireOneMaster<T extends RedisTopology>(topology: T): Exclude<T, { mode: 'cluster' }> {
  if (topology.mode !== 'cluster') return topology as Exclude<T, { mode: 'cluster' }>;
  throw new EngineError(
    'CONFIG_INVALID',
    "redis.mode is 'cluster'; shards of training need one master: expected standalone or sentinel.",
  );
}
