/** Exact nearest neighbours by looking at every vector: for few vectors, and as the truth approximations are held against. */
import { topOf } from '../fitting.js';
import { type Neighbours, requireVector, type Similarity, type VectorIndex } from './vector-index.js';

export class ExactIndex implements VectorIndex {
  private readonly places = new Map<number, number>();
  private keys: number[] = [];
  private values = new Float32Array(0);

  constructor(
    readonly dimensions: number,
    private readonly similarity: Similarity,
  ) {}

  get size(): number {
    return this.keys.length;
  }

  put(key: number, vector: Float32Array): void {
    requireVector(vector, this.dimensions);
    let place = this.places.get(key);
    if (place === undefined) {
      place = this.keys.length;
      this.keys.push(key);
      this.places.set(key, place);
      if (this.keys.length * this.dimensions > this.values.length) {
        const larger = new Float32Array(Math.max(64 * this.dimensions, 2 * this.values.length));
        larger.set(this.values);
        this.values = larger;
      }
    }
    const scale = this.similarity === 'cosine' ? 1 / (lengthOf(vector) || 1) : 1;
    for (let k = 0; k < this.dimensions; k++) this.values[place * this.dimensions + k] = vector[k]! * scale;
  }

  remove(key: number): boolean {
    const place = this.places.get(key);
    if (place === undefined) return false;
    const last = this.keys.length - 1;
    const moved = this.keys[last]!;
    this.values.copyWithin(place * this.dimensions, last * this.dimensions, (last + 1) * this.dimensions);
    this.keys[place] = moved;
    this.places.set(moved, place);
    this.keys.pop();
    this.places.delete(key);
    return true;
  }

  search(query: Float32Array, k: number): Neighbours {
    requireVector(query, this.dimensions);
    const scale = this.similarity === 'cosine' ? 1 / (lengthOf(query) || 1) : 1;
    const greatest = this.keys.reduce((left, right) => Math.max(left, right), -1);
    // By key, so that equals come in the order of their keys.
    const scores = new Float32Array(greatest + 1).fill(-Infinity);
    this.keys.forEach((key, place) => {
      let sum = 0;
      const start = place * this.dimensions;
      for (let d = 0; d < this.dimensions; d++) sum += query[d]! * this.values[start + d]!;
      scores[key] = sum * scale;
    });
    const { items, scores: similarities } = topOf(scores, k, undefined);
    return { keys: items, similarities };
  }
}

function lengthOf(vector: Float32Array): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
}
