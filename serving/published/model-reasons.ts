/** A model's reason for an item in words: what `explain` found, with titles in place of indexes. */
import type { ModelReason } from '../models/model.js';
import type { ReasonWording } from '../retrieval/reason-wording.js';

/** @param titleOf the title of a model item, where the catalogue has one */
export function modelReasonText(
  reason: ModelReason | undefined,
  wording: ReasonWording,
  titleOf: (item: number) => string | undefined,
): string {
  const { past } = wording;
  const anchor = reason?.items?.[0];
  const title = anchor === undefined ? undefined : titleOf(anchor);
  const detail = reason?.detail;
  switch (reason?.kind) {
    case 'similar-item':
      return title === undefined ? `Goes with what you ${past}` : `Because you ${past} ${title}`;
    case 'sequential-pattern':
      return title === undefined ? `Often comes next` : `Often comes after ${title}`;
    case 'temporal-habit':
      return detail === undefined ? 'What you turn to at this time' : `You often turn to ${detail} at this time`;
    case 'category-progression':
      return detail === undefined ? `Often follows what you ${past}` : `Often follows what you ${past}: ${detail}`;
    case 'cold_start':
      return coldStartText(detail);
    case 'popular':
      return 'Popular right now';
    case 'popular-category':
    case 'same-category':
      return detail === undefined ? 'Of a kind you like' : `Popular in ${detail}`;
    case 'same-brand':
      return detail === undefined ? 'Of a brand you like' : `From ${detail}`;
    case 'related-topic':
      return detail === undefined ? 'On a topic you follow' : `On a topic you follow: ${detail}`;
    case 'similar-style':
      return title === undefined ? 'In a style you like' : `In the style of ${title}`;
    default:
      return 'Similar to your taste';
  }
}

function coldStartText(detail: string | undefined): string {
  if (detail === 'trending') return 'Trending, as long as we know little of you';
  if (detail === undefined || detail === 'popular') return 'Popular, as long as we know little of you';
  return `Popular with people like you (${detail})`;
}
