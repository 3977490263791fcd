/**
 * One version of a published model as a serving node holds it: the model, its index, its item alignment, and states of
 * people for models that have them. Built beside the version in use; a swap is one assignment.
 *
 * A model published with what candidates are generated from ranks those alone: what people with a history are offered is
 * neighbours' and own categories' items that it is sure enough of. A model with item vectors and many items is searched through a vector index, and what that finds is ranked again by
 * the exact product; a few items, and models without vectors, are scanned whole. Which of both is measured when the index
 * is built: an index that loses too much is not used.
 *
 * Invariant: everything of one version belongs together: vectors of the index and of people are of one space.
 */
import { CandidateGenerator } from '../models/candidates/candidate-generator.js';
import type { CandidateParts } from '../models/candidates/candidate-parts.js';
import { COLD_START_CONFIDENCE } from '../models/collaborative/cold-start.js';
import { topOf } from '../models/fitting.js';
import type { ItemVectors, LiveRetrieval, Model, ModelQuery, ModelReason, RankedItems } from '../models/model.js';
import type { Manifest } from '../models/published-version.js';
import { buildIndex } from '../models/vectors/choose-index.js';
import type { VectorIndex } from '../models/vectors/vector-index.js';
import type { RetrievalRequest } from '../retrieval/request.js';
import type { ItemTables } from '../tables/item-tables.js';
import { ItemAlignment } from './item-alignment.js';
import { personQuery } from './person-query.js';

export interface ServedModelOptions {
  readonly model: Model;
  readonly manifest: Manifest;
  readonly itemIds: readonly string[];
  readonly tables: ItemTables;
  /** Published beside the model; undefined: all items are ranked. */
  readonly candidates?: CandidateParts | undefined;
  /** Memory of people's states, all together. */
  readonly stateBytesMax: number;
  /** Items from which on a vector index is built. */
  readonly indexFrom: number;
  readonly nextTurn: () => Promise<void>;
}

/** All items, what a vector index finds, or generated candidates. */
export type SearchKind = 'scan' | 'index' | 'candidates';

/** A question and what the model said. */
export interface Answer {
  readonly query: ModelQuery;
  readonly ranked: RankedItems;
}

interface IndexSearch {
  readonly index: VectorIndex;
  readonly vectors: ItemVectors;
}
type Search = IndexSearch | { readonly generator: CandidateGenerator };

/** Found by the index and ranked again, as a multiple of what is asked for. */
const INDEX_MARGIN = 4;
/** Least share of the true best that an index must find to be used. */
const RECALL_MIN = 0.9;
const RECALL_QUERIES = 32;
const RECALL_DEPTH = 50;
/** About two milliseconds of insertions. */
const ROWS_PER_TURN = 16;

export class ServedModel {
  readonly live: LiveRetrieval | undefined;
  private readonly alignment: ItemAlignment;
  private readonly coldBelow: number;
  private readonly confidenceMin: number;

  private constructor(
    private readonly options: ServedModelOptions,
    private readonly search: Search | undefined,
    /** Share of the true best that the index finds; undefined without an index. */
    readonly recall: number | undefined,
  ) {
    const { model, manifest, itemIds, tables, stateBytesMax } = options;
    this.alignment = new ItemAlignment(itemIds, tables.items);
    this.confidenceMin = Number(manifest.settings['confidenceMin'] ?? 0);
    this.coldBelow = Math.max(1, Number(manifest.settings['coldStartBelow'] ?? 1));
    this.live = model.liveRetrieval?.(stateBytesMax);
  }

  static async build(options: ServedModelOptions): Promise<ServedModel> {
    const { model, indexFrom, nextTurn, candidates, ...rest } = options;
    if (candidates !== undefined) {
      const generator = await CandidateGenerator.build(candidates, model, { nextTurn });
      // The vectors are in the generator's index now: the rest of the options is kept, they are not.
      return new ServedModel({ model, indexFrom, nextTurn, ...rest }, { generator }, undefined);
    }
    const vectors = model.itemCount < indexFrom ? undefined : model.itemVectors();
    if (vectors?.metric !== 'dot') return new ServedModel(options, undefined, undefined);
    const { dimensions, values } = vectors;
    const how = { dimensions, similarity: 'dot', exactBelow: 0, nextTurn, rowsPerTurn: ROWS_PER_TURN } as const;
    const search = { index: await buildIndex(values, how), vectors };
    const recall = await recallOn(model, search, nextTurn);
    return new ServedModel(options, recall < RECALL_MIN ? undefined : search, recall);
  }

  get manifest(): Manifest {
    return this.options.manifest;
  }

  get searchKind(): SearchKind {
    return this.search === undefined ? 'scan' : 'generator' in this.search ? 'candidates' : 'index';
  }

