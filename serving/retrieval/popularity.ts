/**
 * Sources that need to know nothing of the person, or little: `trending` (mostly short half-lives), `popularity` (long), and
 * popularity within the categories they care for and the segments they belong to.
 *
 * Lists are kept sorted by the tables, so a source only copies a prefix. A score is the item's decayed count relative to the
 * list's first; of several categories or segments, weighted by the person's affinities.
 */
import type { ItemTables } from '../tables/item-tables.js';
import type { PopularityTable } from '../tables/popularity-table.js';
import type { TopList } from '../tables/top-list.js';
import { Accumulator, TopN } from '../tables/top-n.js';
import type { RetrievalRequest } from './request.js';
import { offerSums, type CandidateBuffer, type ReasonId, type RetrievalSource } from './source.js';

/** Places of the popularity operator's default half-lives: 10 min, 1 h, 6 h, 24 h, 7 d. */
export const TRENDING_HALF_LIFE = 1;
export const POPULAR_HALF_LIFE = 2;
/** Place of the segment half-lives: 1 h, 24 h. */
const SEGMENT_HALF_LIFE = 0;

/** Overall list of one half-life. */
export class PopularitySource implements RetrievalSource {
  constructor(
    readonly name: string,
    readonly reason: ReasonId,
    private readonly halfLife: number,
  ) {}

  retrieve(request: RetrievalRequest, tables: ItemTables, into: CandidateBuffer): void {
    const list = tables.popularity.top(this.halfLife);
    // Items of the context are passed over.
    const counts = list.relativeCounts(into.capacity + request.contextLength);
    for (let i = 0; i < list.length && into.length < into.capacity; i++) {
      if (!request.isContext(list.items[i]!)) into.offer(list.items[i]!, counts[i]!);
    }
  }
}

/** How much each half-life counts in what is trending: mostly the last minutes, the rest against their noise. */
const TRENDING_MIXTURE: readonly number[] = [0.7, 0.15, 0.1, 0.05];

/**
 * Trending: a mixture over half-lives of each item's share of the list's signals. The same for everybody, so it is made once
 * for the many requests between two changes of the lists.
 */
export class TrendingSource implements RetrievalSource {
  readonly name = 'trending';
  readonly reason = 'trending';
  private readonly sums = new Accumulator();
  private sorted: TopN | undefined;
  /** What `sorted` was made of. */
  private popularity: PopularityTable | undefined;
  private changes = -1;

  constructor(private readonly mixture: readonly number[] = TRENDING_MIXTURE) {}

  retrieve(request: RetrievalRequest, tables: ItemTables, into: CandidateBuffer): void {
    const { items, scores, length } = this.sortedOf(tables, into.capacity);
    for (let i = 0; i < length && into.length < into.capacity; i++) {
      if (!request.isContext(items[i]!)) into.offer(items[i]!, scores[i]!);
    }
  }

  /** @param places of each list that go in */
  private sortedOf(tables: ItemTables, places: number): TopN {
    const { popularity } = tables;
    const capacity = places * this.mixture.length;
    if (this.sorted?.capacity !== capacity || this.popularity !== popularity) {
      this.sorted = new TopN(capacity, tables.items);
      this.popularity = popularity;
      this.changes = -1;
    }
    const { sorted } = this;
    if (this.changes === popularity.changes) return sorted;
    this.sum(tables, places);
    sorted.clear();
    this.sums.offerTo(sorted);
    sorted.sort();
    this.changes = popularity.changes;
    return sorted;
  }

  private sum(tables: ItemTables, places: number): void {
    const { sums, mixture } = this;
    sums.clear(tables.items.count);
    for (let h = 0; h < mixture.length; h++) {
      const list = tables.popularity.top(h);
      const count = Math.min(list.length, places);
      const counts = list.relativeCounts(count);
      let total = 0;
      for (let i = 0; i < count; i++) total += counts[i]!;
      for (let i = 0; i < count; i++) sums.add(list.items[i]!, (mixture[h]! * counts[i]!) / total);
    }
  }
}

/** Popular in the person's categories: each category contributes by its share of the affinities. */
export class CategoryPopularitySource implements RetrievalSource {
  readonly name = 'category-popularity';
  readonly reason = 'popular-in-category';
  private readonly sums = new Accumulator();

  constructor(private readonly halfLife = POPULAR_HALF_LIFE) {}

  retrieve(request: RetrievalRequest, tables: ItemTables, into: CandidateBuffer): void {
    if (request.categoryCount === 0) return;
    this.sums.clear(tables.items.count);
    for (let i = 0; i < request.categoryCount; i++) {
      const list = tables.popularity.topOfCategory(request.categories[i]!, this.halfLife);
      addList(this.sums, list, request.categoryWeights[i]!, into.capacity);
    }
    offerSums(this.sums, request, into);
  }
}

/** Popular among people of the same segments, each counting alike. */
export class SegmentPopularitySource implements RetrievalSource {
  readonly name = 'segment-popularity';
  readonly reason = 'popular-in-segment';
  private readonly sums = new Accumulator();

  retrieve(request: RetrievalRequest, tables: ItemTables, into: CandidateBuffer): void {
    const { segments } = request;
    if (segments.length === 0) return;
    this.sums.clear(tables.items.count);
    for (let i = 0; i < segments.length; i++) {
      const list = tables.popularity.topOfSegment(segments[i]!, SEGMENT_HALF_LIFE);
      addList(this.sums, list, 1 / segments.length, into.capacity);
    }
    offerSums(this.sums, request, into);
  }
}

function addList(sums: Accumulator, list: TopList | undefined, weight: number, limit: number): void {
  if (list === undefined) return;
  const count = Math.min(list.length, limit);
  const counts = list.relativeCounts(count);
  for (let i = 0; i < count; i++) sums.add(list.items[i]!, weight * counts[i]!);
}
