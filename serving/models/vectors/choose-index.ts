/**
 * Which index for how many vectors: an exact scan for few, a graph (usearch) for many.
 *
 * Below `exactBelow` vectors the scan is both exact and fast enough; above it answers are approximate, and `recallOf` says
 * how good they are.
 */
import { ExactIndex } from './exact-index.js';
import { GraphIndex } from './graph-index.js';
import type { Similarity, VectorIndex } from './vector-index.js';

export interface IndexOptions {
  readonly dimensions: number;
  readonly similarity: Similarity;
  /** Vectors from which on the index is approximate. */
  readonly exactBelow?: number;
}

/** An exact scan of 20,000 × 64 takes about a millisecond. */
const EXACT_BELOW = 20_000;

/** An index over the rows of a matrix, with row numbers as keys. */
export function indexOf(vectors: Float32Array, options: IndexOptions): VectorIndex {
  const { dimensions } = options;
  const { index, rows } = emptyIndex(vectors, options);
  for (let row = 0; row < rows; row++) index.put(row, vectors.subarray(row * dimensions, (row + 1) * dimensions));
  return index;
}

/** As `indexOf`, in slices of `rowsPerTurn` with a turn of the event loop between them: for processes that answer meanwhile. */
export async function buildIndex(
  vectors: Float32Array,
  options: IndexOptions & { readonly nextTurn: () => Promise<void>; readonly rowsPerTurn: number },
): Promise<VectorIndex> {
  const { dimensions, nextTurn, rowsPerTurn } = options;
  const { index, rows } = emptyIndex(vectors, options);
  for (let row = 0; row < rows; row++) {
    index.put(row, vectors.subarray(row * dimensions, (row + 1) * dimensions));
    if (row % rowsPerTurn === rowsPerTurn - 1) await nextTurn();
  }
  return index;
}

function emptyIndex(vectors: Float32Array, options: IndexOptions): { index: VectorIndex; rows: number } {
  const { dimensions, similarity, exactBelow = EXACT_BELOW } = options;
  const rows = vectors.length / dimensions;
  const index = rows < exactBelow ? new ExactIndex(dimensions, similarity) : new GraphIndex(dimensions, similarity);
  return { index, rows };
}

/** Share of the k true neighbours that the index finds, over the queries (row-major, of the index's dimensions). */
export function recallOf(index: VectorIndex, truth: VectorIndex, queries: Float32Array, k: number): number {
  const { dimensions } = truth;
  let [found, wanted] = [0, 0];
  for (let start = 0; start < queries.length; start += dimensions) {
    const query = queries.subarray(start, start + dimensions);
    const right = new Set(truth.search(query, k).keys);
    wanted += right.size;
    for (const key of index.search(query, k).keys) if (right.has(key)) found++;
  }
  return wanted === 0 ? 1 : found / wanted;
}
