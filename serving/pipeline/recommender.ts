/**
 * The recommender of one serving node: two named pipelines over the item tables.
 *
 * `full` asks every source for many candidates; `push` re-ranks on each event within a fraction of a millisecond: fewer
 * sessions, fewer neighbours, no vector scan. Both walk: retrieve → fuse → eligibility → seen → (stages of the
 * caller) → category cap → fresh items → cut → confidence → reasons. Requests run one after the other and
 * share all working memory; what a request allocates is its result. Deterministic in (tables, request).
 */
import {
  CategoryPopularitySource,
  POPULAR_HALF_LIFE,
  PopularitySource,
  SegmentPopularitySource,
  TRENDING_HALF_LIFE,
  TrendingSource,
} from '../retrieval/popularity.js';
import { CoVisitationSource } from '../retrieval/co-visitation.js';
import { EmbeddingSource } from '../retrieval/embeddings.js';
import { RetrievalRequest } from '../retrieval/request.js';
import type { UserSnapshotLike } from '../retrieval/request.js';
import { SessionKnnSource } from '../retrieval/session-knn.js';
import type { ReasonId, RetrievalSource, ToldReason } from '../retrieval/source.js';
import { CANDIDATES_MAX } from '../retrieval/source.js';
import type { ItemTables } from '../tables/item-tables.js';
import { NO_ITEM } from '../tables/item-interner.js';
import type { TopList } from '../tables/top-list.js';
import { TopN } from '../tables/top-n.js';
import type { ConfidenceFit } from './confidence.js';
import { confidenceOf } from './confidence.js';
import { createCategoryCapStage } from './diversity.js';
import type { ExplorationConfig } from './exploration.js';
import { createExplorationStage } from './exploration.js';
import { createEligibilityStage, createSeenStage } from './filters.js';
import type { FusionConfig } from './fusion.js';
import { Fusion } from './fusion.js';
import { DEFAULT_WORDING, type ReasonWording } from '../retrieval/reason-wording.js';
import { type ItemTeller, RankedList, type RankedItem } from './ranked-list.js';
import { nameTheSame, reasonArgument, reasonText } from './reasons.js';
import type { PipelineRequest, PipelineStage } from './slate.js';
import { EXPLORATION_SOURCE, NO_SOURCE, Slate } from './slate.js';

export type PipelineName = 'full' | 'push';

export interface WeightedSource {
  readonly source: RetrievalSource;
  readonly weight: number;
  /** Most candidates taken; at most 100. */
  readonly candidates?: number;
  /** Asked only when nothing is known of what the person is after (no context items). */
  readonly coldOnly?: boolean;
}

export interface PipelineConfig {
  readonly sources: readonly WeightedSource[];
  readonly fusion?: FusionConfig;
  /** Run after the filters, before the category cap: re-ranking by a model, business rules. */
  readonly stages?: readonly PipelineStage[];
  readonly confidence?: ConfidenceFit;
}

/** Sources that come and go while the node runs: published models. Those of nothing published have weight 0. */
export interface ModelSources {
  readonly full: readonly ModelSourceLike[];
  readonly push: readonly ModelSourceLike[];
}

export interface ModelSourceLike extends WeightedSource {
  readonly name: string;
  /** Version that the request just answered rests on; undefined when the model took no part. */
  usedVersion(): string | undefined;
  leftOut(): string | undefined;
}

export interface RecommenderConfig {
  readonly full?: PipelineConfig;
  readonly push?: PipelineConfig;
  /** Largest share of a list that one category may take. */
  readonly models?: ModelSources;
  readonly categoryMaxShare?: number;
  readonly exploration?: ExplorationConfig;
  readonly wording?: ReasonWording;
}

export interface RecommendRequest {
  readonly user: UserSnapshotLike;
  /** Names the person, for models that keep a state of people; anonymous without. */
  readonly personId?: string | undefined;
  readonly placement: string;
  /** Items wanted, 1 to 100. */
  readonly limit: number;
  /** Default `full`. */
  readonly pipeline?: PipelineName | undefined;
  /** Where the person is; `itemId` counts as the latest item of the session. */
  readonly context?: { readonly itemId?: string | undefined } | undefined;
  readonly excluded?: ReadonlySet<string> | undefined;
  /** Event time of the request, ms. */
  readonly now: number;
  /** Names of the sources to use; all when absent. */
  readonly sources?: readonly string[] | undefined;
}

