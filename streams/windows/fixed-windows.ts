/**
 * Tumbling and hopping windows: of one size, at times that are known before any record comes.
 *
 * A window covers [start, end) with end = start + size; starts are the multiples of `advanceMs`, shifted by
 * `offsetMs`. A record belongs to ⌈size / advance⌉ windows at most. It is late for those that are final, and late
 * altogether when all of them are. The windows of a key never overlap in starts, so their identity is (key, start).
 */
import type { Context, Operator } from '../runtime/operator.js';
import type { WindowOptions } from './window.js';
import { requireMs, requireWindowOptions } from './window.js';
import { WindowLifecycle } from './window-lifecycle.js';
import { createWindowStateCodec, emptyWindowState, NOTHING_FINAL } from './window-state.js';
import type { Window, WindowState } from './window-state.js';

export interface TumblingWindowOptions<R, A, V> extends WindowOptions<R, A, V> {
  readonly sizeMs: number;
  /** Moves all starts: days that begin at 4 in the morning; default 0. */
  readonly offsetMs?: number;
}

export interface HoppingWindowOptions<R, A, V> extends TumblingWindowOptions<R, A, V> {
  /** Time from one start to the next, at most `sizeMs`. */
  readonly advanceMs: number;
}

/** Windows that follow each other without a gap. Throws TOPOLOGY_INVALID. */
export function createTumblingWindows<R, A, V>(options: TumblingWindowOptions<R, A, V>): Operator<R, WindowState<A>> {
  return createHoppingWindows({ ...options, advanceMs: options.sizeMs });
}

/** Windows that overlap: one of `sizeMs` starts every `advanceMs`. Throws TOPOLOGY_INVALID. */
export function createHoppingWindows<R, A, V>(options: HoppingWindowOptions<R, A, V>): Operator<R, WindowState<A>> {
  const { name, aggregate, allowedLatenessMs, sizeMs, advanceMs, accepts } = options;
  requireWindowOptions(options);
  requireMs(name, 'sizeMs', sizeMs, 1);
  requireMs(name, 'advanceMs', advanceMs, 1);
  requireMs(name, 'sizeMs - advanceMs', sizeMs - advanceMs, 0);
  const offsetMs = (options.offsetMs ?? 0) % advanceMs;
  const lifecycle = new WindowLifecycle(options, (window) => window.end - 1);

  return {
    name,
    purity: 'log-pure',
    state: createWindowStateCodec(name, aggregate.codec),
    process(record, cell, context) {
      if (accepts !== undefined && !accepts(record)) return;
      const { time } = context;
      const lastStart = Math.floor((time - offsetMs) / advanceMs) * advanceMs + offsetMs;
      const firstStart = lastStart - Math.floor((lastStart + sizeMs - 1 - time) / advanceMs) * advanceMs;
      let isLate = true;
      for (let start = firstStart; start <= lastStart; start += advanceMs) {
        if (isFinal(start, cell.get()?.finalThrough ?? NOTHING_FINAL, context)) continue;
        isLate = false;
        const state = cell.getOr(emptyWindowState<A>);
        const window = windowAt(start, state);
        window.aggregate = aggregate.add(window.aggregate, record, time);
        lifecycle.changed(window, state, context);
        cell.changed();
      }
      if (isLate) options.late?.(record, context);
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
        if (isFinal(moved.start, target.get()?.finalThrough ?? NOTHING_FINAL, context)) continue;
        const state = target.getOr(emptyWindowState<A>);
        const window = windowAt(moved.start, state);
        window.aggregate = aggregate.merge(window.aggregate, moved.aggregate);
        lifecycle.changed(window, state, context);
        target.changed();
      }
    },
  };

  function isFinal(start: number, finalThrough: number, context: Context): boolean {
    const closesAt = start + sizeMs - 1;
    return closesAt + allowedLatenessMs < context.streamTime || closesAt <= finalThrough;
  }

  function windowAt(start: number, state: WindowState<A>): Window<A> {
    const { windows } = state;
    for (let i = windows.length - 1; i >= 0; i--) if (windows[i]!.start === start) return windows[i]!;
    return lifecycle.open(start, start + sizeMs, state);
  }
}
