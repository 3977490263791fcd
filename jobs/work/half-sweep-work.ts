/**
 * Half-sweeps of ials in shards: rows of one side each, with about as many entries as the next.
 *
 * The entries are sent once a fit; with each half-sweep the other side's vectors once, and each shard's old vectors. Workers
 * run the kernel that a single process runs, so the vectors are the same bytes.
 */
import { type RowEquations, type RowSolver, solveRows } from '../../serving/models/ials/half-sweep.js';
import type { KernelTeam, SparseMatrix } from '../../serving/models/kernels/kernel-team.js';
import { bytesOf } from '../../serving/models/model-files.js';
import type { Matrix } from '../../serving/models/tensors/kernels.js';
import type { BlobRef } from './blob-store.js';
import { floatsOf, intsOf, packParts, unpackParts } from './packed-parts.js';
import type { WorkPool } from './work-pool.js';

interface HalfSweepValues {
  readonly rows: number;
  readonly others: number;
  /** Floats of a row. */
  readonly width: number;
  readonly steps: number;
}

interface RowShard {
  readonly first: number;
  readonly last: number;
  /** Entries and ridges. */
  readonly entries: BlobRef;
}

/** Of one side: enough for eight workers to end at about the same time. */
const SHARDS = 16;

export class SharedRows implements RowSolver {
  private readonly sides = new Map<SparseMatrix, readonly RowShard[]>();

  constructor(
    private readonly pool: WorkPool,
    private readonly signal: AbortSignal,
  ) {}

  async solve({ matrix, ridges, gram, others, rows, steps }: RowEquations): Promise<void> {
    const { pool, signal } = this;
    const side = this.sides.get(matrix) ?? (await this.cut(matrix, ridges));
    const still = await pool.share(packParts({ gram: gram.values, others: others.values }));
    try {
      const width = rows.stride;
      const shards = side.map(({ first, last, entries }) => {
        const values: HalfSweepValues = { rows: last - first, others: others.rows, width, steps };
        const old = bytesOf(rows.values.subarray(first * width, last * width));
        return { kind: 'half-sweep' as const, values, inputs: [entries, still, old] };
      });
      const answers = await pool.run(shards, signal);
      answers.forEach((answer, i) => rows.values.set(floatsOf(answer), side[i]!.first * width));
    } finally {
      await pool.forget(still);
    }
  }

  /** Takes back what was sent. Idempotent. */
  async close(): Promise<void> {
    for (const side of this.sides.values()) await this.pool.forget(...side.map(({ entries }) => entries));
    this.sides.clear();
  }

  private async cut(matrix: SparseMatrix, ridges: Float32Array): Promise<readonly RowShard[]> {
    const side: RowShard[] = [];
    this.sides.set(matrix, side);
    for (const [first, last] of shardsOf(matrix.rowStart)) {
      const [from, to] = [matrix.rowStart[first]!, matrix.rowStart[last]!];
      const parts = {
        rowStart: matrix.rowStart.slice(first, last + 1).map((place) => place - from),
        indexes: matrix.indexes.subarray(from, to),
        values: matrix.values.subarray(from, to),
        ridges: ridges.subarray(first, last),
      };
      side.push({ first, last, entries: await this.pool.share(packParts(parts)) });
    }
    return side;
  }
}

/** Rows in at most `SHARDS` runs of about equal numbers of entries; empty rows cost a little, too. */
export function shardsOf(rowStart: Int32Array): [first: number, last: number][] {
  const rows = rowStart.length - 1;
  const cost = (row: number): number => rowStart[row]! + 2 * row;
  const shards: [number, number][] = [];
  for (let first = 0, last = 1; last <= rows; last++) {
    const share = ((shards.length + 1) / SHARDS) * cost(rows);
    if (last < rows && cost(last) < share) continue;
    shards.push([first, last]);
    first = last;
  }
  return shards;
}

/** At a worker: new vectors of the shard's rows. `entries` may be the same object again and again. */
export async function workHalfSweep(
  raw: object,
  [entries, still, old]: readonly Uint8Array[],
  team: KernelTeam,
): Promise<Uint8Array> {
  const { rows, others, width, steps } = raw as HalfSweepValues;
  const mark = team.mark();
  try {
    const parts = unpackParts(entries!);
    const { gram, others: otherValues } = unpackParts(still!);
    const matrixOf = (count: number, values: Uint8Array): Matrix => {
      const matrix = team.rows(count, width);
      matrix.values.set(floatsOf(values));
      return matrix;
    };
    const equations: RowEquations = {
      matrix: team.sparse({
        rows,
        columns: others,
        rowStart: intsOf(parts['rowStart']!),
        indexes: intsOf(parts['indexes']!),
        values: floatsOf(parts['values']!),
      }),
      ridges: team.floats(rows),
      gram: matrixOf(width, gram!),
      others: matrixOf(others, otherValues!),
      rows: matrixOf(rows, old!),
      steps,
    };
    equations.ridges.set(floatsOf(parts['ridges']!));
    await solveRows(team, equations);
    return bytesOf(equations.rows.values);
  } finally {
    team.release(mark);
  }
}
