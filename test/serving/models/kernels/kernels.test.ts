/** Kernels against naive versions in double precision, and against themselves on other numbers of threads. */
import { afterAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../streams/clock.js';
import { seededRandom } from '../../../../streams/random.js';
import { rightSingularVectors } from '../../../../serving/models/kernels/block-svd.js';
import { choleskyOf, gramOf, inverseOfSmall, invert } from '../../../../serving/models/kernels/dense.js';
import {
  balancedBlocksOf,
  blocksOf,
  KernelTeam,
  type SparseMatrix,
} from '../../../../serving/models/kernels/kernel-team.js';
import { symmetricEigen } from '../../../../serving/models/kernels/symmetric-eigen.js';
import { normalised, transposeOf } from '../../../../serving/models/kernels/sparse.js';
import type { Matrix } from '../../../../serving/models/tensors/kernels.js';

const random = seededRandom('team');
const one = new KernelTeam({ threads: 1, clock: systemClock });
const three = new KernelTeam({ threads: 3, clock: systemClock });
afterAll(async () => {
  await one.close();
  await three.close();
});

function filled(team: KernelTeam, rows: number, columns: number, seed = 'dense'): Matrix {
  const matrix = team.rows(rows, columns);
  const numbers = seededRandom(seed);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) matrix.values[r * matrix.stride + c] = numbers.gaussian();
  return matrix;
}

function sparse(rows: number, columns: number, perRow: number): SparseMatrix {
  const rowStart = new Int32Array(rows + 1);
  const indexes: number[] = [];
  for (let row = 0; row < rows; row++) {
    const wanted = row % 7 === 3 ? 0 : 1 + random.int(perRow * 2);
    const picked = new Set(Array.from({ length: wanted }, () => random.int(columns)));
    indexes.push(...[...picked].sort((left, right) => left - right));
    rowStart[row + 1] = indexes.length;
  }
  const values = Float32Array.from(indexes, () => 0.2 + random.float());
  return { rows, columns, rowStart, indexes: Int32Array.from(indexes), values };
}

function denseOf(matrix: SparseMatrix): number[][] {
  return Array.from({ length: matrix.rows }, (_, row) => {
    const line = new Array<number>(matrix.columns).fill(0);
    for (let p = matrix.rowStart[row]!; p < matrix.rowStart[row + 1]!; p++)
      line[matrix.indexes[p]!] = matrix.values[p]!;
    return line;
  });
}

const furthest = (actual: ArrayLike<number>, wanted: ArrayLike<number>): number =>
  Array.from(wanted).reduce((worst, value, i) => Math.max(worst, Math.abs(value - actual[i]!)), 0);

describe('products over a team', () => {
  it('of sparse and dense matrices are the sums of products, in rows of any width', async () => {
    const matrix = sparse(150, 90, 6);
    for (const width of [16, 48, 80]) {
      const dense = filled(three, 90, width);
      const target = three.rows(150, width);
      await three.sparseProduct(three.sparse(matrix), dense, target);
      const wanted = denseOf(matrix).flatMap((line) =>
        Array.from({ length: width }, (_, c) =>
          line.reduce((sum, value, k) => sum + value * dense.values[k * dense.stride + c]!, 0),
        ),
      );
      expect(furthest(target.values, wanted)).toBeLessThan(1e-4);
    }
  });

  it('of dense matrices equal those of one thread bit for bit', async () => {
    for (const options of [{}, { transposeLeft: true }, { transposeRight: true }] as const) {
      const compute = async (team: KernelTeam): Promise<Float32Array> => {
        const isLeft = 'transposeLeft' in options;
        const left = isLeft ? filled(team, 1100, 144, 'a') : filled(team, 144, 1104, 'a');
        const right =
          'transposeRight' in options ? filled(team, 80, 1104, 'b') : filled(team, isLeft ? 1100 : 1104, 80, 'b');
        const target = team.rows(144, 80);
        if (team === one) team.product(left, right, target, options);
        else await team.teamProduct(left, right, target, options);
        return target.values;
      };
      expect(await compute(three)).toEqual(await compute(one));
    }
  });

  it('of a matrix with itself are in double precision over blocks', async () => {
    const matrix = filled(three, 40_000, 32);
    const gram = await gramOf(three, matrix);
    for (const [i, k] of [
      [0, 0],
      [3, 17],
      [31, 30],
    ] as const) {
      let sum = 0;
      for (let r = 0; r < matrix.rows; r++) sum += matrix.values[r * 32 + i]! * matrix.values[r * 32 + k]!;
      expect(Math.abs(gram[i * 32 + k]! - sum)).toBeLessThan(0.02);
    }
    expect(await gramOf(one, filled(one, 40_000, 32))).toEqual(gram);
  });
});

