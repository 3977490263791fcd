/**
 * Candidates for a person from neighbours: what similar people met, what is similar to the last items, what is popular in
 * the person's categories.
 *
 * In turns: 20 items each of 50 similar people (cosine above .1 of their vectors), 20 items similar to each of the last 10,
 * 30 popular ones in each category of the history; without what was met or is excluded, each once, 1,000 at most. A
 * candidate carries all sources that named it and the strongest similarity.
 *
 * Invariant: vectors of the index and of the person are of one space, the model's; a model without vectors contributes
 * popularity in categories alone. Concurrency: `build` gives others their turn, `candidates` is synchronous.
 */
import type { Model, ModelQuery } from '../model.js';
import { buildIndex } from '../vectors/choose-index.js';
import type { VectorIndex } from '../vectors/vector-index.js';
import { type CandidateParts, likenessOf, rowOf, SIMILAR_ITEMS } from './candidate-parts.js';

export interface CandidateLimits {
  readonly similarUsers: number;
  readonly itemsPerUser: number;
  readonly similarityMin: number;
  readonly lastItems: number;
  readonly similarItems: number;
  readonly popularPerCategory: number;
  readonly total: number;
}

export const CANDIDATE_LIMITS: CandidateLimits = {
  similarUsers: 50,
  itemsPerUser: 20,
  similarityMin: 0.1,
  lastItems: 10,
  similarItems: SIMILAR_ITEMS,
  popularPerCategory: 30,
  total: 1000,
};

export type CandidateSource = 'similar-users' | 'similar-items' | 'popular-in-category';

export interface Candidate {
  readonly item: number;
  readonly sources: readonly CandidateSource[];
  /** Largest similarity of a source that has one; 0 otherwise. */
  readonly similarity: number;
}

/** Asked for beyond the 50: who has nothing new, as the person's own row of the training set, takes nobody's place. */
const SPARE_USERS = 10;
/** People from which on the index is a graph: an exact scan of more takes longer than all else. */
const EXACT_BELOW = 1_000;
/** About two milliseconds of insertions. */
const ROWS_PER_TURN = 16;

export class CandidateGenerator {
  private readonly person: (query: ModelQuery) => Float32Array | undefined;

  private constructor(
    model: Model,
    private readonly parts: Omit<CandidateParts, 'people'>,
    private readonly people: VectorIndex,
    private readonly limits: CandidateLimits,
  ) {
    const likeness = likenessOf(model);
    this.person = (query) => likeness?.person(query);
  }

  /** Puts the people into an index; their vectors are not kept beside it. */
  static async build(
    { people, ...parts }: CandidateParts,
    model: Model,
    options: { readonly nextTurn: () => Promise<void>; readonly limits?: Partial<CandidateLimits> },
  ): Promise<CandidateGenerator> {
    const { nextTurn, limits } = options;
    const index = await buildIndex(people, {
      ...{ dimensions: Math.max(1, parts.dimensions), similarity: 'cosine', exactBelow: EXACT_BELOW },
      ...{ nextTurn, rowsPerTurn: ROWS_PER_TURN },
    });
    return new CandidateGenerator(model, parts, index, { ...CANDIDATE_LIMITS, ...limits });
  }

  /** Best sources first, in turns between them. */
  candidates(query: ModelQuery): Candidate[] {
    const left = new Set([...query.items, ...(query.excluded ?? [])]);
    const found = new Map<number, { sources: CandidateSource[]; similarity: number }>();
    const lists = [this.fromUsers(query), this.fromItems(query), this.fromCategories(query, left)];
    const longest = Math.max(...lists.map(({ length }) => length));
    // In turns, so that the bound cuts every source alike.
    for (let place = 0; place < longest; place++) {
      for (const list of lists) {
        const named = list[place];
        if (named === undefined || left.has(named.item)) continue;
        const known = found.get(named.item);
        if (known === undefined) {
          if (found.size < this.limits.total) {
            found.set(named.item, { sources: [named.source], similarity: named.similarity });
          }
          continue;
        }
        if (!known.sources.includes(named.source)) known.sources.push(named.source);
        known.similarity = Math.max(known.similarity, named.similarity);
      }
    }
    return [...found].map(([item, rest]) => ({ item, ...rest }));
  }

  /** The last items of people with similar vectors; the most similar person first. */
  private fromUsers(query: ModelQuery): Named[] {
    const { similarUsers, similarityMin, itemsPerUser } = this.limits;
    const isAny = query.items.length > 0 && this.people.size > 0;
    const vector = isAny ? this.person(query) : undefined;
    if (vector === undefined) return [];
    const { keys, similarities } = this.people.search(vector, similarUsers + SPARE_USERS);
    const met = new Set(query.items);
    const named: Named[] = [];
    let people = 0;
    for (let place = 0; place < keys.length && people < similarUsers; place++) {
      const similarity = similarities[place]!;
      if (!(similarity > similarityMin)) break;
      const items = rowOf(this.parts.met, keys[place]!);
      const before = named.length;
      // Newest first.
      for (let i = items.length - 1; i >= 0 && named.length < before + itemsPerUser; i--) {
        const item = items[i]!;
        if (!met.has(item)) named.push({ item, source: 'similar-users', similarity });
      }
      if (named.length > before) people++;
    }
    return named;
  }

  private fromItems(query: ModelQuery): Named[] {
    const { similar, similarities } = this.parts;
    const { lastItems, similarItems } = this.limits;
    const named: Named[] = [];
    for (const item of [...new Set(query.items.toReversed())].slice(0, lastItems)) {
      for (let k = 0; k < similarItems; k++) {
        const place = item * SIMILAR_ITEMS + k;
        // Beyond the end for an item that was folded in since.
        const other = similar[place] ?? -1;
        if (other >= 0) named.push({ item: other, source: 'similar-items', similarity: similarities[place]! });
      }
    }
    return named;
  }

  private fromCategories(query: ModelQuery, left: ReadonlySet<number>): Named[] {
    const { categoriesOf, popularIn } = this.parts;
    const { popularPerCategory, total } = this.limits;
    const own = new Set<number>();
    for (const item of query.items) for (const category of rowOf(categoriesOf, item)) own.add(category);
    const named: Named[] = [];
    for (const category of own) {
      // More of one source than of all together is never taken.
      if (named.length >= total) break;
      let count = 0;
      for (const item of rowOf(popularIn, category)) {
        if (count >= popularPerCategory) break;
        if (left.has(item)) continue;
        named.push({ item, source: 'popular-in-category', similarity: 0 });
        count++;
      }
    }
    return named;
  }
}

interface Named {
  readonly item: number;
  readonly source: CandidateSource;
  readonly similarity: number;
}
