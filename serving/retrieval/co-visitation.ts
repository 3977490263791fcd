/**
 * Source `co-visitation`: what is met together with the context's items, whoever met it.
 *
 * Score of j = Σ_d contextDecay^d × P(j | item at distance d), with P the share the item stage publishes (it
 * damps items known from few pairs). Unlike sessions, pairs do not run out of a ring: this source still knows what
 * goes with an item nobody has met for days.
 */
import type { ItemTables } from '../tables/item-tables.js';
import { Accumulator } from '../tables/top-n.js';
import type { RetrievalRequest } from './request.js';
import { offerSums, type CandidateBuffer, type RetrievalSource } from './source.js';

export interface CoVisitationSourceConfig {
  readonly contextItems?: number;
  readonly contextDecay?: number;
  /** Neighbours looked at per context item, strongest first. */
  readonly neighbours?: number;
}

export class CoVisitationSource implements RetrievalSource {
  readonly name = 'co-visitation';
  readonly reason = 'together';
  private readonly config: Required<CoVisitationSourceConfig>;
  private readonly sums = new Accumulator();

  constructor(config: CoVisitationSourceConfig = {}) {
    const { contextItems = 5, contextDecay = 0.5, neighbours = 100 } = config;
    this.config = { contextItems, contextDecay, neighbours };
  }

  retrieve(request: RetrievalRequest, tables: ItemTables, into: CandidateBuffer): void {
    const { neighbours: table } = tables;
    const { contextItems, contextDecay, neighbours } = this.config;
    const { sums } = this;
    sums.clear(tables.items.count);
    const depth = Math.min(request.contextLength, contextItems);
    let weight = 1;
    for (let d = 0; d < depth; d++) {
      const item = request.context[d]!;
      const start = table.startOf(item);
      const end = start + Math.min(neighbours, table.countOf(item));
      for (let i = start; i < end; i++) sums.add(table.items[i]!, weight * table.shares[i]!);
      weight *= contextDecay;
    }
    offerSums(sums, request, into);
  }
}
