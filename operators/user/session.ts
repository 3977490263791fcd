/**
 * Third operator of stage 1: cuts a person's interactions into sessions and sends each closed one to `sessions`.
 *
 * A record with a sessionId belongs to that session, however long it paused; several may be open at once. Records
 * without one form gap sessions among themselves: neighbours in time at most `gapMs` apart belong together. Impressions
 * are no activity: a feed that pushes itself must not keep a session alive.
 *
 *            first record                 no record for gapMs (timer)
 *   (none) ───────────────▶ open ───────────────────────────────▶ closed, sent as revision r
 *                            ▲  late record, or sessionId again     │
 *                            └──────────────────────────────────────┤ still too old to be open:
 *                                                                   └─▶ closed, sent as revision r + 1
 *
 * Records need not come in time order. A closed session is kept as long as a record no later than `allowedLatenessMs`
 * could still belong to it; such a record extends it, or joins two gap sessions into one: the result is sent with a
 * higher revision, and an id that is no more is sent as withdrawn. A gap session's id is its start, so it is the same
 * whichever record came first. Invariant (tested as a property): while lateness and `retainedMax` hold, the sessions
 * that readers end up with are those of the records sorted by time.
 *
 * One timer a person, for the session that would close first; a session that went on re-arms it when it fires.
 */
import { recordWriter } from '../../schemas/codec.js';
import type { Interaction } from '../../schemas/records.js';
import type { Context, Operator } from '../../streams/runtime/operator.js';
import { carriedCategory } from './catalogue.js';
import { addLatest } from './latest-list.js';
import { absorb, emptySession, emptySessionState, gapSessionId, sessionCodec } from './session-state.js';
import type { Session, SessionState } from './session-state.js';
import type { UserEvent } from './user-events.js';

export interface SessionConfig {
  /** Longest pause within a gap session, and after which any session closes, ms; default 30 min. */
  readonly gapMs: number;
  /** How far behind the partition's time a record may lie to change a session, ms; default 6 h. */
  readonly allowedLatenessMs: number;
  /** Sessions kept a person, open and closed; default 16. */
  readonly retainedMax: number;
  /** Latest distinct items and categories kept a session; defaults 10 and 5. */
  readonly itemsMax: number;
  readonly categoriesMax: number;
}

export const DEFAULT_SESSION: SessionConfig = {
  gapMs: 30 * 60_000,
  allowedLatenessMs: 6 * 3_600_000,
  retainedMax: 16,
  itemsMax: 10,
  categoriesMax: 5,
};

export interface SessionDeps {
  /** Physical name of the topic of closed sessions. */
  readonly sessionsTopic: string;
}

const writeSessionClosed = recordWriter('SessionClosed');