export interface RecommendedItem {
  readonly itemId: string;
  /** Fused score, relative to the best possible, in [0, 1]; of an exploration item that of its place. */
  readonly score: number;
  readonly confidence: number;
  /** In words, the strongest first; at least one. */
  readonly reasons: readonly string[];
  /** Source that contributed most, or `exploration`. */
  readonly source: string;
}

export interface Ranking {
  readonly pipeline: PipelineName;
  readonly list: RankedList;
  /** Candidates left after the filters: what could have been chosen. */
  readonly eligibleCount: number;
  /** Published models that offered candidates: `model/NAME` -> version. */
  readonly models: Readonly<Record<string, string>>;
  /** Published models that were not asked, because they fail or are slow. */
  readonly leftOut: readonly LeftOutModel[];
}

/** A ranking with all its items told. */
export interface Recommendation extends Omit<Ranking, 'list'> {
  readonly items: readonly RecommendedItem[];
}

export interface LeftOutModel {
  readonly model: string;
  readonly why: string;
}

export interface ScoredItem {
  readonly itemId: string;
  /** Best is 1. */
  readonly score: number;
}

export interface Recommender {
  rank(request: RecommendRequest): Ranking;
  recommend(request: RecommendRequest): Recommendation;
  /** What goes with an item, best first; empty for one nobody knows. */
  similarItems(itemId: string, n: number, now: number): readonly ScoredItem[];
  trending(options: { readonly n: number; readonly category?: string | undefined }): readonly ScoredItem[];
  popular(options: { readonly n: number; readonly category?: string | undefined }): readonly ScoredItem[];
}

export const LIMIT_MAX = 100;
const NO_MODELS: Readonly<Record<string, string>> = Object.freeze({});
const NONE_LEFT_OUT: readonly LeftOutModel[] = Object.freeze([]);
const NOTHING_EXCLUDED: ReadonlySet<string> = new Set();
const NOTHING_TOLD: readonly undefined[] = Object.freeze([]);

/** Sources and weights of `full`; the weights are those that did best in a prequential replay of public news clicks. */
export function defaultFullPipeline(): PipelineConfig {
  return {
    sources: [
      { source: new SessionKnnSource(), weight: 1 },
      { source: new CoVisitationSource(), weight: 0.8 },
      { source: new TrendingSource(), weight: 0.4 },
      { source: new CategoryPopularitySource(), weight: 0.1 },
      { source: new PopularitySource('popularity', 'popular', POPULAR_HALF_LIFE), weight: 0.2, coldOnly: true },
      { source: new SegmentPopularitySource(), weight: 0.3, coldOnly: true },
      { source: new EmbeddingSource(), weight: 0.2 },
    ],
  };
}

export function defaultPushPipeline(): PipelineConfig {
  return {
    sources: [
      {
        source: new SessionKnnSource({ contextItems: 3, sessionsPerItem: 200, neighbours: 100 }),
        weight: 1,
        candidates: 50,
      },
      { source: new CoVisitationSource({ contextItems: 3, neighbours: 50 }), weight: 0.8, candidates: 50 },
      { source: new TrendingSource(), weight: 0.4, candidates: 50 },
      { source: new CategoryPopularitySource(), weight: 0.1, candidates: 30 },
    ],
  };
}

