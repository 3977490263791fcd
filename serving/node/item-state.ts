/**
 * The item tables as the edge sees them: fed from the item-state topic, read as catalogue, and telling which items must
 * leave open feeds.
 */
import { decodeRecord } from '../../schemas/codec.js';
import type { LogRecord } from '../../streams/log/event-log.js';
import type { ItemTables } from '../tables/item-tables.js';
import type { Catalogue, ItemCard } from './ports.js';

/** Longest inlined picture that a card carries. */
const IMAGE_URL_MAX = 65_536;

/** For `TableFollowerOptions.apply`. `onWithdrawn` hears of items that may not be shown any more. */
export function createItemStateApply(tables: ItemTables, onWithdrawn: (itemIds: readonly string[]) => void) {
  return (record: LogRecord): void => {
    if (record.value.length === 0) {
      // A withdrawn key has no bytes to carry its version: the record's origin does.
      if (record.origin !== undefined) tables.withdraw(record.key, record.origin.offset);
      return;
    }
    const value = decodeRecord(record.value);
    const isNews = tables.apply(value);
    if (isNews && value.kind === 'ItemCatalogueState' && (value.deleted || !value.available))
      onWithdrawn([value.itemId]);
  };
}

export function createCatalogue(tables: ItemTables): Catalogue {
  const { items, catalogue } = tables;
  return {
    isKnown: (itemId) => items.indexOf(itemId) >= 0,
    isServable: (itemId) => {
      const item = items.indexOf(itemId);
      return item < 0 || catalogue.isServable(item);
    },
    card: (itemId): ItemCard | undefined => {
      const item = items.indexOf(itemId);
      const entry = item < 0 ? undefined : catalogue.entryOf(item);
      if (entry === undefined) return undefined;
      const { title, price, currency } = entry;
      const category = entry.categories.length === 0 ? null : catalogue.categoryName(entry.categories[0]!);
      const imageUrl = (entry.imageUrl?.length ?? 0) > IMAGE_URL_MAX ? null : entry.imageUrl;
      return { itemId, title, category, price, currency, imageUrl };
    },
  };
}
