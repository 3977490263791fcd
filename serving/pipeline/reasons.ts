/**
 * Why an item is shown, in words, from the sources that contributed most to it.
 *
 * Built for the few items of a result only. Sentences name the context item that speaks for the recommendation: of the
 * context the one most often met with it, else the latest.
 */
import type { RetrievalRequest } from '../retrieval/request.js';
import { DEFAULT_WORDING, type ReasonWording } from '../retrieval/reason-wording.js';
import type { ReasonId } from '../retrieval/source.js';
import type { ItemTables } from '../tables/item-tables.js';

export function reasonText(
  reason: ReasonId,
  item: number,
  request: RetrievalRequest,
  tables: ItemTables,
  wording: ReasonWording = DEFAULT_WORDING,
): string {
  switch (reason) {
    case 'also-viewed': {
      const title = anchorTitle(item, request, tables);
      return title === undefined
        ? `People with sessions like yours ${wording.past} this`
        : `People who ${wording.past} ${title} also ${wording.past} this`;
    }
    case 'together': {
      const title = anchorTitle(item, request, tables);
      return title === undefined ? `Goes with what you ${wording.past}` : `Because you ${wording.past} ${title}`;
    }
    case 'taste':
      return 'Similar to your taste';
    case 'trending':
      return 'Trending now';
    case 'popular':
      return 'Popular right now';
    case 'popular-in-category':
      return `Popular in ${categoryName(item, request, tables)}`;
    case 'popular-in-segment':
      return 'Popular with people like you';
    case 'new':
      return 'New';
  }
}

/** Title of the context item whose neighbours hold the item with the greatest share. */
function anchorTitle(item: number, request: RetrievalRequest, tables: ItemTables): string | undefined {
  const { neighbours } = tables;
  let anchor = request.contextLength > 0 ? request.context[0]! : -1;
  let greatest = 0;
  for (let d = 0; d < request.contextLength; d++) {
    const start = neighbours.startOf(request.context[d]!);
    const end = start + neighbours.countOf(request.context[d]!);
    for (let i = start; i < end; i++) {
      if (neighbours.items[i] !== item) continue;
      if (neighbours.shares[i]! > greatest) {
        greatest = neighbours.shares[i]!;
        anchor = request.context[d]!;
      }
      break;
    }
  }
  return anchor < 0 ? undefined : (tables.catalogue.entryOf(anchor)?.title ?? undefined);
}

/** The person's strongest category that the item is in. */
function categoryName(item: number, request: RetrievalRequest, tables: ItemTables): string {
  const categories = tables.catalogue.categoriesOf(item);
  for (let i = 0; i < request.categoryCount; i++) {
    if (categories.includes(request.categories[i]!)) return tables.catalogue.categoryName(request.categories[i]!);
  }
  return tables.catalogue.categoryName(categories[0] ?? -1) || 'your categories';
}
