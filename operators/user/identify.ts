/**
 * First operator of stage 1: an anonymous id turns out to be a known person, and its state moves there.
 *
 * Only explicit Identify records move state. An Interaction that names an anonymousId beside its userId moves nothing:
 * one such event, sent by mistake or by a stranger, would hand over a whole history.
 *
 *   key K                              what comes in                      what happens
 *   ---------------------------------  ---------------------------------  -------------------------------------------
 *   lives here                         Identify(K → U)                    cells leave as StateMerge to U; K becomes an
 *                                                                         alias of U
 *   alias of V                         Identify(K → V)                    nothing: said before
 *   alias of V                         Identify(K → U)                    the alias points to U from now on; what moved
 *                                                                         to V stays V's: a device changed hands
 *   alias of V                         StateMerge                         goes on to V
 *   alias of V                         anything else, but Erase           goes on to V as Forwarded
 *   lives here                         StateMerge                         every operator's `merge`
 *
 * Chains (a → b → c) follow from the table. Cycles (a → b, b → a, or longer): every StateMerge and Forwarded carries the
 * keys it came through. One that comes to a key for the second time has walked a cycle, and then the smallest id in the
 * cycle drops its alias and becomes the end; any other member sends it on. All aliases but that one stay, so wherever
 * a record enters and in whatever order the aliases arose, everything gathers at one key. Nothing is lost (a message is
 * either folded in or sent on) nor counted twice (cells are removed in the commit that sends them).
 *
 * Erase removes the person from this key, goes on along the alias, and goes back to the ids that were merged in here,
 * so that their aliases, which name the person, disappear as well.
 */
import { encodeRecord } from '../../schemas/codec.js';
import type { Erase, Identify, StateMerge } from '../../schemas/records.js';
import type { Cell, Context, Operator } from '../../streams/runtime/operator.js';
import { createLayoutCodec } from '../state-layout.js';
import { readStrings, writeStrings } from './state-bytes.js';
import type { ForwardableRecord, UserEvent } from './user-events.js';

export interface IdentifyConfig {
  /** An alias that nothing came through for so long is forgotten, ms; not less than the profile's idle age; default 90 d. */
  readonly aliasTtlMs: number;
  /** Ids remembered as merged into a key, the latest ones; default 32. */
  readonly sourcesMax: number;
  /** A message that came through so many keys stays where it is; default 64. */
  readonly pathMax: number;
}

export const DEFAULT_IDENTIFY: IdentifyConfig = { aliasTtlMs: 90 * 86_400_000, sourcesMax: 32, pathMax: 64 };

export interface IdentifyDeps {
  /** Physical name of the stage's own input topic. */
  readonly userEventsTopic: string;
  /** Physical name of the hint topic. */
  readonly feedHintsTopic: string;
}

export interface IdentifyState {
  /** The id this key became; '' when state lives here. */
  to: string;
  /** When the alias was last used, to within an hour; ms since epoch. */
  usedAt: number;
  /** Ids whose state came here, oldest first. */
  sources: string[];
}

/** The alias' age is written at most this often: an alias in use must not cost a write a record. */
const USED_AT_STEP_MS = 3_600_000;
const STRAIGHT: readonly string[] = [];

