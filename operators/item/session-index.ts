/**
 * Operator `session-index`: which sessions met an item most recently: the inverted index of VMIS-kNN (Kersbergen,
 * Sprangers, Schelter: Serenade, SIGMOD 2022), kept by the stream instead of rebuilt each night.
 *
 * Per item a ring of the latest sessions, in blocks of 16. The state holds only the block being filled; a commit with a
 * new session publishes that block under `<item>\0sessions/<block>`, so a publication costs 16 references however long
 * the ring is, and the table (block number modulo 32) holds the rest: 512 sessions an item. Serving transposes the table
 * into session → items. Every new session is published: it must be found by the very next request.
 *
 * A session that meets the item again while its reference is still in the block is not repeated; across blocks it may
 * be, and readers count it once.
 */
import { encodeRecord } from '../../schemas/codec.js';
import type { Operator, PublishContext } from '../../streams/runtime/operator.js';
import type { ItemEvent } from './item-events.js';
import { createLayoutCodec } from '../state-layout.js';
import { sessionsKey, WITHDRAWN } from './table-key.js';

export const SESSIONS_PER_BLOCK = 16;
export const SESSION_BLOCKS = 32;

export interface SessionIndexConfig {
  readonly topic: string;
}

export interface SessionIndexState {
  /** Sessions recorded since the item's beginning; the ring place of the next is this modulo the ring. */
  total: number;
  /** Sessions of the current block, oldest first: `total` modulo 16 of them, or 16 when the block is just full. */
  refs: number[];
  /** When each of them met the item first, ms. */
  times: number[];
}

export function createSessionIndexOperator(config: SessionIndexConfig): Operator<ItemEvent, SessionIndexState> {
  const { topic } = config;
  return {
    name: 'session-index',
    purity: 'log-pure',
    state: stateCodec,
    process(record, cell, context) {
      if (record.kind === 'ItemDelete') {
        const blocks = usedBlocks(cell.get());
        cell.remove();
        for (let block = 0; block < blocks; block++) context.publish(topic, sessionsKey(context.key, block), WITHDRAWN);
        return;
      }
      // A dislike says nothing about what goes with what.
      if (record.kind !== 'ItemInteraction' || !(record.weight > 0)) return;
      const state = cell.getOr(emptyState);
      const filled = filledOf(state.total);
      for (let i = 0; i < filled; i++) if (state.refs[i] === record.sessionRef) return;
      const place = state.total % SESSIONS_PER_BLOCK;
      state.refs[place] = record.sessionRef;
      state.times[place] = context.time;
      state.total++;
      cell.changed();
      // The next session empties the block: what is full goes out now, what is being filled with the commit.
      if (place === SESSIONS_PER_BLOCK - 1) publishBlock(state, context);
      else context.publishLater();
    },
    publish: (state, context) => {
      if (state.total % SESSIONS_PER_BLOCK !== 0) publishBlock(state, context);
    },
  };

  function publishBlock(state: SessionIndexState, context: PublishContext): void {
    const { key, offset } = context;
    const block = Math.floor((state.total - 1) / SESSIONS_PER_BLOCK) % SESSION_BLOCKS;
    context.publish(topic, sessionsKey(key, block), encodeBlock(key, offset, block, state));
  }
}

/** Blocks that were ever published, so that they can be withdrawn. */
export function usedBlocks(state: SessionIndexState | undefined): number {
  return state === undefined ? 0 : Math.min(SESSION_BLOCKS, Math.ceil(state.total / SESSIONS_PER_BLOCK));
}

/** Sessions in the current block; 16 from the moment it is full until the next one begins. */
function filledOf(total: number): number {
  return total === 0 ? 0 : ((total - 1) % SESSIONS_PER_BLOCK) + 1;
}

const drafts = Array.from({ length: SESSIONS_PER_BLOCK }, () => ({ sessionRef: 0, ts: 0 }));
/** Views of the drafts by length, so that a publication makes no array. */
const draftLists = Array.from({ length: SESSIONS_PER_BLOCK + 1 }, (_, length) => drafts.slice(0, length));

function encodeBlock(itemId: string, version: number, block: number, state: SessionIndexState): Uint8Array {
  const filled = filledOf(state.total);
  for (let i = 0; i < filled; i++) {
    drafts[i]!.sessionRef = state.refs[i]!;
    drafts[i]!.ts = state.times[i]!;
  }
  return encodeRecord('ItemSessionsState', { itemId, version, block, sessions: draftLists[filled]! });
}

const emptyState = (): SessionIndexState => ({
  total: 0,
  refs: [],
  times: [],
});

const stateCodec = createLayoutCodec<SessionIndexState>({
  name: 'session-index',
  version: 1,
  write(state, writer) {
    writer.writeLong(state.total);
    const filled = filledOf(state.total);
    for (let i = 0; i < filled; i++) writer.writeLong(state.refs[i]!);
    for (let i = 0; i < filled; i++) writer.writeLong(state.times[i]!);
  },
  read(reader) {
    const state = emptyState();
    state.total = reader.readLong();
    if (state.total < 0) reader.fail(`a total is ${state.total}`);
    const filled = filledOf(state.total);
    for (let i = 0; i < filled; i++) state.refs.push(reader.readLong());
    for (let i = 0; i < filled; i++) state.times.push(reader.readLong());
    return state;
  },
});
