/** The words for what people do with items here, in sentences about reasons. */

/** Past and present of what people do with items here: `read` for news, `viewed` and `view` for a shop. */
export interface ReasonWording {
  readonly past: string;
  readonly present: string;
}

export const DEFAULT_WORDING: ReasonWording = { past: 'viewed', present: 'view' };
