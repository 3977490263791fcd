/**
 * Interval join: pairs of records of two kinds, under one key, that happened close to each other.
 *
 * A left record at time l and a right one at r are a pair when l - beforeMs ≤ r ≤ l + afterMs. Each pair is sent once,
 * when the later of the two arrives, so the set of pairs does not depend on the order of arrival. With `left`, a left
 * record that met nobody is sent alone once no record within the allowed lateness can meet it any more. A record later
 * than that meets nobody; it goes to `late`.
 *
 * Buffers are bounded in time by the interval plus the lateness and in number by `bufferedMax` a side: beyond it the
 * earliest record goes, a left one that met nobody is sent alone first. Then a pair may be missing, never sent twice.
 */
import type { Context, Operator, StateCodec } from '../runtime/operator.js';
import { createJoinStateCodec, emptyJoinState } from './join-state.js';
import type { Buffered, JoinState } from './join-state.js';
import { armTimer, NO_TIMER } from './key-timer.js';
import { requireMs } from './window.js';

export interface JoinOutput<L, R> {
  readonly key: string;
  readonly left: L;
  readonly leftTime: number;
  /** undefined, with its time, when the left record met nobody. */
  readonly right: R | undefined;
  readonly rightTime: number | undefined;
}

/** One side of the join. */
export interface JoinSide<In, T> {
  /** What the join keeps of a record; undefined for records that are not of this side. */
  readonly of: (record: In) => T | undefined;
  readonly codec: StateCodec<T>;
}

export interface IntervalJoinOptions<In, L, R> {
  /** Name of the operator: unique in its stage, lower-case kebab. */
  readonly name: string;
  /** `inner`: pairs. `left`: also left records that met nobody. */
  readonly kind: 'inner' | 'left';
  readonly left: JoinSide<In, L>;
  readonly right: JoinSide<In, R>;
  /** How long before the left record the right one may have happened, ms; ≥ 0. */
  readonly beforeMs: number;
  /** How long after the left record the right one may have happened, ms; ≥ 0. */
  readonly afterMs: number;
  /** How far behind the partition's event time a record may lie, ms; ≥ 0. */
  readonly allowedLatenessMs: number;
  /** Records kept a side and key; default BUFFERED_MAX. */
  readonly bufferedMax?: number;
  /** Sends a result, by `context.emit`. */
  readonly send: (output: JoinOutput<L, R>, context: Context) => void;
  readonly late?: (record: In, context: Context) => void;
}

/** A key that has more than this within the interval is a robot or the wrong key. */
export const BUFFERED_MAX = 1_000;