export function createRecommender(config: RecommenderConfig, tables: ItemTables): Recommender {
  const full = new Pipeline('full', config.full ?? defaultFullPipeline(), config, tables);
  const push = new Pipeline('push', config.push ?? defaultPushPipeline(), config, tables);
  const rank = (request: RecommendRequest): Ranking => (request.pipeline === 'push' ? push : full).rank(request);
  return {
    rank,
    recommend(request) {
      const { list, ...ranking } = rank(request);
      return { ...ranking, items: Array.from({ length: list.length }, (_, place) => list.at(place)) };
    },
    similarItems: (itemId, n, now) => full.similarItems(itemId, n, now),
    trending: ({ n, category }) => listed(TRENDING_HALF_LIFE, n, category),
    popular: ({ n, category }) => listed(POPULAR_HALF_LIFE, n, category),
  };

  function listed(halfLife: number, n: number, category: string | undefined): ScoredItem[] {
    let list: TopList | undefined = tables.popularity.top(halfLife);
    if (category !== undefined)
      list = tables.popularity.topOfCategory(tables.catalogue.indexOfCategory(category), halfLife);
    const found: ScoredItem[] = [];
    for (let i = 0; list !== undefined && i < list.length && found.length < n; i++) {
      const item = list.items[i]!;
      if (!tables.catalogue.isServable(item)) continue;
      found.push({ itemId: tables.items.idOf(item), score: 2 ** (list.scores[i]! - list.scores[0]!) });
    }
    return found;
  }
}

class Pipeline {
  private readonly sources: readonly WeightedSource[];
  private readonly models: readonly ModelSourceLike[];
  private readonly lists: TopN[];
  private readonly weights: Float64Array;
  private readonly request = new RetrievalRequest();
  private readonly fusion: Fusion;
  private readonly slate: Slate;
  private readonly filters: readonly PipelineStage[];
  private readonly finishers: readonly PipelineStage[];
  private readonly teller: ItemTeller;

  constructor(
    private readonly name: PipelineName,
    private readonly pipeline: PipelineConfig,
    private readonly config: RecommenderConfig,
    private readonly tables: ItemTables,
  ) {
    this.models = config.models?.[name] ?? [];
    this.sources = [...pipeline.sources, ...this.models];
    this.lists = this.sources.map(
      ({ candidates }) => new TopN(Math.min(CANDIDATES_MAX, candidates ?? CANDIDATES_MAX), tables.items),
    );
    this.weights = new Float64Array(this.sources.length);
    const capacity = this.lists.reduce((sum, list) => sum + list.capacity, LIMIT_MAX);
    this.fusion = new Fusion(tables, capacity, pipeline.fusion);
    this.slate = new Slate(capacity);
    this.filters = [createEligibilityStage(tables), createSeenStage(tables), ...(pipeline.stages ?? [])];
    this.finishers = [
      createCategoryCapStage(tables, capacity, config.categoryMaxShare),
      createExplorationStage(tables, config.exploration),
    ];
    this.teller = new SourceTeller(this.sources, tables, pipeline.confidence, config.wording);
  }

  rank(asked: RecommendRequest): Ranking {
    const { user, placement, now } = asked;
    const limit = Math.max(1, Math.min(LIMIT_MAX, Math.floor(asked.limit)));
    const retrieval = this.request;
    const { personId, excluded } = asked;
    retrieval.resolve(user, this.tables, { now, pageItem: asked.context?.itemId, personId, excluded });
    const request = { user, placement, limit, excluded: excluded ?? NOTHING_EXCLUDED, now, retrieval };
    this.retrieve(asked.sources);
    this.fusion.fuse(this.lists, this.weights, this.slate);
    for (const stage of this.filters) stage.apply(this.slate, request);
    const eligibleCount = this.slate.length;
    for (const stage of this.finishers) stage.apply(this.slate, request);
    return { pipeline: this.name, list: this.listOf(request), eligibleCount, ...this.modelsTold() };
  }

  similarItems(itemId: string, n: number, now: number): ScoredItem[] {
    const item = this.tables.items.indexOf(itemId);
    if (item === NO_ITEM) return [];
    this.request.resolveItem(item, now);
    // Popularity says nothing of an item: only sources that start from it.
    this.retrieve(ITEM_SOURCES);
    this.fusion.fuse(this.lists, this.weights, this.slate);
    const similar: ScoredItem[] = [];
    for (let i = 0; i < this.slate.length && similar.length < n; i++) {
      const other = this.slate.items[i]!;
      if (!this.tables.catalogue.isServable(other)) continue;
      similar.push({ itemId: this.tables.items.idOf(other), score: this.slate.scores[i]! });
    }
    return similar;
  }

