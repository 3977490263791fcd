/**
 * Eigenvalues and eigenvectors of a dense symmetric matrix: Householder reduction to a tridiagonal one, then QL steps
 * with implicit shifts (Bowdler, Martin, Reinsch & Wilkinson 1968; the algorithms tred2 and tql2 of EISPACK).
 *
 * O(n³), about 3 s for n = 800 on one core, in float64. Vectors are kept as rows while they are turned, so that every
 * inner loop runs along memory.
 */
import { EngineError, invariant } from '../../../schemas/errors.js';

export interface EigenSystem {
  /** Largest first. */
  readonly values: Float64Array;
  /** Row k is the unit vector of `values[k]`. */
  readonly vectors: Float64Array;
}

/** QL steps for one eigenvalue; two are usual. */
const STEPS_MAX = 60;

/** @param matrix n × n, row-major; its lower triangle is read. */
export function symmetricEigen(matrix: Float64Array, n: number): EigenSystem {
  invariant(matrix.length === n * n, `A symmetric matrix of ${n} rows needs ${n * n} values, got ${matrix.length}`);
  const { basis, diagonal, beside } = tridiagonalize(matrix, n);
  turnToDiagonal(basis, diagonal, beside);
  const order = Array.from(diagonal.keys()).sort((left, right) => diagonal[right]! - diagonal[left]! || left - right);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => vectors.set(basis.subarray(from * n, (from + 1) * n), to * n));
  return { values: Float64Array.from(order, (from) => diagonal[from]!), vectors };
}

interface Tridiagonal {
  /** Rows are the vectors of the basis in which the matrix is tridiagonal. */
  readonly basis: Float64Array;
  readonly diagonal: Float64Array;
  /** `beside[i]` couples i and i + 1; the last is 0. */
  readonly beside: Float64Array;
}

/** Each step k reflects rows and columns after k so that column k has one entry below the diagonal. */
function tridiagonalize(matrix: Float64Array, n: number): Tridiagonal {
  const work = symmetricCopy(matrix, n);
  const reflectors: { readonly from: number; readonly vector: Float64Array }[] = [];
  const beside = new Float64Array(n);
  for (let k = 0; k + 2 < n; k++) {
    const vector = work.slice(k * n + k + 1, (k + 1) * n);
    const length = norm(vector);
    beside[k] = work[k * n + k + 1]!;
    // Nothing but the first entry: the column has its form already.
    if (norm(vector.subarray(1)) === 0) continue;
    const target = vector[0]! > 0 ? -length : length;
    vector[0]! -= target;
    scale(vector, 1 / norm(vector));
    reflectBothSides(work, n, k + 1, vector);
    beside[k] = target;
    reflectors.push({ from: k + 1, vector });
  }
  if (n > 1) beside[n - 2] = work[(n - 2) * n + n - 1]!;
  const diagonal = Float64Array.from({ length: n }, (_, i) => work[i * n + i]!);
  return { basis: productOf(reflectors, n), diagonal, beside };
}

function symmetricCopy(matrix: Float64Array, n: number): Float64Array {
  const copy = new Float64Array(n * n);
  for (let r = 0; r < n; r++) for (let c = 0; c <= r; c++) copy[r * n + c] = copy[c * n + r] = matrix[r * n + c]!;
  return copy;
}

/** A ← H A H with H = 1 − 2 v vᵀ, on the square from `from` on: A − v wᵀ − w vᵀ with w = 2 (A v − (vᵀ A v) v). */
function reflectBothSides(work: Float64Array, n: number, from: number, vector: Float64Array): void {
  const size = vector.length;
  const image = new Float64Array(size);
  for (let r = 0; r < size; r++) image[r] = dot(work, (from + r) * n + from, vector);
  const along = dot(image, 0, vector);
  for (let i = 0; i < size; i++) image[i] = 2 * (image[i]! - along * vector[i]!);
  for (let r = 0; r < size; r++) {
    const row = (from + r) * n + from;
    const [left, right] = [vector[r]!, image[r]!];
    for (let c = 0; c < size; c++) work[row + c]! -= left * image[c]! + right * vector[c]!;
  }
}