export function createSessionOperator(config: SessionConfig, deps: SessionDeps): Operator<UserEvent, SessionState> {
  const { gapMs } = config;
  return {
    name: 'session',
    purity: 'log-pure',
    state: sessionCodec,
    process(record, cell, context) {
      if (record.kind !== 'Interaction') return;
      const state = cell.getOr(emptySessionState);
      cell.changed();
      state.current = undefined;
      const now = Math.max(context.streamTime, context.time);
      if (context.time < now - config.allowedLatenessMs) {
        state.tooLate++;
        return;
      }
      const session = openedBy(record, state, context.time) ?? sessionFor(record, state, context);
      state.currentIsRepeat = count(record, session, context.time);
      state.current = session;
      settle(session, state, now, context);
      if (state.sessions.length > 1) dropExpired(state, now, context);
    },
    fire(cell, context) {
      const state = cell.get();
      if (state === undefined || context.time !== state.timer) return;
      state.timer = 0;
      for (const session of state.sessions) {
        if (!session.closed && session.end + gapMs <= context.time) close(session, state, context);
      }
      armEarliest(state, context);
      cell.changed();
    },
    merge(target, source, context) {
      const state = target.getOr(emptySessionState);
      const now = Math.max(context.streamTime, context.time);
      for (const moved of source.sessions) {
        // Sent under the old key: there it is taken back, here it is sent anew. Nobody counts it twice.
        if (moved.revision >= 0) send(moved, { key: source.sentAs, withdrawn: true }, context);
        moved.revision = -1;
        moved.closed = false;
        settle(place(moved, state, context), state, now, context);
      }
      dropExpired(state, now, context);
      state.tooLate += source.tooLate;
      target.changed();
    },
  };

  /** The hot path: the record goes on with a session that is there, and cannot join it with another one. */
  function openedBy(record: Interaction, state: SessionState, time: number): Session | undefined {
    let latest: Session | undefined;
    for (const session of state.sessions) {
      if (session.explicit ? session.id === record.sessionId : record.sessionId === null) {
        if (session.explicit) return session;
        if (latest === undefined || session.end > latest.end) latest = session;
      }
    }
    return latest !== undefined && time >= latest.start && time - latest.end <= gapMs ? latest : undefined;
  }

  function sessionFor(record: Interaction, state: SessionState, context: Context): Session {
    const { sessionId } = record;
    const session = emptySession(sessionId ?? gapSessionId(context.time), sessionId !== null, context.time);
    return place(session, state, context);
  }

  /** Puts a session among the others: joined with the explicit one of its id, or with every gap session within reach. */
  function place(session: Session, state: SessionState, context: Context): Session {
    const { sessions } = state;
    let kept = 0;
    for (const other of sessions) {
      const joins = session.explicit
        ? other.explicit && other.id === session.id
        : !other.explicit && other.start - session.end <= gapMs && session.start - other.end <= gapMs;
      if (joins) join(session, other, state, context);
      else sessions[kept++] = other;
    }
    sessions.length = kept;
    sessions.push(session);
    return session;
  }

  /** `other` disappears in `session`; an id that readers know and that is no more is withdrawn. */
  function join(session: Session, other: Session, state: SessionState, context: Context): void {
    const keepsId = session.explicit || session.start <= other.start;
    const named = keepsId ? session : other;
    const lost = keepsId ? other : session;
    if (lost.id !== named.id && lost.revision >= 0) send(lost, { key: state.sentAs, withdrawn: true }, context);
    session.revision = lost.id === named.id ? Math.max(session.revision, other.revision) : named.revision;
    session.id = named.id;
    absorb(session, other, config);
  }

  /** Counts the record in. Returns whether the session had met the item before. */
  function count(record: Interaction, session: Session, time: number): boolean {
    if (time < session.start) session.start = time;
    if (time > session.end) session.end = time;
    session.interactions++;
    if (record.type === 'view') session.pageViews++;
    if (record.type === 'purchase') session.conversions++;
    const category = carriedCategory(record);
    if (category !== undefined) addLatest(session.categories, category, time, config.categoriesMax);
    return addLatest(session.items, record.itemId, time, config.itemsMax);
  }

  /** Open sessions have their timer armed; those that are over are sent. */
  function settle(session: Session, state: SessionState, now: number, context: Context): void {
    const due = session.end + gapMs;
    if (due < now) {
      close(session, state, context);
      return;
    }
    session.closed = false;
    if (state.timer === 0 || due < state.timer) {
      if (state.timer !== 0) context.clearTimer(state.timer);
      state.timer = due;
      context.setTimer(due);
    }
  }

  function armEarliest(state: SessionState, context: Context): void {
    let due = Infinity;
    for (const session of state.sessions) if (!session.closed) due = Math.min(due, session.end + gapMs);
    if (due === Infinity) return;
    state.timer = due;
    context.setTimer(due);
  }

  function close(session: Session, state: SessionState, context: Context): void {
    session.closed = true;
    state.sentAs = context.key;
    send(session, { key: context.key, withdrawn: false }, context);
  }

  function send(session: Session, as: { key: string; withdrawn: boolean }, context: Context): void {
    session.revision++;
    const closed = {
      userId: as.key,
      sessionId: session.id,
      revision: session.revision,
      start: session.start,
      end: session.end,
      durationMs: session.end - session.start,
      pageViews: session.pageViews,
      interactions: session.interactions,
      conversions: session.conversions,
      bounced: session.interactions === 1,
      lastItems: session.items.names,
      categories: session.categories.names,
      withdrawn: as.withdrawn,
    };
    context.emitRecord(deps.sessionsTopic, as.key, writeSessionClosed, closed);
  }

  /** Forgets closed sessions that no record within the allowed lateness can belong to, and what is beyond the bound. */
  function dropExpired(state: SessionState, now: number, context: Context): void {
    const oldest = now - config.allowedLatenessMs - gapMs;
    const { sessions } = state;
    let kept = 0;
    for (const session of sessions) if (!session.closed || session.end >= oldest) sessions[kept++] = session;
    sessions.length = kept;
    while (sessions.length > config.retainedMax) dropFirst(state, context);
  }

  /** Forgets the session that ended first, closed ones before open ones; an open one is sent before it goes. */
  function dropFirst(state: SessionState, context: Context): void {
    let first = state.sessions[0]!;
    for (const session of state.sessions) {
      if (session.closed === first.closed ? session.end < first.end : session.closed) first = session;
    }
    if (!first.closed) close(first, state, context);
    state.sessions.splice(state.sessions.indexOf(first), 1);
  }
}
