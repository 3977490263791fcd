/**
 * Dense linear algebra: gram matrices and inverses over a team, Cholesky factors of small matrices.
 *
 * Large matrices are float32 in kernel memory, their work cut into blocks by shape alone; small ones (a few hundred rows)
 * are plain Float64Arrays, row-major, computed on the calling thread. Results do not depend on the number of threads.
 */
import { EngineError, invariant } from '../../../schemas/errors.js';
import type { Matrix } from '../tensors/kernels.js';
import type { KernelCall, KernelTeam } from './kernel-team.js';

/** Rows whose squares are summed in float32 before they are added up in float64. */
const GRAM_ROWS = 512;
/** Partial grams held at once. */
const GRAM_PARTS = 64;

/** matrixᵀ · matrix, in double precision: [columns × columns], row-major. */
export async function gramOf(team: KernelTeam, matrix: Matrix): Promise<Float64Array> {
  const { columns, rows } = matrix;
  const sum = new Float64Array(columns * columns);
  const mark = team.mark();
  const parts = Math.min(GRAM_PARTS, Math.ceil(rows / GRAM_ROWS));
  const targets = Array.from({ length: parts }, () => team.matrix(columns, columns));
  const packed = Array.from({ length: parts }, () => team.matrix(GRAM_ROWS, columns));
  for (let start = 0; start < rows; start += parts * GRAM_ROWS) {
    const packing: KernelCall[] = [];
    const products: KernelCall[] = [];
    for (let part = 0; part < parts && start + part * GRAM_ROWS < rows; part++) {
      const first = start + part * GRAM_ROWS;
      const length = Math.min(GRAM_ROWS, rows - first);
      const from = matrix.values.byteOffset + first * matrix.stride * 4;
      const into = packed[part]!.values.byteOffset;
      packing.push(['pack', from, matrix.stride * 4, 4, length, columns, into]);
      const left = [from, 4, matrix.stride * 4];
      products.push([
        'product',
        columns,
        columns,
        length,
        ...left,
        into,
        targets[part]!.values.byteOffset,
        columns * 4,
        0,
      ]);
    }
    await team.run(packing);
    await team.run(products);
    products.forEach((_, part) => {
      const { values } = targets[part]!;
      for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
    });
  }
  team.release(mark);
  return sum;
}

/** Width of the pivot blocks of `invert`: wide enough for fast products, narrow enough that their own inverse is little. */
const PIVOT = 64;

/**
 * Inverts a symmetric positive definite matrix in place, by Gauss–Jordan elimination over blocks of 64 rows: n³ products,
 * all of them matrix products over the team. No pivoting is needed for such matrices (Higham, "Accuracy and Stability of
 * Numerical Algorithms", ch. 14). `columns` is a multiple of 64; fill up with an identity. `between` is called after each
 * block with the share that is done. Throws TRAINING_SET_INVALID when the matrix is not positive definite in float32.
 */
export async function invert(team: KernelTeam, matrix: Matrix, between: (share: number) => void): Promise<void> {
  const { rows: n, stride, values } = matrix;
  invariant(matrix.columns === n && n % PIVOT === 0 && stride === n, 'An inverse needs a whole square matrix');
  const mark = team.mark();
  const [panel, column] = [team.matrix(PIVOT, n), team.matrix(n, PIVOT)];
  const pivot = team.matrix(PIVOT, PIVOT);
  for (let start = 0; start < n; start += PIVOT) {
    const inverse = inverseOfSmall(blockOf(matrix, start));
    pivot.values.set(inverse);
    // Negated column block, and the row block with its own square left out: both as they were before this step.
    for (let r = 0; r < n; r++) {
      for (let c = 0; c < PIVOT; c++) {
        const isOwn = r >= start && r < start + PIVOT;
        column.values[r * PIVOT + c] = isOwn ? 0 : -values[r * n + start + c]!;
      }
    }
    const rowBlock: Matrix = {
      rows: PIVOT,
      columns: n,
      stride: n,
      values: values.subarray(start * n, (start + PIVOT) * n),
    };
    team.product(pivot, rowBlock, panel);
    for (let r = 0; r < PIVOT; r++) panel.values.fill(0, r * n + start, r * n + start + PIVOT);
    // A −= column · panel; the pivot's own column block becomes −A·P, its row block the panel, its square P.
    await team.teamProduct(column, panel, matrix, { accumulate: true });
    const columnBlock: Matrix = { rows: n, columns: PIVOT, stride: n, values: values.subarray(start) };
    await team.teamProduct(column, pivot, columnBlock);
    for (let r = 0; r < PIVOT; r++) {
      values.set(panel.values.subarray(r * n, (r + 1) * n), (start + r) * n);
      values.set(inverse.subarray(r * PIVOT, (r + 1) * PIVOT), (start + r) * n + start);
    }
    between(Math.min(1, (start + PIVOT) / n));
  }
  team.release(mark);
}

