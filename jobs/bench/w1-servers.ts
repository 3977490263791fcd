/**
 * W1 with its log on Kafka and its state on Redis, exactly once: a stream worker reads a topic that somebody filled and
 * writes one session a click to an *exact* topic, as test peers of other frameworks do on the same topics.
 *
 * Redis's processor time counts as ours. Outputs are checked against the input as it stands in Kafka, unless the run is
 * to go on until it is told to stop: then whoever started it does the checking.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { EngineError } from '../../schemas/errors.js';
import { kafkaOptionsOf, openKafkaLog } from '../../streams/kafka/index.js';
import type { KafkaLog } from '../../streams/kafka/index.js';
import { createMetrics } from '../../streams/metrics.js';
import { openRedisStorage, redisClientOptionsOf } from '../../streams/redis/index.js';
import type { RedisStorage } from '../../streams/redis/index.js';
import { DEFAULT_TASK_OPTIONS } from '../../streams/runtime/task-options.js';
import { buildTopology } from '../../streams/runtime/topology.js';
import { StreamWorker } from '../../streams/runtime/worker.js';
import type { CommandContext } from '../commands/command.js';
import { loadConfig } from '../commands/command.js';
import { measure } from './measure.js';
import { SessionReference, clickType, isEqual, readTopic, sessionStage, summarizeOutputs } from './w1-sessions.js';
import type { SessionTopics } from './w1-sessions.js';

export interface W1ServerOptions {
  /** Where Kafka and Redis are, as settings. */
  readonly servers: readonly string[];
  readonly input: string;
  /** Made if it is not there; must be empty. */
  readonly output: string;
  /** File that gets the time, in seconds since the epoch, at which the first record was read. */
  readonly started?: string | undefined;
  readonly untilStopped?: boolean | undefined;
  readonly set?: readonly string[] | undefined;
}

const LOOK_MS = 20;

export async function runW1OnServers(context: CommandContext, options: W1ServerOptions): Promise<void> {
  const { clock, terminal, logger } = context;
  const config = loadConfig({ set: [...options.servers, ...(options.set ?? [])] });
  const random = context.random.stream('w1');
  const namespace = `w1-${random.hex(8)}`;
  const metrics = createMetrics({ namespace, includeProcess: false });
  const redis = await openRedisStorage({ ...redisClientOptionsOf(config.redis), namespace, clock, random, metrics });
  try {
    const log = await openKafkaLog({ ...kafkaOptionsOf(config.kafka), clock, random, logger, metrics });
    try {
      const topics = await openTopics(log, options);
      const events = await countInput(log, topics);
      const { started } = options;
      const noteStart = started === undefined ? undefined : () => writeFileSync(started, String(clock.now() / 1_000));
      const stage = sessionStage(topics, noteStart);
      const worker = new StreamWorker(
        buildTopology('w1', [stage]),
        { log, store: redis.store, clock, random },
        {
          logger,
          idleTickAfterMs: undefined,
          task: { ...DEFAULT_TASK_OPTIONS, batchRecordsMax: config.streams.batchRecords, sliceMs: Infinity },
        },
      );
      const redisBefore = await redis.serverCpuSeconds();
      const cost = await measure(clock, async () => {
        await worker.start();
        while (processed(worker) < events) await clock.sleep(LOOK_MS);
      });
      const redisCpuSeconds = (await redis.serverCpuSeconds()) - redisBefore;
      const result = { events, ...cost, ...perSecond(events, cost, redisCpuSeconds), redisCpuSeconds };
      if (options.untilStopped === true) {
        terminal.result(result);
        await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
        await worker.stop();
      } else {
        await worker.stop();
        const isCorrect = await check(log, topics);
        await forget(redis);
        terminal.result({ ...result, isCorrect });
        if (!isCorrect)
          throw new EngineError('INVARIANT_VIOLATED', 'The outputs differ from the sequential reference.');
      }
    } finally {
      await log.close();
    }
  } finally {
    await redis.close();
  }
}

async function openTopics(log: KafkaLog, { input, output }: W1ServerOptions): Promise<SessionTopics> {
  await log.adoptTopics([input]);
  const { partitions } = log.topic(input);
  await log.createTopics([{ name: output, partitions, class: 'event', exact: true }]);
  for (let partition = 0; partition < partitions; partition++) {
    const { end } = await log.bounds(output, partition);
    if (end === 0) continue;
    throw new EngineError(
      'USAGE_INVALID',
      `Topic '${output}' holds records already; name an empty or a new one with --output.`,
    );
  }
  return { input, output, partitions };
}

async function countInput(log: KafkaLog, { input, partitions }: SessionTopics): Promise<number> {
  let events = 0;
  for (let partition = 0; partition < partitions; partition++) {
    const { start, end } = await log.bounds(input, partition);
    events += end - start;
  }
  return events;
}

/** Committed, and sent. */
function processed(worker: StreamWorker): number {
  let records = 0;
  for (const statistics of worker.statistics().values()) records += statistics.records;
  return records;
}

function perSecond(
  events: number,
  { seconds, cpuSeconds }: { seconds: number; cpuSeconds: number },
  redisCpuSeconds: number,
): { eventsPerSecond: number; eventsPerCoreSecond: number } {
  return { eventsPerSecond: events / seconds, eventsPerCoreSecond: events / (cpuSeconds + redisCpuSeconds) };
}

async function check(log: KafkaLog, topics: SessionTopics): Promise<boolean> {
  const reference = new SessionReference();
  for await (const { value } of readTopic(log, topics.input, topics.partitions)) reference.add(clickType.decode(value));
  return isEqual(await summarizeOutputs(log, topics), reference.summary);
}

/** The state is of no use to anybody else. */
async function forget({ store }: RedisStorage): Promise<void> {
  for (const task of await store.tasks()) await store.drop(task);
}
