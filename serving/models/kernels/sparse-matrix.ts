/**
 * Sparse matrices in compressed rows, and their products with thin dense ones: what latent spaces are computed from.
 *
 * Row r holds positions rowStart[r] to rowStart[r + 1] of `columns` and `values`. A product costs entries × width
 * multiplications and runs along memory in both operands.
 */

export interface SparseMatrix {
  readonly rowCount: number;
  readonly columnCount: number;
  readonly rowStart: Int32Array;
  readonly columns: Int32Array;
  readonly values: Float32Array;
}

/** By counting sort; rows come out with ascending columns. */
export function transposed(matrix: SparseMatrix): SparseMatrix {
  const { rowCount, columnCount, rowStart } = matrix;
  const starts = new Int32Array(columnCount + 1);
  for (let p = 0; p < matrix.columns.length; p++) starts[matrix.columns[p]! + 1]!++;
  for (let c = 0; c < columnCount; c++) starts[c + 1]! += starts[c]!;
  const next = starts.slice(0, -1);
  const columns = new Int32Array(matrix.columns.length);
  const values = new Float32Array(matrix.columns.length);
  for (let r = 0; r < rowCount; r++) {
    for (let p = rowStart[r]!; p < rowStart[r + 1]!; p++) {
      const place = next[matrix.columns[p]!]!++;
      columns[place] = r;
      values[place] = matrix.values[p]!;
    }
  }
  return { rowCount: columnCount, columnCount: rowCount, rowStart: starts, columns, values };
}

/** into ← matrix · dense; `dense` is columnCount × width, `into` rowCount × width, both row-major without gaps. */
export function multiplySparse(matrix: SparseMatrix, dense: Float32Array, into: Float32Array, width: number): void {
  const { rowStart, columns, values } = matrix;
  for (let r = 0; r < matrix.rowCount; r++) {
    const target = r * width;
    into.fill(0, target, target + width);
    let p = rowStart[r]!;
    const end = rowStart[r + 1]!;
    // Four at a time: the target row is read and written a quarter as often.
    for (; p + 4 <= end; p += 4) {
      const [a, b, c, d] = [values[p]!, values[p + 1]!, values[p + 2]!, values[p + 3]!];
      const [i, j] = [columns[p]! * width, columns[p + 1]! * width];
      const [k, l] = [columns[p + 2]! * width, columns[p + 3]! * width];
      for (let w = 0; w < width; w++) {
        into[target + w]! += a * dense[i + w]! + b * dense[j + w]! + c * dense[k + w]! + d * dense[l + w]!;
      }
    }
    for (; p < end; p++) {
      const [a, i] = [values[p]!, columns[p]! * width];
      for (let w = 0; w < width; w++) into[target + w]! += a * dense[i + w]!;
    }
  }
}