/** Rows of (H₁ H₂ …)ᵀ: applied last to first, each touches only rows and columns from its own start. */
function productOf(reflectors: readonly { from: number; vector: Float64Array }[], n: number): Float64Array {
  const basis = new Float64Array(n * n);
  for (let i = 0; i < n; i++) basis[i * n + i] = 1;
  for (const { from, vector } of reflectors.toReversed()) {
    // The transposed product is kept: Bᵀ ← Bᵀ H, row by row.
    for (let r = from; r < n; r++) {
      const row = r * n + from;
      const along = 2 * dot(basis, row, vector);
      if (along !== 0) for (let c = 0; c < vector.length; c++) basis[row + c]! -= along * vector[c]!;
    }
  }
  return basis;
}

/** QL with implicit shifts: rows of `basis` become eigenvectors, `diagonal` their values. */
function turnToDiagonal(basis: Float64Array, diagonal: Float64Array, beside: Float64Array): void {
  const n = diagonal.length;
  for (let low = 0; low < n; low++) {
    for (let steps = 0; ; steps++) {
      let high = low;
      while (high + 1 < n && !isNegligible(beside[high]!, diagonal[high]!, diagonal[high + 1]!)) high++;
      if (high === low) break;
      if (steps === STEPS_MAX)
        throw new EngineError(
          'TRAINING_SET_INVALID',
          'Eigenvalues do not converge: the matrix holds values that are not finite.',
        );
      stepQl(basis, diagonal, beside, [low, high]);
    }
  }
}

function isNegligible(coupling: number, left: number, right: number): boolean {
  const size = Math.abs(left) + Math.abs(right);
  return Math.abs(coupling) + size === size;
}

/** One chase of the bulge from `high` down to `low`, shifted by the eigenvalue of the first 2 × 2 nearest its corner. */
function stepQl(
  basis: Float64Array,
  diagonal: Float64Array,
  beside: Float64Array,
  [low, high]: readonly [number, number],
): void {
  const half = (diagonal[low + 1]! - diagonal[low]!) / (2 * beside[low]!);
  const root = Math.hypot(half, 1);
  let bulge = diagonal[high]! - diagonal[low]! + beside[low]! / (half + (half < 0 ? -root : root));
  let [sine, cosine, carried] = [1, 1, 0];
  for (let i = high - 1; i >= low; i--) {
    const turned = sine * beside[i]!;
    const kept = cosine * beside[i]!;
    const length = Math.hypot(turned, bulge);
    beside[i + 1] = length;
    if (length === 0) {
      // The coupling vanished underway: the matrix falls apart here.
      diagonal[i + 1]! -= carried;
      beside[high] = 0;
      return;
    }
    [sine, cosine] = [turned / length, bulge / length];
    bulge = diagonal[i + 1]! - carried;
    const change = (diagonal[i]! - bulge) * sine + 2 * cosine * kept;
    carried = sine * change;
    diagonal[i + 1] = bulge + carried;
    bulge = cosine * change - kept;
    rotateRows(basis, i, diagonal.length, [sine, cosine]);
  }
  diagonal[low]! -= carried;
  beside[low] = bulge;
  beside[high] = 0;
}

function rotateRows(basis: Float64Array, row: number, n: number, [sine, cosine]: readonly [number, number]): void {
  const [upper, lower] = [row * n, (row + 1) * n];
  for (let c = 0; c < n; c++) {
    const [above, below] = [basis[upper + c]!, basis[lower + c]!];
    basis[lower + c] = sine * above + cosine * below;
    basis[upper + c] = cosine * above - sine * below;
  }
}

function dot(matrix: Float64Array, at: number, vector: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += matrix[at + i]! * vector[i]!;
  return sum;
}

function norm(vector: Float64Array): number {
  return Math.sqrt(dot(vector, 0, vector));
}

function scale(vector: Float64Array, factor: number): void {
  for (let i = 0; i < vector.length; i++) vector[i]! *= factor;
}
