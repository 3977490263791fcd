/**
 * The largest singular values and vectors of a sparse matrix, by randomised subspace iteration (Halko, Martinsson & Tropp
 * 2011, algorithms 4.4 and 5.1): Q ← orth(AᵀA Q) a few times from a random start, then the small problem in that subspace.
 *
 * A ≈ U Σ Vᵀ. Dense products run in the vector kernels; the subspace is a little wider than asked for, so that the last
 * values asked for are as good as the first. Float32; the small eigenproblem in float64.
 *
 * Invariant: same matrix, rank and seed, same bytes. Each right vector's entry of largest size is positive.
 */
import type { Random } from '../../../streams/random.js';
import { Kernels } from '../tensors/kernels.js';
import type { Matrix } from '../tensors/kernels.js';
import type { SparseMatrix } from './sparse-matrix.js';
import { multiplySparse, transposed } from './sparse-matrix.js';
import { symmetricEigen } from './symmetric-eigen.js';

export interface TruncatedSvd {
  /** Values found: `rank`, or fewer where the matrix has no more. */
  readonly rank: number;
  /** Largest first. */
  readonly singularValues: Float64Array;
  /** columnCount × rank, row-major: V. */
  readonly right: Float32Array;
  /** rowCount × rank: U. */
  readonly left: Float32Array;
}

export interface SvdOptions {
  readonly random: Random;
  /** Products with AᵀA; 4 by default, which leaves errors of about a per cent in the last values of a slow decay. */
  readonly iterations?: number | undefined;
  /** Called between products; may throw to stop. */
  readonly onStep?: ((done: number, of: number) => void) | undefined;
}

const ITERATIONS = 4;
/** The subspace is this much wider, and at least by the second, rounded up to whole vectors of the kernels. */
const OVERSAMPLING = 0.08;
const OVERSAMPLING_LEAST = 8;
const VECTOR = 8;
/** Directions weaker than this, beside the strongest, are rounding. */
const RANK_TOLERANCE = 1e-4;

/** Floats the computation takes beside the matrix and the result, for `requireMemory`. */
export function svdBytes(matrix: Pick<SparseMatrix, 'rowCount' | 'columnCount'>, rank: number): number {
  return 4 * widthOf(rank) * (matrix.rowCount + 2 * matrix.columnCount + 6 * widthOf(rank));
}

function widthOf(rank: number): number {
  return Math.ceil((rank + Math.max(OVERSAMPLING_LEAST, rank * OVERSAMPLING)) / VECTOR) * VECTOR;
}

export function truncatedSvd(matrix: SparseMatrix, rank: number, options: SvdOptions): TruncatedSvd {
  if (matrix.rowCount < matrix.columnCount) {
    const { left, right, ...rest } = svdOfTall(transposed(matrix), matrix, rank, options);
    return alignSigns({ ...rest, left: right, right: left });
  }
  return alignSigns(svdOfTall(matrix, transposed(matrix), rank, options));
}

/** `tall` has at least as many rows as columns: the subspace lies on the shorter side. */
function svdOfTall(tall: SparseMatrix, wide: SparseMatrix, rank: number, options: SvdOptions): TruncatedSvd {
  const { random, iterations = ITERATIONS, onStep = () => undefined } = options;
  const kernels = new Kernels();
  const width = widthOf(Math.min(rank, tall.columnCount));
  const basis = kernels.matrix(tall.columnCount, width);
  const image = kernels.matrix(tall.rowCount, width);
  const spare = kernels.matrix(tall.columnCount, width);
  const start = random.stream('subspace');
  for (let i = 0; i < basis.values.length; i++) spare.values[i] = start.gaussian();
  orthonormalize(kernels, spare, basis);
  for (let done = 0; done < iterations; done++) {
    onStep(done, iterations + 1);
    multiplySparse(tall, basis.values, image.values, width);
    multiplySparse(wide, image.values, spare.values, width);
    orthonormalize(kernels, spare, basis);
  }
  onStep(iterations, iterations + 1);
  multiplySparse(tall, basis.values, image.values, width);
  return inSubspace(kernels, { basis, image }, rank);
}