  private retrieve(names: readonly string[] | undefined): void {
    const { sources } = this;
    for (let s = 0; s < sources.length; s++) {
      const { source, weight, coldOnly = false } = sources[s]!;
      const list = this.lists[s]!;
      list.clear();
      const isWanted =
        names === undefined ? !coldOnly || this.request.contextLength === 0 : names.includes(source.name);
      this.weights[s] = isWanted ? weight : 0;
      if (!isWanted || weight === 0) continue;
      source.retrieve(this.request, this.tables, list);
      list.sort();
    }
  }

  private listOf({ limit }: PipelineRequest): RankedList {
    const list = new RankedList(Math.min(this.slate.length, limit), this.teller);
    for (let place = 0; place < list.length; place++) list.add(this.rankedAt(place), this.toldAt(place));
    return list;
  }

  private rankedAt(place: number): RankedItem {
    const item = this.slate.items[place]!;
    const source = this.slate.sources[place]!;
    const second = this.slate.seconds[place]!;
    const reason = this.reasonOf(source);
    const secondReason = this.reasonOf(second);
    const argument = this.argumentOf(reason, item);
    const isSame = reason !== undefined && secondReason !== undefined && nameTheSame(reason, secondReason);
    const secondArgument = isSame ? argument : this.argumentOf(secondReason, item);
    return { item, score: this.slate.scores[place]!, source, second, argument, secondArgument };
  }

  private reasonOf(source: number): ReasonId | undefined {
    return this.sources[source]?.source.reason;
  }

  private argumentOf(reason: ReasonId | undefined, item: number): number {
    return reason === undefined ? -1 : reasonArgument(reason, item, this.request, this.tables);
  }

  /** What the sources of a place say themselves; empty where they say nothing. */
  private toldAt(place: number): readonly (ToldReason | undefined)[] {
    const item = this.slate.items[place]!;
    const wording = this.config.wording ?? DEFAULT_WORDING;
    const told = this.sources[this.slate.sources[place]!]?.source.tell?.(item, wording);
    const secondTold = this.sources[this.slate.seconds[place]!]?.source.tell?.(item, wording);
    return told === undefined && secondTold === undefined ? NOTHING_TOLD : [told, secondTold];
  }

  private modelsTold(): Pick<Recommendation, 'models' | 'leftOut'> {
    let models = NO_MODELS;
    let leftOut = NONE_LEFT_OUT;
    for (const model of this.models) {
      if (model.weight === 0) continue;
      const version = model.usedVersion();
      const why = model.leftOut();
      if (version !== undefined) models = { ...models, [model.name]: version };
      if (why !== undefined) leftOut = [...leftOut, { model: model.name, why }];
    }
    return { models, leftOut };
  }
}

const ITEM_SOURCES = ['session-knn', 'co-visitation'];

/** Tells items by the sources of one pipeline. */
class SourceTeller implements ItemTeller {
  constructor(
    private readonly sources: readonly WeightedSource[],
    private readonly tables: ItemTables,
    private readonly fit: ConfidenceFit | undefined,
    private readonly wording: ReasonWording | undefined,
  ) {}

  tell(ranked: RankedItem, [told, secondTold]: readonly (ToldReason | undefined)[]): RecommendedItem {
    const { item, score, source, second, argument, secondArgument } = ranked;
    const isExploration = source === EXPLORATION_SOURCE;
    const reasons = [told?.text ?? this.textOf(source, argument)];
    if (second !== NO_SOURCE) reasons.push(secondTold?.text ?? this.textOf(second, secondArgument));
    return {
      itemId: this.idOf(item),
      score,
      confidence: isExploration ? 0 : (told?.confidence ?? confidenceOf(score, this.fit)),
      reasons,
      source: isExploration ? 'exploration' : (told?.source ?? this.sources[source]!.source.name),
    };
  }

  idOf(item: number): string {
    return this.tables.items.idOf(item);
  }

  private textOf(source: number, argument: number): string {
    const reason = source === EXPLORATION_SOURCE ? 'new' : this.sources[source]!.source.reason;
    return reasonText(reason, argument, this.tables, this.wording);
  }
}
