/**
 * One engine in this process: storage, both stages, and the item tables that serving and stage 1 look at.
 *
 * Where it keeps its data is the caller's choice — a directory, or memory for evaluation and tests; what runs is the
 * same. Stages run by themselves once `start` was called; evaluation steps them by hand instead.
 *
 *   running ──hold──▶ held ──processRest──▶ held ──switchTo──▶ held ──goOn──▶ running     (goOn alone: as before)
 *
 * While held, reads are answered and nothing is taken: for a repartition, by this process or by another one.
 */
import type { FreshetConfig } from '../config.js';
import { openStorage } from './current-storage.js';
import type { Storage } from './current-storage.js';
import { GenerationWatch } from './generation-watch.js';
import { TOPICS, topicName } from '../../schemas/topics.js';
import { createEngineTopology, engineTopics, ONLINE_SPACE } from '../../operators/engine-topology.js';
import type { EngineTopology } from '../../operators/engine-topology.js';
import type { CatalogueItem } from '../../operators/user/catalogue.js';
import { createItemStateApply } from '../../serving/node/item-state.js';
import { ItemTables } from '../../serving/tables/item-tables.js';
import type { Clock } from '../../streams/clock.js';
import { partitionsOf, repartitioning } from '../../streams/generations/layout.js';
import type { Layout } from '../../streams/generations/layout.js';
import type { Logger } from '../../streams/logger.js';
import type { Metrics } from '../../streams/metrics.js';
import type { Random } from '../../streams/random.js';
import { stageLag } from '../../streams/queries/stage-lag.js';
import { Politeness } from '../../streams/politeness.js';
import { TableFollower } from '../../streams/runtime/table-follower.js';
import { StreamWorker } from '../../streams/runtime/worker.js';
import { taskOptionsOf } from '../../streams/section.js';

/** Part of a process that keeps something of one generation. */
export type SwitchListener = () => void | Promise<void>;

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
  /** As in StorageOptions. */
  readonly token?: string | undefined;
  readonly onStopped?: (error: unknown) => void;
  /** Items were deleted or are not available any more: they must leave open feeds. */
  readonly onItemsWithdrawn?: (itemIds: readonly string[]) => void;
}

export class Engine {
  /** Another one after a repartition. */
  worker: StreamWorker;
  follower: TableFollower;
  /** Number of the generation that this process works on. */
  generation: number;
  private cleaning: { cancel(): void } | undefined;
  private watch: GenerationWatch | undefined;
  private isProcessing = false;
  private isHeld = false;
  private isClosed = false;
  /** Steps that start and stop the stages, one after another. */
  private moving: Promise<unknown> = Promise.resolve();
  /** A follower that reads its topic from the start again. */
  private following: Promise<void> = Promise.resolve();
  /** Kept: a worker that comes after another one must not give out the same tokens. */
  private readonly workerRandom: Random;
  private readonly switchListeners: SwitchListener[] = [];

  /** Use `open`. `politeness`: of a live engine's background work. */
  private constructor(
    private readonly options: EngineOptions,
    readonly storage: Storage,
    readonly engineTopology: EngineTopology,
    readonly tables: ItemTables,
    readonly politeness: Politeness | undefined,
  ) {
    this.generation = storage.layout.inForce;
    this.workerRandom = options.random.stream('worker');
    this.worker = this.createWorker({ hasTicks: options.isLive === true });
    this.follower = this.createFollower('start');
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
    await this.exclusive(async () => {
      this.isProcessing = true;
      // Somebody repartitions: the stages begin when that is over.
      if (!this.isHeld) await this.worker.start();
    });
    const turns = this.politeness?.backgroundClock() ?? clock;
    this.cleaning = clock.setInterval(config.streams.cleanIntervalMs, () => {
      this.storage.log.clean(turns).catch((error: unknown) => logger.warn('cleaning failed', { error }));
    });
  }

  /** Loads the item tables and keeps them up, while other processes run the stages. */
  async follow(): Promise<void> {
    const { isLive, clock, logger, onStopped = () => undefined } = this.options;
    await this.follower.open();
    // A data directory belongs to this process: nobody repartitions it behind its back.
    if (isLive !== true || !this.storage.isShared) return;
    const watch = new GenerationWatch({ engine: this, clock, logger, onStopped });
    this.watch = watch;
    await watch.open();
  }

  /** Partitions of the generation in force; the configuration's number is that of before, after a repartition. */
  get partitions(): number {
    return this.storage.log.topic(this.topic('userEvents')).partitions;
  }

  /** Input records of both stages that are not processed yet, here or elsewhere. */
  lag(): Promise<number> {
    const { log, store } = this.storage;
    return this.isProcessing && !this.isHeld ? this.worker.lag() : stageLag(this.engineTopology.topology, log, store);
  }

