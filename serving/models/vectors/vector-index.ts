/**
 * Nearest neighbours of vectors: the interface of all indexes. Similarity is larger for closer: the cosine, or the scalar
 * product.
 *
 * Invariant: every vector was checked to be finite and of the right length; keys are indexes ≥ 0, answers best first,
 * equals by key.
 */
import { EngineError } from '../../../schemas/errors.js';

export type Similarity = 'cosine' | 'dot';

export interface Neighbours {
  readonly keys: Int32Array;
  readonly similarities: Float32Array;
}

export interface VectorIndex {
  readonly dimensions: number;
  readonly size: number;
  /** Adds or replaces the vector of a key. Throws REQUEST_INVALID for NaN, infinity and other lengths. */
  put(key: number, vector: Float32Array): void;
  /** Whether there was one. */
  remove(key: number): boolean;
  /** The k most similar; fewer when there are no more. */
  search(query: Float32Array, k: number): Neighbours;
}

/** Throws REQUEST_INVALID for what would poison an index: usearch takes NaN and infinity without a word. */
export function requireVector(vector: Float32Array, dimensions: number): void {
  if (vector.length === dimensions && vector.every(Number.isFinite)) return;
  const wrong = vector.length === dimensions ? 'a number that is not finite' : `${vector.length} numbers`;
  throw new EngineError('REQUEST_INVALID', `A vector has ${wrong}; expected ${dimensions} finite numbers.`);
}