describe('blocks of rows', () => {
  it('cover every row once', () => {
    for (const rows of [0, 1, 31, 33, 5000]) {
      expect(
        blocksOf(rows).flatMap(([first, last]) => Array.from({ length: last - first }, (_, i) => first + i)),
      ).toEqual(Array.from({ length: rows }, (_, i) => i));
    }
    const { rowStart } = sparse(1000, 50, 9);
    const blocks = balancedBlocksOf(rowStart);
    expect(blocks.length).toBeGreaterThan(10);
    expect(blocks[0]![0]).toBe(0);
    expect(blocks.at(-1)![1]).toBe(1000);
    blocks.slice(1).forEach(([first], i) => expect(first).toBe(blocks[i]![1]));
  });
});

describe('inverse', () => {
  it('times the matrix is the identity', async () => {
    const n = 192;
    const factor = filled(three, 400, n);
    const gram = await gramOf(three, factor);
    for (let i = 0; i < n; i++) gram[i * n + i]! += 50;
    const matrix = three.rows(n, n);
    matrix.values.set(gram);
    const shares: number[] = [];
    await invert(three, matrix, (share) => shares.push(share));
    const wanted = inverseOfSmall(gram);
    expect(furthest(matrix.values, wanted)).toBeLessThan(1e-6);
    expect(shares).toEqual([1 / 3, 2 / 3, 1]);
    for (const [r, c] of [
      [5, 5],
      [5, 150],
    ] as const) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += gram[r * n + k]! * wanted[k * n + c]!;
      expect(sum).toBeCloseTo(r === c ? 1 : 0, 9);
    }
  });

  it('of what is not positive definite is refused', () => {
    expect(() => choleskyOf(Float64Array.of(1, 2, 2, 1))).toThrow(/regularization/);
  });
});

describe('singular vectors', () => {
  it('span what the eigenvectors of RᵀR span, with the same values, on any number of threads', async () => {
    const matrix = normalised(sparse(300, 120, 10), 0.5, 0.5);
    const options = { rank: 6, iterations: 40, between: () => undefined };
    const found = await rightSingularVectors(three, matrix, { ...options, random: seededRandom('svd') });
    const dense = denseOf(matrix);
    const gram = new Float64Array(120 * 120);
    for (const line of dense) line.forEach((x, i) => x !== 0 && line.forEach((y, k) => (gram[i * 120 + k]! += x * y)));
    const exact = symmetricEigen(gram, 120);
    for (let j = 0; j < 6; j++) {
      expect(found.values[j]! ** 2).toBeCloseTo(exact.values[j]!, 4);
      let product = 0;
      for (let i = 0; i < 120; i++) product += found.vectors[i * 6 + j]! * exact.vectors[j * 120 + i]!;
      expect(Math.abs(product)).toBeGreaterThan(0.999);
    }
    const alone = await rightSingularVectors(one, matrix, { ...options, random: seededRandom('svd') });
    expect(alone).toEqual(found);
  });

  it('of a matrix of lower rank leave the others zero', async () => {
    const matrix = transposeOf({
      rows: 40,
      columns: 30,
      rowStart: Int32Array.from({ length: 41 }, (_, row) => row),
      indexes: Int32Array.from({ length: 40 }, (_, row) => row % 2),
      values: new Float32Array(40).fill(1),
    });
    const { values } = await rightSingularVectors(one, matrix, {
      rank: 4,
      iterations: 5,
      random: seededRandom('low'),
      between: () => undefined,
    });
    expect(values[0]).toBeCloseTo(Math.sqrt(20), 4);
    expect(values[1]).toBeCloseTo(Math.sqrt(20), 4);
    expect(Math.abs(values[2]!)).toBeLessThan(1e-3);
  });
});

