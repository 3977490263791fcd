/**
 * From a person's materialized state to a model's question: the history in the model's own item indexes.
 *
 * A model that learnt from people is asked with what the person did lately, one that learnt from sessions with the session
 * (and the page being looked at). Interactions that speak against an item (dislike, block, skip, taken out of the cart)
 * are no part of a history. Items the model never met are left out.
 */
import { DEFAULT_INTEREST_WEIGHTS, typeAt } from '../../operators/user/event-weights.js';
import type { ModelQuery } from '../models/model.js';
import type { RetrievalRequest } from '../retrieval/request.js';

export interface HistoryForm {
  readonly isSessions: boolean;
  readonly hasWeights: boolean;
}

/** @param indexOf the model's index of an item, or −1 */
export function personQuery(
  request: RetrievalRequest,
  form: HistoryForm,
  indexOf: (itemId: string) => number,
): ModelQuery {
  const places: number[] = [];
  const items: number[] = [];
  const { user, pageItem, now } = request;
  const take = (itemId: string, place: number): void => {
    const item = indexOf(itemId);
    if (item < 0) return;
    items.push(item);
    places.push(place);
  };
  if (form.isSessions) {
    user?.sessionItems.forEach(take);
    if (pageItem !== undefined && pageItem !== user?.sessionItems.at(-1)) take(pageItem, -1);
    return { user: -1, items: Int32Array.from(items), excluded: excludedOf(request, items, indexOf), now };
  }
  const { recentItems = [], recentTypes, recentTimes } = user ?? {};
  recentItems.forEach((itemId, place) => {
    if (recentTypes === undefined || DEFAULT_INTEREST_WEIGHTS[typeAt(recentTypes[place]!)] > 0) take(itemId, place);
  });
  return {
    user: -1,
    items: Int32Array.from(items),
    times: recentTimes && Float64Array.from(places, (place) => recentTimes[place]!),
    types: recentTypes && Uint8Array.from(places, (place) => recentTypes[place]!),
    weights:
      form.hasWeights && recentTypes !== undefined
        ? Float32Array.from(places, (place) => DEFAULT_INTEREST_WEIGHTS[typeAt(recentTypes[place]!)])
        : undefined,
    excluded: excludedOf(request, items, indexOf),
    now,
    context: contextOf(request.segments),
  };
}

/** What would be filtered out anyway: without it the model's best places would be taken by it. */
function excludedOf(
  { user, excluded }: RetrievalRequest,
  history: readonly number[],
  indexOf: (itemId: string) => number,
): Int32Array {
  const left = new Set(history);
  for (const ids of [user?.blockedItems, excluded]) {
    for (const itemId of ids ?? []) left.add(indexOf(itemId));
  }
  left.delete(-1);
  return Int32Array.from(left);
}

/** `device/phone` as `{ device: 'phone' }`: what cold start knows people by. */
function contextOf(segments: readonly string[]): Record<string, string> | undefined {
  const named = segments.flatMap((segment) => {
    const slash = segment.indexOf('/');
    return slash < 1 ? [] : [[segment.slice(0, slash), segment.slice(slash + 1)] as const];
  });
  return named.length === 0 ? undefined : Object.fromEntries(named);
}
