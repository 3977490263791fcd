/**
 * The application under simulation: stage A, keyed by user, feeds stage B, keyed by item.
 *
 * Small operators that are sensitive to every promise the runtime makes: how often a record is applied, in which
 * order timers fire and at which stream time, how outputs are named, what a late record or a poisonous one does. They
 * keep order-dependent hashes, so that two records swapped are as visible as one lost.
 */
import { EngineError } from '../../schemas/errors.js';
import type { AnyOperator, Context, Operator, StateCodec } from '../../streams/runtime/operator.js';
import { buildTopology } from '../../streams/runtime/topology.js';
import type {
  InputCodec,
  LatePolicy,
  RuntimeRecord,
  StageDeclaration,
  Topology,
} from '../../streams/runtime/topology.js';

export const USER_EVENTS = 'sim.user-events';
export const ITEM_EVENTS = 'sim.item-events';
export const SESSIONS = 'sim.sessions';
export const TRENDS = 'sim.trends';
export const ITEM_STATE = 'sim.item-state';
export const HINTS = 'sim.feed-hints';
export const DEAD_LETTERS = 'sim.dead-letters';

export interface Action {
  readonly ts: number;
  readonly receivedAt?: number | undefined;
  readonly item: string;
  readonly n: number;
  /** `poison` makes the last operator of the stage throw, after earlier ones changed state and emitted. */
  readonly does?: 'poison' | 'erase' | undefined;
  readonly runtime?: RuntimeRecord | undefined;
}

function jsonState<S>(): StateCodec<S> {
  return {
    version: 1,
    encode: (state) => Buffer.from(JSON.stringify(state)),
    decode: (bytes) => JSON.parse(bytes.toString()) as S,
  };
}

export const encodeAction = (action: Partial<Action>): Buffer => Buffer.from(JSON.stringify(action));

const codec: InputCodec<Action> = {
  decode(value) {
    try {
      return JSON.parse(value.toString()) as Action;
    } catch (cause) {
      throw new EngineError('CODEC_CORRUPT', 'The record is not JSON.', { cause });
    }
  },
  times: ({ ts, receivedAt }) => ({ ts, receivedAt }),
  runtimeRecord: (record) => record.runtime,
  encodeRuntimeRecord: (runtime) => encodeAction({ runtime }),
};

/** Sensitive to the order of what is folded in. */
const fold = (hash: number, value: number): number => (Math.imul(hash ^ value, 0x01000193) ^ (hash >>> 13)) >>> 0;
const mark = (context: Context): number => fold(context.time % 0x7fffffff, context.streamTime % 0x7fffffff);
const text = (value: string): Buffer => Buffer.from(value);

interface Visit {
  n: number;
  hash: number;
  last: number;
  armed: number;
}

/** A session per user: closes after a quiet time; late records stretch it; `erase` withdraws its timer. */
const session: Operator<Action, Visit> = {
  name: 'session',
  purity: 'log-pure',
  state: jsonState(),
  process(record, cell, context) {
    if (record.does === 'erase') {
      const visit = cell.get();
      if (visit !== undefined && visit.armed >= 0) context.clearTimer(visit.armed);
      context.emit(SESSIONS, context.key, text(`erased ${visit?.n ?? 0} at ${context.offset}`));
      context.removeCells();
      context.stop();
      return;
    }
    const visit = cell.getOr(() => ({ n: 0, hash: 7, last: -1, armed: -1 }));
    visit.n += record.n;
    visit.hash = fold(fold(visit.hash, record.n), mark(context));
    visit.last = Math.max(visit.last, context.time);
    if (visit.armed < 0) {
      visit.armed = visit.last + QUIET_MS;
      context.setTimer(visit.armed);
    }
    cell.changed();
    context.hint(HINTS, String(context.offset));
  },
  fire(cell, context) {
    const visit = cell.get();
    if (visit?.armed !== context.time) return;
    visit.armed = -1;
    visit.hash = fold(visit.hash, mark(context));
    if (visit.last + QUIET_MS > context.time) {
      visit.armed = visit.last + QUIET_MS;
      context.setTimer(visit.armed);
      cell.changed();
    } else {
      context.emit(SESSIONS, context.key, text(`closed ${visit.n} ${visit.hash} at ${context.streamTime}`));
      cell.remove();
    }
  },
};