/** (G + λI + Σ s·y·yᵀ) x = Σ (1 + s)·y solved exactly, row by row. */
function exactRows(matrix: SparseMatrix, others: Matrix, ridge: number): number[][] {
  const width = others.columns;
  return Array.from({ length: matrix.rows }, (_, row) => {
    const a = new Float64Array(width * width);
    const b = new Float64Array(width);
    const y = (index: number): Float32Array =>
      others.values.subarray(index * others.stride, (index + 1) * others.stride);
    const addOuter = (vector: Float32Array, scale: number): void =>
      vector.forEach((p, i) => vector.forEach((q, k) => (a[i * width + k]! += scale * p * q)));
    for (let r = 0; r < others.rows; r++) addOuter(y(r), 1);
    for (let i = 0; i < width; i++) a[i * width + i]! += ridge;
    for (let p = matrix.rowStart[row]!; p < matrix.rowStart[row + 1]!; p++) {
      addOuter(y(matrix.indexes[p]!), matrix.values[p]!);
      y(matrix.indexes[p]!).forEach((value, k) => (b[k]! += (1 + matrix.values[p]!) * value));
    }
    const inverse = inverseOfSmall(a);
    return Array.from({ length: width }, (_, r) =>
      b.reduce((sum, value, k) => sum + inverse[r * width + k]! * value, 0),
    );
  });
}

describe('rows of factorisations', () => {
  it('of weighted least squares converge to the exact solution', async () => {
    const matrix = three.sparse(sparse(60, 40, 5));
    const others = filled(three, 40, 16);
    const gram = three.rows(16, 16);
    gram.values.set(await gramOf(three, others));
    const ridges = three.floats(60).fill(0.7);
    const target = three.rows(60, 16);
    const scratch = three.floats(3 * 16);
    const address = (array: { byteOffset: number }): number => array.byteOffset;
    const operands = [
      matrix.rowStart,
      matrix.indexes,
      matrix.values,
      ridges,
      gram.values,
      others.values,
      target.values,
    ];
    await three.run([['confidenceRows', 0, 60, ...operands.map(address), 64, 24, address(scratch)]]);
    expect(furthest(target.values, exactRows(matrix, others, 0.7).flat())).toBeLessThan(2e-4);
  });

  it('of non-negative least squares end where no coordinate can improve', async () => {
    const basis = filled(three, 50, 5);
    for (let i = 0; i < basis.values.length; i++) basis.values[i] = Math.abs(basis.values[i]!);
    const gram = three.rows(16, 16);
    gram.values.set(await gramOf(three, basis));
    const numerators = filled(three, 30, 5, 'numerators');
    for (let i = 0; i < numerators.values.length; i++) numerators.values[i]! *= 50;
    const target = three.rows(30, 5);
    const addresses = [numerators, gram, target].map(({ values }) => values.byteOffset);
    for (let sweep = 0; sweep < 300; sweep++) await three.run([['nonNegativeRows', 0, 30, ...addresses, 64, 5]]);
    for (let row = 0; row < 30; row++) {
      for (let k = 0; k < 5; k++) {
        const x = target.values[row * 16 + k]!;
        let gradient = -numerators.values[row * 16 + k]!;
        for (let j = 0; j < 5; j++) gradient += gram.values[k * 16 + j]! * target.values[row * 16 + j]!;
        expect(x).toBeGreaterThanOrEqual(0);
        if (x > 1e-3) expect(Math.abs(gradient)).toBeLessThan(0.05);
        else expect(gradient).toBeGreaterThan(-0.05);
      }
    }
  });
});
