import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../streams/random.js';
import { Kernels, type Matrix } from '../../../../serving/models/tensors/kernels.js';

const random = seededRandom('kernels');

function filled(matrix: Matrix): Matrix {
  for (let i = 0; i < matrix.values.length; i++) matrix.values[i] = random.gaussian();
  return matrix;
}

/** Element (row, column) of the product in double precision. */
function expected(left: Matrix, right: Matrix, options: { left: boolean; right: boolean }): number[] {
  const rows = options.left ? left.columns : left.rows;
  const depth = options.left ? left.rows : left.columns;
  const columns = options.right ? right.rows : right.columns;
  const at = (m: Matrix, r: number, c: number, t: boolean): number =>
    m.values[t ? c * m.stride + r : r * m.stride + c]!;
  return Array.from({ length: rows * columns }, (_, place) => {
    let sum = 0;
    for (let k = 0; k < depth; k++) {
      sum += at(left, Math.floor(place / columns), k, options.left) * at(right, k, place % columns, options.right);
    }
    return sum;
  });
}

function furthest(values: ArrayLike<number>, wanted: ArrayLike<number>): number {
  return Array.from(wanted).reduce((worst, value, i) => Math.max(worst, Math.abs(value - values[i]!)), 0);
}

describe('matrix product', () => {
  const shapes = [
    [1, 8, 1],
    [3, 72, 37],
    [4, 8, 16],
    [13, 24, 1037],
    [70, 16, 5],
  ] as const;
  for (const [rows, columns, depth] of shapes) {
    for (const [left, right] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      it(`of ${rows}×${depth} and ${depth}×${columns} is the sum of products, transposed ${left}, ${right}`, () => {
        const kernels = new Kernels();
        const a = filled(left ? kernels.matrix(depth, rows) : kernels.matrix(rows, depth));
        const b = filled(right ? kernels.matrix(columns, depth) : kernels.matrix(depth, columns));
        const target = kernels.matrix(rows, columns);
        kernels.product(a, b, target, { transposeLeft: left, transposeRight: right });
        const wanted = expected(a, b, { left, right });
        expect(furthest(target.values, wanted)).toBeLessThan(3e-4);

        kernels.productPacked(a, kernels.packed(b, right), target, { transposeLeft: left, accumulate: true });
        expect(
          furthest(
            target.values,
            wanted.map((value) => 2 * value),
          ),
        ).toBeLessThan(6e-4);
      });
    }
  }

  it('reads and writes slices of wider matrices and leaves the rest alone', () => {
    const kernels = new Kernels();
    const wide = filled(kernels.matrix(6, 32));
    const target = kernels.matrix(6, 32);
    target.values.fill(7);
    const slice = (m: Matrix, from: number, columns: number): Matrix => ({
      rows: 6,
      columns,
      stride: 32,
      values: m.values.subarray(from, from + 5 * 32 + columns),
    });
    const right = filled(kernels.matrix(8, 16));
    kernels.product(slice(wide, 8, 8), right, slice(target, 16, 16));
    const wanted = expected(slice(wide, 8, 8), right, { left: false, right: false });
    expect(
      furthest(
        Array.from({ length: 96 }, (_, i) => target.values[Math.floor(i / 16) * 32 + 16 + (i % 16)]!),
        wanted,
      ),
    ).toBeLessThan(1e-5);
    expect(target.values.filter((value) => value === 7)).toHaveLength(96);
  });

  it('refuses shapes that do not fit', () => {
    const kernels = new Kernels();
    const square = kernels.matrix(8, 8);
    expect(() => kernels.product(square, kernels.matrix(9, 8), square)).toThrow(/depth 8 with depth 9/);
    expect(() => kernels.product(square, kernels.matrix(8, 12), kernels.matrix(8, 12))).toThrow(/multiple of 8/);
  });
});

describe('exponentials', () => {
  it('are within 3e-7 of the exact ones, with the row’s maximum and sum', () => {
    const kernels = new Kernels();
    const matrix = filled(kernels.matrix(5, 36));
    for (let i = 0; i < 36; i++) matrix.values[i]! *= 30;
    const before = matrix.values.slice();
    const maxima = kernels.floats(5);
    const sums = kernels.floats(5);
    kernels.exponentials(matrix, maxima, sums);
    for (let row = 0; row < 5; row++) {
      const values = before.subarray(row * 36, (row + 1) * 36);
      const maximum = values.reduce((left, right) => Math.max(left, right));
      const wanted = Array.from(values, (value) => Math.exp(value - maximum));
      expect(furthest(matrix.values.subarray(row * 36, (row + 1) * 36), wanted)).toBeLessThan(3e-7);
      expect(maxima[row]).toBe(maximum);
      expect(Math.abs(sums[row]! - wanted.reduce((left, right) => left + right))).toBeLessThan(1e-5);
    }
  });
});

describe('memory', () => {
  it('grows without moving what was handed out, and takes back what was released', () => {
    const kernels = new Kernels();
    const first = kernels.floats(10);
    first.fill(3);
    const mark = kernels.mark();
    const large = kernels.floats(5_000_000);
    expect(large.every((value) => value === 0)).toBe(true);
    kernels.release(mark);
    expect(kernels.floats(4).byteOffset).toBe(large.byteOffset);
    expect(Array.from(first)).toEqual(Array.from({ length: 10 }, () => 3));
  });

  it('does not lend room of its own that was taken after a mark and released', () => {
    const kernels = new Kernels();
    const [left, right] = [filled(kernels.matrix(8, 8)), filled(kernels.matrix(8, 8))];
    const target = kernels.matrix(8, 8);
    const mark = kernels.mark();
    kernels.product(left, right, target);
    kernels.release(mark);
    const later = kernels.floats(16);
    kernels.product(left, right, target);
    expect(later.every((value) => value === 0)).toBe(true);
  });
});
