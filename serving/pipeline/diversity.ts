/**
 * Stage `category-cap`: no category takes more than its share of the list.
 *
 * Walks the ranking and puts off an item whose (most specific) category has its `maxShare` of the places already; when
 * nothing else is left, what was put off fills the list in its old order, so the list is never shorter for it. Items
 * without a category are exempt. The first `limit` places change, the rest of the slate is cut.
 */
import type { ItemTables } from '../tables/item-tables.js';
import type { PipelineStage } from './slate.js';
import { Slate } from './slate.js';
import { Accumulator } from '../tables/top-n.js';

export function createCategoryCapStage(tables: ItemTables, capacity: number, maxShare = 0.6): PipelineStage {
  const chosen = new Slate(capacity);
  const putOff = new Slate(capacity);
  const counts = new Accumulator();
  return {
    name: 'category-cap',
    apply(slate, request) {
      const limit = Math.min(request.limit, slate.length);
      const cap = Math.max(1, Math.floor(request.limit * maxShare));
      chosen.clear();
      putOff.clear();
      counts.clear(tables.catalogue.categoryCount);
      for (let i = 0; i < slate.length && chosen.length < limit; i++) {
        const category = tables.catalogue.categoryOf(slate.items[i]!);
        const isFull = category >= 0 && counts.get(category) >= cap;
        if (!isFull) append(chosen, slate, i);
        // No more than could be wanted to fill the list.
        else if (putOff.length < limit) append(putOff, slate, i);
        if (category >= 0 && !isFull) counts.add(category, 1);
      }
      for (let i = 0; i < putOff.length && chosen.length < limit; i++) append(chosen, putOff, i);
      slate.clear();
      for (let i = 0; i < chosen.length; i++) append(slate, chosen, i);
    },
  };
}

function append(target: Slate, from: Slate, place: number): void {
  target.push(from.items[place]!, from.scores[place]!, from.sources[place]!, from.seconds[place]!);
}
