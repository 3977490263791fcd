/**
 * What a flip writes: the difference between the live task and the live task with one operator's cells and timers
 * taken from its shadow.
 *
 * Both tasks are read side by side in key order; rows that are equal already are left alone, and so are the cells of
 * all other operators, whether this build knows them or not.
 */
import { EngineError } from '../../schemas/errors.js';
import { compareKeys, compareTimers } from '../memory/key-order.js';
import { encodeRow, forEachCell, rowVersion } from '../runtime/row-bytes.js';
import type { StoredCell } from '../runtime/row-bytes.js';
import type { Commit, StateStore, TaskId, TimerEntry } from '../state/state-store.js';

export type FlipContent = Pick<Commit, 'puts' | 'deletes' | 'timersAdded' | 'timersRemoved'>;

export interface FlipPlan {
  readonly live: TaskId;
  readonly shadow: TaskId;
  readonly operator: string;
  readonly hash: number;
  /** Version given to rows that change: offset of the last record that both tasks have seen. */
  readonly version: number;
  /** The difference is held in memory and written in one commit. */
  readonly bytesMax: number;
}

/** Key and bookkeeping of a changed row or timer in memory, roughly. */
const ENTRY_BYTES = 100;

/** Neither task may run. Throws CONFIG_INVALID when the difference is larger than `bytesMax`. */
export async function flipContent(store: StateStore, plan: FlipPlan): Promise<FlipContent> {
  const puts: [string, Uint8Array][] = [];
  const deletes: string[] = [];
  let bytes = 0;
  const grow = (by: number): void => {
    bytes += by + ENTRY_BYTES;
    if (bytes > plan.bytesMax) throw tooLarge(plan);
  };
  const rows = sideBySide(store.scan(plan.live), store.scan(plan.shadow), ([a], [b]) => compareKeys(a, b));
  for await (const [live, shadow] of rows) {
    const cell = shadow === undefined ? undefined : findCell(shadow[1], plan.hash);
    const present = live === undefined ? undefined : findCell(live[1], plan.hash);
    if (isSame(present, cell)) continue;
    const key = (live ?? shadow!)[0];
    const row = withCell(live?.[1], cell, plan);
    grow(key.length + (row?.length ?? 0));
    if (row === undefined) deletes.push(key);
    else puts.push([key, row]);
  }
  const timersAdded: TimerEntry[] = [];
  const timersRemoved: TimerEntry[] = [];
  const timers = sideBySide(store.scanTimers(plan.live), store.scanTimers(plan.shadow), compareTimers);
  for await (const [live, shadow] of timers) {
    const timer = live ?? shadow!;
    if (timer.operator !== plan.operator || (live !== undefined && shadow !== undefined)) continue;
    grow(timer.key.length);
    (live === undefined ? timersAdded : timersRemoved).push(timer);
  }
  return { puts, deletes, timersAdded, timersRemoved };
}

/** A stored row without one cell; undefined when nothing is left. */
export function withoutCell(stored: Buffer, hash: number): Buffer | undefined {
  const cells = cellsWithout(stored, hash);
  return cells.length === 0 ? undefined : encodeRow(rowVersion(stored), cells);
}

function withCell(stored: Buffer | undefined, cell: StoredCell | undefined, plan: FlipPlan): Buffer | undefined {
  const cells = stored === undefined ? [] : cellsWithout(stored, plan.hash);
  if (cell !== undefined) cells.push(cell);
  if (cells.length === 0) return undefined;
  return encodeRow(
    plan.version,
    cells.sort((a, b) => a.hash - b.hash),
  );
}

function cellsWithout(stored: Buffer, without: number): StoredCell[] {
  const cells: StoredCell[] = [];
  forEachCell(stored, (hash, version, bytes) => {
    if (hash !== without) cells.push({ hash, version, bytes });
  });
  return cells;
}

function findCell(stored: Buffer, wanted: number): StoredCell | undefined {
  let found: StoredCell | undefined;
  forEachCell(stored, (hash, version, bytes) => {
    if (hash === wanted) found = { hash, version, bytes };
  });
  return found;
}

function isSame(one: StoredCell | undefined, other: StoredCell | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.version === other.version && Buffer.compare(one.bytes, other.bytes) === 0;
}

/** Merges two sorted sequences: each step yields the smaller one, or both where they are equal. */
async function* sideBySide<T>(
  lefts: AsyncIterable<T>,
  rights: AsyncIterable<T>,
  compare: (left: T, right: T) => number,
): AsyncGenerator<readonly [T | undefined, T | undefined]> {
  const leftEntries = lefts[Symbol.asyncIterator]();
  const rightEntries = rights[Symbol.asyncIterator]();
  let left = await leftEntries.next();
  let right = await rightEntries.next();
  while (left.done !== true || right.done !== true) {
    const order = left.done === true ? 1 : right.done === true ? -1 : compare(left.value, right.value);
    yield [order <= 0 ? (left.value as T) : undefined, order >= 0 ? (right.value as T) : undefined];
    if (order <= 0) left = await leftEntries.next();
    if (order >= 0) right = await rightEntries.next();
  }
}

function tooLarge(plan: FlipPlan): EngineError {
  return new EngineError(
    'CONFIG_INVALID',
    `The flip of operator '${plan.operator}' changes more than ${plan.bytesMax} bytes of state; it is one commit and held in memory. Raise flipBytesMax where there is room for it.`,
    { context: { operator: plan.operator } },
  );
}
