/**
 * Keys of the item-state table: one item has several values there, one a facet.
 *
 * A key is the item id, a NUL, and the facet (`item-7\0popularity`, `item-7\0sessions/3`). NUL cannot be mistaken for a
 * part of an id: the edge refuses ids with control characters. Every facet is published from the item's own partition,
 * so the highest input offset is the newest value of a key. An empty value withdraws it.
 */

export const ITEM_FACETS = ['catalogue', 'popularity', 'ctr', 'neighbours', 'embedding'] as const;
/** Facets with one value an item; blocks of the session ring have `sessions/<block>` instead. */
export type ItemFacet = (typeof ITEM_FACETS)[number];

const SEPARATOR = '\u0000';
const SESSIONS_PREFIX = 'sessions/';

/** Published in place of a value that is no longer there. */
export const WITHDRAWN: Uint8Array = new Uint8Array(0);

export function tableKey(itemId: string, facet: ItemFacet | `sessions/${number}`): string {
  return itemId + SEPARATOR + facet;
}

export function sessionsKey(itemId: string, block: number): string {
  return itemId + SEPARATOR + SESSIONS_PREFIX + String(block);
}

export interface ParsedTableKey {
  readonly itemId: string;
  readonly facet: ItemFacet | 'sessions';
  /** Block of the session ring; −1 for the other facets. */
  readonly block: number;
}

/** undefined for a key that no operator of this build writes. */
export function tryParseTableKey(key: string): ParsedTableKey | undefined {
  const at = key.lastIndexOf(SEPARATOR);
  if (at < 0) return undefined;
  const itemId = key.slice(0, at);
  const facet = key.slice(at + 1);
  if (facet.startsWith(SESSIONS_PREFIX)) {
    const block = Number(facet.slice(SESSIONS_PREFIX.length));
    return Number.isInteger(block) && block >= 0 ? { itemId, facet: 'sessions', block } : undefined;
  }
  return (ITEM_FACETS as readonly string[]).includes(facet)
    ? { itemId, facet: facet as ItemFacet, block: -1 }
    : undefined;
}
