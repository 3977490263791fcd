/**
 * `freshet train MODEL` and `freshet models list|rollback|verify`: from data to a published model, and back.
 *
 * Data come from a file through a mapping, or from the warehouse of a data directory. With a data directory whatever is
 * published or rolled back is announced on its topic `models`, by the engine that holds it when one runs.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import { parseYaml } from '../../streams/yaml.js';
import { executeOnEngine } from '../engine/admin.js';
import { readMapping } from '../import/mapping.js';
import { CHECKPOINT_SECONDS } from '../train/file-checkpoints.js';
import { describeProgress } from '../train/fit-run.js';
import { ModelRegistry } from '../train/model-registry.js';
import type { Published } from '../../serving/models/published-version.js';
import { readItemContent, readUserTraits } from '../train/item-content.js';
import { readInteractions } from '../train/read-interactions.js';
import { trainModel } from '../train/train-model.js';
import { readWarehouse } from '../train/warehouse-source.js';
import { SharedRows } from '../work/half-sweep-work.js';
import { openWarehouseToRead } from '../warehouse/open-warehouse.js';
import { announceModelCommand } from './announce-model.js';
import { cancelledBy } from './cancellation.js';
import { tryOpenWorkPool } from './command-pool.js';
import { loadConfig, mappingPath } from './command.js';
import type { CommandContext, DataOptions } from './command.js';

export interface TrainCommandOptions extends Omit<DataOptions, 'data'> {
  /** Undefined when no data directory was named. */
  readonly data: string | undefined;
  readonly file?: string | undefined;
  readonly mapping?: string | undefined;
  /** Statement for the warehouse; its own default otherwise. */
  readonly sql?: string | undefined;
  readonly rows: 'users' | 'sessions';
  /** FILE:MAPPING of contents of items, and of traits of users. */
  readonly items?: readonly string[] | undefined;
  readonly users?: readonly string[] | undefined;
  readonly images?: string | undefined;
  readonly models: string;
  readonly name?: string | undefined;
  readonly option?: readonly string[] | undefined;
  readonly seed: string;
  readonly threads?: number | undefined;
  readonly memory: number;
  readonly checkpointSeconds?: number | undefined;
  readonly holdout: boolean;
  readonly margin: string;
  readonly warm?: boolean | undefined;
  readonly publish: boolean;
  readonly workers?: boolean | undefined;
}

export async function runTrain(
  context: CommandContext,
  algorithm: string,
  options: TrainCommandOptions,
): Promise<void> {
  const stop = cancelledBy('SIGINT', 'SIGTERM');
  const pool = await tryOpenWorkPool(context, options);
  const rowSolver = pool === undefined ? undefined : new SharedRows(pool, stop.signal);
  try {
    const threads = options.threads ?? availableParallelism();
    const { set, source } = await readTrainingSet(context, options, { threads, signal: stop.signal });
    context.terminal.say(
      `${set.items.length} interactions of ${set.userIds.length} users with ${set.itemIds.length} items`,
    );
    const name = options.name ?? algorithm;
    const result = await trainModel(
      set,
      {
        algorithm,
        name,
        settings: settingsOf(options.option ?? []),
        seed: options.seed,
        source,
        threads,
        memoryBytesMax: options.memory * 2 ** 20,
        checkpointEveryMs: (options.checkpointSeconds ?? CHECKPOINT_SECONDS) * 1_000,
        hasHoldout: options.holdout,
        margin: marginOf(options.margin),
        isWarm: options.warm === true,
        publishes: options.publish,
      },
      {
        clock: context.clock,
        logger: context.logger,
        signal: stop.signal,
        folder: resolve(options.models),
        registry: new ModelRegistry(resolve(options.models), context.clock),
        rowSolver,
        onProgress: (point) => context.terminal.progress(() => `${name}: ${describeProgress(point)}`),
        say: (line) => context.terminal.say(line),
      },
    );
    if (result.published !== undefined) await announce(context, options, result.published);
    const { metrics, publishedMetrics, trainSeconds, curve, published } = result;
    const maxRssBytes = process.resourceUsage().maxRSS * 1_024;
    const { version, spaceId } = published?.manifest ?? {};
    const checksum = published?.checksum;
    context.terminal.result({
      model: name,
      version,
      spaceId,
      checksum,
      metrics,
      publishedMetrics,
      trainSeconds,
      maxRssBytes,
      curve,
    });
  } finally {
    await rowSolver?.close();
    await pool?.close();
    stop.release();
  }
}

/** Of options that name data. */
export type TrainingData = Pick<
  TrainCommandOptions,
  'data' | 'config' | 'set' | 'file' | 'mapping' | 'sql' | 'rows' | 'items' | 'users' | 'images'
>;

