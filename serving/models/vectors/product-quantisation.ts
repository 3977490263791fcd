/**
 * Vectors in a few bytes each: product quantisation, searched by tables of partial scalar products.
 *
 * A vector is cut into `parts`; each part is stored as the number of the nearest of 256 centroids (k-means over that part
 * of all vectors). The scalar product with a query is the sum of `parts` table entries. Jégou, Douze, Schmid: "Product
 * Quantization for Nearest Neighbor Search" (2011). For cosine, vectors are brought to length 1 first.
 *
 * Invariant: as VectorIndex's; centroids are learnt once, a vector added later is coded with them.
 */
import { EngineError } from '../../../schemas/errors.js';
import type { Random } from '../../../streams/random.js';
import { topOf } from '../fitting.js';
import { type Neighbours, requireVector, type Similarity, type VectorIndex } from './vector-index.js';

const CENTROIDS = 256;
const ROUNDS = 12;
/** Vectors k-means looks at, at most. */
const SAMPLE = 20_000;

export interface QuantisationOptions {
  readonly dimensions: number;
  readonly similarity: Similarity;
  /** Bytes a vector; must divide the dimensions. */
  readonly parts: number;
  readonly random: Random;
}

export class ProductQuantisedIndex implements VectorIndex {
  readonly dimensions: number;
  private readonly width: number;
  /** [parts × 256 × width] */
  private readonly centroids: Float32Array;
  private readonly codes = new Map<number, Uint8Array>();

  /** Learns from the rows of `vectors` and holds them, with row numbers as keys. */
  constructor(
    vectors: Float32Array,
    private readonly options: QuantisationOptions,
  ) {
    const { dimensions, parts } = options;
    if (parts < 1 || dimensions % parts !== 0) {
      throw new EngineError('REQUEST_INVALID', `${dimensions} dimensions cannot be cut into ${parts} equal parts.`);
    }
    this.dimensions = dimensions;
    this.width = dimensions / parts;
    const rows = vectors.length / dimensions;
    const scaled = Float32Array.from(vectors);
    for (let row = 0; row < rows; row++) {
      const vector = scaled.subarray(row * dimensions, (row + 1) * dimensions);
      requireVector(vector, dimensions);
      vector.set(this.scaled(vector));
    }
    this.centroids = new Float32Array(parts * CENTROIDS * this.width);
    for (let part = 0; part < parts; part++) this.learnPart(scaled, part);
    for (let row = 0; row < rows; row++) this.put(row, vectors.subarray(row * dimensions, (row + 1) * dimensions));
  }

  get size(): number {
    return this.codes.size;
  }

  put(key: number, vector: Float32Array): void {
    requireVector(vector, this.dimensions);
    const scaled = this.scaled(vector);
    this.codes.set(
      key,
      Uint8Array.from({ length: this.options.parts }, (_, part) => this.nearest(scaled, part * this.width, part)),
    );
  }

  remove(key: number): boolean {
    return this.codes.delete(key);
  }

  search(query: Float32Array, k: number): Neighbours {
    requireVector(query, this.dimensions);
    const { parts } = this.options;
    const scaled = this.scaled(query);
    const table = new Float32Array(parts * CENTROIDS);
    for (let entry = 0; entry < table.length; entry++) {
      const from = Math.floor(entry / CENTROIDS) * this.width;
      for (let d = 0; d < this.width; d++) table[entry]! += scaled[from + d]! * this.centroids[entry * this.width + d]!;
    }
    let greatest = -1;
    for (const key of this.codes.keys()) greatest = Math.max(greatest, key);
    const scores = new Float32Array(greatest + 1).fill(-Infinity);
    for (const [key, code] of this.codes) {
      let sum = 0;
      for (let part = 0; part < parts; part++) sum += table[part * CENTROIDS + code[part]!]!;
      scores[key] = sum;
    }
    const { items, scores: similarities } = topOf(scores, k, undefined);
    return { keys: items, similarities };
  }

  private scaled(vector: Float32Array): Float32Array {
    if (this.options.similarity === 'dot') return vector;
    const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
    return vector.map((value) => value / (length || 1));
  }

  /** k-means over one part, from distinct random vectors; a centroid nobody is closest to stays where it is. */
  private learnPart(vectors: Float32Array, part: number): void {
    const { dimensions, random } = this.options;
    const { width } = this;
    const rows = vectors.length / dimensions;
    const order = random.stream(`part-${part}`).shuffle(Array.from({ length: rows }, (_, row) => row));
    const sample = order.slice(0, SAMPLE);
    const start = part * CENTROIDS * width;
    for (let c = 0; c < CENTROIDS && sample.length > 0; c++) {
      const from = sample[c % sample.length]! * dimensions + part * width;
      this.centroids.set(vectors.subarray(from, from + width), start + c * width);
    }
    for (let round = 0; round < ROUNDS; round++) {
      const sums = new Float64Array(CENTROIDS * width);
      const counts = new Int32Array(CENTROIDS);
      for (const row of sample) {
        const from = row * dimensions + part * width;
        const c = this.nearest(vectors, from, part);
        counts[c]!++;
        for (let d = 0; d < width; d++) sums[c * width + d]! += vectors[from + d]!;
      }
      for (let c = 0; c < CENTROIDS; c++) {
        if (counts[c] === 0) continue;
        for (let d = 0; d < width; d++) this.centroids[start + c * width + d] = sums[c * width + d]! / counts[c]!;
      }
    }
  }

  private nearest(vectors: Float32Array, from: number, part: number): number {
    const { width, centroids } = this;
    let [best, least] = [0, Infinity];
    for (let c = 0; c < CENTROIDS; c++) {
      const start = (part * CENTROIDS + c) * width;
      let distance = 0;
      for (let d = 0; d < width && distance < least; d++) distance += (vectors[from + d]! - centroids[start + d]!) ** 2;
      if (distance < least) [best, least] = [c, distance];
    }
    return best;
  }
}
