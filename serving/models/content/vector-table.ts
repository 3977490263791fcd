/**
 * Vectors of items that have one: rows without gaps, found by item, growing as items arrive.
 *
 * The mean of the vectors the table was made from is taken away from each, and each then has length 1: encoders put all
 * of a catalogue into a narrow cone, and only what differs from the usual tells items apart. The mean stays as it was
 * learnt, so a vector never changes when later items arrive.
 */
import type { ModelArtefact, ModelFiles } from '../model.js';
import { bytesOf, readFloats, readInts } from '../model-files.js';
import { grown } from '../../../streams/typed-growth.js';
import { normalize } from './encoders/encoder.js';

export type Metric = 'cosine' | 'euclidean' | 'manhattan';

const NONE = -1;

export class VectorTable {
  private constructor(
    readonly dimensions: number,
    private readonly mean: Float32Array,
    /** Item -> row, or −1. */
    private rows: Int32Array,
    private values: Float32Array,
    private itemCount: number,
    private rowCount: number,
  ) {}

  /** @param vectors by item, `dimensions` each; all zero where the item has none. */
  static of(vectors: Float32Array, dimensions: number): VectorTable {
    const itemCount = vectors.length / dimensions;
    const present = Array.from({ length: itemCount }, (_, item) => item).filter((item) =>
      vectors.subarray(item * dimensions, (item + 1) * dimensions).some((value) => value !== 0),
    );
    const mean = new Float32Array(dimensions);
    for (const item of present) {
      for (let d = 0; d < dimensions; d++) mean[d]! += vectors[item * dimensions + d]! / present.length;
    }
    // One item alone is its own mean: nothing would be left of it.
    if (present.length === 1) mean.fill(0);
    const values = new Float32Array(present.length * dimensions);
    const table = new VectorTable(dimensions, mean, new Int32Array(0), values, 0, 0);
    let next = 0;
    for (let item = 0; item < itemCount; item++) {
      const has = present[next] === item;
      if (has) next++;
      table.add(item, has ? vectors.subarray(item * dimensions, (item + 1) * dimensions) : undefined);
    }
    return table;
  }

  static load(artefact: ModelArtefact, name: string, dimensions: number): VectorTable {
    const rows = readInts(artefact, `${name}-rows.i32`, artefact.itemCount);
    const rowCount = rows.reduce((count, row) => Math.max(count, row + 1), 0);
    const mean = readFloats(artefact, `${name}-mean.f32`, dimensions);
    const values = readFloats(artefact, `${name}-vectors.f32`, rowCount * dimensions);
    return new VectorTable(dimensions, mean, rows, values, rows.length, rowCount);
  }

  save(name: string): ModelFiles {
    return {
      [`${name}-rows.i32`]: bytesOf(this.rows.subarray(0, this.itemCount)),
      [`${name}-mean.f32`]: bytesOf(this.mean),
      [`${name}-vectors.f32`]: bytesOf(this.values.subarray(0, this.rowCount * this.dimensions)),
    };
  }

  /** Takes in an item that is not there yet, or gives its vector to one that had none. */
  add(item: number, vector: Float32Array | undefined): void {
    if (item >= this.itemCount) {
      this.rows = grown(this.rows, item + 1);
      this.rows.fill(NONE, this.itemCount, item + 1);
      this.itemCount = item + 1;
    }
    if (vector === undefined || vector.every((value) => value === 0)) return;
    const row = this.rowCount++;
    this.values = grown(this.values, this.rowCount * this.dimensions);
    const target = this.values.subarray(row * this.dimensions, (row + 1) * this.dimensions);
    for (let d = 0; d < target.length; d++) target[d] = vector[d]! - this.mean[d]!;
    normalize(target);
    this.rows[item] = row;
  }

  has(item: number): boolean {
    return item < this.itemCount && this.rows[item] !== NONE;
  }

  /** A view, valid until the next `add`; empty where there is none. */
  vectorOf(item: number): Float32Array {
    if (!this.has(item)) return NO_VECTOR;
    const start = this.rows[item]! * this.dimensions;
    return this.values.subarray(start, start + this.dimensions);
  }

  /** How near the item is to a vector of length 1, 0 to 1; NaN where it has none. */
  similarity(vector: Float32Array, item: number, metric: Metric): number {
    if (!this.has(item)) return NaN;
    return similarityAt(this.values, this.rows[item]! * this.dimensions, vector, metric);
  }
}

const NO_VECTOR = new Float32Array(0);

/**
 * Between vectors of length 1: (1 + cos) / 2, 1 − ‖a − b‖₂ / 2, or 1 − ‖a − b‖₁ / (2 √d); 1 for equal ones, and 0 for
 * the furthest there can be.
 */
function similarityAt(values: Float32Array, at: number, vector: Float32Array, metric: Metric): number {
  let sum = 0;
  switch (metric) {
    case 'cosine':
      for (let d = 0; d < vector.length; d++) sum += values[at + d]! * vector[d]!;
      return clamp((1 + sum) / 2);
    case 'euclidean':
      for (let d = 0; d < vector.length; d++) sum += (values[at + d]! - vector[d]!) ** 2;
      return clamp(1 - Math.sqrt(sum) / 2);
    case 'manhattan':
      for (let d = 0; d < vector.length; d++) sum += Math.abs(values[at + d]! - vector[d]!);
      return clamp(1 - sum / (2 * Math.sqrt(vector.length)));
  }
}

function clamp(value: number): number {
  return Math.max(0, Math.min(1, value));
}
