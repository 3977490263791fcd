/**
 * Contract of a retrieval source: one idea of what could be shown, as at most 100 scored candidates.
 *
 * Scores need only be comparable within a source, not negative, and larger for better; fusion looks at ranks or at each
 * score's share of the list. A source reads the tables and the request, nothing else; equal tables and requests give
 * equal candidates. It does not filter what was seen or is gone: that is the pipeline's. It offers no item of
 * the request's context, and must not throw for a person or item it knows nothing of: it then offers nothing.
 */
import type { ItemTables } from '../tables/item-tables.js';
import type { Accumulator, TopN } from '../tables/top-n.js';
import type { ReasonWording } from './reason-wording.js';
import type { RetrievalRequest } from './request.js';

/** Most candidates of one source. */
export const CANDIDATES_MAX = 100;

/** Where a source puts its candidates: a bounded list, emptied before the call and sorted after it. */
export type CandidateBuffer = TopN;

/** Why a candidate was retrieved; put into words by the pipeline (reasons.ts). */
export type ReasonId =
  'also-viewed' | 'together' | 'taste' | 'trending' | 'popular' | 'popular-in-category' | 'popular-in-segment' | 'new';

/** What a source says of one of its candidates in the request just answered, in place of the words for its reason. */
export interface ToldReason {
  readonly text: string;
  /** Shown as the item's source in place of the source's name. */
  readonly source?: string;
  /** In place of the confidence that follows from the fused score. */
  readonly confidence?: number;
}

export interface RetrievalSource {
  /** Lower-case kebab; named in results, weights, metrics and impressions. */
  readonly name: string;
  readonly reason: ReasonId;
  retrieve(request: RetrievalRequest, tables: ItemTables, into: CandidateBuffer): void;
  /** For sources that know more of a candidate than their `reason` says. Called for the items of the result only. */
  tell?(item: number, wording: ReasonWording): ToldReason;
}

/** Offers what was summed up, each sum divided by `total`, and nothing of the request's context. */
export function offerSums(sums: Accumulator, request: RetrievalRequest, into: CandidateBuffer, total = 1): void {
  for (let i = 0; i < request.contextLength; i++) sums.exclude(request.context[i]!);
  sums.offerTo(into, total);
}