export function createIdentifyOperator(config: IdentifyConfig, deps: IdentifyDeps): Operator<UserEvent, IdentifyState> {
  return {
    name: 'identify',
    purity: 'log-pure',
    state: identifyCodec,
    process(record, cell, context) {
      const state = cell.get();
      if (state !== undefined && state.to !== '') processAtAlias(record, state, cell, context);
      else if (record.kind === 'Identify') moveAway(record, cell, context);
      else if (record.kind === 'StateMerge') takeIn(record, cell, context);
      else if (record.kind === 'Erase') eraseHere(record, state?.sources ?? [], context);
    },
    fire(cell, context) {
      const state = cell.get();
      if (state === undefined || state.to === '') return;
      const due = state.usedAt + config.aliasTtlMs;
      if (due > context.time) context.setTimer(due);
      else cell.remove();
    },
    merge(target, source) {
      if (source.sources.length > 0) addSources(target, source.sources);
    },
  };

  function processAtAlias(record: UserEvent, state: IdentifyState, cell: Cell<IdentifyState>, context: Context): void {
    if (record.kind === 'Identify') {
      context.stop();
      if (record.userId === state.to || record.userId === context.key) return;
      state.to = record.userId;
      cell.changed();
      return;
    }
    if (record.kind === 'Tick' || record.kind === 'Control') return;
    if (record.kind === 'Erase') {
      eraseAtAlias(record, state.to, context);
      return;
    }
    const path = record.kind === 'StateMerge' ? record.path : (record.forwardedPath ?? STRAIGHT);
    if (endsHere(path, context.key, state.to)) {
      state.to = '';
      cell.changed();
      if (record.kind === 'StateMerge') takeIn(record, cell, context);
      return;
    }
    if (record.kind === 'StateMerge') passOn(record, state.to, context);
    else forward(record, state.to, context);
    context.stop();
    if (context.time - state.usedAt < USED_AT_STEP_MS) return;
    state.usedAt = context.time;
    cell.changed();
  }

  /** Whether a message that came through `path` stays at this alias; see the cycles above. */
  function endsHere(path: readonly string[], key: string, to: string): boolean {
    if (path.length >= config.pathMax) return true;
    const start = path.lastIndexOf(key);
    // The alias may have been pointed elsewhere since: then it is no part of the cycle that the message walked.
    if (start < 0 || path[start + 1] !== to) return false;
    for (let i = start + 1; i < path.length; i++) if (path[i]! < key) return false;
    return true;
  }

  function moveAway(record: Identify, cell: Cell<IdentifyState>, context: Context): void {
    context.stop();
    if (record.userId === context.key) return;
    const merge = {
      eventId: record.eventId,
      userId: record.userId,
      path: [context.key],
      ts: record.ts,
      receivedAt: record.receivedAt,
      cells: context.exportCells(),
    };
    context.emit(deps.userEventsTopic, record.userId, encodeRecord('StateMerge', merge));
    context.removeCells();
    cell.set({ to: record.userId, usedAt: context.time, sources: [] });
    context.setTimer(context.time + config.aliasTtlMs);
    context.hint(deps.feedHintsTopic, record.eventId);
  }

  function takeIn(record: StateMerge, cell: Cell<IdentifyState>, context: Context): void {
    context.importCells(record.cells);
    addSources(
      cell,
      record.path.filter((id) => id !== context.key),
    );
  }

  function passOn(record: StateMerge, to: string, context: Context): void {
    const { eventId, ts, receivedAt, cells } = record;
    const merge = { eventId, userId: to, path: [...record.path, context.key], ts, receivedAt, cells };
    context.emit(deps.userEventsTopic, to, encodeRecord('StateMerge', merge));
  }

  function forward(record: ForwardableRecord & UserEvent, to: string, context: Context): void {
    const path = [...(record.forwardedPath ?? STRAIGHT), context.key];
    emitForwarded(record, to, path, encodeOriginal(record), context);
  }

  function emitForwarded(
    times: { readonly ts: number; readonly receivedAt: number },
    to: string,
    path: readonly string[],
    value: Buffer,
    context: Context,
  ): void {
    const { ts, receivedAt } = times;
    context.emit(deps.userEventsTopic, to, encodeRecord('Forwarded', { userId: to, path, ts, receivedAt, value }));
  }

  /** Removes the person here and sends the erasure back to the ids that were merged in. */
  function eraseHere(record: Erase & UserEvent, sources: readonly string[], context: Context): void {
    const path = record.forwardedPath ?? STRAIGHT;
    const { eventId, ts, receivedAt, reason } = record;
    for (const source of sources) {
      if (path.includes(source)) continue;
      const value = encodeRecord('Erase', { eventId, userId: source, ts, receivedAt, reason });
      emitForwarded(record, source, [...path, context.key], value, context);
    }
    context.removeCells();
  }

  function eraseAtAlias(record: Erase & UserEvent, to: string, context: Context): void {
    const path = record.forwardedPath ?? STRAIGHT;
    context.stop();
    // An erasure that came back from where this key's state went names this key itself.
    const cameBack = path.length > 0 && record.userId === context.key;
    // The alias has been pointed to somebody else since: that person was not asked to be erased.
    if (cameBack && !path.includes(to)) return;
    if (!path.includes(to)) forward(record, to, context);
    context.removeCells();
  }

  function addSources(cell: Cell<IdentifyState>, ids: readonly string[]): void {
    if (ids.length === 0) return;
    const state = cell.getOr(() => ({ to: '', usedAt: 0, sources: [] }));
    for (const id of ids) if (!state.sources.includes(id)) state.sources.push(id);
    if (state.sources.length > config.sourcesMax) state.sources.splice(0, state.sources.length - config.sourcesMax);
    cell.changed();
  }
}

function encodeOriginal(record: ForwardableRecord): Buffer {
  switch (record.kind) {
    case 'Interaction':
      return encodeRecord('Interaction', record);
    case 'Impression':
      return encodeRecord('Impression', record);
    case 'UserUpsert':
      return encodeRecord('UserUpsert', record);
    case 'Erase':
      return encodeRecord('Erase', record);
  }
}

export const identifyCodec = createLayoutCodec<IdentifyState>({
  name: 'identify',
  version: 1,
  write(state, writer) {
    writer.writeString(state.to);
    writer.writeLong(state.usedAt);
    writeStrings(state.sources, writer);
  },
  read(reader) {
    return { to: reader.readString(), usedAt: reader.readLong(), sources: readStrings(reader) };
  },
});
