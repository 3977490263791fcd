/**
 * The engine as a topology: two stages, one input topic each, assembled from configuration.
 *
 *   user-events ──> users (identify … feed-hint) ──> item-events ──> items (catalogue … expiry) ──> item-state
 *
 * Everything that runs the engine — server, import, replay, benchmarks, tests — gets its stages here, so there is one
 * engine and not one an entry point.
 */
import { TOPICS, topicName } from '../schemas/topics.js';
import type { TopicDeclaration } from '../schemas/topics.js';
import type { TopicSpec } from '../streams/log/event-log.js';
import { buildTopology } from '../streams/runtime/topology.js';
import type { FaultPolicy, StageDeclaration, Topology } from '../streams/runtime/topology.js';
import type { OperatorsConfig } from './config.js';
import { createItemEventsCodec, createItemOperators } from './item/index.js';
import type { ItemEvent } from './item/index.js';
import type { CatalogueReader } from './user/catalogue.js';
import type { ItemVectors } from './user/user-embedding.js';
import { createUserEventsCodec } from './user/user-events.js';
import type { UserEvent } from './user/user-events.js';
import { DEFAULT_USER_STAGE, createUserOperators, listUserOperators, userStageOutputs } from './user/user-operators.js';
import type { UserOperators, UserStageConfig } from './user/user-operators.js';

export const USER_STAGE = 'users';
export const ITEM_STAGE = 'items';
/** The embedding space that stage 2 learns online. */
export const ONLINE_SPACE = 'items-1';

/**
 * A feed is made from the user's own state, which does not wait; what all items share may be this much older, and more under
 * load.
 */
const ITEM_LINGER_MS = 100;

export interface EngineTopologyOptions {
  readonly namespace: string;
  readonly config: OperatorsConfig;
  readonly faultPolicy?: FaultPolicy;
  /** What table-reading operators look at; empty tables while nothing is followed. */
  readonly catalogue: CatalogueReader;
  readonly itemVectors: () => ItemVectors | undefined;
}

export interface EngineTopology {
  readonly topology: Topology;
  readonly users: StageDeclaration<UserEvent>;
  readonly items: StageDeclaration<ItemEvent>;
  /** Stage 1's operators by name, for whoever reads their states. */
  readonly userOperators: UserOperators;
}

export function createEngineTopology(options: EngineTopologyOptions): EngineTopology {
  const { namespace, config, catalogue, itemVectors } = options;
  const name = (topic: TopicDeclaration): string => topicName(namespace, topic);
  const userOperators = createUserOperators(userStageConfig(config), { namespace, catalogue, itemVectors });
  const common = {
    clockToleranceMs: config.clockToleranceMs,
    allowedLatenessMs: Infinity,
    latePolicy: 'process',
    faultPolicy: options.faultPolicy ?? 'dead-letter',
    deadLetters: name(TOPICS.deadLetters),
  } as const;
  const users: StageDeclaration<UserEvent> = {
    ...common,
    name: USER_STAGE,
    input: name(TOPICS.userEvents),
    codec: createUserEventsCodec(),
    operators: listUserOperators(userOperators),
    outputs: userStageOutputs(namespace),
  };
  const topic = name(TOPICS.itemState);
  const epsilon = config.publishEpsilon;
  const items: StageDeclaration<ItemEvent> = {
    ...common,
    name: ITEM_STAGE,
    lingerMs: ITEM_LINGER_MS,
    isBackground: true,
    input: name(TOPICS.itemEvents),
    codec: createItemEventsCodec(),
    operators: createItemOperators({ topic, space: ONLINE_SPACE, popularity: { epsilon } }),
    outputs: [topic],
  };
  return { topology: buildTopology(namespace, [users, items]), users, items, userOperators };
}

function userStageConfig(config: OperatorsConfig): UserStageConfig {
  const base = DEFAULT_USER_STAGE;
  // A person who is removed takes the sessions along that late records may still change.
  const idleMs = Math.max(config.userIdleMs, config.sessionLatenessMs);
  return {
    ...base,
    identify: { ...base.identify, aliasTtlMs: Math.max(base.identify.aliasTtlMs, idleMs) },
    dedupe: { ...base.dedupe, ringSize: config.dedupeEvents },
    session: {
      ...base.session,
      gapMs: config.sessionGapMs,
      allowedLatenessMs: config.sessionLatenessMs,
      retainedMax: config.sessionsRetained,
    },
    profile: { ...base.profile, idleTtlMs: idleMs },
    rewards: { ...base.rewards, windowMs: config.rewardDelayMs },
  };
}

/** Every topic of the engine, with `partitions` for the ones that stages and outside readers share the load of. */
export function engineTopics(namespace: string, partitions: number): readonly TopicSpec[] {
  return Object.values<TopicDeclaration>(TOPICS).map((declaration) => ({
    name: topicName(namespace, declaration),
    partitions: declaration === TOPICS.models || declaration === TOPICS.deadLetters ? 1 : partitions,
    class: declaration.class,
    retentionMs: declaration.retentionMs,
    ...(declaration.exact ? { exact: true } : {}),
  }));
}