/** Windows by event time: late records arm a window that fired before; some windows are poisonous when they close. */
const window: Operator<Action, { n: number; hash: number }> = {
  name: 'window',
  purity: 'log-pure',
  state: jsonState(),
  process(record, cell, context) {
    const state = cell.getOr(() => ({ n: 0, hash: 3 }));
    state.n += record.n;
    state.hash = fold(state.hash, context.offset);
    cell.changed();
    context.setTimer(Math.floor(context.time / WINDOW_MS) * WINDOW_MS + WINDOW_MS);
  },
  fire(cell, context) {
    const state = cell.get();
    if (state === undefined) return;
    state.hash = fold(state.hash, mark(context));
    cell.changed();
    if (state.n % 5 === 3) throw new Error(`window of ${context.key} at ${context.time} is poisonous`);
    context.emit(
      ITEM_EVENTS,
      `window-${context.key}`,
      encodeAction({ ts: context.time, item: context.key, n: state.n }),
    );
  },
};

/** Sums over the partition, told every so often by a timer of the partition itself. */
const total: Operator<Action, { n: number; hash: number; armed: boolean }> = {
  name: 'total',
  purity: 'log-pure',
  scope: 'partition',
  state: jsonState(),
  process(record, cell, context) {
    const state = cell.getOr(() => ({ n: 0, hash: 5, armed: false }));
    state.n += record.n;
    state.hash = fold(state.hash, mark(context));
    if (!state.armed) context.setTimer(context.streamTime + TOTAL_MS);
    state.armed = true;
    cell.changed();
  },
  fire(cell, context) {
    const state = cell.get();
    if (state === undefined) return;
    state.armed = false;
    cell.changed();
    context.emit(SESSIONS, `total-${context.partition}`, text(`total ${state.n} ${state.hash} ${context.time}`));
  },
};

/** Sends what happened to the item's stage: one message, or two; then poison strikes. */
const route: Operator<Action, { sent: number }> = {
  name: 'route',
  purity: 'log-pure',
  state: jsonState(),
  process(record, cell, context) {
    const state = cell.getOr(() => ({ sent: 0 }));
    state.sent++;
    cell.changed();
    const message = { ts: context.time, receivedAt: record.receivedAt, item: record.item };
    context.emit(ITEM_EVENTS, record.item, encodeAction({ ...message, n: record.n }));
    if (record.n % 3 === 0)
      context.emit(ITEM_EVENTS, `${record.item}-pair`, encodeAction({ ...message, n: state.sent }));
    if (record.does === 'poison') throw new Error(`poison at ${context.offset}`);
  },
};

/** Stage B: what an item's messages add up to, published as a table; some trends are told twice at the same time. */
const popularity: Operator<Action, { n: number; hash: number; toldAt?: number }> = {
  name: 'popularity',
  purity: 'log-pure',
  state: jsonState(),
  process(record, cell, context) {
    const state = cell.getOr(() => ({ n: 0, hash: 11 }));
    state.n += record.n;
    state.hash = fold(fold(state.hash, record.n), mark(context));
    cell.changed();
    context.publishLater();
    context.setTimer(Math.ceil(context.time / TREND_MS) * TREND_MS + (record.n % 2));
    if (record.n % 11 === 10) throw new Error(`popularity cannot take ${record.n}`);
  },
  fire(cell, context) {
    const state = cell.get();
    if (state === undefined) return;
    state.hash = fold(state.hash, mark(context));
    cell.changed();
    context.publishLater();
    context.emit(TRENDS, context.key, text(`trend ${state.n} ${state.hash} ${context.time}/${context.streamTime}`));
    if (state.n % 3 === 0 && state.toldAt !== context.time) context.setTimer(context.time);
    state.toldAt = context.time;
  },
  publish({ n, hash }, context) {
    const { key, offset } = context;
    context.publish(ITEM_STATE, key, text(JSON.stringify({ version: offset, n, hash })));
  },
};

const QUIET_MS = 300;
const WINDOW_MS = 250;
const TOTAL_MS = 400;
const TREND_MS = 120;

export interface StageOptions {
  readonly latePolicy: LatePolicy;
  readonly allowedLatenessMs: number;
}

function stage(
  name: string,
  input: string,
  operators: readonly AnyOperator<Action>[],
  outputs: readonly string[],
  options: StageOptions,
): StageDeclaration<Action> {
  const faultPolicy = 'dead-letter';
  return {
    name,
    input,
    codec,
    operators,
    outputs,
    ...options,
    clockToleranceMs: 50,
    faultPolicy,
    deadLetters: DEAD_LETTERS,
  };
}

export function simulatedTopology(users: StageOptions, items: StageOptions): Topology {
  return buildTopology('simulation', [
    stage('users', USER_EVENTS, [session, window, total, route], [SESSIONS, ITEM_EVENTS, HINTS], users),
    stage('items', ITEM_EVENTS, [popularity], [TRENDS, ITEM_STATE], items),
  ]);
}