export async function readTrainingSet(
  context: CommandContext,
  options: TrainingData,
  run: { readonly threads: number; readonly signal: AbortSignal },
): Promise<{ set: TrainingSet; source: string }> {
  if (options.file === undefined) return { set: await readFromWarehouse(context, options, run), source: 'warehouse' };
  if (options.mapping === undefined) {
    throw new EngineError('USAGE_INVALID', '--file needs --mapping: what its columns mean.');
  }
  const mapping = readMapping(mappingPath(options.mapping));
  const { table, rejected, reasons } = await readInteractions(options.file, mapping, { rows: options.rows });
  if (rejected > 0) context.terminal.say(`${rejected} rows do not fit the mapping: ${reasons.join(' ')}`);
  const itemContent = await readItemContent(contentFiles(options.items), options.images, table.items);
  const userTraits = await readUserTraits(contentFiles(options.users), table.users);
  return { set: { ...table.trainingSet(), itemContent, userTraits }, source: basename(options.file) };
}

async function readFromWarehouse(
  context: CommandContext,
  options: TrainingData,
  { threads, signal }: { readonly threads: number; readonly signal: AbortSignal },
): Promise<TrainingSet> {
  const { streams, warehouse: server } = loadConfig(options);
  if (options.data === undefined && server.url === undefined) {
    throw new EngineError(
      'USAGE_INVALID',
      'Name what to learn from: --file FILE --mapping M, --data DIR with a warehouse, or a --config with warehouse.url.',
    );
  }
  const { clock, logger } = context;
  const data = options.data ?? '.';
  const warehouse = await openWarehouseToRead({ data, namespace: streams.namespace, server, clock, logger });
  try {
    const onRows = (rows: number): void => context.terminal.progress(() => `${rows} rows read`);
    const table = await readWarehouse(warehouse, { shards: threads, sql: options.sql, signal, onRows });
    return table.trainingSet();
  } finally {
    await warehouse.close();
  }
}

/** `FILE:MAPPING`, the last colon counts. */
function contentFiles(texts: readonly string[] | undefined): { path: string; mapping: string }[] {
  return (texts ?? []).map((text) => {
    const colon = text.lastIndexOf(':');
    if (colon < 1) throw new EngineError('USAGE_INVALID', `'${text}' is not FILE:MAPPING.`);
    return { path: text.slice(0, colon), mapping: mappingPath(text.slice(colon + 1)) };
  });
}

function settingsOf(options: readonly string[]): Record<string, unknown> {
  const entries = options.map((option) => {
    const separator = option.indexOf('=');
    if (separator < 1) throw new EngineError('USAGE_INVALID', `--option is '${option}'; expected name=value.`);
    return [option.slice(0, separator), parseYaml(option.slice(separator + 1), '--option', 'USAGE_INVALID')] as const;
  });
  return Object.fromEntries(entries);
}

function marginOf(text: string): number {
  const margin = Number(text);
  if (margin >= 0 && margin <= 1) return margin;
  throw new EngineError('USAGE_INVALID', `--margin is '${text}'; expected a share from 0 to 1.`);
}

async function announce(
  context: CommandContext,
  options: Pick<TrainCommandOptions, 'data' | 'config' | 'set'>,
  { manifest, text, checksum, signature }: Published,
): Promise<void> {
  const { data } = options;
  if (data === undefined) return;
  const { name, version } = manifest;
  await executeOnEngine(context, { ...options, data }, announceModelCommand, {
    name,
    version,
    manifest: text,
    checksum,
    signature,
  });
}

export interface ModelsOptions extends Omit<DataOptions, 'data'> {
  readonly data: string | undefined;
  readonly models: string;
  readonly to?: string | undefined;
}

export async function runModelsList(context: CommandContext, options: ModelsOptions): Promise<void> {
  const models = await new ModelRegistry(resolve(options.models), context.clock).list();
  context.terminal.result({ models });
}

/** Puts the version before to use again. */
export async function runModelsRollback(context: CommandContext, name: string, options: ModelsOptions): Promise<void> {
  const published = await new ModelRegistry(resolve(options.models), context.clock).rollBack(name, options.to);
  await announce(context, options, published);
  context.terminal.result({ model: name, version: published.manifest.version, checksum: published.checksum });
}

/** Checks signature and every file of the version in use, and that the model can be read. */
export async function runModelsVerify(context: CommandContext, name: string, options: ModelsOptions): Promise<void> {
  const folder = resolve(options.models);
  if (!existsSync(join(folder, name))) {
    throw new EngineError('MODEL_UNKNOWN', `There is no published model '${name}' in '${folder}'.`);
  }
  const { clock, logger } = context;
  const loaded = await new ModelRegistry(folder, clock).load(name, { clock, logger, threads: 1 }, options.to);
  await loaded.model.close();
  const { version, algorithm, data, metrics } = loaded.manifest;
  context.terminal.result({ model: name, version, algorithm, checksum: loaded.checksum, data, metrics });
}
