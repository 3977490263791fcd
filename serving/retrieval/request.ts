/**
 * What retrieval is asked: a person's state as serving has it, resolved into item and category indexes once a request.
 *
 * One RetrievalRequest is reused for all requests of a recommender (they run one after the other), so resolving
 * allocates nothing that grows with traffic.
 */
import type { ItemTables } from '../tables/item-tables.js';

/** The part of a user's materialized state that a recommendation rests on. All lists are bounded by stage 1. */
export interface UserSnapshotLike {
  /** Items of the current session, latest last; empty when there is none. */
  readonly sessionItems: readonly string[];
  /** Items met lately, over sessions, latest last. */
  readonly recentItems: readonly string[];
  /** Of each recent item: index into INTERACTION_TYPES, and event time in ms; absent where only items are known. */
  readonly recentTypes?: readonly number[] | undefined;
  readonly recentTimes?: readonly number[] | undefined;
  /** Whether the person knows the item already. May err on the side of yes (a Bloom filter). `hash`: of the id, if known. */
  seen(itemId: string, hash?: number): boolean;
  readonly blockedItems: ReadonlySet<string>;
  /** Strongest first; weights above 0. */
  readonly categoryAffinities: readonly { readonly category: string; readonly weight: number }[];
  /** Such as `device/phone`, `country/BR`. */
  readonly segments: readonly string[];
  readonly embedding: Float32Array | undefined;
  readonly embeddingSpace: string | undefined;
  /** Reference of the current session, so that it is not its own neighbour. */
  readonly sessionRef?: number | undefined;
}

/** The circumstances of a request. */
export interface Asked {
  readonly now: number;
  /** Item the person is looking at, if any: it counts as the latest of the session. */
  readonly pageItem?: string | undefined;
  readonly personId?: string | undefined;
  readonly excluded?: ReadonlySet<string> | undefined;
}

/** Latest distinct items that say what the person is after: session first, filled up from before it. */
export const CONTEXT_ITEMS_MAX = 16;
const AFFINITIES_MAX = 8;

export class RetrievalRequest {
  /** Whose request it is, in full: for sources that look further than the context. Undefined: about an item. */
  user: UserSnapshotLike | undefined;
  /** Names the person among others, for sources that keep something of people; undefined when nobody is named. */
  personId: string | undefined;
  /** Item of the page being looked at. */
  pageItem: string | undefined;
  /** Not to be shown. */
  excluded: ReadonlySet<string> | undefined;
  /** Latest first, distinct, known items only. */
  readonly context = new Int32Array(CONTEXT_ITEMS_MAX);
  contextLength = 0;
  /** How many of them are of the current session (or the page being looked at); they stand first. */
  sessionLength = 0;
  readonly categories = new Int32Array(AFFINITIES_MAX);
  /** Share of each category among those listed; sums to 1. */
  readonly categoryWeights = new Float64Array(AFFINITIES_MAX);
  categoryCount = 0;
  segments: readonly string[] = [];
  embedding: Float32Array | undefined;
  /** Slot of the current session, or −1. */
  sessionSlot = -1;
  now = 0;

  resolve(user: UserSnapshotLike, tables: ItemTables, asked: Asked): void {
    const { now, pageItem } = asked;
    this.user = user;
    this.personId = asked.personId;
    this.pageItem = pageItem;
    this.excluded = asked.excluded;
    this.now = now;
    this.contextLength = 0;
    if (pageItem !== undefined) this.addContext(tables.items.indexOf(pageItem));
    this.addLatest(user.sessionItems, tables);
    this.sessionLength = this.contextLength;
    this.addLatest(user.recentItems, tables);
    this.resolveCategories(user, tables);
    this.segments = user.segments;
    const { embedding } = user;
    const isComparable =
      user.embeddingSpace === tables.vectors.space && embedding?.length === tables.vectors.dimensions;
    this.embedding = isComparable ? embedding : undefined;
    this.sessionSlot = user.sessionRef === undefined ? -1 : tables.sessions.slotOfRef(user.sessionRef);
  }

  /** Resolves a question about one item: what goes with it. */
  resolveItem(item: number, now: number): void {
    this.user = undefined;
    this.personId = undefined;
    this.pageItem = undefined;
    this.excluded = undefined;
    this.now = now;
    this.context[0] = item;
    this.contextLength = 1;
    this.sessionLength = 1;
    this.categoryCount = 0;
    this.segments = [];
    this.embedding = undefined;
    this.sessionSlot = -1;
  }

  isContext(item: number): boolean {
    for (let i = 0; i < this.contextLength; i++) if (this.context[i] === item) return true;
    return false;
  }

  private addLatest(itemIds: readonly string[], tables: ItemTables): void {
    for (let i = itemIds.length - 1; i >= 0 && this.contextLength < CONTEXT_ITEMS_MAX; i--) {
      this.addContext(tables.items.indexOf(itemIds[i]!));
    }
  }

  private addContext(item: number): void {
    if (item >= 0 && !this.isContext(item)) this.context[this.contextLength++] = item;
  }

  private resolveCategories(user: UserSnapshotLike, tables: ItemTables): void {
    this.categoryCount = 0;
    let sum = 0;
    for (const { category, weight } of user.categoryAffinities) {
      if (this.categoryCount === AFFINITIES_MAX) break;
      const index = tables.catalogue.indexOfCategory(category);
      if (index < 0 || !(weight > 0)) continue;
      this.categories[this.categoryCount] = index;
      this.categoryWeights[this.categoryCount++] = weight;
      sum += weight;
    }
    for (let i = 0; i < this.categoryCount; i++) this.categoryWeights[i] = this.categoryWeights[i]! / sum;
  }
}
