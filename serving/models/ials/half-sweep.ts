/**
 * The equations of one half-sweep and who solves them: new vectors for the rows of one side, the other side held still.
 *
 * A row's new vector depends on its own entries, its old vector and the other side alone, so rows may be solved in any
 * cut, by any number of threads or processes, to the same bytes.
 */
import { balancedBlocksOf, type KernelCall, type KernelTeam, type SparseMatrix } from '../kernels/kernel-team.js';
import type { Matrix } from '../tensors/kernels.js';

/** Everything dense is as wide as `rows.stride`, a multiple of what row kernels need. */
export interface RowEquations {
  /** Entries by row: columns are rows of `others`, values are strengths. */
  readonly matrix: SparseMatrix;
  /** λ of each row. */
  readonly ridges: Float32Array;
  /** Sum of y·yᵀ over all of `others`. */
  readonly gram: Matrix;
  readonly others: Matrix;
  /** The old vectors, replaced by the new ones. */
  readonly rows: Matrix;
  /** Steps of conjugate gradients a row. */
  readonly steps: number;
}

/** Solves half-sweeps elsewhere. One call at a time. */
export interface RowSolver {
  /** Writes the new vectors into `equations.rows`. */
  solve(equations: RowEquations): Promise<void>;
}

const SCRATCH_ROWS = 3;
/** More blocks than `balancedBlocksOf` ever makes. */
const SCRATCH_BLOCKS = 96;

/** In this process, over the team's threads; everything lies in the team's memory. */
export async function solveRows(team: KernelTeam, equations: RowEquations): Promise<void> {
  const { matrix, ridges, gram, others, rows, steps } = equations;
  const mark = team.mark();
  const scratch = team.floats(SCRATCH_ROWS * SCRATCH_BLOCKS * rows.stride);
  const operands = [matrix.rowStart, matrix.indexes, matrix.values, ridges, gram.values, others.values, rows.values];
  const calls: KernelCall[] = balancedBlocksOf(matrix.rowStart).map(([first, last], block) => [
    'confidenceRows',
    ...[first, last],
    ...operands.map((array) => array.byteOffset),
    ...[rows.stride * 4, steps, scratch.byteOffset + block * SCRATCH_ROWS * rows.stride * 4],
  ]);
  await team.run(calls);
  team.release(mark);
}
