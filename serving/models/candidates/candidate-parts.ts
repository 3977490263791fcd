/**
 * What candidates are generated from, learnt from a training set and a model, kept as files beside a published one.
 *
 *     candidate-people.f32 [people × d]      vectors of people of the training set, drawn, in no order of theirs
 *     candidate-rows.i32, candidate-met.i32  the last 40 distinct items of each, compressed rows
 *     candidate-similar.i32, .f32            by item, the 20 items of the closest vectors and their cosines; −1 where fewer
 *     candidate-categories….i32              by item, its categories as numbers
 *     candidate-popular….i32                 by category, the items most people met, best first
 *
 * Bounded whatever the number of people: at most 20,000 of them, without ids; an item costs 160 bytes and its categories.
 *
 * Invariant: vectors are of one space, the model's; a model without vectors has people and similar items of none.
 */
import { EngineError } from '../../../schemas/errors.js';
import type { Random } from '../../../streams/random.js';
import { topOf } from '../fitting.js';
import { bytesOf, readFloats, readInts } from '../model-files.js';
import type { Likeness, Model, ModelArtefact, ModelFiles, ModelQuery } from '../model.js';
import { columnsOf, type TrainingSet } from '../training-set.js';
import { indexOf } from '../vectors/choose-index.js';

/** Lists by row: row r holds places start[r] to start[r + 1] of the values. */
export interface Lists {
  readonly start: Int32Array;
  readonly values: Int32Array;
}

export interface CandidateParts {
  /** 0 for a model without vectors. */
  readonly dimensions: number;
  readonly people: Float32Array;
  /** By person, oldest first. */
  readonly met: Lists;
  /** [items × SIMILAR_ITEMS], best first. */
  readonly similar: Int32Array;
  readonly similarities: Float32Array;
  readonly categoriesOf: Lists;
  readonly popularIn: Lists;
}

export interface LearnOptions {
  readonly random: Random;
  /** Between slices of work; may throw to cancel. */
  readonly nextTurn: () => Promise<void>;
  readonly peopleMax?: number;
}

export const SIMILAR_ITEMS = 20;
export const ITEMS_PER_PERSON = 40;
/** More people find hardly other items, and cost 600 bytes each at 128 dimensions. */
const PEOPLE_MAX = 20_000;
/** Kept of a category: the 30 that are offered and as many as a long history may have met of them. */
const POPULAR_KEPT = 230;
/** An exact scan of all items for each item is quadratic. */
const EXACT_ITEMS_BELOW = 2_000;
const STEPS_PER_TURN = 64;

export async function learnCandidates(
  set: TrainingSet,
  model: Model,
  { random, nextTurn, peopleMax = PEOPLE_MAX }: LearnOptions,
): Promise<CandidateParts> {
  const likeness = likenessOf(model);
  const [categoriesOf, popularIn] = learnCategories(set);
  const nobody = { people: new Float32Array(0), met: listsOf([]) };
  const alone = { similar: new Int32Array(0), similarities: new Float32Array(0) };
  if (likeness === undefined) return { dimensions: 0, ...nobody, ...alone, categoriesOf, popularIn };
  const { dimensions } = likeness;
  const filled = Array.from(set.userIds.keys()).filter((user) => set.rowStart[user + 1]! > set.rowStart[user]!);
  const vectors: Float32Array[] = [];
  const rows: number[][] = [];
  for (const user of random.stream('candidate-people').shuffle(filled).slice(0, peopleMax)) {
    const vector = likeness.person(questionOf(set, user));
    if (vector !== undefined) {
      vectors.push(vector);
      rows.push(lastDistinct(set.items.subarray(set.rowStart[user], set.rowStart[user + 1]), ITEMS_PER_PERSON));
    }
    if (vectors.length % STEPS_PER_TURN === 0) await nextTurn();
  }
  const people = new Float32Array(vectors.length * dimensions);
  vectors.forEach((vector, row) => people.set(vector, row * dimensions));
  const items = await similarItems(likeness.items, dimensions, nextTurn);
  return { dimensions, people, met: listsOf(rows), ...items, categoriesOf, popularIn };
}

/** By what people of a model are alike, and items. */
export function likenessOf(model: Model): Likeness | undefined {
  const own = model.likeness?.();
  if (own !== undefined) return own;
  const vectors = model.itemVectors();
  if (vectors === undefined) return undefined;
  const { dimensions, values } = vectors;
  return { dimensions, items: values, person: (query) => model.foldInUser(query) };
}

const FILES = {
  people: 'candidate-people.f32',
  met: ['candidate-rows.i32', 'candidate-met.i32'],
  similar: 'candidate-similar.i32',
  similarities: 'candidate-similar.f32',
  categoriesOf: ['candidate-categories-start.i32', 'candidate-categories.i32'],
  popularIn: ['candidate-popular-start.i32', 'candidate-popular.i32'],
} as const;

