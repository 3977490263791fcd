/**
 * Popularity on the serving node: counts by item and half-life, and sorted lists overall, by category and by segment.
 *
 * Counts are kept as log2(count) + refTime / halfLife, an order that time does not change (see top-list.ts). Lists
 * of categories are rebuilt from all items when deletions made them short; lists of segments are not (an item's segments are
 * not kept twice) and fill up again as items are published.
 */
import { POPULARITY_HALF_LIVES_MS, SEGMENT_HALF_LIVES_MS, trendOf } from '../../operators/item/popularity.js';
import type { ItemPopularityState } from '../../schemas/records.js';
import type { CatalogueTable } from './catalogue-table.js';
import type { ItemInterner } from './item-interner.js';
import { TopList } from './top-list.js';
import { grown } from '../../streams/typed-growth.js';

export interface PopularityTableConfig {
  readonly halfLivesMs?: readonly number[];
  readonly segmentHalfLivesMs?: readonly number[];
  /** Places of each sorted list. */
  readonly listLength?: number;
  /** Most segments with lists of their own; further ones are ignored and counted. */
  readonly segmentsMax?: number;
}

const CATEGORY_LIST_LENGTH = 128;
const SEGMENT_LIST_LENGTH = 128;

export class PopularityTable {
  readonly halfLivesMs: readonly number[];
  readonly segmentHalfLivesMs: readonly number[];
  /** By half-life: overall lists. */
  private readonly overall: readonly TopList[];
  /** By half-life: score by item. */
  private readonly scores: Float64Array[];
  private readonly byCategory = new Map<number, TopList[]>();
  private readonly bySegment = new Map<string, TopList[]>();
  /** Segments each item is listed under, to take it off again. */
  private readonly segmentsOf: (readonly string[] | undefined)[] = [];
  /** How often something of the overall lists changed. */
  changes = 0;
  private readonly segmentsMax: number;
  private segmentsRefused = 0;

  constructor(
    private readonly interner: ItemInterner,
    private readonly catalogue: CatalogueTable,
    config: PopularityTableConfig = {},
  ) {
    this.halfLivesMs = config.halfLivesMs ?? POPULARITY_HALF_LIVES_MS;
    this.segmentHalfLivesMs = config.segmentHalfLivesMs ?? SEGMENT_HALF_LIVES_MS;
    this.segmentsMax = config.segmentsMax ?? 256;
    const length = config.listLength ?? 256;
    this.overall = this.halfLivesMs.map(() => new TopList(length, interner));
    this.scores = this.halfLivesMs.map(() => new Float64Array(1024).fill(-Infinity));
  }

  apply(item: number, record: ItemPopularityState): void {
    for (let h = 0; h < this.halfLivesMs.length; h++) {
      this.setScore(item, h, scoreOf(record.counts[h] ?? 0, record.refTime, this.halfLivesMs[h]!));
    }
    for (const { segment, refTime, counts } of record.segments) {
      const lists = this.segmentLists(segment);
      for (let h = 0; lists !== undefined && h < lists.length; h++) {
        lists[h]!.update(item, scoreOf(counts[h] ?? 0, refTime, this.segmentHalfLivesMs[h]!));
      }
    }
    const before = this.segmentsOf[item];
    if (before !== undefined) {
      for (const segment of before)
        if (!record.segments.some((kept) => kept.segment === segment)) this.leaveSegment(item, segment);
    }
    this.segmentsOf[item] = record.segments.length === 0 ? undefined : record.segments.map((entry) => entry.segment);
  }

  remove(item: number): void {
    for (let h = 0; h < this.halfLivesMs.length; h++) this.setScore(item, h, -Infinity);
    for (const segment of this.segmentsOf[item] ?? []) this.leaveSegment(item, segment);
    this.segmentsOf[item] = undefined;
  }