function blockOf({ values, stride }: Matrix, start: number): Float64Array {
  const block = new Float64Array(PIVOT * PIVOT);
  for (let r = 0; r < PIVOT; r++) {
    for (let c = 0; c < PIVOT; c++) block[r * PIVOT + c] = values[(start + r) * stride + start + c]!;
  }
  return block;
}

/** Inverse of a symmetric positive definite [n × n] matrix in double precision. */
export function inverseOfSmall(matrix: Float64Array): Float64Array {
  const n = Math.round(Math.sqrt(matrix.length));
  const lower = inverseLower(choleskyOf(matrix));
  const inverse = new Float64Array(n * n);
  for (let r = 0; r < n; r++) {
    for (let c = 0; c <= r; c++) {
      let sum = 0;
      for (let k = r; k < n; k++) sum += lower[k * n + r]! * lower[k * n + c]!;
      inverse[r * n + c] = sum;
      inverse[c * n + r] = sum;
    }
  }
  return inverse;
}

/**
 * L with L·Lᵀ = matrix, lower triangular. A row whose pivot is below `floor` counts as a combination of those before it:
 * its pivot becomes 1 and nothing is taken off later rows. Without a floor, a matrix that is not positive definite throws
 * TRAINING_SET_INVALID.
 */
export function choleskyOf(matrix: Float64Array, floor?: number): Float64Array {
  const n = Math.round(Math.sqrt(matrix.length));
  const lower = new Float64Array(n * n);
  const isDependent = new Uint8Array(n);
  for (let r = 0; r < n; r++) {
    for (let c = 0; c <= r; c++) {
      if (isDependent[c] === 1) continue;
      let sum = matrix[r * n + c]!;
      for (let k = 0; k < c; k++) sum -= lower[r * n + k]! * lower[c * n + k]!;
      if (c < r) {
        lower[r * n + c] = sum / lower[c * n + c]!;
      } else if (sum > (floor ?? 0)) {
        lower[r * n + r] = Math.sqrt(sum);
      } else if (floor !== undefined) {
        isDependent[r] = 1;
        lower[r * n + r] = 1;
      } else {
        throw new EngineError(
          'TRAINING_SET_INVALID',
          'The equations of the model have no stable solution; raise its regularization.',
          { context: { pivot: r, value: sum } },
        );
      }
    }
  }
  return lower;
}

/** x with matrix · x = right, for a symmetric positive definite matrix of which the lower half is read. */
export function solvePositive(matrix: Float64Array, right: Float64Array): Float64Array {
  const n = right.length;
  const lower = choleskyOf(matrix);
  const x = right.slice();
  for (let r = 0; r < n; r++) {
    let sum = x[r]!;
    for (let k = 0; k < r; k++) sum -= lower[r * n + k]! * x[k]!;
    x[r] = sum / lower[r * n + r]!;
  }
  for (let r = n - 1; r >= 0; r--) {
    x[r]! /= lower[r * n + r]!;
    for (let k = 0; k < r; k++) x[k]! -= lower[r * n + k]! * x[r]!;
  }
  return x;
}

/** Inverse of a lower triangular matrix. */
export function inverseLower(lower: Float64Array): Float64Array {
  const n = Math.round(Math.sqrt(lower.length));
  const inverse = new Float64Array(n * n);
  for (let c = 0; c < n; c++) {
    for (let r = c; r < n; r++) {
      let sum = r === c ? 1 : 0;
      for (let k = c; k < r; k++) sum -= lower[r * n + k]! * inverse[k * n + c]!;
      inverse[r * n + c] = sum / lower[r * n + r]!;
    }
  }
  return inverse;
}
