/**
 * `freshet repartition`: brings an engine to the number of partitions that its configuration names.
 *
 * The engine must be stopped. What waits in its log is processed first, under the old number; then the next generation of
 * topics and state is built and put in force by one write. Killed before that write the old number is in force, after it the
 * new one; the same command finishes what was begun.
 */
import { existsSync } from 'node:fs';
import { EngineError } from '../../schemas/errors.js';
import { TOPICS, topicName } from '../../schemas/topics.js';
import { engineTopics } from '../../operators/engine-topology.js';
import { tryParseTableKey } from '../../operators/item/table-key.js';
import { readLayout } from '../../streams/generations/layout.js';
import { repartition } from '../../streams/transfer/repartition.js';
import type { FreshetConfig } from '../config.js';
import { createTopologyOf, Engine } from '../engine/engine.js';
import { GENERATION_DOCUMENT, openPhysicalStorage, viewOfGeneration } from '../engine/storage.js';
import type { PhysicalStorage } from '../engine/storage.js';
import { loadConfig } from './command.js';
import type { CommandContext, DataOptions } from './command.js';

export async function runRepartition(context: CommandContext, options: DataOptions): Promise<void> {
  const { clock, random, terminal } = context;
  const config = loadConfig(options);
  const { partitions, namespace, storage } = config.streams;
  if (storage === 'embedded' && !existsSync(options.data)) {
    throw new EngineError('NOT_FOUND', `There is no data directory '${options.data}'. Name one with --data DIR.`);
  }
  const start = clock.monotonic();
  const before = await onStorage(context, options, config, (physical) => partitionsInForce(physical, namespace));
  if (before !== partitions) {
    terminal.say(`from ${before} to ${partitions} partitions: processing what waits`);
    await drain(context, options, { ...config, streams: { ...config.streams, partitions: before } });
  }
  const moved = await onStorage(context, options, config, (physical) =>
    repartition(physical, {
      topology: createTopologyOf(config).topology,
      topics: engineTopics(namespace, partitions),
      documents: { [GENERATION_DOCUMENT]: (text) => laterGeneration(text, clock.now()) },
      tableOwner: (_, key) => tryParseTableKey(key)?.itemId ?? key,
      random: random.stream('repartition'),
      onProgress: (text) => terminal.progress(text),
    }),
  );
  const seconds = (clock.monotonic() - start) / 1_000;
  terminal.result({ before, partitions, moved: moved !== undefined, ...moved, seconds });
}

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

async function partitionsInForce(physical: PhysicalStorage, namespace: string): Promise<number> {
  const { log } = viewOfGeneration(physical, await readLayout(physical));
  const input = topicName(namespace, TOPICS.userEvents);
  const found = log.topics().find(({ name }) => name === input);
  if (found !== undefined) return found.partitions;
  throw new EngineError(
    'NOT_FOUND',
    `There is no topic '${input}': an engine that never ran has nothing to repartition.`,
  );
}

/** Both stages under the old number, until nothing waits. */
async function drain(
  { clock, random, logger }: CommandContext,
  { data: directory }: DataOptions,
  config: FreshetConfig,
): Promise<void> {
  const engine = await Engine.open({ config, directory, clock, random, logger });
  try {
    await engine.start();
    await engine.drain();
  } finally {
    await engine.close();
  }
}

/** Feeds of the new partitions are newer than any of the old ones. None yet: the first serving node makes it. */
function laterGeneration(text: string | undefined, nowMs: number): string | undefined {
  return text === undefined ? undefined : String(Math.max(Math.floor(nowMs), Number(text) + 1));
}
