/**
 * Session windows: records of a key at most `gapMs` apart belong together, whichever came first.
 *
 * A session is named by the time of its first record. A record between two sessions joins them; one before a session
 * makes it start earlier. Either way an id disappears, and if readers were told of it, it is withdrawn: the session
 * that remains is sent under the earlier id. A new session is opened only by a record within the allowed lateness, and
 * sessions are kept as long as such a record could join them; so what is final stays as it was sent.
 */
import type { Context, Operator } from '../runtime/operator.js';
import type { WindowOptions } from './window.js';
import { requireMs, requireWindowOptions } from './window.js';
import { WindowLifecycle } from './window-lifecycle.js';
import { createWindowStateCodec, emptyWindowState, NOTHING_FINAL } from './window-state.js';
import type { Window, WindowState } from './window-state.js';

export interface SessionWindowOptions<R, A, V> extends WindowOptions<R, A, V> {
  /** Longest pause within a session, ms. */
  readonly gapMs: number;
}

/** Throws TOPOLOGY_INVALID. */
export function createSessionWindows<R, A, V>(options: SessionWindowOptions<R, A, V>): Operator<R, WindowState<A>> {
  const { name, aggregate, allowedLatenessMs, gapMs, accepts } = options;
  requireWindowOptions(options);
  requireMs(name, 'gapMs', gapMs, 0);
  const lifecycle = new WindowLifecycle(options, (window) => window.end + gapMs);

  return {
    name,
    purity: 'log-pure',
    state: createWindowStateCodec(name, aggregate.codec),
    process(record, cell, context) {
      if (accepts !== undefined && !accepts(record)) return;
      const { time } = context;
      if (isLate(cell.get(), time, time, context)) {
        options.late?.(record, context);
        return;
      }
      const state = cell.getOr(emptyWindowState<A>);
      const session = sessionOver(time, time, state, context);
      session.aggregate = aggregate.add(session.aggregate, record, time);
      lifecycle.changed(session, state, context);
      cell.changed();
    },
    fire(cell, context) {
      const state = cell.get();
      if (state?.timer !== context.time) return;
      lifecycle.fire(state, context);
      if (state.windows.length === 0) cell.remove();
      else cell.changed();
    },
    merge(target, source, context) {
      for (const moved of source.windows) {
        lifecycle.withdraw(moved, source.sentAs, context);
        if (isLate(target.get(), moved.start, moved.end, context)) continue;
        const state = target.getOr(emptyWindowState<A>);
        const session = sessionOver(moved.start, moved.end, state, context);
        session.aggregate = aggregate.merge(session.aggregate, moved.aggregate);
        lifecycle.changed(session, state, context);
        target.changed();
      }
    },
  };

  /** Nothing that is kept reaches it, and it is too late to be a session of its own. */
  function isLate(state: WindowState<A> | undefined, start: number, end: number, context: Context): boolean {
    const finalThrough = state?.finalThrough ?? NOTHING_FINAL;
    if (end + allowedLatenessMs >= context.streamTime && start > finalThrough) return false;
    return state === undefined || !state.windows.some((session) => reaches(session, start, end));
  }

  function reaches(session: Window<A>, start: number, end: number): boolean {
    return session.start - end <= gapMs && start - session.end <= gapMs;
  }

  /** The one session that covers [start, end]: made of all that reach it, or new. */
  function sessionOver(start: number, end: number, state: WindowState<A>, context: Context): Window<A> {
    const reached = state.windows.filter((session) => reaches(session, start, end));
    const first = reached[0];
    if (first === undefined) return lifecycle.open(start, end, state);
    for (const absorbed of reached.slice(1)) {
      lifecycle.withdraw(absorbed, state.sentAs, context);
      first.aggregate = aggregate.merge(first.aggregate, absorbed.aggregate);
      first.end = absorbed.end;
      state.windows.splice(state.windows.indexOf(absorbed), 1);
    }
    if (start < first.start) {
      lifecycle.withdraw(first, state.sentAs, context);
      first.start = start;
    }
    first.end = Math.max(first.end, end);
    return first;
  }
}
