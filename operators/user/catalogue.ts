/** What stage 1 reads of items: satisfied by a Map from item id to the catalogue's table value. */
import type { Interaction } from '../../schemas/records.js';

export interface CatalogueItem {
  /** Most specific first. */
  readonly categories: readonly string[];
  readonly brand: string | null;
  readonly tags: readonly string[];
}

export interface CatalogueReader {
  get(itemId: string): CatalogueItem | undefined;
}

/** Attribute of an event's context under which a source may send the item's category along. */
export const CATEGORY_ATTRIBUTE = 'category';

/** The category that the record itself carries. Log-pure: it does not ask the catalogue. */
export function carriedCategory(record: Interaction): string | undefined {
  const context = record.context;
  return context === null ? undefined : context.attributes[CATEGORY_ATTRIBUTE];
}
