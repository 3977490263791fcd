/**
 * What the catalogue says of each item, on the serving node: title, categories, availability, freshness.
 *
 * Category names become small integers (bounded; further ones are ignored). Only what serving needs is kept as
 * objects; descriptions are not.
 */
import type { ItemCatalogueState } from '../../schemas/records.js';
import type { ItemInterner } from './item-interner.js';
import { TopList } from './top-list.js';
import { grown } from './typed-growth.js';

export interface CatalogueEntry {
  readonly title: string | null;
  readonly brand: string | null;
  readonly price: number | null;
  readonly currency: string | null;
  readonly imageUrl: string | null;
  readonly publishedAt: number | null;
  readonly tags: readonly string[];
  readonly attributes: Readonly<Record<string, string>>;
  /** Indexes, most specific first. */
  readonly categories: readonly number[];
}

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
  private readonly entries: (CatalogueEntry | undefined)[] = [];
  private status = new Uint8Array(1024);
  /** Most specific category, apart from the entries: ranking asks it of every candidate. */
  private category = new Int32Array(1024).fill(NO_CATEGORY);
  private readonly categoryIndexes = new Map<string, number>();
  private readonly categoryNames: string[] = [];

  constructor(
    interner: ItemInterner,
    private readonly categoriesMax = 10_000,
  ) {
    this.newest = new TopList(NEWEST_MAX, interner);
  }

  apply(item: number, record: ItemCatalogueState): void {
    this.status = grown(this.status, item + 1);
    this.category = grown(this.category, item + 1, NO_CATEGORY);
    if (record.deleted) {
      this.status[item] = DELETED;
      this.category[item] = NO_CATEGORY;
      this.entries[item] = undefined;
      this.newest.update(item, -Infinity);
      return;
    }
    this.status[item] = record.available ? AVAILABLE : UNAVAILABLE;
    const { title, brand, price, currency, imageUrl, publishedAt, tags, attributes } = record;
    const categories = record.categories.map((name) => this.categoryIndex(name)).filter((index) => index >= 0);
    this.category[item] = categories[0] ?? NO_CATEGORY;
    this.entries[item] = { title, brand, price, currency, imageUrl, publishedAt, tags, attributes, categories };
    this.newest.update(item, record.available && publishedAt !== null ? publishedAt : -Infinity);
  }

  /** The entry is withdrawn: the item is known from signals only, if at all. */
  remove(item: number): void {
    this.status = grown(this.status, item + 1);
    this.status[item] = UNKNOWN;
    if (item < this.category.length) this.category[item] = NO_CATEGORY;
    this.entries[item] = undefined;
    this.newest.update(item, -Infinity);
  }

  entryOf(item: number): CatalogueEntry | undefined {
    return this.entries[item];
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
    return this.entries[item]?.categories ?? NO_CATEGORIES;
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

  private categoryIndex(name: string): number {
    const known = this.categoryIndexes.get(name);
    if (known !== undefined) return known;
    if (this.categoryNames.length >= this.categoriesMax) return NO_CATEGORY;
    this.categoryIndexes.set(name, this.categoryNames.length);
    return this.categoryNames.push(name) - 1;
  }
}