  /** Tells that an item's categories changed: `before` and `after` are category indexes. */
  moveCategories(item: number, before: readonly number[], after: readonly number[]): void {
    for (const category of before) {
      if (!after.includes(category)) this.byCategory.get(category)?.forEach((list) => list.update(item, -Infinity));
    }
    for (const category of after) {
      const lists = this.byCategory.get(category) ?? this.createCategoryLists(category);
      lists.forEach((list, h) => list.update(item, this.scoreAt(item, h)));
    }
  }

  /** Best items of a half-life, best first. Valid until the next change. */
  top(h: number): TopList {
    const list = this.overall[h]!;
    if (list.isShort) this.rebuild(list, h, -1);
    return list;
  }

  topOfCategory(category: number, h: number): TopList | undefined {
    const list = this.byCategory.get(category)?.[h];
    if (list?.isShort === true) this.rebuild(list, h, category);
    return list;
  }

  /** `h` counts the segment half-lives. */
  topOfSegment(segment: string, h: number): TopList | undefined {
    return this.bySegment.get(segment)?.[h];
  }

  /** Decayed count of an item at `now`. */
  countAt(item: number, h: number, now: number): number {
    return 2 ** (this.scoreAt(item, h) - now / this.halfLivesMs[h]!);
  }

  /** How much more an item is met over half-life `short` than over `long`; see operators/item/popularity.ts. */
  trendAt(item: number, short: number, long: number, now: number): number {
    return trendOf(
      this.countAt(item, short, now),
      this.halfLivesMs[short]!,
      this.countAt(item, long, now),
      this.halfLivesMs[long]!,
    );
  }

  get bytes(): number {
    const list = (length: number): number => length * 20;
    let bytes = this.scores.length * this.scores[0]!.byteLength + this.overall.length * list(this.overall[0]!.capacity);
    bytes += this.byCategory.size * this.halfLivesMs.length * list(CATEGORY_LIST_LENGTH);
    return bytes + this.bySegment.size * this.segmentHalfLivesMs.length * list(SEGMENT_LIST_LENGTH);
  }

  get refusedSegments(): number {
    return this.segmentsRefused;
  }

  private scoreAt(item: number, h: number): number {
    const scores = this.scores[h]!;
    return item < scores.length ? scores[item]! : -Infinity;
  }

  private setScore(item: number, h: number, score: number): void {
    const scores = (this.scores[h] = grown(this.scores[h]!, item + 1, -Infinity));
    scores[item] = score;
    this.changes++;
    this.overall[h]!.update(item, score);
    for (const category of this.catalogue.categoriesOf(item)) this.byCategory.get(category)?.[h]!.update(item, score);
  }

  private rebuild(list: TopList, h: number, category: number): void {
    list.clear();
    const scores = this.scores[h]!;
    const count = Math.min(scores.length, this.interner.count);
    for (let item = 0; item < count; item++) {
      if (scores[item]! === -Infinity) continue;
      if (category < 0 || this.catalogue.categoriesOf(item).includes(category)) list.update(item, scores[item]!);
    }
  }

  private createCategoryLists(category: number): TopList[] {
    const lists = this.halfLivesMs.map(() => new TopList(CATEGORY_LIST_LENGTH, this.interner));
    this.byCategory.set(category, lists);
    return lists;
  }

  private segmentLists(segment: string): TopList[] | undefined {
    const known = this.bySegment.get(segment);
    if (known !== undefined) return known;
    if (this.bySegment.size >= this.segmentsMax) {
      this.segmentsRefused++;
      return undefined;
    }
    const lists = this.segmentHalfLivesMs.map(() => new TopList(SEGMENT_LIST_LENGTH, this.interner));
    this.bySegment.set(segment, lists);
    return lists;
  }

  private leaveSegment(item: number, segment: string): void {
    this.bySegment.get(segment)?.forEach((list) => list.update(item, -Infinity));
  }
}

function scoreOf(count: number, refTime: number, halfLifeMs: number): number {
  return count > 0 ? Math.log2(count) + refTime / halfLifeMs : -Infinity;
}
