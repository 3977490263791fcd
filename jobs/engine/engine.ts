/**
 * One engine in this process: storage, both stages, and the item tables that serving and stage 1 look at.
 *
 * Where it keeps its data is the caller's choice — a directory, or memory for evaluation and tests; what runs is the
 * same. Stages run by themselves once `start` was called; evaluation steps them by hand instead.
 */
import type { FreshetConfig } from '../config.js';
import { openStorage } from './storage.js';
import type { Storage } from './storage.js';
import { isEngineError } from '../../schemas/errors.js';
import { TOPICS, topicName } from '../../schemas/topics.js';
import { createEngineTopology, engineTopics, ONLINE_SPACE } from '../../operators/engine-topology.js';
import type { EngineTopology } from '../../operators/engine-topology.js';
import type { CatalogueItem } from '../../operators/user/catalogue.js';
import { createItemStateApply } from '../../serving/node/item-state.js';
import { ItemTables } from '../../serving/tables/item-tables.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Metrics } from '../../streams/metrics.js';
import type { Random } from '../../streams/random.js';
import { stageLag } from '../../streams/queries/stage-lag.js';
import { Politeness } from '../../streams/politeness.js';
import { TableFollower } from '../../streams/runtime/table-follower.js';
import { StreamWorker } from '../../streams/runtime/worker.js';
import { taskOptionsOf } from '../../streams/section.js';

/** Between two looks at which generation is in force: one small read. */
const GENERATION_LOOK_MS = 1_000;

export interface EngineOptions {
  readonly config: FreshetConfig;
  /** Data directory; undefined keeps everything in memory. */
  readonly directory: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where the storage counts; by itself when left out. */
  readonly metrics?: Metrics;
  /** Append ticks when partitions are idle: for live engines, not for import and replay. */
  readonly isLive?: boolean;
  readonly onStopped?: (error: unknown) => void;
  /** Items were deleted or are not available any more: they must leave open feeds. */
  readonly onItemsWithdrawn?: (itemIds: readonly string[]) => void;
}

export class Engine {
  readonly worker: StreamWorker;
  readonly follower: TableFollower;
  private cleaning: { cancel(): void } | undefined;
  private watching: { cancel(): void } | undefined;
  private isProcessing = false;

  /** Use `open`. `politeness`: of a live engine's background work. */
  private constructor(
    private readonly options: EngineOptions,
    readonly storage: Storage,
    readonly engineTopology: EngineTopology,
    readonly tables: ItemTables,
    readonly politeness: Politeness | undefined,
  ) {
    const { config, clock, random, logger } = options;
    const { log, store } = storage;
    const { topology } = engineTopology;
    this.worker = new StreamWorker(
      topology,
      { log, store, clock, random: random.stream('worker') },
      {
        logger,
        task: taskOptionsOf(config.streams),
        idleTickAfterMs: options.isLive === true ? config.streams.idleTickMs : undefined,
        ...(options.onStopped === undefined ? {} : { onStopped: options.onStopped }),
      },
      politeness,
    );
    this.follower = new TableFollower({
      log,
      clock: politeness?.backgroundClock() ?? clock,
      topic: this.topic('itemState'),
      apply: createItemStateApply(tables, options.onItemsWithdrawn ?? (() => undefined)),
      onFault: (error, record) =>
        logger.warn('table record ignored', { error, offset: record.offset, key: record.key }),
      onUnread: (error, partition) => logger.warn('table cannot be read; trying again', { error, partition }),
    });
  }

  static async open(options: EngineOptions): Promise<Engine> {
    const { config } = options;
    const storage = await openStorage(options);
    try {
      await storage.log.createTopics(engineTopics(config.streams.namespace, config.streams.partitions));
      const tables = new ItemTables({ space: ONLINE_SPACE });
      const engineTopology = createTopologyOf(config, tables);
      const politeness = options.isLive === true ? new Politeness(options.clock) : undefined;
      return new Engine(options, storage, engineTopology, tables, politeness);
    } catch (error) {
      await storage.close();
      throw error;
    }
  }

  /** Loads the item tables, then runs both stages until `close`. */
  async start(): Promise<void> {
    const { clock, config, logger } = this.options;
    await this.follow();
    this.isProcessing = true;
    await this.worker.start();
    const turns = this.politeness?.backgroundClock() ?? clock;
    this.cleaning = clock.setInterval(config.streams.cleanIntervalMs, () => {
      this.storage.log.clean(turns).catch((error: unknown) => logger.warn('cleaning failed', { error }));
    });
  }

  /** Loads the item tables and keeps them up, while other processes run the stages. */
  async follow(): Promise<void> {
    await this.follower.open();
    const { isLive, config, clock } = this.options;
    // A data directory belongs to this process: nobody repartitions it meanwhile.
    if (isLive !== true || config.streams.storage === 'embedded') return;
    this.watching = clock.setInterval(GENERATION_LOOK_MS, () => void this.maybeStopOnRepartition());
  }

  /** A process that was left running while its engine was repartitioned would take events that nobody reads. */
  private async maybeStopOnRepartition(): Promise<void> {
    const { logger, onStopped } = this.options;
    try {
      await this.storage.requireInForce();
    } catch (error) {
      if (!isEngineError(error, 'MANIFEST_MISMATCH')) return logger.debug('generation not known', { error });
      this.watching?.cancel();
      onStopped?.(error);
    }
  }

  /** Input records of both stages that are not processed yet, here or elsewhere. */
  lag(): Promise<number> {
    const { log, store } = this.storage;
    return this.isProcessing ? this.worker.lag() : stageLag(this.engineTopology.topology, log, store);
  }

  /** Resolves when everything appended so far has passed both stages and reached the tables. */
  async drain(): Promise<void> {
    await this.worker.drain();
    while ((await this.follower.lag()) > 0) await this.options.clock.sleep(1);
  }

  /** Finishes running batches and gives the data directory free. */
  async close(): Promise<void> {
    this.cleaning?.cancel();
    this.watching?.cancel();
    await this.worker.stop();
    await this.follower.close();
    await this.storage.close();
  }

  topic(name: keyof typeof TOPICS): string {
    return topicName(this.options.config.streams.namespace, TOPICS[name]);
  }
}

/** The stages of a configuration; with empty tables for whoever only looks at their states. */
export function createTopologyOf(
  { streams, operators }: FreshetConfig,
  tables = new ItemTables({ space: ONLINE_SPACE }),
): EngineTopology {
  return createEngineTopology({
    namespace: streams.namespace,
    config: operators,
    catalogue: { get: (itemId) => catalogueItemOf(tables, itemId) },
    itemVectors: () => tables.vectors,
  });
}

/** What the catalogue says of an item, in the words that stage 1 uses. */
export function catalogueItemOf(tables: ItemTables, itemId: string): CatalogueItem | undefined {
  const item = tables.items.indexOf(itemId);
  const entry = item < 0 ? undefined : tables.catalogue.entryOf(item);
  if (entry === undefined) return undefined;
  const categories = entry.categories.map((category) => tables.catalogue.categoryName(category));
  return { categories, brand: entry.brand, tags: entry.tags };
}
