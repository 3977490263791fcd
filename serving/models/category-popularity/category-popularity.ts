/**
 * Popularity by category: the baseline for items nobody met yet, which have no popularity of their own.
 *
 *     score(i) = Σ_{c of i} share_u(c) · pop(c)
 *
 * pop(c) is the mean number of interactions of the items of category c, share_u(c) the share of the history that has it;
 * without a history every category counts alike. `score` is divided by the greatest pop(c).
 */
import { EngineError } from '../../../schemas/errors.js';
import { defineSection } from '../../../streams/config.js';
import { requireMemory, scoreRows, spaceIdOf, throwIfCancelled, topOf } from '../fitting.js';
import type {
  Algorithm,
  Model,
  ModelArtefact,
  ModelFiles,
  ModelQuery,
  ModelReason,
  NewItem,
  RankedItems,
} from '../model.js';
import { bytesOf, jsonBytes, readFloats, readInts, readJson } from '../model-files.js';
import { requireInteractions } from '../training-set.js';
import type { TrainingSet } from '../training-set.js';

const NAME = 'category_popularity';
const FILES = { names: 'categories.json', popularity: 'popularity.f32', starts: 'starts.i32', ids: 'ids.i32' };
/** Confidence of a cold start, the same for all models. */
const CONFIDENCE_MAX = 0.3;

const settings = defineSection('categoryPopularity', {}, { description: 'Popularity of the categories of items.' });

export const categoryPopularity: Algorithm<typeof settings> = {
  name: NAME,
  settings,
  fit: async (set, _settings, context) => {
    requireInteractions(set);
    throwIfCancelled(context);
    const { itemContent } = set;
    if (itemContent === undefined || itemContent.categories.every((list) => list.length === 0)) {
      throw new EngineError('TRAINING_SET_INVALID', 'No item has a category whose popularity could be counted.');
    }
    requireMemory(context, set.itemIds.length * Float64Array.BYTES_PER_ELEMENT, 'Categories by item');
    const model = new CategoryPopularityModel({
      ...countsOf(set, itemContent.categories),
      userCount: set.userIds.length,
    });
    context.progress({ epoch: 1, epochs: 1, fraction: 1 });
    return model;
  },
  load: async (artefact) => new CategoryPopularityModel(readParts(artefact)),
};

interface Parts {
  readonly names: readonly string[];
  /** By category, the most popular 1. */
  readonly popularity: Float32Array;
  readonly byItem: (readonly number[])[];
  readonly userCount: number;
}

function countsOf(set: TrainingSet, categories: readonly (readonly string[])[]): Omit<Parts, 'userCount'> {
  const ids = new Map<string, number>();
  const byItem = categories.map((list) => Array.from(new Set(list), (name) => idOf(ids, name)));
  const met = new Float64Array(set.itemIds.length);
  for (const item of set.items) met[item]!++;
  const sums = new Float64Array(ids.size);
  const items = new Float64Array(ids.size);
  byItem.forEach((list, item) => {
    // Items nobody met are not unpopular, but unknown.
    if (met[item] === 0) return;
    for (const category of list) {
      sums[category]! += met[item]!;
      items[category]!++;
    }
  });
  const means = sums.map((sum, category) => sum / Math.max(1, items[category]!));
  const greatest = means.reduce((most, mean) => Math.max(most, mean), Number.MIN_VALUE);
  return { names: [...ids.keys()], popularity: Float32Array.from(means, (mean) => mean / greatest), byItem };
}

function idOf(ids: Map<string, number>, name: string): number {
  const id = ids.get(name) ?? ids.size;
  ids.set(name, id);
  return id;
}

function readParts(artefact: ModelArtefact): Parts {
  const names = readJson(artefact, FILES.names);
  if (!Array.isArray(names)) throw new EngineError('MODEL_INVALID', `File '${FILES.names}' does not name categories.`);
  const starts = readInts(artefact, FILES.starts, artefact.itemCount + 1);
  const flat = readInts(artefact, FILES.ids, starts[artefact.itemCount]);
  return {
    names: names.map(String),
    popularity: readFloats(artefact, FILES.popularity, names.length),
    byItem: Array.from({ length: artefact.itemCount }, (_, i) => [...flat.subarray(starts[i], starts[i + 1])]),
    userCount: artefact.userCount,
  };
}

class CategoryPopularityModel implements Model {
  readonly algorithm = NAME;
  readonly spaceId: string;
  readonly userCount: number;

  constructor(private readonly parts: Parts) {
    this.userCount = parts.userCount;
    this.spaceId = spaceIdOf(NAME, parts.popularity, Int32Array.from(parts.byItem.flat()));
  }

  get itemCount(): number {
    return this.parts.byItem.length;
  }

  save(): ModelFiles {
    const { names, popularity, byItem } = this.parts;
    const starts = new Int32Array(byItem.length + 1);
    byItem.forEach((list, item) => (starts[item + 1] = starts[item]! + list.length));
    return {
      [FILES.names]: jsonBytes(names),
      [FILES.popularity]: bytesOf(popularity),
      [FILES.starts]: bytesOf(starts),
      [FILES.ids]: bytesOf(Int32Array.from(byItem.flat())),
    };
  }

  retrieve(query: ModelQuery, k: number): RankedItems {
    const scores = new Float32Array(this.itemCount);
    this.scoreInto(query, scores);
    return topOf(scores, k, query.excluded);
  }

  score(query: ModelQuery, items: Int32Array): Float32Array {
    const values = this.valuesFor(query);
    return Float32Array.from(items, (item) => this.sumOf(values, item));
  }

  async scoreAll(queries: readonly ModelQuery[], into: Float32Array): Promise<void> {
    scoreRows(queries, this.itemCount, into, (query, row) => this.scoreInto(query, row));
  }

  confidence(query: ModelQuery, items: Int32Array): Float32Array {
    return this.score(query, items).map((score) => Math.min(1, score) * CONFIDENCE_MAX);
  }

  explain(query: ModelQuery, item: number): readonly ModelReason[] {
    const values = this.valuesFor(query);
    const [best] = this.parts.byItem[item]!.toSorted((left, right) => values[right]! - values[left]! || left - right);
    if (best === undefined) return [];
    return [{ kind: 'popular-category', strength: Math.min(1, values[best]!), detail: this.parts.names[best]! }];
  }

  foldInUser(): undefined {
    return undefined;
  }

  /** By the categories it has in common with items counted before. */
  foldInItem({ categories = [] }: NewItem): number {
    const ids = new Map(this.parts.names.map((name, id) => [name, id]));
    return this.parts.byItem.push(categories.flatMap((name) => ids.get(name) ?? [])) - 1;
  }

  itemVectors(): undefined {
    return undefined;
  }

  async close(): Promise<void> {}

  private valuesFor({ items }: ModelQuery): Float32Array {
    const { popularity, byItem } = this.parts;
    if (items.length === 0) return popularity;
    const values = new Float32Array(popularity.length);
    for (const item of items)
      for (const category of byItem[item]!) values[category]! += popularity[category]! / items.length;
    return values;
  }

  private scoreInto(query: ModelQuery, row: Float32Array): void {
    const values = this.valuesFor(query);
    for (let item = 0; item < row.length; item++) row[item] = this.sumOf(values, item);
  }

  private sumOf(values: Float32Array, item: number): number {
    return this.parts.byItem[item]!.reduce((sum, category) => sum + values[category]!, 0);
  }
}
