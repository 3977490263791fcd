/**
 * `freshet repartition`: brings an engine to another number of partitions, while it is up or when it is stopped.
 *
 *   a directory that nobody holds    here: what waits is processed under the old number, then the next generation is built
 *   a directory that `up` holds      there, by the process that holds it
 *   Kafka and Redis                  here, while every process of the engine holds still (announced-repartition.ts)
 *
 * The next generation of topics and state is put in force by one write. Killed before that write the old number is in force,
 * after it the new one; the same command finishes what was begun.
 */
import { existsSync } from 'node:fs';
import { EngineError, isEngineError } from '../../schemas/errors.js';
import { TOPICS, topicName } from '../../schemas/topics.js';
import { readLayout } from '../../streams/generations/layout.js';
import type { Random } from '../../streams/random.js';
import { repartition } from '../../streams/transfer/repartition.js';
import type { RepartitionResult } from '../../streams/transfer/repartition.js';
import type { FreshetConfig } from '../config.js';
import { askHolder } from '../engine/admin.js';
import type { EngineCommand } from '../engine/admin.js';
import { repartitionAnnounced } from '../engine/announced-repartition.js';
import { Engine } from '../engine/engine.js';
import { repartitionOptionsOf } from '../engine/repartition-options.js';
import { openPhysicalStorage, viewOfGeneration } from '../engine/storage.js';
import type { PhysicalStorage } from '../engine/storage.js';
import { loadConfig } from './command.js';
import type { CommandContext, DataOptions } from './command.js';

export interface RepartitionCommandOptions extends DataOptions {
  readonly partitions?: number | undefined;
}

const COMMAND = 'repartition';

export async function runRepartition(context: CommandContext, options: RepartitionCommandOptions): Promise<void> {
  const config = configOf(options);
  const { storage, partitions } = config.streams;
  if (storage === 'distributed') await onServers(context, options, config);
  else await onDirectoryOrHolder(context, options, config);
  context.terminal.say(`from now on streams.partitions is ${partitions} for this engine: say so in its configuration`);
}

async function onDirectoryOrHolder(
  context: CommandContext,
  options: DataOptions,
  config: FreshetConfig,
): Promise<void> {
  if (!existsSync(options.data)) {
    throw new EngineError('NOT_FOUND', `There is no data directory '${options.data}'. Name one with --data DIR.`);
  }
  try {
    await onDirectory(context, options, config);
  } catch (error) {
    if (!isEngineError(error, 'DATA_DIRECTORY_LOCKED')) throw error;
    await askHolder(context, options, { name: COMMAND, args: { partitions: config.streams.partitions }, error });
  }
}

function configOf(options: RepartitionCommandOptions): FreshetConfig {
  const { partitions, set = [] } = options;
  if (partitions === undefined) return loadConfig(options);
  return loadConfig({ ...options, set: [...set, `streams.partitions=${partitions}`] });
}

async function onDirectory(context: CommandContext, options: DataOptions, config: FreshetConfig): Promise<void> {
  const { clock, random, terminal } = context;
  const { partitions } = config.streams;
  const start = clock.monotonic();
  const before = await onStorage(context, options, config, (physical) => partitionsInForce(physical, config));
  if (before !== partitions) {
    sayWaiting(context, before, partitions);
    await processWaiting(context, options, withPartitions(config, before));
  }
  const moved = await onStorage(context, options, config, (physical) =>
    repartition(physical, {
      ...repartitionOptionsOf(config, { clock, random }),
      onProgress: (text) => terminal.progress(text),
    }),
  );
  terminal.result(outcomeOf(before, partitions, moved, clock.monotonic() - start));
}

async function onServers(context: CommandContext, options: DataOptions, config: FreshetConfig): Promise<void> {
  const { clock, random, terminal } = context;
  const { partitions } = config.streams;
  const start = clock.monotonic();
  const [before, moved] = await onStorage(context, options, config, async (physical) => {
    const from = await partitionsInForce(physical, config);
    const plan = {
      ...repartitionOptionsOf(config, { clock, random }),
      onProgress: (text: () => string) => terminal.progress(text),
    };
    // Nothing to be done but to remove what an earlier call left: nobody has to hold still.
    if (from === partitions) return [from, await repartition(physical, plan)] as const;
    sayWaiting(context, from, partitions);
    const done = await repartitionAnnounced(physical, plan, {
      ...{ clock, random, patienceMs: patienceOf(config) },
      processWaiting: (token) => processWaiting(context, options, withPartitions(config, from), token),
    });
    return [from, done] as const;
  });
  terminal.result(outcomeOf(before, partitions, moved, clock.monotonic() - start));
}

