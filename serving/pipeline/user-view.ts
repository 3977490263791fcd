/**
 * A person's snapshot in the form that retrieval asks for: pure, cheap, one a request.
 *
 * A person without state, or who does not consent to personalization, looks like somebody new.
 */
import { topAffinities } from '../../operators/user/affinity.js';
import { hasSeen } from '../../operators/user/profile-state.js';
import type { UserSnapshot } from '../../operators/user/read-user.js';
import type { Session } from '../../operators/user/session-state.js';
import { hash32, sessionRef } from '../../schemas/ids.js';
import type { UserSnapshotLike } from '../retrieval/request.js';

export interface UserViewOptions {
  /** Event time of the request, ms. */
  readonly now: number;
  readonly sessionGapMs: number;
  readonly affinityHalfLifeMs: number;
}

const AFFINITIES_READ = 8;
const NOBODY: ReadonlySet<string> = new Set();

export function viewUser(user: UserSnapshot | undefined, options: UserViewOptions): UserSnapshotLike {
  if (user === undefined || !user.mayPersonalize) return viewStranger();
  const session = user.openSessionAt(options.now, options.sessionGapMs);
  return viewUserInSession(user, session, options);
}

/** As `viewUser`, with the session given: for replays that know it. */
export function viewUserInSession(
  user: UserSnapshot,
  session: Session | undefined,
  options: UserViewOptions,
): UserSnapshotLike {
  const { profile, affinity, embedding } = user;
  const affinities =
    affinity === undefined
      ? []
      : topAffinities(affinity.categories, {
          refTime: affinity.refTime,
          time: options.now,
          halfLifeMs: options.affinityHalfLifeMs,
          max: AFFINITIES_READ,
        });
  return {
    sessionItems: session?.items.names.toReversed() ?? [],
    recentItems: profile?.recentItems ?? [],
    seen: (itemId) => profile !== undefined && hasSeen(profile, hash32(itemId)),
    blockedItems: profile === undefined ? NOBODY : new Set([...profile.blockedItems, ...profile.dislikedItems]),
    categoryAffinities: affinities.map(({ name, weight }) => ({ category: name, weight })),
    segments: user.segments,
    embedding: embedding?.vector,
    embeddingSpace: embedding?.space,
    sessionRef: session === undefined ? undefined : sessionRef(user.userId, session.id),
  };
}

function viewStranger(): UserSnapshotLike {
  return {
    sessionItems: [],
    recentItems: [],
    seen: () => false,
    blockedItems: NOBODY,
    categoryAffinities: [],
    segments: [],
    embedding: undefined,
    embeddingSpace: undefined,
  };
}
