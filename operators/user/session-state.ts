/**
 * What is kept of a person's sessions, and how two sessions become one.
 *
 * Invariant: a session's content (all but `revision` and `closed`) is a function of the set of records in it: counts
 * are sums, start and end are extremes, the lists keep what is latest. That is what makes late records exact.
 */
import { emptyLatestList, mergeLatest, readLatestList, writeLatestList, type LatestList } from './latest-list.js';
import { createLayoutCodec } from '../state-layout.js';
import { readLength } from './state-bytes.js';

export interface Session {
  /** Given by the source, or derived from the start for a gap session. */
  id: string;
  explicit: boolean;
  /** First and last event time, ms since epoch. */
  start: number;
  end: number;
  pageViews: number;
  interactions: number;
  conversions: number;
  /** Revision last sent; −1: none yet. */
  revision: number;
  closed: boolean;
  readonly items: LatestList;
  readonly categories: LatestList;
}

export interface SessionState {
  readonly sessions: Session[];
  /** The armed timer, 0 for none. */
  timer: number;
  /** Key under which retained sessions were sent; '' when none was. */
  sentAs: string;
  /** Records too late for any session so far. */
  tooLate: number;
  /** Session of the record in process and whether it had met the item before: for later operators, never stored. */
  current: Session | undefined;
  currentIsRepeat: boolean;
}

export function emptySessionState(): SessionState {
  return { sessions: [], timer: 0, sentAs: '', tooLate: 0, current: undefined, currentIsRepeat: false };
}

/** Sources' own ids may look like anything; the tilde only keeps people from taking one for the other. */
export function gapSessionId(start: number): string {
  return `~${start.toString(36)}`;
}

export function emptySession(id: string, explicit: boolean, time: number): Session {
  return {
    id,
    explicit,
    start: time,
    end: time,
    pageViews: 0,
    interactions: 0,
    conversions: 0,
    revision: -1,
    closed: false,
    items: emptyLatestList(),
    categories: emptyLatestList(),
  };
}

export interface ListBounds {
  readonly itemsMax: number;
  readonly categoriesMax: number;
}

/** Adds the content of `other` to `session`; ids, revisions and `closed` are the caller's. */
export function absorb(session: Session, other: Session, bounds: ListBounds): void {
  session.start = Math.min(session.start, other.start);
  session.end = Math.max(session.end, other.end);
  session.pageViews += other.pageViews;
  session.interactions += other.interactions;
  session.conversions += other.conversions;
  mergeLatest(session.items, other.items, bounds.itemsMax);
  mergeLatest(session.categories, other.categories, bounds.categoriesMax);
}

const EXPLICIT = 1;
const CLOSED = 2;

export const sessionCodec = createLayoutCodec<SessionState>({
  name: 'session',
  version: 1,
  write(state, writer) {
    writer.writeLong(state.timer);
    // Of use only while a retained session was sent: most people's is not worth its bytes.
    writer.writeString(state.sessions.some((session) => session.revision >= 0) ? state.sentAs : '');
    writer.writeLong(state.tooLate);
    writer.writeLong(state.sessions.length);
    for (const session of state.sessions) {
      writer.writeLong((session.explicit ? EXPLICIT : 0) | (session.closed ? CLOSED : 0));
      if (session.explicit) writer.writeString(session.id);
      writer.writeLong(session.start);
      writer.writeLong(session.end - session.start);
      writer.writeLong(session.pageViews);
      writer.writeLong(session.interactions);
      writer.writeLong(session.conversions);
      writer.writeLong(session.revision);
      writeLatestList(session.items, session.end, writer);
      writeLatestList(session.categories, session.end, writer);
    }
  },
  read(reader) {
    const state = emptySessionState();
    state.timer = reader.readLong();
    state.sentAs = reader.readString();
    state.tooLate = reader.readLong();
    const length = readLength(reader);
    for (let i = 0; i < length; i++) {
      const flags = reader.readLong();
      const explicit = (flags & EXPLICIT) !== 0;
      const id = explicit ? reader.readString() : '';
      const start = reader.readLong();
      const session = emptySession(explicit ? id : gapSessionId(start), explicit, start);
      session.closed = (flags & CLOSED) !== 0;
      session.end = start + reader.readLong();
      session.pageViews = reader.readLong();
      session.interactions = reader.readLong();
      session.conversions = reader.readLong();
      session.revision = reader.readLong();
      state.sessions.push({
        ...session,
        items: readLatestList(session.end, reader),
        categories: readLatestList(session.end, reader),
      });
    }
    return state;
  },
});
