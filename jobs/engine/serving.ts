/** A serving node on an engine of this process: what the edge asks for, answered by the real parts. */
import { createCatalogue } from '../../serving/node/item-state.js';
import { ServingNode } from '../../serving/node/serving-node.js';
import type { Follower, LossyHints } from '../../serving/node/serving-node.js';
import { aliasOfRow, createSnapshotOf } from '../../serving/node/stage-users.js';
import type { StageUsersConfig } from '../../serving/node/stage-users.js';
import { UserStates } from '../../serving/node/user-states.js';
import { createRecommender, defaultFullPipeline } from '../../serving/pipeline/recommender.js';
import { PublishedModels } from '../../serving/published/published-models.js';
import { DEFAULT_AFFINITY } from '../../operators/user/affinity.js';
import { USER_STAGE } from '../../operators/engine-topology.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Metrics } from '../../streams/metrics.js';
import { StateQuery } from '../../streams/queries/state-query.js';
import { TableFollower } from '../../streams/runtime/table-follower.js';
import type { Random } from '../../streams/random.js';
import type { FreshetConfig } from '../config.js';
import type { Engine } from './engine.js';
import { GENERATION_DOCUMENT } from './storage.js';

export interface ServingOptions {
  readonly engine: Engine;
  readonly config: FreshetConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly version: string;
  /** Registry of published models. */
  readonly modelsFolder: string;
}

/** A feed whose hint was lost without anybody noticing is this late at most. */
const HINT_REPAIR_MS = 2_000;

/** A serving node, with the published models it uses. */
export interface Serving {
  readonly node: ServingNode;
  readonly published: PublishedModels;
}

export async function createServing(options: ServingOptions): Promise<Serving> {
  const { engine, config, clock, random, metrics, logger, version } = options;
  const { log, store } = engine.storage;
  const { topology, users } = engine.engineTopology;
  const published = new PublishedModels({
    config: config.serving,
    folder: options.modelsFolder,
    tables: engine.tables,
    ...{ clock, logger, metrics },
  });
  let generation = await generationOf(engine, clock);
  engine.onSwitched(async () => {
    generation = await generationOf(engine, clock);
  });
  const node = new ServingNode({
    config: config.serving,
    namespace: config.streams.namespace,
    generation: () => generation,
    log,
    recommender: createRecommender(
      { models: published.sources, full: { ...defaultFullPipeline(), stages: published.stages } },
      engine.tables,
    ),
    users: createUserStates(engine, config),
    states: new StateQuery(topology, log, store),
    userStage: users.name,
    catalogue: createCatalogue(engine.tables),
    // The engine opens and closes its follower itself; the node only looks at how far behind it is.
    followers: [
      { open: () => Promise.resolve(), lag: () => engine.follower.lag(), close: () => Promise.resolve() },
      modelFollower(published, options),
    ],
    models: () => published.list(),
    lossyHints: lossyHintsOf(engine),
    gauges: {
      streamLag: () => engine.lag(),
      freeDiskBytes: () => Promise.resolve(engine.storage.stats()?.freeDiskBytes ?? Infinity),
      refusal: () => log.refusal,
    },
    clock,
    random,
    metrics,
    logger,
    version,
  });
  return { node, published };
}

/** Keeps published models up with their topic; open when those announced before are in use or refused. */
function modelFollower(published: PublishedModels, { engine, clock, logger }: ServingOptions): Follower {
  const { log } = engine.storage;
  const follower = new TableFollower({
    ...{ log, clock },
    topic: engine.topic('models'),
    apply: (record) => published.apply(record),
    onFault: (error, record) => logger.warn('announcement of a model ignored', { error, model: record.key }),
    onUnread: (error) => logger.warn('announcements of models cannot be read; trying again', { error }),
  });
  return {
    open: async () => {
      await follower.open();
      await published.settled();
    },
    lag: () => follower.lag(),
    close: async () => {
      await follower.close();
      await published.close();
    },
  };
}

function lossyHintsOf({ storage }: Engine): LossyHints | undefined {
  const { losesHints, store } = storage;
  return losesHints === true ? { store, intervalMs: HINT_REPAIR_MS } : undefined;
}

/** When the log was made, ms since epoch: grows whenever it is made anew, so feed versions stay ordered. */
async function generationOf(engine: Engine, clock: Clock): Promise<number> {
  const { store } = engine.storage;
  const stored = await store.readDocument(GENERATION_DOCUMENT);
  if (stored !== undefined) return Number(stored);
  const generation = clock.now();
  await store.writeDocument(GENERATION_DOCUMENT, String(generation));
  return generation;
}

export function createUserStates(engine: Engine, config: FreshetConfig): UserStates {
  return new UserStates({
    store: engine.storage.store,
    stage: USER_STAGE,
    partitions: () => engine.partitions,
    snapshotOf: createSnapshotOf(stageUsersConfigOf(config)),
    aliasOf: aliasOfRow,
  });
}

export function stageUsersConfigOf(config: FreshetConfig): StageUsersConfig {
  return { sessionGapMs: config.operators.sessionGapMs, affinityHalfLifeMs: DEFAULT_AFFINITY.halfLifeMs };
}
