/**
 * Why an item is shown, in words, from the sources that contributed most to it.
 *
 * In two steps, because the words may be asked for later: `reasonArgument` notes what a sentence needs to know of the request,
 * `reasonText` makes the sentence. Sentences name the context item that speaks for the recommendation: of the context the
 * one most often met with it, else the latest.
 */
import type { RetrievalRequest } from '../retrieval/request.js';
import { DEFAULT_WORDING, type ReasonWording } from '../retrieval/reason-wording.js';
import type { ReasonId } from '../retrieval/source.js';
import type { ItemTables } from '../tables/item-tables.js';

/** The item or the category, by index, that the sentence names; −1 where it names none. */
export function reasonArgument(reason: ReasonId, item: number, request: RetrievalRequest, tables: ItemTables): number {
  switch (reason) {
    case 'also-viewed':
    case 'together':
      return anchorOf(item, request, tables);
    case 'popular-in-category':
      return strongestCategory(item, request, tables);
    case 'taste':
    case 'trending':
    case 'popular':
    case 'popular-in-segment':
    case 'new':
      return -1;
  }
}

/** Whether the sentences of two reasons name the same thing of an item. */
export function nameTheSame(reason: ReasonId, other: ReasonId): boolean {
  return reason === other || (namesAnchor(reason) && namesAnchor(other));
}

function namesAnchor(reason: ReasonId): boolean {
  return reason === 'also-viewed' || reason === 'together';
}

export function reasonText(
  reason: ReasonId,
  argument: number,
  tables: ItemTables,
  wording: ReasonWording = DEFAULT_WORDING,
): string {
  switch (reason) {
    case 'also-viewed': {
      const title = titleOf(argument, tables);
      return title === undefined
        ? `People with sessions like yours ${wording.past} this`
        : `People who ${wording.past} ${title} also ${wording.past} this`;
    }
    case 'together': {
      const title = titleOf(argument, tables);
      return title === undefined ? `Goes with what you ${wording.past}` : `Because you ${wording.past} ${title}`;
    }
    case 'taste':
      return 'Similar to your taste';
    case 'trending':
      return 'Trending now';
    case 'popular':
      return 'Popular right now';
    case 'popular-in-category':
      return `Popular in ${tables.catalogue.categoryName(argument) || 'your categories'}`;
    case 'popular-in-segment':
      return 'Popular with people like you';
    case 'new':
      return 'New';
  }
}

/** The context item whose neighbours hold the item with the greatest share. */
function anchorOf(item: number, request: RetrievalRequest, tables: ItemTables): number {
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
  return anchor;
}

function titleOf(item: number, tables: ItemTables): string | undefined {
  return item < 0 ? undefined : tables.catalogue.titleOf(item);
}

/** The person's strongest category that the item is in, else the item's own. */
function strongestCategory(item: number, request: RetrievalRequest, tables: ItemTables): number {
  const categories = tables.catalogue.categoriesOf(item);
  for (let i = 0; i < request.categoryCount; i++) {
    if (categories.includes(request.categories[i]!)) return request.categories[i]!;
  }
  return categories[0] ?? -1;
}
