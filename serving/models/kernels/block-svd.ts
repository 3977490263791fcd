/**
 * The strongest singular directions of a sparse matrix, by subspace iteration with Rayleigh–Ritz.
 *
 * A block of `rank` + a few random directions is multiplied by RᵀR and made orthonormal again, `iterations` times; the
 * eigenvectors of the small matrix QᵀRᵀRQ then turn the block into singular vectors. Halko, Martinsson, Tropp: "Finding
 * Structure with Randomness" (2011), algorithms 4.4 and 5.1. Costs 2·nnz·(rank + 16) products a half step and about the
 * square of the block's width a row for orthogonality.
 *
 * Directions close to the last ones mix with those left out: their values are lower bounds, tighter with each iteration.
 */
import type { Random } from '../../../streams/random.js';
import type { Matrix } from '../tensors/kernels.js';
import { choleskyOf, gramOf, inverseLower } from './dense.js';
import { type KernelTeam, paddedWidth, type SparseMatrix } from './kernel-team.js';
import { transposeOf } from './sparse.js';
import { symmetricEigen } from './symmetric-eigen.js';

export interface SvdOptions {
  readonly rank: number;
  readonly iterations: number;
  readonly random: Random;
  /** Called after each iteration. */
  readonly between: (iteration: number) => void;
}

export interface RightSingularVectors {
  /** [columns × rank], row-major, orthonormal columns, strongest first; zero columns where the matrix has a lower rank. */
  readonly vectors: Float32Array;
  readonly rank: number;
  /** Singular values, descending. */
  readonly values: Float64Array;
}

/** Directions carried beside the wanted ones: they take up what lies close to the last of them. */
const OVERSAMPLING = 16;

/** `matrix` lies anywhere; what is needed is copied into the team's memory and released. */
export async function rightSingularVectors(
  team: KernelTeam,
  matrix: SparseMatrix,
  options: SvdOptions,
): Promise<RightSingularVectors> {
  const mark = team.mark();
  const forward = team.sparse(matrix);
  const backward = team.sparse(transposeOf(matrix));
  const width = paddedWidth(Math.min(options.rank + OVERSAMPLING, Math.min(matrix.rows, matrix.columns)));
  const [block, image, next] = [
    team.rows(matrix.columns, width),
    team.rows(matrix.rows, width),
    team.rows(matrix.columns, width),
  ];
  for (let i = 0; i < block.values.length; i++) block.values[i] = options.random.gaussian();
  await orthonormalize(team, block, next);
  for (let iteration = 1; iteration <= options.iterations; iteration++) {
    await team.sparseProduct(forward, block, image);
    await team.sparseProduct(backward, image, next);
    block.values.set(next.values);
    await orthonormalize(team, block, next);
    options.between(iteration);
  }
  await team.sparseProduct(forward, block, image);
  const { values, vectors } = symmetricEigen(await gramOf(team, image), width);
  const rank = Math.min(options.rank, width);
  // Column j of the rotation is eigenvector j.
  const rotation = team.rows(width, width);
  for (let j = 0; j < width; j++) {
    for (let k = 0; k < width; k++) rotation.values[k * width + j] = vectors[j * width + k]!;
  }
  await team.teamProduct(block, rotation, next);
  const found = new Float32Array(matrix.columns * rank);
  for (let column = 0; column < matrix.columns; column++) {
    found.set(next.values.subarray(column * width, column * width + rank), column * rank);
  }
  team.release(mark);
  return {
    vectors: found,
    rank,
    values: Float64Array.from(values.subarray(0, rank), (value) => Math.sqrt(Math.max(0, value))),
  };
}

/** Smallest pivot of columns of length 1: below it float32 cannot tell a column from a combination of the others. */
const FLOOR = 1e-6;

/**
 * Columns of the block become orthonormal: Cholesky QR of the columns at length 1, twice because the first time loses
 * digits when columns are close to each other (Yamamoto and others, "Roundoff error analysis of the CholeskyQR2
 * algorithm", 2015). What is left of a column that depends on others is noise: it goes on as a direction like any other,
 * and Rayleigh–Ritz gives it a value near zero.
 */
async function orthonormalize(team: KernelTeam, block: Matrix, scratch: Matrix): Promise<void> {
  const width = block.columns;
  for (let pass = 0; pass < 2; pass++) {
    const gram = await gramOf(team, block);
    const scales = Float64Array.from({ length: width }, (_, i) => 1 / Math.sqrt(gram[i * width + i]! || 1));
    for (let r = 0; r < width; r++) for (let c = 0; c < width; c++) gram[r * width + c]! *= scales[r]! * scales[c]!;
    const inverse = inverseLower(choleskyOf(gram, FLOOR));
    const mark = team.mark();
    const right = team.rows(width, width);
    // Q = block · scales · L⁻ᵀ
    for (let r = 0; r < width; r++) {
      for (let c = 0; c < width; c++) right.values[c * width + r] = inverse[r * width + c]! * scales[c]!;
    }
    await team.teamProduct(block, right, scratch);
    block.values.set(scratch.values);
    team.release(mark);
  }
}