function outcomeOf(before: number, partitions: number, moved: RepartitionResult | undefined, tookMs: number) {
  return { before, partitions, moved: moved !== undefined, ...moved, seconds: tookMs / 1_000 };
}

function sayWaiting({ terminal }: CommandContext, before: number, partitions: number): void {
  terminal.say(`from ${before} to ${partitions} partitions: processing what waits`);
}

/** A member that is dead is in its group until its session ends; one that works on a batch lets go when that is done. */
function patienceOf({ kafka }: FreshetConfig): number {
  return kafka.sessionMs + BATCH_MS;
}

const BATCH_MS = 15_000;

async function onStorage<T>(
  { clock, random, logger }: CommandContext,
  { data: directory }: DataOptions,
  config: FreshetConfig,
  act: (physical: PhysicalStorage) => Promise<T>,
): Promise<T> {
  const physical = await openPhysicalStorage({ config, directory, clock, random, logger });
  try {
    return await act(physical);
  } finally {
    await physical.close();
  }
}

async function partitionsInForce(physical: PhysicalStorage, { streams }: FreshetConfig): Promise<number> {
  const { log } = viewOfGeneration(physical, await readLayout(physical));
  const input = topicName(streams.namespace, TOPICS.userEvents);
  const found = log.topics().find(({ name }) => name === input);
  if (found !== undefined) return found.partitions;
  throw new EngineError(
    'NOT_FOUND',
    `There is no topic '${input}': an engine that never ran has nothing to repartition.`,
  );
}

function withPartitions(config: FreshetConfig, partitions: number): FreshetConfig {
  return { ...config, streams: { ...config.streams, partitions } };
}

/** Both stages under the old number, until nothing waits. */
async function processWaiting(
  { clock, random, logger }: CommandContext,
  { data: directory }: DataOptions,
  config: FreshetConfig,
  token?: string,
): Promise<void> {
  const engine = await Engine.open({ config, directory, clock, random, logger, token });
  try {
    await engine.start();
    await engine.drain();
  } finally {
    await engine.close();
  }
}

/**
 * For the engine of this process: it takes nothing for as long as it lasts, answers reads, and goes on by itself. After an
 * error it goes on with the partitions that it had, unless the new ones were in force already.
 */
export function createRepartitionCommand(parts: {
  readonly config: FreshetConfig;
  readonly random: Random;
}): EngineCommand<{ readonly partitions: number }> {
  return {
    name: COMMAND,
    createsDirectory: false,
    stages: 'running',
    async run(engine, output, { partitions }, clock) {
      const { physical, isShared } = engine.storage;
      if (isShared) {
        throw new EngineError('USAGE_INVALID', 'This engine is on servers: give the command its configuration.');
      }
      const start = clock.monotonic();
      const before = engine.partitions;
      const plan = {
        ...repartitionOptionsOf(withPartitions(parts.config, partitions), { clock, random: parts.random }),
        onInForce: () => changeOver(engine),
      };
      const moved = before === partitions ? undefined : await whileHeld(engine, () => repartition(physical, plan));
      output.result(outcomeOf(before, partitions, moved, clock.monotonic() - start));
    },
  };
}

async function whileHeld<T>(engine: Engine, build: () => Promise<T>): Promise<T> {
  await engine.hold();
  try {
    await engine.processRest();
    return await build();
  } finally {
    try {
      await changeOver(engine);
      await engine.goOn();
    } catch (error) {
      engine.giveUp(error);
    }
  }
}

/** To the generation that is in force; does nothing when the engine is there. */
async function changeOver(engine: Engine): Promise<void> {
  const layout = await readLayout(engine.storage.physical);
  if (layout.inForce !== engine.generation) await engine.switchTo(layout);
}
