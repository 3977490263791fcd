/**
 * The n items whose vectors have the largest scalar product with a query: the interface, and the exact scan.
 *
 * The scan looks at the first `HEAD` dimensions of a row, then skips the rest when not even equality of direction
 * (Cauchy–Schwarz on the remaining norms) could lift it above the n-th best so far. Exact, and fast enough up to about 20,000
 * vectors of 64 dimensions; beyond that, or where a request has less time, pass `rowsMax` (the rows visited are then the
 * most recently added) or implement the interface with an approximate index.
 */
import type { ItemVectorTable } from '../../operators/item-vectors.js';
import type { ItemInterner } from './item-interner.js';
import type { TopN } from './top-n.js';

export interface VectorSearch {
  /** Offers the best items, as interned indexes with their scalar products, to `into`; it is neither cleared nor sorted. */
  search(query: Float32Array, into: TopN): void;
}

const HEAD = 16;

export class ExactVectorSearch implements VectorSearch {
  constructor(
    private readonly vectors: ItemVectorTable,
    private readonly interner: ItemInterner,
    private readonly rowsMax = 20_000,
  ) {}

  search(query: Float32Array, into: TopN): void {
    const { vectors: table, interner } = this;
    const { dimensions, vectors } = table;
    const head = Math.min(HEAD, dimensions);
    let headSquare = 0;
    let tailSquare = 0;
    for (let k = 0; k < dimensions; k++) {
      const square = query[k]! * query[k]!;
      if (k < head) headSquare += square;
      else tailSquare += square;
    }
    const queryNorm = Math.sqrt(headSquare + tailSquare);
    const tailNorm = Math.sqrt(tailSquare);
    const count = table.count();
    const first = Math.max(0, count - this.rowsMax);
    for (let row = count - 1; row >= first; row--) {
      const threshold = into.threshold;
      const norm = table.normAt(row);
      if (norm * queryNorm < threshold) continue;
      const start = row * dimensions;
      let product = 0;
      let seen = 0;
      for (let k = 0; k < head; k++) {
        const value = vectors[start + k]!;
        product += value * query[k]!;
        seen += value * value;
      }
      if (product + Math.sqrt(Math.max(0, norm * norm - seen)) * tailNorm < threshold - 1e-6) continue;
      for (let k = head; k < dimensions; k++) product += vectors[start + k]! * query[k]!;
      const item = interner.indexOf(table.itemIdAt(row)!);
      if (item >= 0) into.offer(item, product);
    }
  }
}
