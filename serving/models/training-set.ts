/**
 * What models learn from: interactions in compressed rows by user, with what is known of items and users beside.
 *
 * Row u holds positions rowStart[u] to rowStart[u + 1] of the parallel arrays, oldest first; equal times keep the order
 * of the source. In data of sessions without people each session is a "user". Repeated interactions stay repeated: what
 * they mean is the algorithm's to decide.
 *
 * Invariant: rowStart has userIds.length + 1 ascending entries from 0; every item is an index into itemIds. An item
 * without interactions (known by its features only) and a user with an empty row are allowed. Nobody writes into it.
 */
import { EngineError, invariant } from '../../schemas/errors.js';

/** Times and weights are always there, so that no reader needs two paths; the flags say whether they mean anything. */
export interface TrainingSet {
  readonly userIds: readonly string[];
  readonly itemIds: readonly string[];
  readonly rowStart: Int32Array;
  readonly items: Int32Array;
  /** Ms since the epoch; where `hasTimes` is false, just ascending within a row. */
  readonly times: Float64Array;
  /** Ratings, prices paid or event weights as the source gives them; 1 where `hasWeights` is false. */
  readonly weights: Float32Array;
  /** Indexes into INTERACTION_TYPES. */
  readonly types: Uint8Array;
  readonly hasTimes: boolean;
  readonly hasWeights: boolean;
  /** Rows are sessions without a person behind them. */
  readonly isSessions: boolean;
  readonly itemContent?: ItemContent | undefined;
  readonly userTraits?: UserTraits | undefined;
  /** Held out for early stopping and calibration; an algorithm without it holds out its own. */
  readonly validation?: ValidationPairs | undefined;
}

/** Pair p: what user `users[p]` of the set did after the row (or beside it, in data without order). */
export interface ValidationPairs {
  readonly users: Int32Array;
  readonly items: Int32Array;
}

/** By item index. Absent text is '', an absent list is empty, an absent number is NaN. */
export interface ItemContent {
  readonly titles: readonly string[];
  readonly texts: readonly string[];
  /** Most particular first. */
  readonly categories: readonly (readonly string[])[];
  readonly brands: readonly string[];
  readonly tags: readonly (readonly string[])[];
  /** Such as price or year: name -> value by item. */
  readonly numbers: Readonly<Record<string, Float64Array>>;
  /** Bytes of the item's picture (JPEG, PNG, WebP), read when asked for. */
  readonly image?: ((item: number) => Promise<Uint8Array | undefined>) | undefined;
}

/** By user index: trait name -> value; '' where unknown. Numbers are text. */
export type UserTraits = Readonly<Record<string, readonly string[]>>;

/** Interactions by item: row i holds positions columnStart[i] to columnStart[i + 1], users ascending. */
export interface ItemColumns {
  readonly columnStart: Int32Array;
  readonly users: Int32Array;
  /** Position of each in the arrays of the training set: how to find its weight or time. */
  readonly positions: Int32Array;
}

/** The same interactions by item, by counting sort: O(interactions). */
export function columnsOf(set: Pick<TrainingSet, 'rowStart' | 'items' | 'itemIds'>): ItemColumns {
  const { rowStart, items } = set;
  const columnStart = new Int32Array(set.itemIds.length + 1);
  for (let p = 0; p < items.length; p++) columnStart[items[p]! + 1]!++;
  for (let i = 0; i < set.itemIds.length; i++) columnStart[i + 1]! += columnStart[i]!;
  const next = columnStart.slice(0, -1);
  const users = new Int32Array(items.length);
  const positions = new Int32Array(items.length);
  for (let u = 0; u + 1 < rowStart.length; u++) {
    for (let p = rowStart[u]!; p < rowStart[u + 1]!; p++) {
      const place = next[items[p]!]!++;
      users[place] = u;
      positions[place] = p;
    }
  }
  return { columnStart, users, positions };
}

/** Throws TRAINING_SET_INVALID when there is nothing to learn from, and on a broken invariant. */
export function requireInteractions(set: TrainingSet): void {
  invariant(set.rowStart.length === set.userIds.length + 1, 'A training set needs one row for each user');
  if (set.items.length > 0) return;
  throw new EngineError(
    'TRAINING_SET_INVALID',
    `The training set has ${set.userIds.length} users and ${set.itemIds.length} items but no interaction to learn from.`,
  );
}
