/**
 * Operator `item-expiry`: forgets items nobody has met for long.
 *
 * Runs last in the stage. An item that the catalogue lists stays; one that is only known from signals, or was deleted,
 * is removed with all its cells and table values after `idleMs` (30 d) without a record. Activity is kept by the day
 * and the timer is re-armed only when it fires, so a busy item changes this cell once a day, not at each signal.
 */
import type { Operator } from '../../streams/runtime/operator.js';
import type { CatalogueState } from './catalogue.js';
import type { ItemEvent } from './item-events.js';
import { createLayoutCodec } from '../state-layout.js';
import type { SessionIndexState } from './session-index.js';
import { usedBlocks } from './session-index.js';
import { ITEM_FACETS, sessionsKey, tableKey, WITHDRAWN } from './table-key.js';

const DAY_MS = 86_400_000;

export interface ItemExpiryConfig {
  readonly topic: string;
  /** How long an unlisted item may be idle, ms; counted in whole days. */
  readonly idleMs?: number;
}

export interface ItemExpiryState {
  /** Day of the latest record: floor(ms / 86,400,000). */
  activeDay: number;
  /** Time the timer is set for, ms. */
  timerAt: number;
}

export function createItemExpiryOperator(
  config: ItemExpiryConfig,
  catalogue: Operator<ItemEvent, CatalogueState>,
  sessionIndex: Operator<ItemEvent, SessionIndexState>,
): Operator<ItemEvent, ItemExpiryState> {
  const { topic, idleMs = 30 * DAY_MS } = config;
  const idleDays = Math.max(1, Math.ceil(idleMs / DAY_MS));
  const expiryOf = (activeDay: number): number => (activeDay + 1 + idleDays) * DAY_MS;
  return {
    name: 'item-expiry',
    purity: 'log-pure',
    state: stateCodec,
    reads: [catalogue.name, sessionIndex.name],
    process(record, cell, context) {
      if (record.kind === 'Control' || record.kind === 'Tick') return;
      const day = Math.floor(context.time / DAY_MS);
      const state = cell.get();
      if (state === undefined) {
        const timerAt = expiryOf(day);
        cell.set({ activeDay: day, timerAt });
        context.setTimer(timerAt);
      } else if (day > state.activeDay) {
        state.activeDay = day;
        cell.changed();
      }
    },
    fire(cell, context) {
      const state = cell.get();
      if (state === undefined || state.timerAt !== context.time) return;
      const entry = context.peek(catalogue);
      const listed = entry !== undefined && !entry.deleted;
      const due = expiryOf(state.activeDay);
      if (listed || due > context.time) {
        // A listed item may be deleted later: look again after another idle span.
        state.timerAt = Math.max(due, context.time + idleDays * DAY_MS * (listed ? 1 : 0));
        cell.changed();
        context.setTimer(state.timerAt);
        return;
      }
      const blocks = usedBlocks(context.peek(sessionIndex));
      for (const facet of ITEM_FACETS) context.publish(topic, tableKey(context.key, facet), WITHDRAWN);
      for (let block = 0; block < blocks; block++) context.publish(topic, sessionsKey(context.key, block), WITHDRAWN);
      context.removeCells();
    },
  };
}

const stateCodec = createLayoutCodec<ItemExpiryState>({
  name: 'item-expiry',
  version: 1,
  write(state, writer) {
    writer.writeLong(state.activeDay);
    writer.writeLong(state.timerAt);
  },
  read: (reader) => ({ activeDay: reader.readLong(), timerAt: reader.readLong() }),
});
