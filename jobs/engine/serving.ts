/** A serving node on an engine of this process: what the edge asks for, answered by the real parts. */
import type { ItemCard } from '../../serving/node/ports.js';
import { ServingNode } from '../../serving/node/serving-node.js';
import { UserStates } from '../../serving/node/user-states.js';
import { createRecommender } from '../../serving/pipeline/recommender.js';
import { viewUser } from '../../serving/pipeline/user-view.js';
import type { ItemTables } from '../../serving/tables/item-tables.js';
import { DEFAULT_AFFINITY } from '../../operators/user/affinity.js';
import { readUser } from '../../operators/user/read-user.js';
import type { UserSnapshot } from '../../operators/user/read-user.js';
import { USER_STAGE } from '../../operators/engine-topology.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Metrics } from '../../streams/metrics.js';
import { StateQuery } from '../../streams/queries/state-query.js';
import type { Random } from '../../streams/random.js';
import { readCell, rowVersion } from '../../streams/runtime/row.js';
import type { FreshetConfig } from '../config.js';
import type { Engine } from './engine.js';

export interface ServingOptions {
  readonly engine: Engine;
  readonly config: FreshetConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly version: string;
}

export async function createServingNode(options: ServingOptions): Promise<ServingNode> {
  const { engine, config, clock, random, metrics, logger, version } = options;
  const { log, store } = engine.storage;
  const { topology, users } = engine.engineTopology;
  return new ServingNode({
    config: config.serving,
    namespace: config.streams.namespace,
    generation: await generationOf(engine, clock),
    log,
    recommender: createRecommender({}, engine.tables),
    users: createUserStates(engine, config),
    states: new StateQuery(topology, log, store),
    userStage: users.name,
    catalogue: createCatalogue(engine.tables),
    // The engine opens and closes its follower itself; the node only looks at how far behind it is.
    followers: [{ open: () => Promise.resolve(), lag: () => engine.follower.lag(), close: () => Promise.resolve() }],
    gauges: {
      streamLag: () => engine.worker.lag(),
      freeDiskBytes: () => Promise.resolve(engine.storage.stats()?.freeDiskBytes ?? Infinity),
    },
    clock,
    random,
    metrics,
    logger,
    version,
  });
}

/** When the log was made, ms since epoch: grows whenever it is made anew, so feed versions stay ordered. */
async function generationOf(engine: Engine, clock: Clock): Promise<number> {
  const { store } = engine.storage;
  const stored = await store.readDocument('generation');
  if (stored !== undefined) return Number(stored);
  const generation = clock.now();
  await store.writeDocument('generation', String(generation));
  return generation;
}

export function createUserStates(engine: Engine, config: FreshetConfig): UserStates {
  const { sessionGapMs } = config.operators;
  const affinityHalfLifeMs = DEFAULT_AFFINITY.halfLifeMs;
  return new UserStates({
    store: engine.storage.store,
    stage: USER_STAGE,
    partitions: config.streams.partitions,
    snapshotOf: (row, now, userId) =>
      viewUser(row === undefined ? undefined : snapshotOf(row, userId), { now, sessionGapMs, affinityHalfLifeMs }),
    aliasOf: (row) => snapshotOf(row, '').movedTo,
  });
}

function snapshotOf(row: Buffer, userId: string): UserSnapshot {
  return readUser(userId, rowVersion(row), (operator) => readCell(operator, row));
}

function createCatalogue(tables: ItemTables) {
  return {
    isKnown: (itemId: string): boolean => tables.items.indexOf(itemId) >= 0,
    isServable: (itemId: string): boolean => {
      const item = tables.items.indexOf(itemId);
      return item >= 0 && tables.catalogue.isServable(item);
    },
    card: (itemId: string): ItemCard | undefined => {
      const item = tables.items.indexOf(itemId);
      const entry = item < 0 ? undefined : tables.catalogue.entryOf(item);
      if (entry === undefined) return undefined;
      const category = entry.categories[0];
      return {
        itemId,
        title: entry.title,
        category: category === undefined ? null : tables.catalogue.categoryName(category),
        price: entry.price,
        currency: entry.currency,
        imageUrl: entry.imageUrl,
      };
    },
  };
}
