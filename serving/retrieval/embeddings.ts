/**
 * Source `embeddings`: items whose vectors the person's own vector points at.
 *
 * Only vectors of one space are compared: a person whose vector is of another space gets nothing from here. Negative
 * products are no candidates.
 */
import type { ItemTables } from '../tables/item-tables.js';
import { TopN } from '../tables/top-n.js';
import type { RetrievalRequest } from './request.js';
import type { CandidateBuffer, RetrievalSource } from './source.js';
import { CONTEXT_ITEMS_MAX } from './request.js';

export class EmbeddingSource implements RetrievalSource {
  readonly name = 'embeddings';
  readonly reason = 'taste';
  private found: TopN | undefined;

  retrieve(request: RetrievalRequest, tables: ItemTables, into: CandidateBuffer): void {
    const { embedding } = request;
    if (embedding === undefined || tables.vectors.count() === 0) return;
    // Room for the context's items, which are usually the nearest.
    this.found ??= new TopN(into.capacity + CONTEXT_ITEMS_MAX, tables.items);
    const { found } = this;
    found.clear();
    tables.vectorSearch.search(embedding, found);
    for (let i = 0; i < found.length; i++) {
      const item = found.items[i]!;
      if (found.scores[i]! > 0 && !request.isContext(item)) into.offer(item, found.scores[i]!);
    }
  }
}
