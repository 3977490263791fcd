import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../streams/random.js';
import type { SparseMatrix } from '../../../../serving/models/kernels/sparse-matrix.js';
import { multiplySparse, transposed } from '../../../../serving/models/kernels/sparse-matrix.js';
import { symmetricEigen } from '../../../../serving/models/kernels/symmetric-eigen.js';
import { truncatedSvd } from '../../../../serving/models/kernels/truncated-svd.js';

function sparseOf(rows: readonly (readonly number[])[]): SparseMatrix {
  const rowStart = Int32Array.of(
    0,
    ...rows.map(
      (_, r) =>
        rows
          .slice(0, r + 1)
          .flat()
          .filter(Boolean).length,
    ),
  );
  const columns = rows.flatMap((row) => row.flatMap((value, c) => (value === 0 ? [] : [c])));
  return {
    rowCount: rows.length,
    columnCount: rows[0]!.length,
    rowStart,
    columns: Int32Array.from(columns),
    values: Float32Array.from(rows.flat().filter(Boolean)),
  };
}

function randomRows(rows: number, columns: number, share: number): number[][] {
  const random = seededRandom('matrix');
  return Array.from({ length: rows }, () =>
    Array.from({ length: columns }, () => (random.float() < share ? Math.fround(random.gaussian()) : 0)),
  );
}

/** Largest difference between A and U Σ Vᵀ. */
function residual(rows: readonly (readonly number[])[], svd: ReturnType<typeof truncatedSvd>): number {
  const { rank, left, right, singularValues } = svd;
  return Math.max(
    ...rows.flatMap((row, r) =>
      row.map((value, c) => {
        let sum = 0;
        for (let k = 0; k < rank; k++) sum += left[r * rank + k]! * singularValues[k]! * right[c * rank + k]!;
        return Math.abs(sum - value);
      }),
    ),
  );
}

describe('symmetric eigenvalues', () => {
  it('are those worked out by hand', () => {
    // [[2, 1], [1, 2]]: 3 with (1, 1)/√2, 1 with (1, −1)/√2.
    const { values, vectors } = symmetricEigen(Float64Array.of(2, 1, 1, 2), 2);
    expect([...values]).toEqual([expect.closeTo(3, 12), expect.closeTo(1, 12)]);
    expect(Math.abs(vectors[0]! + vectors[1]!)).toBeCloseTo(Math.SQRT2, 12);
  });

  it('rebuild the matrix from orthonormal vectors, also with repeated and zero values', () => {
    const n = 40;
    const rows = randomRows(n, n - 12, 1);
    // B Bᵀ of a 40 × 28 matrix has 12 zeros; adding the identity twice on half of it repeats values.
    const matrix = new Float64Array(n * n);
    for (let r = 0; r < n; r++) {
      for (let c = 0; c < n; c++) matrix[r * n + c] = rows[r]!.reduce((sum, x, k) => sum + x * rows[c]![k]!, 0);
    }
    const { values, vectors } = symmetricEigen(matrix, n);
    let worst = 0;
    for (let r = 0; r < n; r++) {
      for (let c = 0; c < n; c++) {
        let rebuilt = 0;
        let product = 0;
        for (let k = 0; k < n; k++) {
          rebuilt += values[k]! * vectors[k * n + r]! * vectors[k * n + c]!;
          product += vectors[r * n + k]! * vectors[c * n + k]!;
        }
        worst = Math.max(worst, Math.abs(rebuilt - matrix[r * n + c]!), Math.abs(product - (r === c ? 1 : 0)));
      }
    }
    expect(worst).toBeLessThan(1e-9);
    expect([...values]).toEqual([...values].sort((left, right) => right - left));
  });

  it('of a diagonal matrix and of one number are themselves', () => {
    expect([...symmetricEigen(Float64Array.of(1, 0, 0, 0, 5, 0, 0, 0, 3), 3).values]).toEqual([5, 3, 1]);
    expect([...symmetricEigen(Float64Array.of(7), 1).values]).toEqual([7]);
  });
});

describe('truncated SVD', () => {
  it('rebuilds a matrix of low rank, tall or wide', () => {
    const [basis, weights] = [randomRows(60, 5, 1), randomRows(5, 33, 1)];
    const tall = basis.map((row) => weights[0]!.map((_, c) => row.reduce((sum, x, k) => sum + x * weights[k]![c]!, 0)));
    const wide = tall[0]!.map((_, c) => tall.map((row) => row[c]!));
    for (const rows of [tall, wide]) {
      const svd = truncatedSvd(sparseOf(rows), 12, { random: seededRandom(1) });
      // Asked for twelve, the matrix has five.
      expect(svd.rank).toBe(5);
      expect(residual(rows, svd)).toBeLessThan(1e-4);
    }
  });

  it('finds the largest values as the whole eigenproblem does', () => {
    const rows = randomRows(90, 50, 0.2);
    const matrix = sparseOf(rows);
    const gram = new Float64Array(50 * 50);
    for (const row of rows) row.forEach((x, r) => row.forEach((y, c) => (gram[r * 50 + c]! += x * y)));
    const whole = symmetricEigen(gram, 50).values.map(Math.sqrt);
    const svd = truncatedSvd(matrix, 10, { random: seededRandom(1), iterations: 30 });
    for (let k = 0; k < 10; k++) expect(svd.singularValues[k]! / whole[k]!).toBeCloseTo(1, 4);
  });

  it('gives the same bytes for the same seed and tells its steps', () => {
    const matrix = sparseOf(randomRows(40, 30, 0.3));
    const steps: number[] = [];
    const first = truncatedSvd(matrix, 6, { random: seededRandom(1), onStep: (done) => steps.push(done) });
    expect(truncatedSvd(matrix, 6, { random: seededRandom(1) })).toEqual(first);
    expect(steps).toEqual([0, 1, 2, 3, 4]);
  });

  it('multiplies as the naive product does, transposed as well', () => {
    const rows = randomRows(11, 17, 0.6);
    const matrix = sparseOf(rows);
    const dense = Float32Array.from(randomRows(17, 3, 1).flat());
    const into = new Float32Array(11 * 3);
    multiplySparse(matrix, dense, into, 3);
    const naive = rows.flatMap((row) =>
      [0, 1, 2].map((w) => row.reduce((sum, value, c) => sum + value * dense[c * 3 + w]!, 0)),
    );
    naive.forEach((value, i) => expect(into[i]).toBeCloseTo(value, 5));
    expect(transposed(transposed(matrix))).toEqual(matrix);
  });
});