  /** Resolves when everything appended so far has passed both stages and reached the tables. */
  async drain(): Promise<void> {
    await this.worker.drain();
    while ((await this.follower.lag()) > 0) await this.options.clock.sleep(1);
  }

  /** Called, and waited for, when this process has gone over to another generation. */
  onSwitched(listener: SwitchListener): void {
    this.switchListeners.push(listener);
  }

  /**
   * Refuses appends from outside with REPARTITIONING, lets those under way and running batches end, and gives the partitions
   * back. Reads go on. Idempotent.
   */
  hold(): Promise<void> {
    return this.exclusive(async () => {
      this.isHeld = true;
      await Promise.all([this.storage.log.hold(repartitioning()), this.worker.stop()]);
    });
  }

  /** While held, in a process that has the engine to itself: processes what is left. No ticks: they would never end. */
  processRest(): Promise<void> {
    return this.exclusive(async () => {
      this.worker = this.createWorker({ hasTicks: false });
      try {
        await this.worker.start();
        await this.drain();
      } finally {
        await this.worker.stop();
      }
    });
  }

  /** While held: goes over to the generation that a layout has in force. After a failure it may be tried again. */
  switchTo(layout: Layout): Promise<void> {
    return this.exclusive(async () => {
      const { storage } = this;
      const { namespace } = this.options.config.streams;
      const partitions = partitionsOf(layout, layout.inForce, this.topic('userEvents')) ?? this.partitions;
      await storage.viewOf(layout).log.createTopics(engineTopics(namespace, partitions));
      await this.following;
      await this.follower.close();
      storage.switchTo(layout);
      this.options.logger.info('gone over to another generation', { generation: layout.inForce, partitions });
      for (const listener of this.switchListeners) await listener();
      // What was copied is in the tables already. Only where others may have gone on meanwhile it is looked at again.
      this.follower = this.createFollower(storage.isShared ? 'start' : 'end');
      const opened = this.follower.open();
      if (storage.isShared) {
        this.following = opened.catch((error: unknown) => {
          if (!this.isClosed) this.options.onStopped?.(error);
        });
      } else await opened;
      this.generation = layout.inForce;
    });
  }

  /** For whoever held it and cannot make it go on: ends the process as a fault of the stages does. */
  giveUp(error: unknown): void {
    this.options.onStopped?.(error);
  }

  /** Ends `hold`. After a failure the engine is still held, and this may be tried again. */
  goOn(): Promise<void> {
    return this.exclusive(async () => {
      if (this.isClosed) return;
      this.storage.log.resume();
      if (this.isProcessing) {
        this.worker = this.createWorker({ hasTicks: this.options.isLive === true });
        try {
          await this.worker.start();
        } catch (error) {
          await this.worker.stop();
          throw error;
        }
      }
      this.isHeld = false;
    });
  }

  /** Finishes running batches and gives the data directory free. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.cleaning?.cancel();
    await this.watch?.close();
    await this.moving;
    await this.worker.stop();
    await this.following;
    await this.follower.close();
    await this.storage.close();
  }

  topic(name: keyof typeof TOPICS): string {
    return topicName(this.options.config.streams.namespace, TOPICS[name]);
  }

  private exclusive<T>(step: () => Promise<T>): Promise<T> {
    const done = this.moving.then(step);
    this.moving = done.catch(() => undefined);
    return done;
  }

  private createWorker({ hasTicks }: { hasTicks: boolean }): StreamWorker {
    const { config, clock, logger, onStopped } = this.options;
    const { log, store } = this.storage.stages;
    return new StreamWorker(
      this.engineTopology.topology,
      { log, store, clock, random: this.workerRandom },
      {
        logger,
        task: taskOptionsOf(config.streams),
        idleTickAfterMs: hasTicks ? config.streams.idleTickMs : undefined,
        ...(onStopped === undefined ? {} : { onStopped }),
      },
      this.politeness,
    );
  }

  private createFollower(from: 'start' | 'end'): TableFollower {
    const { clock, logger, onItemsWithdrawn = () => undefined } = this.options;
    return new TableFollower({
      log: this.storage.stages.log,
      clock: this.politeness?.backgroundClock() ?? clock,
      topic: this.topic('itemState'),
      from,
      apply: createItemStateApply(this.tables, onItemsWithdrawn),
      onFault: (error, record) =>
        logger.warn('table record ignored', { error, offset: record.offset, key: record.key }),
      onUnread: (error, partition) => logger.warn('table cannot be read; trying again', { error, partition }),
    });
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