  /** The k best for the request's person; candidates in the model's own indexes. */
  ask(request: RetrievalRequest, k: number): Answer {
    const query = this.questionOf(request);
    const { live } = this;
    const { model } = this.options;
    const ranked =
      live !== undefined && request.personId !== undefined
        ? live.retrieve(request.personId, query, k)
        : this.search === undefined || query.items.length < this.coldBelow
          ? model.retrieve(query, k)
          : 'generator' in this.search
            ? generated(model, this.search.generator, { query, k, confidenceMin: this.confidenceMin })
            : searched(model, this.search, query, k);
    return { query, ranked };
  }

  /** Scores of items of the tables in the model's scale; −Infinity for what it does not know. */
  scores(request: RetrievalRequest, tableItems: Int32Array): Float32Array {
    const query = this.questionOf(request);
    const own = tableItems.map((item) => this.alignment.modelItemAt(item));
    const known = own.filter((item) => item >= 0);
    const found = this.options.model.score(query, known);
    let next = 0;
    return Float32Array.from(own, (item) => (item < 0 ? -Infinity : found[next++]!));
  }

  /** The model's strongest reason for an item of the tables. */
  reasonFor({ query }: Answer, tableItem: number): ModelReason | undefined {
    const item = this.alignment.modelItemAt(tableItem);
    return item < 0 ? undefined : this.options.model.explain(query, item)[0];
  }

  /** The tables' index of a model item, or −1. */
  tableItemOf(item: number): number {
    return this.alignment.tableItemOf(item);
  }

  titleOf(item: number): string | undefined {
    const tableItem = this.tableItemOf(item);
    return tableItem < 0 ? undefined : this.options.tables.catalogue.titleOf(tableItem);
  }

  private questionOf(request: RetrievalRequest): ModelQuery {
    const { isSessions = false, hasWeights = false } = this.manifest.data;
    return personQuery(request, { isSessions, hasWeights }, (itemId) => this.alignment.modelItemOf(itemId));
  }

  close(): Promise<void> {
    return this.options.model.close();
  }
}

/** Confidence that the answer's basis decides; undefined where the score does. */
export function confidenceOfBasis({ ranked }: Answer): number | undefined {
  return ranked.basis === 'cold_start' ? COLD_START_CONFIDENCE : undefined;
}

/** Best of the generated candidates that the model is sure enough of; none when it is of none. */
function generated(
  model: Model,
  generator: CandidateGenerator,
  { query, k, confidenceMin }: { readonly query: ModelQuery; readonly k: number; readonly confidenceMin: number },
): RankedItems {
  const candidates = Int32Array.from(generator.candidates(query), ({ item }) => item);
  const { items: places, scores } = topOf(model.score(query, candidates), k, undefined);
  const items = places.map((place) => candidates[place]!);
  const confidences = model.confidence(query, items);
  const isSure = (_: number, place: number): boolean => confidences[place]! >= confidenceMin;
  return { items: items.filter(isSure), scores: scores.filter(isSure), basis: 'model' };
}

/** Best of what the index finds, by the exact product; as `model.retrieve` otherwise. */
function searched(model: Model, { index, vectors }: IndexSearch, query: ModelQuery, k: number): RankedItems {
  const person = model.foldInUser(query);
  if (person === undefined) return model.retrieve(query, k);
  const excluded = new Set(query.excluded);
  const found = index.search(person, k * INDEX_MARGIN + excluded.size).keys.filter((item) => !excluded.has(item));
  const { dimensions, values } = vectors;
  const scores = Float32Array.from(found, (item) => {
    let sum = 0;
    for (let d = 0; d < dimensions; d++) sum += person[d]! * values[item * dimensions + d]!;
    return sum;
  });
  const { items: places, scores: best } = topOf(scores, k, undefined);
  return { items: places.map((place) => found[place]!), scores: best, basis: 'model' };
}

/** People made of three items that lie apart in the catalogue: their best by the index among their best by a scan. */
async function recallOn(model: Model, search: IndexSearch, nextTurn: () => Promise<void>): Promise<number> {
  let [found, wanted] = [0, 0];
  const step = Math.floor(model.itemCount / (RECALL_QUERIES * 3)) || 1;
  for (let q = 0; q < RECALL_QUERIES; q++) {
    const items = Int32Array.from({ length: 3 }, (_, i) => ((3 * q + i) * step) % model.itemCount);
    const query: ModelQuery = { user: -1, items, excluded: items };
    const person = model.foldInUser(query);
    if (person === undefined) return 0;
    const scores = model.score(
      query,
      Int32Array.from({ length: model.itemCount }, (_, item) => item),
    );
    const truth = topOf(scores, RECALL_DEPTH, items).items;
    const answer = new Set(searched(model, search, query, RECALL_DEPTH).items);
    wanted += truth.length;
    for (const item of truth) if (answer.has(item)) found++;
    await nextTurn();
  }
  return wanted === 0 ? 1 : found / wanted;
}
