/**
 * Interactions as sparse matrices: users × items, each pair once, and its transpose.
 *
 * Invariant: columns of a row ascend and are distinct.
 */
import type { TrainingSet } from '../training-set.js';
import type { SparseMatrix } from './kernel-team.js';

/** What a pair's entry is when it was met several times. */
export type PairValue = 'binary' | 'sum' | 'last';

/** Users × items; `value` of several interactions of a pair: 1, the sum of their weights, or the last weight. */
export function interactionsOf(
  set: Pick<TrainingSet, 'rowStart' | 'items' | 'weights' | 'itemIds'>,
  value: PairValue = 'binary',
): SparseMatrix {
  const rows = set.rowStart.length - 1;
  const rowStart = new Int32Array(rows + 1);
  const indexes = new Int32Array(set.items.length);
  const values = new Float32Array(set.items.length);
  const met = new Map<number, number>();
  let length = 0;
  for (let row = 0; row < rows; row++) {
    met.clear();
    for (let p = set.rowStart[row]!; p < set.rowStart[row + 1]!; p++) {
      const [item, weight] = [set.items[p]!, set.weights[p]!];
      const before = met.get(item) ?? 0;
      met.set(item, value === 'binary' ? 1 : value === 'sum' ? before + weight : weight);
    }
    const items = Int32Array.from(met.keys()).sort();
    for (const item of items) {
      indexes[length] = item;
      values[length++] = met.get(item)!;
    }
    rowStart[row + 1] = length;
  }
  return {
    rows,
    columns: set.itemIds.length,
    rowStart,
    indexes: indexes.slice(0, length),
    values: values.slice(0, length),
  };
}

/** By counting sort: O(entries). */
export function transposeOf({ rows, columns, rowStart, indexes, values }: SparseMatrix): SparseMatrix {
  const start = new Int32Array(columns + 1);
  for (const column of indexes) start[column + 1]!++;
  for (let column = 0; column < columns; column++) start[column + 1]! += start[column]!;
  const next = start.slice(0, -1);
  const into = { indexes: new Int32Array(indexes.length), values: new Float32Array(values.length) };
  for (let row = 0; row < rows; row++) {
    for (let p = rowStart[row]!; p < rowStart[row + 1]!; p++) {
      const place = next[indexes[p]!]!++;
      into.indexes[place] = row;
      into.values[place] = values[p]!;
    }
  }
  return { rows: columns, columns: rows, rowStart: start, ...into };
}

/** Sums of the values of each row. */
export function rowSumsOf({ rows, rowStart, values }: SparseMatrix): Float64Array {
  const sums = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    for (let p = rowStart[row]!; p < rowStart[row + 1]!; p++) sums[row]! += values[p]!;
  }
  return sums;
}

/** rows^−rowExponent · matrix · columns^−columnExponent, by the sums of rows and columns; empty ones stay empty. */
export function normalised(matrix: SparseMatrix, rowExponent: number, columnExponent: number): SparseMatrix {
  const rowScales = rowSumsOf(matrix).map((sum) => scaleOf(sum, rowExponent));
  const columnScales = rowSumsOf(transposeOf(matrix)).map((sum) => scaleOf(sum, columnExponent));
  const values = matrix.values.slice();
  for (let row = 0; row < matrix.rows; row++) {
    for (let p = matrix.rowStart[row]!; p < matrix.rowStart[row + 1]!; p++) {
      values[p]! *= rowScales[row]! * columnScales[matrix.indexes[p]!]!;
    }
  }
  return { ...matrix, values };
}

/** sum^−exponent; 0 for what has nothing. */
export function scaleOf(sum: number, exponent: number): number {
  return sum > 0 ? sum ** -exponent : 0;
}
