/**
 * From a window's first record to its end: when it is sent, when it is forgotten, what its key's timer waits for.
 *
 *              event time passes closesAt        event time passes closesAt + lateness
 *     open ──────────────────────────────▶ closed ────────────────────────────────────▶ final: forgotten
 *      ▲      (emission 'close': sent)       │            (emission 'final': sent)
 *      └─────────────────────────────────────┘
 *        a record that makes a session longer; any other record of a closed window is sent at once as a correction
 *
 * `closesAt` is the last millisecond at which a record could belong to the window; timers fire when event time has
 * passed it, strictly, so the window closes before the first record that cannot belong to it any more.
 */
import type { Context } from '../runtime/operator.js';
import { armTimer, NO_TIMER } from './key-timer.js';
import type { WindowOptions } from './window.js';
import { WINDOWS_MAX } from './window.js';
import type { Window, WindowState } from './window-state.js';

export class WindowLifecycle<R, A, V> {
  private readonly windowsMax: number;

  constructor(
    private readonly options: WindowOptions<R, A, V>,
    /** Must not fall as `start` rises among the windows of one key. */
    readonly closesAt: (window: Window<A>) => number,
  ) {
    this.windowsMax = options.windowsMax ?? WINDOWS_MAX;
  }

  /** Creates a window among the others, which are sorted by start. */
  open(start: number, end: number, state: WindowState<A>): Window<A> {
    const window = { start, end, revision: -1, closed: false, aggregate: this.options.aggregate.initial() };
    const { windows } = state;
    let place = windows.length;
    while (place > 0 && windows[place - 1]!.start > start) place--;
    windows.splice(place, 0, window);
    return window;
  }

  /** To be called whenever a window changed. */
  changed(window: Window<A>, state: WindowState<A>, context: Context): void {
    const { emission } = this.options;
    if (emission === 'close') window.closed = this.closesAt(window) < context.streamTime;
    if (emission === 'update' || window.closed) this.send(window, state, context);
    armTimer(state, this.due(window), context);
    while (state.windows.length > this.windowsMax) this.giveUpEarliest(state, context);
  }

  /** The key's timer: closes and forgets what is due by now. Nothing is left when the state has no windows. */
  fire(state: WindowState<A>, context: Context): void {
    const { emission, allowedLatenessMs } = this.options;
    state.timer = NO_TIMER;
    let kept = 0;
    const { windows } = state;
    for (const window of windows) {
      const closesAt = this.closesAt(window);
      const isFinal = closesAt + allowedLatenessMs <= context.time;
      if (emission === 'close' && !window.closed && closesAt <= context.time) {
        window.closed = true;
        this.send(window, state, context);
      } else if (emission === 'final' && isFinal) {
        this.send(window, state, context);
      }
      if (!isFinal) windows[kept++] = window;
    }
    windows.length = kept;
    this.arm(state, context);
  }

  arm(state: WindowState<A>, context: Context): void {
    let due = Infinity;
    for (const window of state.windows) due = Math.min(due, this.due(window));
    if (due !== Infinity) armTimer(state, due, context);
  }

  /** Takes back what was sent of a window that is no more, and makes it as if it had never been sent. */
  withdraw(window: Window<A>, sentAs: string, context: Context): void {
    if (window.revision < 0) return;
    const revision = window.revision + 1;
    window.revision = -1;
    const { start, end } = window;
    this.options.send({ key: sentAs, start, end, revision, withdrawn: true, value: undefined }, context);
  }

  private due(window: Window<A>): number {
    const closesAt = this.closesAt(window);
    return this.options.emission === 'close' && !window.closed ? closesAt : closesAt + this.options.allowedLatenessMs;
  }

  private send(window: Window<A>, state: WindowState<A>, context: Context): void {
    state.sentAs = context.key;
    window.revision++;
    const { start, end, revision } = window;
    const value = this.options.aggregate.result(window.aggregate);
    this.options.send({ key: context.key, start, end, revision, withdrawn: false, value }, context);
  }

  /** Keeps the bound: the earliest window is sent as it is, if that was still to come, and is final. */
  private giveUpEarliest(state: WindowState<A>, context: Context): void {
    const window = state.windows.shift()!;
    const { emission } = this.options;
    if (emission === 'final' || (emission === 'close' && !window.closed)) this.send(window, state, context);
    state.finalThrough = Math.max(state.finalThrough, this.closesAt(window));
  }
}