/** In the subspace, (A Q)ᵀ(A Q) = W Λ Wᵀ: then Σ = √Λ, V = Q W and U = A Q W Σ⁻¹. */
function inSubspace(kernels: Kernels, { basis, image }: { basis: Matrix; image: Matrix }, most: number): TruncatedSvd {
  const width = basis.columns;
  const gram = gramOf(kernels, image);
  const { values, vectors } = symmetricEigen(gram, width);
  const singular = values.map((value) => Math.sqrt(Math.max(0, value)));
  const limit = Math.min(most, basis.rows);
  let rank = 0;
  while (rank < limit && singular[rank]! > RANK_TOLERANCE * singular[0]!) rank++;
  const turn = kernels.matrix(width, width);
  for (let k = 0; k < width; k++) for (let i = 0; i < width; i++) turn.values[i * width + k] = vectors[k * width + i]!;
  const right = columnsOf(turned(kernels, basis, turn), rank);
  for (let k = 0; k < width; k++) {
    const factor = k < rank ? 1 / singular[k]! : 0;
    for (let i = 0; i < width; i++) turn.values[i * width + k]! *= factor;
  }
  const left = columnsOf(turned(kernels, image, turn), rank);
  return { rank, singularValues: singular.slice(0, rank), left, right };
}

function gramOf(kernels: Kernels, matrix: Matrix): Float64Array {
  const mark = kernels.mark();
  const gram = kernels.matrix(matrix.columns, matrix.columns);
  kernels.product(matrix, matrix, gram, { transposeLeft: true });
  const copy = Float64Array.from(gram.values);
  kernels.release(mark);
  return copy;
}

/** matrix · turn, in memory of its own. */
function turned(kernels: Kernels, matrix: Matrix, turn: Matrix): Matrix {
  const product = kernels.matrix(matrix.rows, turn.columns);
  kernels.product(matrix, turn, product);
  return product;
}

function columnsOf(matrix: Matrix, count: number): Float32Array {
  const kept = new Float32Array(matrix.rows * count);
  for (let r = 0; r < matrix.rows; r++) {
    kept.set(matrix.values.subarray(r * matrix.stride, r * matrix.stride + count), r * count);
  }
  return kept;
}

/** into ← an orthonormal basis of source's columns; twice by Cholesky, which once is not exact in float32. */
function orthonormalize(kernels: Kernels, source: Matrix, into: Matrix): void {
  for (const [from, to] of [
    [source, into],
    [into, source],
  ] as const) {
    const mark = kernels.mark();
    const inverse = kernels.matrix(from.columns, from.columns);
    inverse.values.set(inverseCholesky(gramOf(kernels, from), from.columns));
    kernels.product(from, inverse, to);
    kernels.release(mark);
  }
  into.values.set(source.values);
}

/** What is left of a column's square after those before it are taken out, below which it is float32's rounding. */
const DEPENDENT = 3e-6;

/** R⁻¹, upper, of G = RᵀR; columns that depend on those before them become zero. */
function inverseCholesky(gram: Float64Array, n: number): Float64Array {
  const lower = new Float64Array(n * n);
  for (let r = 0; r < n; r++) {
    for (let c = 0; c <= r; c++) {
      let sum = gram[r * n + c]!;
      for (let k = 0; k < c; k++) sum -= lower[r * n + k]! * lower[c * n + k]!;
      if (c === r) lower[r * n + r] = sum > DEPENDENT * gram[r * n + r]! ? Math.sqrt(sum) : 0;
      else lower[r * n + c] = lower[c * n + c] === 0 ? 0 : sum / lower[c * n + c]!;
    }
  }
  return invertedTransposed(lower, n);
}

/** (L⁻¹)ᵀ; L⁻¹ by forward substitution along rows. */
function invertedTransposed(lower: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n);
  const upper = new Float64Array(n * n);
  for (let r = 0; r < n; r++) {
    const pivot = lower[r * n + r]!;
    if (pivot === 0) continue;
    const row = inverse.subarray(r * n, (r + 1) * n);
    for (let k = 0; k < r; k++) {
      const factor = lower[r * n + k]!;
      if (factor === 0) continue;
      for (let c = 0; c <= k; c++) row[c]! -= factor * inverse[k * n + c]!;
    }
    row[r] = 1;
    for (let c = 0; c <= r; c++) {
      row[c]! /= pivot;
      upper[c * n + r] = row[c]!;
    }
  }
  return upper;
}

/** Signs are the computation's whim; with the largest entry positive they are the matrix's. */
function alignSigns(svd: TruncatedSvd): TruncatedSvd {
  const { rank, left, right } = svd;
  for (let k = 0; k < rank; k++) {
    let largest = 0;
    for (let i = k; i < right.length; i += rank) if (Math.abs(right[i]!) > Math.abs(largest)) largest = right[i]!;
    if (largest >= 0) continue;
    for (let i = k; i < right.length; i += rank) right[i] = -right[i]!;
    for (let i = k; i < left.length; i += rank) left[i] = -left[i]!;
  }
  return svd;
}
