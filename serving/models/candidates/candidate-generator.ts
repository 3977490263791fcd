/**
 * Candidates for a person from neighbours: what similar people met, what is similar to the last items, what is popular in
 * the person's categories.
 *
 * In turns: 20 items each of 50 similar people (cosine above .1 of their vectors), 20 items similar to each of the last 10,
 * 30 popular ones in each category of the history; without what was met or is excluded, each once, 1,000 at most. A
 * candidate carries all sources that named it and the strongest similarity.
 *
 * Invariant: vectors of the index and of the person are of one space, the model's; a model without vectors contributes
 * popularity in categories alone.
 */
import { topOf } from '../fitting.js';
import type { Model, ModelQuery } from '../model.js';
import { columnsOf, type TrainingSet } from '../training-set.js';
import { indexOf } from '../vectors/choose-index.js';
import type { VectorIndex } from '../vectors/vector-index.js';

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
  similarItems: 20,
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

/** Questions folded in before the event loop is given a turn. */
const USERS_PER_TURN = 500;

export class CandidateGenerator {
  private constructor(
    private readonly set: TrainingSet,
    private readonly model: Model,
    private readonly parts: {
      readonly users: VectorIndex | undefined;
      readonly items: VectorIndex | undefined;
      readonly popular: ReadonlyMap<string, Int32Array>;
    },
    private readonly limits: CandidateLimits,
  ) {}

  /** Folds every person of the set into an index. */
  static async build(
    set: TrainingSet,
    model: Model,
    options: { readonly nextTurn: () => Promise<void>; readonly limits?: Partial<CandidateLimits> },
  ): Promise<CandidateGenerator> {
    const limits = { ...CANDIDATE_LIMITS, ...options.limits };
    const vectors = model.itemVectors();
    const popular = popularByCategory(set, limits.popularPerCategory + limits.total);
    if (vectors === undefined) {
      return new CandidateGenerator(set, model, { users: undefined, items: undefined, popular }, limits);
    }
    const { dimensions } = vectors;
    const people = new Float32Array(set.userIds.length * dimensions);
    for (let user = 0; user < set.userIds.length; user++) {
      const items = rowOf(set, user);
      const vector = items.length === 0 ? undefined : model.foldInUser({ user, items });
      if (vector !== undefined) people.set(vector, user * dimensions);
      if (user % USERS_PER_TURN === USERS_PER_TURN - 1) await options.nextTurn();
    }
    const users = indexOf(people, { dimensions, similarity: 'cosine' });
    const items = indexOf(vectors.values, { dimensions, similarity: 'cosine' });
    return new CandidateGenerator(set, model, { users, items, popular }, limits);
  }

  /** Best sources first, in turns between them. */
  candidates(query: ModelQuery): Candidate[] {
    const left = new Set([...query.items, ...(query.excluded ?? [])]);
    const found = new Map<number, { sources: CandidateSource[]; similarity: number }>();
    const lists = [this.fromUsers(query), this.fromItems(query), this.fromCategories(query)];
    // In turns, so that the bound cuts every source alike.
    for (let place = 0; lists.some((list) => place < list.length); place++) {
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
    const { users } = this.parts;
    const vector = query.items.length === 0 ? undefined : this.model.foldInUser(query);
    if (users === undefined || vector === undefined) return [];
    const { keys, similarities } = users.search(vector, this.limits.similarUsers + 1);
    const named: Named[] = [];
    let people = 0;
    keys.forEach((user, place) => {
      const similarity = similarities[place]!;
      const isOther = user !== query.user && similarity > this.limits.similarityMin;
      if (!isOther || people >= this.limits.similarUsers) return;
      people++;
      const met = new Set(query.items);
      const items = [...new Set(rowOf(this.set, user))].filter((item) => !met.has(item));
      for (const item of items.slice(-this.limits.itemsPerUser))
        named.push({ item, source: 'similar-users', similarity });
    });
    return named;
  }

  private fromItems(query: ModelQuery): Named[] {
    const { items } = this.parts;
    const vectors = this.model.itemVectors();
    if (items === undefined || vectors === undefined) return [];
    const { dimensions, values } = vectors;
    const last = [...new Set(query.items.toReversed())].slice(0, this.limits.lastItems);
    return last.flatMap((item) => {
      const vector = values.subarray(item * dimensions, (item + 1) * dimensions);
      const { keys, similarities } = items.search(vector, this.limits.similarItems + 1);
      return Array.from(keys, (key, place) => ({
        item: key,
        source: 'similar-items' as const,
        similarity: similarities[place]!,
      }))
        .filter((named) => named.item !== item)
        .slice(0, this.limits.similarItems);
    });
  }

  private fromCategories(query: ModelQuery): Named[] {
    const categories = this.set.itemContent?.categories;
    if (categories === undefined) return [];
    const own = new Set([...query.items].flatMap((item) => categories[item] ?? []));
    const left = new Set([...query.items, ...(query.excluded ?? [])]);
    return [...own].sort().flatMap((category) =>
      [...(this.parts.popular.get(category) ?? [])]
        .filter((item) => !left.has(item))
        .slice(0, this.limits.popularPerCategory)
        .map((item) => ({ item, source: 'popular-in-category' as const, similarity: 0 })),
    );
  }
}

interface Named {
  readonly item: number;
  readonly source: CandidateSource;
  readonly similarity: number;
}

function rowOf(set: TrainingSet, user: number): Int32Array {
  return set.items.subarray(set.rowStart[user], set.rowStart[user + 1]);
}

/** By category, the items most people met, best first. */
function popularByCategory(set: TrainingSet, k: number): Map<string, Int32Array> {
  const members = new Map<string, number[]>();
  set.itemContent?.categories.forEach((categories, item) => {
    for (const category of categories) void (members.get(category)?.push(item) ?? members.set(category, [item]));
  });
  const { columnStart } = columnsOf(set);
  const popular = new Map<string, Int32Array>();
  for (const [category, items] of members) {
    const counts = Float64Array.from(items, (item) => columnStart[item + 1]! - columnStart[item]!);
    popular.set(
      category,
      topOf(counts, k, undefined).items.map((place) => items[place]!),
    );
  }
  return popular;
}
