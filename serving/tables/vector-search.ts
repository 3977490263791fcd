/**
 * The n items whose vectors have the largest scalar product with a query: the interface, and the exact scan.
 *
 * A row is skipped when not even equal direction (Cauchy–Schwarz: |row| × |query|) could lift it above the n-th best so
 * far. The scan takes about .1 µs a row of 64 dimensions; `rowsMax` bounds what one request may cost, and beyond it only
 * the rows added last are visited. Where more items than that matter, implement the interface with an approximate index.
 */
import type { ItemVectorTable } from '../../operators/item-vectors.js';
import type { ItemInterner } from './item-interner.js';
import type { TopN } from './top-n.js';

export interface VectorSearch {
  /** Offers the best items, as interned indexes with their scalar products, to `into`; it is neither cleared nor sorted. */
  search(query: Float32Array, into: TopN): void;
}

/** 2,048 rows are about .2 ms: what a request can spare. */
const ROWS_MAX = 2048;

export class ExactVectorSearch implements VectorSearch {
  /**
   * Index of the item of a row, by row modulo `rowsMax`, with the table's own text to tell whether the row still holds
   * it: comparing a text with itself costs nothing, looking it up among 100,000 was a third of a scan.
   */
  private readonly knownIds: string[] = [];
  private readonly knownItems: number[] = [];

  constructor(
    private readonly vectors: ItemVectorTable,
    private readonly interner: ItemInterner,
    private readonly rowsMax = ROWS_MAX,
  ) {}

  search(query: Float32Array, into: TopN): void {
    const { vectors: table } = this;
    const { dimensions, vectors } = table;
    let square = 0;
    for (let k = 0; k < dimensions; k++) square += query[k]! * query[k]!;
    const queryNorm = Math.sqrt(square);
    const count = table.count();
    const first = Math.max(0, count - this.rowsMax);
    for (let row = count - 1; row >= first; row--) {
      const threshold = into.threshold;
      // The norm is stored as f32: a hair of tolerance keeps the bound safe.
      if (table.normAt(row) * queryNorm * 1.000001 < threshold) continue;
      const product = dot(vectors, row * dimensions, query, dimensions);
      if (product < threshold) continue;
      const item = this.itemAt(row);
      if (item >= 0) into.offer(item, product);
    }
  }

  private itemAt(row: number): number {
    const itemId = this.vectors.itemIdAt(row)!;
    const place = row % this.rowsMax;
    if (this.knownIds[place] === itemId) return this.knownItems[place]!;
    const item = this.interner.indexOf(itemId);
    // One that is not known yet may be later.
    if (item >= 0) {
      this.knownIds[place] = itemId;
      this.knownItems[place] = item;
    }
    return item;
  }
}

/** Four sums at once: the additions of one would wait for each other. */
function dot(vectors: Float32Array, start: number, query: Float32Array, dimensions: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  const even = dimensions & ~3;
  for (let k = 0; k < even; k += 4) {
    a += vectors[start + k]! * query[k]!;
    b += vectors[start + k + 1]! * query[k + 1]!;
    c += vectors[start + k + 2]! * query[k + 2]!;
    d += vectors[start + k + 3]! * query[k + 3]!;
  }
  for (let k = even; k < dimensions; k++) a += vectors[start + k]! * query[k]!;
  return a + b + (c + d);
}
