/**
 * The operators of stage 1 in their order, with one place for their configuration and for what they are given.
 *
 *   identify → dedupe → session → profile → affinity → user-embedding → rewards → signals → feed-hint
 *
 * The order is part of the meaning: state that moved away is not touched by what comes after, repeats end at dedupe,
 * and each operator reads (`peek`) only those before it.
 */
import { TOPICS, topicName } from '../../schemas/topics.js';
import type { AnyOperator } from '../../streams/runtime/operator.js';
import { createAffinityOperator, DEFAULT_AFFINITY, type AffinityConfig } from './affinity.js';
import type { CatalogueReader } from './catalogue.js';
import { createDedupeOperator, DEFAULT_DEDUPE, type DedupeConfig } from './dedupe.js';
import { createFeedHintOperator } from './feed-hint.js';
import { createIdentifyOperator, DEFAULT_IDENTIFY, type IdentifyConfig } from './identify.js';
import { createProfileOperator, DEFAULT_PROFILE, type ProfileConfig } from './profile.js';
import { createRewardsOperator, DEFAULT_REWARDS, type RewardsConfig } from './rewards.js';
import { createSessionOperator, DEFAULT_SESSION, type SessionConfig } from './session.js';
import { createSignalsOperator, DEFAULT_SIGNALS, type SignalsConfig } from './signals.js';
import {
  createUserEmbeddingOperator,
  DEFAULT_USER_EMBEDDING,
  type ItemVectors,
  type UserEmbeddingConfig,
} from './user-embedding.js';
import type { UserEvent } from './user-events.js';

export interface UserStageConfig {
  readonly identify: IdentifyConfig;
  readonly dedupe: DedupeConfig;
  readonly session: SessionConfig;
  readonly profile: ProfileConfig;
  readonly affinity: AffinityConfig;
  readonly userEmbedding: UserEmbeddingConfig;
  readonly rewards: RewardsConfig;
  readonly signals: SignalsConfig;
}

export const DEFAULT_USER_STAGE: UserStageConfig = {
  identify: DEFAULT_IDENTIFY,
  dedupe: DEFAULT_DEDUPE,
  session: DEFAULT_SESSION,
  profile: DEFAULT_PROFILE,
  affinity: DEFAULT_AFFINITY,
  userEmbedding: DEFAULT_USER_EMBEDDING,
  rewards: DEFAULT_REWARDS,
  signals: DEFAULT_SIGNALS,
};

export interface UserStageDeps {
  readonly namespace: string;
  readonly catalogue: CatalogueReader;
  /** See UserEmbeddingDeps. */
  readonly itemVectors: () => ItemVectors | undefined;
}

export type UserOperators = ReturnType<typeof createUserOperators>;

/** The operators by name, for `peek`, queries and tests. */
export function createUserOperators(config: UserStageConfig, deps: UserStageDeps) {
  const userEventsTopic = topicName(deps.namespace, TOPICS.userEvents);
  const itemEventsTopic = topicName(deps.namespace, TOPICS.itemEvents);
  const sessionsTopic = topicName(deps.namespace, TOPICS.sessions);
  const rewardsTopic = topicName(deps.namespace, TOPICS.rewards);
  const feedHintsTopic = topicName(deps.namespace, TOPICS.feedHints);
  const session = createSessionOperator(config.session, { sessionsTopic });
  const profile = createProfileOperator(config.profile);
  const userEmbedding = createUserEmbeddingOperator(config.userEmbedding, { itemVectors: deps.itemVectors, profile });
  return {
    identify: createIdentifyOperator(config.identify, { userEventsTopic, feedHintsTopic }),
    dedupe: createDedupeOperator(config.dedupe),
    session,
    profile,
    affinity: createAffinityOperator(config.affinity, { catalogue: deps.catalogue, profile }),
    userEmbedding,
    rewards: createRewardsOperator(config.rewards, { rewardsTopic }),
    signals: createSignalsOperator(config.signals, { itemEventsTopic, session, profile, userEmbedding }),
    feedHint: createFeedHintOperator({ feedHintsTopic }),
  };
}

/** In the order in which they see a record. */
export function listUserOperators(operators: UserOperators): readonly AnyOperator<UserEvent>[] {
  return [
    operators.identify,
    operators.dedupe,
    operators.session,
    operators.profile,
    operators.affinity,
    operators.userEmbedding,
    operators.rewards,
    operators.signals,
    operators.feedHint,
  ];
}

/** Physical names of the topics that stage 1 writes to. */
export function userStageOutputs(namespace: string): readonly string[] {
  return [TOPICS.userEvents, TOPICS.itemEvents, TOPICS.sessions, TOPICS.rewards, TOPICS.feedHints].map((topic) =>
    topicName(namespace, topic),
  );
}
