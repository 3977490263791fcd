/**
 * Scores as scalar products: a vector an item, a vector a person folded in from the history by the model's own equations.
 *
 * Used by ials, svd and nmf, which differ in how a vector is found from those of the other side (`FoldIn`).
 *
 * Invariant: row i of the items' factors is item i; items folded in are appended. Float32 vectors, scores summed in
 * float64 one by one and in float32 by matrix products (equal within 1e-5 of their size).
 */
import { systemClock } from '../../../streams/clock.js';
import { KernelTeam, paddedWidth } from '../kernels/kernel-team.js';
import type { PairValue } from '../kernels/sparse.js';
import { bytesOf, readFloats } from '../model-files.js';
import type { ItemVectors, ModelArtefact, ModelFiles, ModelQuery, NewItem } from '../model.js';
import { type History, historyOf } from './history.js';
import type { Scorer } from './collaborative-model.js';

/** Vectors of one side: [count × factors], row-major. */
export interface Factors {
  readonly users: Float32Array;
  readonly items: Float32Array;
  readonly factors: number;
}

/** How a vector follows from vectors of the other side, and what each of them adds to it. */
export interface FoldIn {
  user(history: History, factors: Factors): Float32Array;
  item(history: History, factors: Factors): Float32Array;
}

export interface FactorScorerOptions {
  readonly algorithm: string;
  readonly foldIn: FoldIn;
  readonly value: PairValue;
  readonly threads: number;
}

/** Questions scored by one matrix product. */
const BATCH = 512;

export class FactorScorer implements Scorer {
  readonly algorithm: string;
  private team: KernelTeam | undefined;

  constructor(
    private factors: Factors,
    private readonly options: FactorScorerOptions,
  ) {
    this.algorithm = options.algorithm;
  }

  get itemCount(): number {
    return this.factors.items.length / this.factors.factors;
  }

  get userCount(): number {
    return this.factors.users.length / this.factors.factors;
  }

  foldInUser(query: ModelQuery): Float32Array {
    return this.options.foldIn.user(historyOf(query, this.itemCount, this.options.value), this.factors);
  }

  scoreInto(query: ModelQuery, row: Float32Array): void {
    const vector = this.foldInUser(query);
    for (let item = 0; item < this.itemCount; item++) row[item] = this.product(vector, item);
  }

  scoreItems(query: ModelQuery, items: Int32Array): Float32Array {
    const vector = this.foldInUser(query);
    return Float32Array.from(items, (item) => this.product(vector, item));
  }

  async scoreMany(queries: readonly ModelQuery[], into: Float32Array): Promise<void> {
    const { itemCount } = this;
    const { factors, items } = this.factors;
    this.team ??= new KernelTeam({ threads: this.options.threads, clock: systemClock });
    const mark = this.team.mark();
    const itemRows = this.team.rows(paddedWidth(itemCount), factors);
    for (let i = 0; i < itemCount; i++)
      itemRows.values.set(items.subarray(i * factors, (i + 1) * factors), i * itemRows.stride);
    const people = this.team.rows(Math.min(BATCH, queries.length), factors);
    const scores = this.team.matrix(people.rows, itemRows.rows);
    for (let start = 0; start < queries.length; start += BATCH) {
      const batch = queries.slice(start, start + BATCH);
      batch.forEach((query, q) => people.values.set(this.foldInUser(query), q * people.stride));
      const rows = batch.length;
      await this.team.teamProduct({ ...people, rows }, itemRows, { ...scores, rows }, { transposeRight: true });
      for (let q = 0; q < rows; q++) {
        into.set(scores.values.subarray(q * scores.stride, q * scores.stride + itemCount), (start + q) * itemCount);
      }
    }
    this.team.release(mark);
  }

  /** Scalar products of the item with each item of the history, in the metric of its own length: what is alike. */
  contributions(query: ModelQuery, item: number): Float64Array {
    const { items, factors } = this.factors;
    const vector = items.subarray(item * factors, (item + 1) * factors);
    return Float64Array.from(query.items, (other) => (other < this.itemCount ? this.product(vector, other) : 0));
  }

  foldInItem(item: NewItem): number {
    if (item.users === undefined || item.users.length === 0) return -1;
    const history = historyOf(
      { user: -1, items: item.users, weights: item.weights },
      this.userCount,
      this.options.value,
    );
    const vector = this.options.foldIn.item(history, this.factors);
    const items = new Float32Array(this.factors.items.length + this.factors.factors);
    items.set(this.factors.items);
    items.set(vector, this.factors.items.length);
    this.factors = { ...this.factors, items };
    return this.itemCount - 1;
  }

  itemVectors(): ItemVectors {
    return { dimensions: this.factors.factors, values: this.factors.items, metric: 'dot' };
  }

  files(): ModelFiles {
    return { 'users.f32': bytesOf(this.factors.users), 'items.f32': bytesOf(this.factors.items) };
  }

  async close(): Promise<void> {
    await this.team?.close();
    this.team = undefined;
  }

  private product(vector: Float32Array, item: number): number {
    const { items, factors } = this.factors;
    const start = item * factors;
    let [a, b] = [0, 0];
    for (let k = 0; k + 1 < factors; k += 2) {
      a += vector[k]! * items[start + k]!;
      b += vector[k + 1]! * items[start + k + 1]!;
    }
    if (factors % 2 === 1) a += vector[factors - 1]! * items[start + factors - 1]!;
    return a + b;
  }
}

/** `Algorithm.userFiles` of models with factors: vectors and groups of the training set's people. */
export const USER_FILES: readonly string[] = ['users.f32', 'user-groups.i32'];

/** What `files` wrote. */
export function readFactors(artefact: ModelArtefact, factors: number): Factors {
  return {
    users: readFloats(artefact, 'users.f32', artefact.userCount * factors),
    items: readFloats(artefact, 'items.f32', artefact.itemCount * factors),
    factors,
  };
}

/** Vectors without the padding of their rows in kernel memory. */
export function unpadded(values: Float32Array, stride: number, factors: number): Float32Array {
  const rows = values.length / stride;
  const compact = new Float32Array(rows * factors);
  for (let row = 0; row < rows; row++)
    compact.set(values.subarray(row * stride, row * stride + factors), row * factors);
  return compact;
}

/** Gram matrix in double precision of [count × factors] vectors. */
export function gramOfVectors(vectors: Float32Array, factors: number): Float64Array {
  const gram = new Float64Array(factors * factors);
  for (let start = 0; start < vectors.length; start += factors) {
    for (let i = 0; i < factors; i++) {
      const value = vectors[start + i]!;
      if (value === 0) continue;
      for (let k = 0; k <= i; k++) gram[i * factors + k]! += value * vectors[start + k]!;
    }
  }
  for (let i = 0; i < factors; i++) for (let k = 0; k < i; k++) gram[k * factors + i] = gram[i * factors + k]!;
  return gram;
}
