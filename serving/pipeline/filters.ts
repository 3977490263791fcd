/**
 * Stages that take candidates out: what must not be shown, and what is known already.
 */
import type { ItemTables } from '../tables/item-tables.js';
import type { PipelineRequest, PipelineStage, Slate } from './slate.js';

/** Items that are deleted, not available, blocked by the person, or excluded by the request are never shown. */
export function createEligibilityStage(tables: ItemTables): PipelineStage {
  return {
    name: 'eligibility',
    apply(slate, request) {
      keep(slate, (item) => isEligible(item, request, tables));
    },
  };
}

export function isEligible(item: number, request: PipelineRequest, tables: ItemTables): boolean {
  if (!tables.catalogue.isServable(item)) return false;
  const { excluded, user } = request;
  if (excluded.size === 0 && user.blockedItems.size === 0) return true;
  const itemId = tables.items.idOf(item);
  return !excluded.has(itemId) && !user.blockedItems.has(itemId);
}

/** Takes out what the person has seen. Only the best `candidates` are asked for: the rest could not be shown anyway. */
export function createSeenStage(tables: ItemTables): PipelineStage {
  return {
    name: 'seen',
    apply(slate, request) {
      keep(slate, (item) => !request.user.seen(tables.items.idOf(item), tables.items.hashOf(item)));
    },
  };
}

function keep(slate: Slate, isKept: (item: number) => boolean): void {
  let kept = 0;
  for (let i = 0; i < slate.length; i++) {
    if (!isKept(slate.items[i]!)) continue;
    if (kept !== i) slate.copyWithin(kept, i);
    kept++;
  }
  slate.length = kept;
}