export function candidateFiles(parts: CandidateParts): ModelFiles {
  const lists = (['met', 'categoriesOf', 'popularIn'] as const).flatMap((name) => [
    [FILES[name][0], bytesOf(parts[name].start)],
    [FILES[name][1], bytesOf(parts[name].values)],
  ]);
  return {
    [FILES.people]: bytesOf(parts.people),
    [FILES.similar]: bytesOf(parts.similar),
    [FILES.similarities]: bytesOf(parts.similarities),
    ...(Object.fromEntries(lists) as ModelFiles),
  };
}

/** What `candidateFiles` wrote for a model of these sizes. Throws MODEL_INVALID. */
export function readCandidates(
  artefact: ModelArtefact,
  { people, dimensions }: { readonly people: number; readonly dimensions: number },
): CandidateParts {
  const { itemCount } = artefact;
  const similar = dimensions === 0 ? 0 : itemCount * SIMILAR_ITEMS;
  const popularIn = readLists(artefact, FILES.popularIn, { valuesBelow: itemCount });
  return {
    dimensions,
    people: readFloats(artefact, FILES.people, people * dimensions),
    met: readLists(artefact, FILES.met, { rows: people, valuesBelow: itemCount }),
    similar: readInts(artefact, FILES.similar, similar),
    similarities: readFloats(artefact, FILES.similarities, similar),
    categoriesOf: readLists(artefact, FILES.categoriesOf, {
      rows: itemCount,
      valuesBelow: popularIn.start.length - 1,
    }),
    popularIn,
  };
}

function readLists(
  artefact: ModelArtefact,
  [startFile, file]: readonly [string, string],
  { rows, valuesBelow }: { readonly rows?: number; readonly valuesBelow: number },
): Lists {
  const start = readInts(artefact, startFile, rows === undefined ? undefined : rows + 1);
  const values = readInts(artefact, file, start.at(-1) ?? 0);
  if (start[0] === 0 && values.every((value) => value >= 0 && value < valuesBelow)) return { start, values };
  throw new EngineError('MODEL_INVALID', `File '${file}' of a ${artefact.algorithm} model names what is not there.`);
}

/** Empty for a row that is not there: an item that was folded in since. */
export function rowOf({ start, values }: Lists, row: number): Int32Array {
  return row + 1 < start.length ? values.subarray(start[row], start[row + 1]) : NOTHING;
}

const NOTHING = new Int32Array(0);

function listsOf(rows: readonly ArrayLike<number>[]): Lists {
  const start = new Int32Array(rows.length + 1);
  rows.forEach((row, r) => (start[r + 1] = start[r]! + row.length));
  const values = new Int32Array(start.at(-1)!);
  rows.forEach((row, r) => values.set(row, start[r]));
  return { start, values };
}

function questionOf(set: TrainingSet, user: number): ModelQuery {
  const [from, to] = [set.rowStart[user], set.rowStart[user + 1]];
  return { user, items: set.items.subarray(from, to), weights: set.weights.subarray(from, to) };
}

/** The newest `count` distinct items, oldest first. */
function lastDistinct(items: Int32Array, count: number): number[] {
  const newest = new Set<number>();
  for (let place = items.length - 1; place >= 0 && newest.size < count; place--) newest.add(items[place]!);
  return [...newest].reverse();
}

async function similarItems(
  vectors: Float32Array,
  dimensions: number,
  nextTurn: () => Promise<void>,
): Promise<Pick<CandidateParts, 'similar' | 'similarities'>> {
  const count = vectors.length / dimensions;
  const index = indexOf(vectors, { dimensions, similarity: 'cosine', exactBelow: EXACT_ITEMS_BELOW });
  const similar = new Int32Array(count * SIMILAR_ITEMS).fill(-1);
  const similarities = new Float32Array(count * SIMILAR_ITEMS);
  for (let item = 0; item < count; item++) {
    const found = index.search(vectors.subarray(item * dimensions, (item + 1) * dimensions), SIMILAR_ITEMS + 1);
    let place = item * SIMILAR_ITEMS;
    found.keys.forEach((key, k) => {
      if (key === item || place === (item + 1) * SIMILAR_ITEMS) return;
      similar[place] = key;
      similarities[place++] = found.similarities[k]!;
    });
    if (item % STEPS_PER_TURN === STEPS_PER_TURN - 1) await nextTurn();
  }
  return { similar, similarities };
}

function learnCategories(set: TrainingSet): [categoriesOf: Lists, popularIn: Lists] {
  const numbers = new Map<string, number>();
  const members: number[][] = [];
  const contents = set.itemContent?.categories;
  const categories = set.itemIds.map((_, item) =>
    [...new Set(contents?.[item] ?? [])].map((category) => {
      const number = numbers.get(category) ?? members.push([]) - 1;
      numbers.set(category, number);
      members[number]!.push(item);
      return number;
    }),
  );
  const { columnStart } = columnsOf(set);
  const popular = members.map((items) => {
    const counts = Float64Array.from(items, (item) => columnStart[item + 1]! - columnStart[item]!);
    return topOf(counts, POPULAR_KEPT, undefined).items.map((place) => items[place]!);
  });
  return [listsOf(categories), listsOf(popular)];
}
