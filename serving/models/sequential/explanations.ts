/**
 * Why an item comes next, in evidence a person can check: what followed what, when, and in which kind of thing.
 *
 * - `sequential-pattern`: in the training rows the item came right after one of the last items; strength is the share of
 *   the times that item was followed by anything.
 * - `temporal-habit`: at this part of the day and week the person turns to the item's category; strength is the share of
 *   the person's items at such times that are of it, where it is larger than the share at all times.
 * - `category-progression`: after the category of the last item people go on to the item's category; strength is that
 *   share of all steps from it.
 *
 * Strengths are observed shares, not parts of the network's score: a network of attention layers has no such parts.
 */
import type { ModelArtefact, ModelFiles, ModelQuery, ModelReason } from '../model.js';
import { bytesOf, jsonBytes, readFloats, readInts, readJson } from '../model-files.js';
import type { TrainingSet } from '../training-set.js';
import type { Successors } from './successors.js';

/** Latest items a pattern is looked for from. */
const PATTERN_ITEMS = 5;
/** Items at such times before one speaks of a habit. */
const HABIT_ITEMS_MIN = 3;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DAY_PARTS = 4;

/** Each item's most particular category, and how often one category followed another. */
export class ItemCategories {
  constructor(
    readonly names: readonly string[],
    /** By item; −1 where it has none. */
    readonly ofItem: Int32Array,
    /** [categories × categories] share of the steps from a category that went to another. */
    private readonly steps: Float32Array,
  ) {}

  shareAfter(category: number, next: number): number {
    return this.steps[category * this.names.length + next]!;
  }

  save(): ModelFiles {
    const names = { 'categories.json': jsonBytes(this.names) };
    if (this.names.length === 0) return names;
    return {
      ...names,
      'item-categories.i32': bytesOf(this.ofItem),
      'category-steps.f32': bytesOf(this.steps),
    };
  }

  static load(artefact: ModelArtefact): ItemCategories {
    const names = readJson(artefact, 'categories.json') as string[];
    if (names.length === 0)
      return new ItemCategories([], new Int32Array(artefact.itemCount).fill(-1), new Float32Array(0));
    return new ItemCategories(
      names,
      readInts(artefact, 'item-categories.i32', artefact.itemCount),
      readFloats(artefact, 'category-steps.f32', names.length ** 2),
    );
  }
}

/** Categories beyond this many are left out of explanations: steps between them are counted in a square. */
const CATEGORIES_MAX = 512;

export function categoriesOf(set: TrainingSet): ItemCategories {
  const indexes = new Map<string, number>();
  const ofItem = new Int32Array(set.itemIds.length).fill(-1);
  set.itemContent?.categories.forEach(([category], item) => {
    if (category === undefined) return;
    if (!indexes.has(category) && indexes.size < CATEGORIES_MAX) indexes.set(category, indexes.size);
    ofItem[item] = indexes.get(category) ?? -1;
  });
  const size = indexes.size;
  const steps = new Float32Array(size * size);
  for (let row = 0; row + 1 < set.rowStart.length; row++) {
    for (let p = set.rowStart[row]! + 1; p < set.rowStart[row + 1]!; p++) {
      const [from, to] = [ofItem[set.items[p - 1]!]!, ofItem[set.items[p]!]!];
      if (from >= 0 && to >= 0) steps[from * size + to]!++;
    }
  }
  for (let from = 0; from < size; from++) {
    const row = steps.subarray(from * size, (from + 1) * size);
    const total = row.reduce((sum, count) => sum + count, 0);
    if (total > 0) row.forEach((count, to) => (row[to] = count / total));
  }
  return new ItemCategories([...indexes.keys()], ofItem, steps);
}

/** Strongest first; empty when nothing was observed. */
export function explain(
  query: ModelQuery,
  item: number,
  known: { successors: Successors; categories: ItemCategories },
): readonly ModelReason[] {
  return [
    pattern(query, item, known.successors),
    habit(query, item, known.categories),
    progression(query, item, known.categories),
  ]
    .filter((reason) => reason !== undefined)
    .sort((left, right) => right.strength - left.strength);
}

function pattern(query: ModelQuery, item: number, successors: Successors): ModelReason | undefined {
  let best: { strength: number; item: number } | undefined;
  for (const earlier of query.items.slice(-PATTERN_ITEMS)) {
    const strength = successors.shareAfter(earlier, item);
    if (strength > 0 && strength >= (best?.strength ?? 0)) best = { strength, item: earlier };
  }
  return best && { kind: 'sequential-pattern', strength: best.strength, items: [best.item] };
}

function habit(query: ModelQuery, item: number, { names, ofItem }: ItemCategories): ModelReason | undefined {
  const { times, now } = query;
  const category = ofItem[item]!;
  if (times === undefined || now === undefined || category < 0) return undefined;
  const isAlike = (i: number): boolean => ofItem[query.items[i]!] === category;
  const all = [...query.items.keys()];
  const then = all.filter((i) => timeOfWeek(times[i]!) === timeOfWeek(now));
  if (then.length < HABIT_ITEMS_MIN) return undefined;
  const alike = then.filter(isAlike);
  const strength = alike.length / then.length;
  if (strength <= all.filter(isAlike).length / all.length) return undefined;
  return { kind: 'temporal-habit', strength, items: alike.map((i) => query.items[i]!), detail: names[category] };
}

function progression(query: ModelQuery, item: number, categories: ItemCategories): ModelReason | undefined {
  const last = query.items.at(-1);
  if (last === undefined) return undefined;
  const [from, to] = [categories.ofItem[last]!, categories.ofItem[item]!];
  if (from < 0 || to < 0 || from === to) return undefined;
  const strength = categories.shareAfter(from, to);
  if (strength === 0) return undefined;
  const detail = `${categories.names[from]} → ${categories.names[to]}`;
  return { kind: 'category-progression', strength, items: [last], detail };
}

/** One of eight: a quarter of the day, on a working day or at the weekend (UTC). */
function timeOfWeek(time: number): number {
  const weekday = new Date(time).getUTCDay();
  const isWeekend = weekday === 0 || weekday === 6;
  return Math.floor((time % DAY_MS) / (DAY_MS / DAY_PARTS)) + (isWeekend ? DAY_PARTS : 0);
}
