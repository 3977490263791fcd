/**
 * What the edge asks of the rest of the engine, declared at the consumer's side: the recommender, the materialized
 * state of users, the catalogue. The real ones fit by shape; tests bring small ones.
 */
import type { EngineError } from '../../schemas/errors.js';

/** The part of a user's state that a recommendation rests on; opaque to the edge but for `blockedItems`. */
export interface UserSnapshot {
  readonly sessionItems: readonly string[];
  readonly recentItems: readonly string[];
  readonly recentTypes?: readonly number[] | undefined;
  readonly recentTimes?: readonly number[] | undefined;
  /** `hash`: `hash32` of the id, where it is known already. */
  seen(itemId: string, hash?: number): boolean;
  readonly blockedItems: ReadonlySet<string>;
  readonly categoryAffinities: readonly { readonly category: string; readonly weight: number }[];
  readonly segments: readonly string[];
  readonly embedding: Float32Array | undefined;
  readonly embeddingSpace: string | undefined;
  readonly sessionRef?: number | undefined;
}

/** Where the person is when asking. */
export interface RequestContext {
  /** Item of the page being looked at. */
  readonly itemId?: string | undefined;
  readonly device?: string | undefined;
  readonly country?: string | undefined;
  readonly region?: string | undefined;
  readonly latitude?: number | undefined;
  readonly longitude?: number | undefined;
  readonly weather?: string | undefined;
  readonly language?: string | undefined;
}

export interface RecommendationRequest {
  readonly user: UserSnapshot;
  readonly personId?: string | undefined;
  readonly placement: string;
  readonly limit: number;
  readonly pipeline: 'full' | 'push';
  readonly context: RequestContext | undefined;
  readonly excluded: ReadonlySet<string> | undefined;
  readonly now: number;
}

export interface RecommendedItem {
  readonly itemId: string;
  readonly score: number;
  readonly confidence: number;
  readonly reasons: readonly string[];
  readonly source: string;
}

export interface ScoredItem {
  readonly itemId: string;
  readonly score: number;
}

/** A frozen list; an item is put into words when it is asked for. */
export interface RankedList {
  readonly length: number;
  at(place: number): RecommendedItem;
  idAt(place: number): string;
  /** Place of an item, or −1. */
  placeOf(itemId: string): number;
}

/** Synchronous: everything it reads is in memory. */
export interface Recommender {
  rank(request: RecommendationRequest): {
    readonly list: RankedList;
    readonly eligibleCount: number;
    /** Published models that took part: `model/NAME` -> version; absent where there are none. */
    readonly models?: Readonly<Record<string, string>> | undefined;
    /** Published models that were left out. */
    readonly leftOut?: readonly { readonly model: string; readonly why: string }[] | undefined;
  };
  similarItems(itemId: string, n: number, now: number): readonly ScoredItem[];
  trending(options: { readonly n: number; readonly category?: string | undefined }): readonly ScoredItem[];
  popular(options: { readonly n: number; readonly category?: string | undefined }): readonly ScoredItem[];
}

/** A user's state as of the last commit. */
export interface UserView {
  readonly snapshot: UserSnapshot;
  readonly partition: number;
  /** Offset after the input record that last changed the state; 0 when nothing is known of the user. */
  readonly offset: number;
}

export interface UserReader {
  /** One view a user asked for, in that order; of somebody unknown an empty one. */
  read(userIds: readonly string[], now: number): Promise<readonly UserView[]>;
}

/** What the operators of a stage hold for a key; `StateQuery` fits. */
export interface StateInspector {
  get(
    stage: string,
    key: string,
  ): Promise<
    | { readonly partition: number; readonly version: number; readonly operators: Readonly<Record<string, unknown>> }
    | undefined
  >;
}

/** An item as shown to people. */
export interface ItemCard {
  readonly itemId: string;
  readonly title: string | null;
  readonly category: string | null;
  readonly price: number | null;
  readonly currency: string | null;
  readonly imageUrl: string | null;
}

export interface Catalogue {
  /** undefined for an item the catalogue does not have. */
  card(itemId: string): ItemCard | undefined;
  /** Whether the item may be shown now: not deleted, not sold out. */
  isServable(itemId: string): boolean;
  /** Whether anything is known of the item at all. */
  isKnown(itemId: string): boolean;
}

/** What readiness and admission look at besides the node's own parts. */
export interface NodeGauges {
  streamLag(): Promise<number>;
  freeDiskBytes(): Promise<number>;
  /** Why nothing may be written now; absent: it always may, as far as the node knows. */
  refusal?(): EngineError | undefined;
}
