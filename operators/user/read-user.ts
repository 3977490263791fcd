/**
 * A person's state as serving and `GET /v1/users/:id/state` see it: decoded on demand, read-only.
 *
 * A request that only needs the session does not pay for the rest: each part is decoded when it is first asked for and
 * kept. Invariant: nothing here is mutated; the snapshot is of one version, however long it is held.
 */
import type { StateReader } from '../../streams/runtime/operator.js';
import {
  affinityCodec,
  categoryAffinityReader,
  topAffinities,
  type Affinity,
  type AffinityState,
  type CategoryAffinity,
} from './affinity.js';
import { typeAt } from './event-weights.js';
import { identifyCodec } from './identify.js';
import { mayPersonalize, profileCodec, segmentLabels, type ProfileState } from './profile-state.js';
import { rewardsCodec } from './rewards.js';
import { sessionCodec, type Session } from './session-state.js';
import { userEmbeddingCodec, type UserEmbeddingState } from './user-embedding.js';

/** What names an operator's cell and decodes it; an operator has this shape. */
export interface DeclaredCell<S> {
  readonly name: string;
  readonly state: StateReader<S>;
}

/** Reads one operator's cell of the person's stored row; `readCell` of the runtime with the row bound has this shape. */
export type UserCellReader = <S>(operator: DeclaredCell<S>) => S | undefined;

const CELLS = {
  identify: { name: 'identify', state: identifyCodec },
  session: { name: 'session', state: sessionCodec },
  profile: { name: 'profile', state: profileCodec },
  affinity: { name: 'affinity', state: affinityCodec },
  categories: { name: 'affinity', state: categoryAffinityReader },
  embedding: { name: 'user-embedding', state: userEmbeddingCodec },
  rewards: { name: 'rewards', state: rewardsCodec },
};

type Part = Exclude<keyof typeof CELLS, 'identify'>;
type PartState<P extends Part> = (typeof CELLS)[P]['state'] extends StateReader<infer S> ? S : never;

const NOT_DECODED = Symbol('not decoded');
const NOTHING_DECODED: Readonly<Record<Part, unknown>> = {
  session: NOT_DECODED,
  profile: NOT_DECODED,
  affinity: NOT_DECODED,
  categories: NOT_DECODED,
  embedding: NOT_DECODED,
  rewards: NOT_DECODED,
};

/** The id that a person's became, where it did; ask for that one instead. */
export function movedTo(read: UserCellReader): string | undefined {
  const to = read(CELLS.identify)?.to;
  return to === undefined || to === '' ? undefined : to;
}

export class UserSnapshot {
  private readonly decoded = { ...NOTHING_DECODED };

  constructor(
    readonly userId: string,
    /** Input offset that last changed the state. */
    readonly version: number,
    private readonly read: UserCellReader,
  ) {}

  get movedTo(): string | undefined {
    return movedTo(this.read);
  }

  get profile(): ProfileState | undefined {
    return this.part('profile');
  }

  get sessions(): readonly Session[] {
    return this.part('session')?.sessions ?? [];
  }

  get affinity(): AffinityState | undefined {
    return this.mayPersonalize ? this.part('affinity') : undefined;
  }

  /** Of `affinity`, for those who ask for no more: it costs a third. */
  get categoryAffinity(): CategoryAffinity | undefined {
    return this.mayPersonalize ? this.part('categories') : undefined;
  }

  get embedding(): UserEmbeddingState | undefined {
    return this.mayPersonalize ? this.part('embedding') : undefined;
  }

  get pendingSlates(): number {
    return this.part('rewards')?.pending.length ?? 0;
  }

  get mayPersonalize(): boolean {
    return mayPersonalize(this.profile);
  }

  get segments(): readonly string[] {
    return this.profile === undefined ? [] : segmentLabels(this.profile);
  }

  /** The session last active that is not over at `time`; a partition without traffic may not have closed it yet. */
  openSessionAt(time: number, gapMs: number): Session | undefined {
    let open: Session | undefined;
    for (const session of this.sessions) {
      if (session.closed || session.end + gapMs < time) continue;
      if (open === undefined || session.end > open.end) open = session;
    }
    return open;
  }

  private part<P extends Part>(name: P): PartState<P> | undefined {
    const declared = CELLS[name] as DeclaredCell<PartState<P>>;
    if (this.decoded[name] === NOT_DECODED) this.decoded[name] = this.read(declared);
    return this.decoded[name] as PartState<P> | undefined;
  }
}

export function readUser(userId: string, version: number, read: UserCellReader): UserSnapshot {
  return new UserSnapshot(userId, version, read);
}

export interface DescribeOptions {
  /** ms since epoch. */
  readonly time: number;
  readonly gapMs: number;
  readonly affinityHalfLifeMs: number;
}

/** Affinities of each kind that a description shows. */
const AFFINITIES_SHOWN = 10;

/** The snapshot as plain JSON, for people and for the HTTP edge. */
export function describeUser(user: UserSnapshot, options: DescribeOptions) {
  const { profile, affinity, embedding } = user;
  const session = user.openSessionAt(options.time, options.gapMs);
  return {
    userId: user.userId,
    version: user.version,
    movedTo: user.movedTo ?? null,
    segments: user.segments,
    consent: profile?.consent ?? null,
    lastAt: profile?.lastAt ?? null,
    recent: (profile?.recentItems.all() ?? []).map((itemId, i) => ({
      itemId,
      type: typeAt(profile!.recentTypes[i]!),
      ts: profile!.recentTimes[i]!,
    })),
    blockedItems: profile?.blockedItems ?? [],
    dislikedItems: profile?.dislikedItems ?? [],
    counts: Object.fromEntries(
      (profile?.counts ?? []).map((count, i) => [typeAt(i), count] as const).filter(([, count]) => count > 0),
    ),
    affinities: {
      categories: topOf(affinity, 'categories', options),
      brands: topOf(affinity, 'brands', options),
      tags: topOf(affinity, 'tags', options),
    },
    openSession:
      session === undefined
        ? null
        : {
            sessionId: session.id,
            start: session.start,
            end: session.end,
            interactions: session.interactions,
            pageViews: session.pageViews,
            conversions: session.conversions,
            lastItems: session.items.names,
            categories: session.categories.names,
          },
    embedding: embedding === undefined ? null : { space: embedding.space, updates: embedding.updates },
    pendingSlates: user.pendingSlates,
  };
}

function topOf(
  affinity: AffinityState | undefined,
  kind: 'categories' | 'brands' | 'tags',
  options: DescribeOptions,
): Affinity[] {
  if (affinity === undefined) return [];
  const { time, affinityHalfLifeMs: halfLifeMs } = options;
  return topAffinities(affinity[kind], { refTime: affinity.refTime, time, halfLifeMs, max: AFFINITIES_SHOWN });
}
