/**
 * The n items whose vectors have the largest scalar product with a query: the interface, and the exact scan.
 *
 * The kernels' `rowsMax` bounds what one request may cost: beyond it only the rows added last are visited. Where more
 * items than that matter, implement the interface with an approximate index.
 */
import type { ItemVectorTable } from '../../operators/item-vectors.js';
import type { ItemInterner } from './item-interner.js';
import type { TopN } from './top-n.js';
import type { VectorKernels } from './vector-kernels.js';

export interface VectorSearch {
  /** Offers the best items, as interned indexes with their scalar products, to `into`; it is neither cleared nor sorted. */
  search(query: Float32Array, into: TopN): void;
}

/** Over a table whose rows lie in the memory of the kernels. */
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
    private readonly kernels: VectorKernels,
  ) {}

  search(query: Float32Array, into: TopN): void {
    const { vectors: table, kernels } = this;
    const count = Math.min(table.count(), kernels.rowsMax);
    const first = table.count() - count;
    kernels.multiplyRows(query, table.vectors, first, count);
    const { products } = kernels;
    let { threshold } = into;
    for (let i = count - 1; i >= 0; i--) {
      const product = products[i]!;
      if (product < threshold) continue;
      const item = this.itemAt(first + i);
      if (item < 0) continue;
      into.offer(item, product);
      threshold = into.threshold;
    }
  }

  private itemAt(row: number): number {
    const itemId = this.vectors.itemIdAt(row)!;
    const place = row % this.kernels.rowsMax;
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
