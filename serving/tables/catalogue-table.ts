/**
 * What the catalogue says of each item, on the serving node: title, categories, availability, freshness.
 *
 * Category names become small integers (bounded; further ones are ignored). Of the rest only what serving needs is kept,
 * as texts: an object with its lists for each of a million items would be walked by every full collection.
 */
import type { ItemCatalogueState } from '../../schemas/records.js';
import type { ItemInterner } from './item-interner.js';
import { TopList } from './top-list.js';
import { grown } from '../../streams/typed-growth.js';

export interface CatalogueEntry {
  readonly title: string | null;
  readonly brand: string | null;
  readonly price: number | null;
  readonly currency: string | null;
  readonly imageUrl: string | null;
  readonly tags: readonly string[];
  /** Indexes, most specific first. */
  readonly categories: readonly number[];
}

type Details = [brand: string | null, price: number | null, currency: string | null, tags: readonly string[]];

const NO_CATEGORIES: readonly number[] = [];
const NO_CATEGORY = -1;
const UNKNOWN = 0;
const AVAILABLE = 1;
const UNAVAILABLE = 2;
const DELETED = 3;

/** Fresh items kept for exploration. */
const NEWEST_MAX = 256;

export class CatalogueTable {
  /** Listed items by publication time (as the catalogue has it; items without are not on it). */
  readonly newest: TopList;
  private readonly titles: (string | null)[] = [];
  private readonly imageUrls: (string | null)[] = [];
  /** `Details` as JSON; undefined of items without an entry. */
  private readonly details: (string | undefined)[] = [];
  private readonly categories: (readonly number[])[] = [];
  private status = new Uint8Array(1024);
  /** Most specific category, apart from the entries: ranking asks it of every candidate. */
  private category = new Int32Array(1024).fill(NO_CATEGORY);
  /** By most specific category, the list met last: items of a category mostly have all of them in common. */
  private readonly commonCategories: (readonly number[])[] = [];
  private readonly categoryIndexes = new Map<string, number>();
  private readonly categoryNames: string[] = [];

  constructor(
    interner: ItemInterner,
    private readonly categoriesMax = 10_000,
  ) {
    this.newest = new TopList(NEWEST_MAX, interner);
  }

  apply(item: number, record: ItemCatalogueState): void {
    if (record.deleted) {
      this.forget(item, DELETED);
      return;
    }
    const { title, brand, price, currency, imageUrl, tags, available, publishedAt } = record;
    this.reserve(item);
    this.status[item] = available ? AVAILABLE : UNAVAILABLE;
    this.titles[item] = title;
    this.imageUrls[item] = imageUrl;
    this.details[item] = JSON.stringify([brand, price, currency, tags] satisfies Details);
    this.categories[item] = this.categoriesNamed(record.categories);
    this.category[item] = this.categories[item][0] ?? NO_CATEGORY;
    this.newest.update(item, available && publishedAt !== null ? publishedAt : -Infinity);
  }

  /** The entry is withdrawn: the item is known from signals only, if at all. */
  remove(item: number): void {
    this.forget(item, UNKNOWN);
  }

  /** Put together anew by each call. */
  entryOf(item: number): CatalogueEntry | undefined {
    const details = this.details[item];
    if (details === undefined) return undefined;
    const [brand, price, currency, tags] = JSON.parse(details) as Details;
    const categories = this.categories[item]!;
    return { title: this.titles[item]!, brand, price, currency, imageUrl: this.imageUrls[item]!, tags, categories };
  }

  titleOf(item: number): string | undefined {
    return this.titles[item] ?? undefined;
  }

  /** Items without an entry are served: not every source has a catalogue. */
  isServable(item: number): boolean {
    const status = item < this.status.length ? this.status[item]! : UNKNOWN;
    return status === UNKNOWN || status === AVAILABLE;
  }

  isDeleted(item: number): boolean {
    return item < this.status.length && this.status[item] === DELETED;
  }

  categoriesOf(item: number): readonly number[] {
    return this.categories[item] ?? NO_CATEGORIES;
  }

  /** Most specific category, or −1. */
  categoryOf(item: number): number {
    return item < this.category.length ? this.category[item]! : NO_CATEGORY;
  }

  /** Indexes of categories are below it. */
  get categoryCount(): number {
    return this.categoryIndexes.size;
  }

  /** Index of a category name, or −1. */
  indexOfCategory(name: string): number {
    return this.categoryIndexes.get(name) ?? NO_CATEGORY;
  }

  categoryName(category: number): string {
    return this.categoryNames[category] ?? '';
  }

  private forget(item: number, status: typeof UNKNOWN | typeof DELETED): void {
    this.reserve(item);
    this.status[item] = status;
    this.titles[item] = null;
    this.imageUrls[item] = null;
    this.details[item] = undefined;
    this.categories[item] = NO_CATEGORIES;
    this.category[item] = NO_CATEGORY;
    this.newest.update(item, -Infinity);
  }

  /** Items before it become known, too: lists with gaps would be slow. */
  private reserve(item: number): void {
    this.status = grown(this.status, item + 1, UNKNOWN);
    this.category = grown(this.category, item + 1, NO_CATEGORY);
    while (this.titles.length <= item) {
      this.titles.push(null);
      this.imageUrls.push(null);
      this.details.push(undefined);
      this.categories.push(NO_CATEGORIES);
    }
  }

  private categoriesNamed(names: readonly string[]): readonly number[] {
    const categories = names.map((name) => this.categoryIndex(name)).filter((index) => index >= 0);
    if (categories.length === 0) return NO_CATEGORIES;
    const common = this.commonCategories[categories[0]!];
    if (common?.length === categories.length && common.every((category, i) => category === categories[i]))
      return common;
    this.commonCategories[categories[0]!] = categories;
    return categories;
  }

  private categoryIndex(name: string): number {
    const known = this.categoryIndexes.get(name);
    if (known !== undefined) return known;
    if (this.categoryNames.length >= this.categoriesMax) return NO_CATEGORY;
    this.categoryIndexes.set(name, this.categoryNames.length);
    return this.categoryNames.push(name) - 1;
  }
}
