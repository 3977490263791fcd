/**
 * Operator `catalogue`: what the catalogue says of an item, and which items are gone.
 *
 * Runs first in the stage. An upsert replaces the whole entry and publishes it; the state keeps only the published bytes
 * and a hash of the content, so an identical upsert (feeds re-send whole catalogues) publishes nothing. A delete
 * leaves a tombstone: signals that still arrive for the item are stopped here, and serving knows to take it out of
 * open feeds. An item needs no entry to be counted: items that only ever appear in signals live without one.
 */
import { encodeRecord } from '../../schemas/codec.js';
import { hash32 } from '../../schemas/ids.js';
import type { ItemUpsert } from '../../schemas/records.js';
import type { Cell, Context, Operator } from '../../streams/runtime/operator.js';
import type { ItemEvent } from './item-events.js';
import { lastingArrays } from '../pooled-arrays.js';
import { createLayoutCodec } from '../state-layout.js';
import { tableKey } from './table-key.js';

export interface CatalogueConfig {
  /** Physical name of the item-state topic. */
  readonly topic: string;
}

export interface CatalogueState {
  deleted: boolean;
  /** Hash of the content of the latest upsert. */
  contentHash: number;
  /** Event time of the latest change, ms. */
  changedAt: number;
  /** The published ItemCatalogueState, as encoded. */
  published: Uint8Array;
}

export function createCatalogueOperator(config: CatalogueConfig): Operator<ItemEvent, CatalogueState> {
  return {
    name: 'catalogue',
    purity: 'log-pure',
    state: stateCodec,
    process(record, cell, context) {
      if (record.kind === 'ItemUpsert') return upsert(record, cell, context, config.topic);
      if (record.kind === 'ItemDelete') return markDeleted(cell, context, config.topic);
      if (record.kind !== 'Control' && cell.get()?.deleted === true) context.stop();
    },
  };
}

function upsert(record: ItemUpsert, cell: Cell<CatalogueState>, context: Context, topic: string): void {
  const contentHash = hash32(JSON.stringify(contentOf(record)));
  const state = cell.get();
  if (state !== undefined && !state.deleted && state.contentHash === contentHash) return;
  const published = encodeRecord('ItemCatalogueState', {
    itemId: context.key,
    version: context.offset,
    deleted: false,
    ...contentOf(record),
  });
  cell.set({ deleted: false, contentHash, changedAt: context.time, published });
  context.publish(topic, tableKey(context.key, 'catalogue'), published);
}

function markDeleted(cell: Cell<CatalogueState>, context: Context, topic: string): void {
  if (cell.get()?.deleted === true) return;
  const published = encodeRecord('ItemCatalogueState', { itemId: context.key, version: context.offset, deleted: true });
  cell.set({ deleted: true, contentHash: 0, changedAt: context.time, published });
  context.publish(topic, tableKey(context.key, 'catalogue'), published);
}

function contentOf(record: ItemUpsert) {
  const { title, description, categories, brand, tags, price, currency, available, publishedAt, imageUrl, attributes } =
    record;
  return { title, description, categories, brand, tags, price, currency, available, publishedAt, imageUrl, attributes };
}

const stateCodec = createLayoutCodec<CatalogueState>({
  name: 'catalogue',
  version: 1,
  write(state, writer) {
    writer.writeByte(state.deleted ? 1 : 0);
    writer.writeLong(state.contentHash);
    writer.writeLong(state.changedAt);
    writer.writeBytes(state.published);
  },
  read: (reader) => ({
    deleted: reader.readBoolean(),
    contentHash: reader.readLong(),
    changedAt: reader.readLong(),
    published: reader.readBytes(lastingArrays),
  }),
});