/** Throws TOPOLOGY_INVALID. */
export function createIntervalJoin<In, L, R>(options: IntervalJoinOptions<In, L, R>): Operator<In, JoinState<L, R>> {
  const { name, kind, left, right, beforeMs, afterMs, allowedLatenessMs } = options;
  const bufferedMax = options.bufferedMax ?? BUFFERED_MAX;
  requireMs(name, 'beforeMs', beforeMs, 0);
  requireMs(name, 'afterMs', afterMs, 0);
  requireMs(name, 'allowedLatenessMs', allowedLatenessMs, 0);
  requireMs(name, 'bufferedMax', bufferedMax, 1);
  /** A record is of use as long as event time has not passed its own by more than this. */
  const leftKeptMs = afterMs + allowedLatenessMs;
  const rightKeptMs = beforeMs + allowedLatenessMs;

  return {
    name,
    purity: 'log-pure',
    state: createJoinStateCodec(name, left.codec, right.codec),
    process(record, cell, context) {
      const leftValue = left.of(record);
      const rightValue = right.of(record);
      if (leftValue === undefined && rightValue === undefined) return;
      const { time } = context;
      if (time + allowedLatenessMs < context.streamTime) {
        options.late?.(record, context);
        return;
      }
      const state = cell.getOr(emptyJoinState<L, R>);
      if (leftValue !== undefined) takeLeft({ time, value: leftValue, matched: false }, state, context);
      if (rightValue !== undefined) takeRight({ time, value: rightValue, matched: false }, state, context);
      cell.changed();
    },
    fire(cell, context) {
      const state = cell.get();
      if (state?.timer !== context.time) return;
      expire(state, context);
      if (state.left.length === 0 && state.right.length === 0) cell.remove();
      else cell.changed();
    },
    merge(target, source, context) {
      const state = target.getOr(emptyJoinState<L, R>);
      // Records that came over together have met before; each meets only those that were here.
      const here = { left: [...state.left], right: [...state.right] };
      for (const entry of source.left) matchLeft(entry, here.right, context);
      for (const entry of source.right) matchRight(entry, here.left, context);
      for (const entry of source.left) keepLeft(entry, state, context);
      for (const entry of source.right) keepRight(entry, state, context);
      target.changed();
    },
  };

  function takeLeft(entry: Buffered<L>, state: JoinState<L, R>, context: Context): void {
    matchLeft(entry, state.right, context);
    keepLeft(entry, state, context);
  }

  function takeRight(entry: Buffered<R>, state: JoinState<L, R>, context: Context): void {
    matchRight(entry, state.left, context);
    keepRight(entry, state, context);
  }

  function matchLeft(entry: Buffered<L>, others: readonly Buffered<R>[], context: Context): void {
    const latest = entry.time + afterMs;
    for (let i = firstAtOrAfter(others, entry.time - beforeMs); i < others.length; i++) {
      if (others[i]!.time > latest) return;
      sendPair(entry, others[i]!, context);
    }
  }

  function matchRight(entry: Buffered<R>, others: readonly Buffered<L>[], context: Context): void {
    const latest = entry.time + beforeMs;
    for (let i = firstAtOrAfter(others, entry.time - afterMs); i < others.length; i++) {
      if (others[i]!.time > latest) return;
      sendPair(others[i]!, entry, context);
    }
  }

  function keepLeft(entry: Buffered<L>, state: JoinState<L, R>, context: Context): void {
    insert(state.left, entry);
    if (state.left.length > bufferedMax) letGo(state.left.shift()!, context);
    armTimer(state, entry.time + leftKeptMs, context);
  }

  function keepRight(entry: Buffered<R>, state: JoinState<L, R>, context: Context): void {
    insert(state.right, entry);
    if (state.right.length > bufferedMax) state.right.shift();
    armTimer(state, entry.time + rightKeptMs, context);
  }

  /** Forgets what nobody can meet any more, and arms the timer for what is next. */
  function expire(state: JoinState<L, R>, context: Context): void {
    state.timer = NO_TIMER;
    const lefts = firstAtOrAfter(state.left, context.time - leftKeptMs + 1);
    for (const entry of state.left.splice(0, lefts)) letGo(entry, context);
    state.right.splice(0, firstAtOrAfter(state.right, context.time - rightKeptMs + 1));
    const [firstLeft] = state.left;
    const [firstRight] = state.right;
    if (firstLeft !== undefined) armTimer(state, firstLeft.time + leftKeptMs, context);
    if (firstRight !== undefined) armTimer(state, firstRight.time + rightKeptMs, context);
  }

  function sendPair(leftEntry: Buffered<L>, rightEntry: Buffered<R>, context: Context): void {
    leftEntry.matched = true;
    rightEntry.matched = true;
    const { time: leftTime, value: leftValue } = leftEntry;
    const { time: rightTime, value: rightValue } = rightEntry;
    options.send({ key: context.key, left: leftValue, leftTime, right: rightValue, rightTime }, context);
  }

  function letGo(entry: Buffered<L>, context: Context): void {
    if (kind === 'inner' || entry.matched) return;
    const { time: leftTime, value: leftValue } = entry;
    const alone = { key: context.key, left: leftValue, leftTime, right: undefined, rightTime: undefined };
    options.send(alone, context);
  }
}

/** Behind those of the same time. Records mostly come in order, so the place is near the end. */
function insert<T>(side: Buffered<T>[], entry: Buffered<T>): void {
  let place = side.length;
  while (place > 0 && side[place - 1]!.time > entry.time) place--;
  side.splice(place, 0, entry);
}

function firstAtOrAfter<T>(side: readonly Buffered<T>[], time: number): number {
  let low = 0;
  let high = side.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (side[middle]!.time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
