/**
 * What stage 1 stored of a person, in the shape that retrieval asks for: the bridge between operators and serving.
 *
 * Parts are decoded when they are asked for; a person who said no to personalization has no taste here.
 */
import { topAffinities } from '../../operators/user/affinity.js';
import { createSeenTest, type ProfileState } from '../../operators/user/profile-state.js';
import { movedTo, readUser, type UserSnapshot as StoredUser } from '../../operators/user/read-user.js';
import type { Session } from '../../operators/user/session-state.js';
import { hash32, sessionRef } from '../../schemas/ids.js';
import { readCell, rowVersion } from '../../streams/runtime/row-bytes.js';
import type { UserSnapshot } from './ports.js';

export interface StageUsersConfig {
  /** As configured for the session operator. */
  readonly sessionGapMs: number;
  /** As configured for the affinity operator. */
  readonly affinityHalfLifeMs: number;
}

/** Categories that retrieval is told of. */
const CATEGORIES_MAX = 8;
const NOBODY: UserSnapshot = {
  sessionItems: [],
  recentItems: [],
  seen: () => false,
  blockedItems: new Set(),
  categoryAffinities: [],
  segments: [],
  embedding: undefined,
  embeddingSpace: undefined,
};

/** The id that an id became; for `UserStatesOptions.aliasOf`. */
export function aliasOfRow(row: Buffer): string | undefined {
  return movedTo((operator) => readCell(operator, row));
}

/** For `UserStatesOptions.snapshotOf`. */
export function createSnapshotOf(config: StageUsersConfig) {
  return (row: Buffer | undefined, now: number, userId: string): UserSnapshot => {
    if (row === undefined) return NOBODY;
    const user = storedUser(row, userId);
    return snapshotInSession(user, user.openSessionAt(now, config.sessionGapMs), now, config);
  };
}

/**
 * As above with the session given, for replays that know which one it is.
 *
 * One literal: where an object is spread and properties are added behind it, V8 allocates among what stays.
 */
export function snapshotInSession(
  user: StoredUser,
  session: Session | undefined,
  now: number,
  config: StageUsersConfig,
): UserSnapshot {
  const { profile, segments } = user;
  const seen: UserSnapshot['seen'] = profile === undefined ? () => false : seenBy(profile);
  const blockedItems = blockedBy(profile);
  if (!user.mayPersonalize) return { ...NOBODY, seen, blockedItems, segments };
  const { embedding } = user;
  return {
    // Stored newest first; retrieval wants the latest last.
    sessionItems: session === undefined ? [] : [...session.items.names].reverse(),
    recentItems: profile?.recentItems.all() ?? [],
    recentTypes: profile?.recentTypes,
    recentTimes: profile?.recentTimes,
    seen,
    blockedItems,
    categoryAffinities: categoriesOf(user, now, config),
    segments,
    embedding: embedding?.vector,
    embeddingSpace: embedding?.space,
    sessionRef: session === undefined ? undefined : sessionRef(user.userId, session.id),
  };
}

function blockedBy(profile: ProfileState | undefined): UserSnapshot['blockedItems'] {
  if (profile === undefined || profile.blockedItems.length + profile.dislikedItems.length === 0) {
    return NOBODY.blockedItems;
  }
  return new Set([...profile.blockedItems, ...profile.dislikedItems]);
}

function seenBy(profile: ProfileState): UserSnapshot['seen'] {
  const hasSeen = createSeenTest(profile);
  return (itemId, hash = hash32(itemId)) => hasSeen(hash);
}

function categoriesOf(user: StoredUser, now: number, config: StageUsersConfig): UserSnapshot['categoryAffinities'] {
  const { categoryAffinity } = user;
  if (categoryAffinity === undefined) return NOBODY.categoryAffinities;
  const { refTime, categories } = categoryAffinity;
  const options = { refTime, time: now, halfLifeMs: config.affinityHalfLifeMs, max: CATEGORIES_MAX };
  return topAffinities(categories, options).map(({ name, weight }) => ({ category: name, weight }));
}

/** A stored row as the operators' own snapshot. */
export function storedUser(row: Buffer, userId: string): StoredUser {
  return readUser(userId, rowVersion(row), (operator) => readCell(operator, row));
}
