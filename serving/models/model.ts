/**
 * Contract of every trained model: an Algorithm makes a Model from a training set, or reads one from its saved bytes.
 *
 * Items and users are indexes into the training set's `itemIds` and `userIds`; ids are kept beside a model by whoever
 * keeps it (artefact.ts), never inside. A question is always a person's history, so that a user of the training set, a
 * user never seen, the prefix of a session and a held-out split are the same call.
 *
 * Invariant: same training set, settings and seed, same model; a model loaded from its saved bytes answers as the one
 * that was saved. A model answers after `fit` without changing, except by `foldInItem`, and may be asked by one caller
 * at a time.
 */
import type { Clock } from '../../streams/clock.js';
import type { Section, SectionValues } from '../../streams/config.js';
import type { Logger } from '../../streams/logger.js';
import type { Random } from '../../streams/random.js';
import type { RowSolver } from './ials/half-sweep.js';
import type { TrainingSet } from './training-set.js';

/** What a model is saved as: file name -> bytes. Names are kebab-case with an ending that says the form (`items.f32`). */
export type ModelFiles = Readonly<Record<string, Uint8Array>>;

/** What is asked of an algorithm beside data and settings. */
export interface FitContext {
  /** Seeded; every use takes its own named stream of it. */
  readonly random: Random;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborted when training is to stop; looked at between steps by `throwIfCancelled`. */
  readonly signal: AbortSignal;
  /** Threads the algorithm may use, this one included; 1 or more. */
  readonly threads: number;
  /** Bytes the fit may allocate; what will not fit is refused by `requireMemory` before it starts. */
  readonly memoryBytesMax: number;
  readonly checkpoints: Checkpoints;
  /** Says how far the fit is; called once an epoch, or more often. Cheap. */
  progress(report: FitProgress): void;
  /** A published model of the same algorithm to go on from; the algorithm may ignore it. */
  readonly warmStart?: PublishedModel | undefined;
  /** Other processes to solve half-sweeps; the fit gives the same bytes with and without. For algorithms that sweep. */
  readonly rowSolver?: RowSolver | undefined;
}

export interface FitProgress {
  /** Finished epochs (sweeps, passes), from 1, and how many there will be at most. */
  readonly epoch: number;
  readonly epochs: number;
  /** Share of the whole fit that is done, 0 to 1: the time left is computed from it. */
  readonly fraction: number;
  /** Mean training loss of the epoch, where the algorithm has one. */
  readonly loss?: number | undefined;
  /** What early stopping looks at, such as `{ name: 'ndcg@10', value: 0.31 }`. */
  readonly validation?: { readonly name: string; readonly value: number } | undefined;
}

/**
 * Where a fit keeps its state so that it can go on after kill -9. Saved is everything that decides what follows:
 * parameters, optimizer moments, epoch, early-stopping best. Random numbers of an epoch come from a stream named after
 * it (`random.stream('epoch-7')`), so that no generator state needs saving. A fit that was resumed gives the same bytes.
 */
export interface Checkpoints {
  /** The last checkpoint of this very fit (same data, settings, seed), or undefined. */
  load(): Promise<ModelFiles | undefined>;
  /** Whether enough time passed since the last save; ask after each epoch (or every few hundred steps). */
  isDue(): boolean;
  /** Atomic and durable when it resolves; replaces the one before. */
  save(files: ModelFiles): Promise<void>;
}

/** A model as it was published, with the ids its indexes stand for. */
export interface PublishedModel {
  readonly files: ModelFiles;
  readonly itemIds: readonly string[];
  readonly userIds: readonly string[];
}

/** What `load` is given beside the bytes. */
export interface LoadContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly threads: number;
}

/** Sizes and settings a saved model belongs to; kept in its manifest by artefact.ts. */
export interface ModelArtefact {
  readonly algorithm: string;
  readonly spaceId: string;
  /** Parsed settings of the fit. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly itemCount: number;
  readonly userCount: number;
  readonly files: ModelFiles;
}

/**
 * One way of learning; an object without state. `S` is its settings section: defaults, units and descriptions stand
 * beside each key, made with `defineSection` and `setting.*` of streams/config.ts.
 */
export interface Algorithm<S extends Section = Section> {
  /** As configuration names it: `ease`, `graph_filter`. Lower case with underscores. */
  readonly name: string;
  readonly settings: S;
  /** Goes on from `FitContext.warmStart` on new data alone: what these do not touch stays as it was. */
  readonly goesOn?: boolean | undefined;
  /**
   * Files about the training set's people alone. A model that is only asked about strangers' histories may be loaded
   * without them, as a model of no users: serving does, whose memory they would fill.
   */
  readonly userFiles?: readonly string[] | undefined;
  /**
   * Learns. Throws TRAINING_CANCELLED when the signal is aborted, TRAINING_SET_INVALID for data it cannot learn from
   * (no interactions, a needed feature missing), MODEL_TOO_LARGE for data beyond `memoryBytesMax`.
   */
  fit(set: TrainingSet, settings: SectionValues<S>, context: FitContext): Promise<Model>;
  /** Reads what `save` wrote. Throws MODEL_INVALID when bytes are missing, damaged or of another size. */
  load(artefact: ModelArtefact, context: LoadContext): Promise<Model>;
}

/** A history and the circumstances of a question. Arrays are parallel, oldest first, and belong to the caller. */
export interface ModelQuery {
  /** Index of the user in the training set, or −1 for one never seen (a session, somebody new): fold in the history. */
  readonly user: number;
  readonly items: Int32Array;
  /** Ms since the epoch; undefined where the data have only an order. */
  readonly times?: Float64Array | undefined;
  /** Ratings or strengths; undefined means 1 each. */
  readonly weights?: Float32Array | undefined;
  /** Indexes into INTERACTION_TYPES; undefined means unknown. */
  readonly types?: Uint8Array | undefined;
  /** Items that must not be returned, in any order. The history is not excluded by itself. */
  readonly excluded?: Int32Array | undefined;
  /** Time of the question, ms. */
  readonly now?: number | undefined;
  /** Such as `{ device: 'phone', weekday: '6' }`; and traits of a new person: `{ gender: 'F', occupation: 'writer' }`. */
  readonly context?: Readonly<Record<string, string>> | undefined;
}

/** What a list rests on: the model itself, or what it falls back to for people and sessions it knows too little of. */
export type RankingBasis = 'model' | 'cold_start' | 'short_sequence' | 'popular';

/** Best first; equal scores in order of item index. Shorter than asked for when there is no more. */
export interface RankedItems {
  readonly items: Int32Array;
  readonly scores: Float32Array;
  readonly basis: RankingBasis;
}

/** One reason why an item was recommended; put into words elsewhere. */
export interface ModelReason {
  /** Such as `similar-item`, `same-category`, `sequential-pattern`, `cold_start`. */
  readonly kind: string;
  /** Share of the score it accounts for, or its strength beside the other reasons: 0 to 1. */
  readonly strength: number;
  /** Items of the history it rests on. */
  readonly items?: readonly number[] | undefined;
  /** Such as the category, the brand, or the top terms of a topic. */
  readonly detail?: string | undefined;
}

/** An item that was not in the training set: who met it, or what it is. */
export interface NewItem {
  readonly itemId: string;
  /** Users of the training set who met it, with their weights (1 each when undefined). */
  readonly users?: Int32Array | undefined;
  readonly weights?: Float32Array | undefined;
  readonly title?: string | undefined;
  readonly text?: string | undefined;
  readonly categories?: readonly string[] | undefined;
  readonly brand?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly numbers?: Readonly<Record<string, number>> | undefined;
  /** JPEG, PNG or WebP bytes. */
  readonly image?: Uint8Array | undefined;
}

/** Vectors to put into an index: row i is item i. */
export interface ItemVectors {
  readonly dimensions: number;
  readonly values: Float32Array;
  readonly metric: 'dot' | 'cosine' | 'euclidean' | 'manhattan';
}

/** By what people are alike among people, and items among items: cosines of these vectors; one space a side. */
export interface Likeness {
  readonly dimensions: number;
  /** [items × dimensions] */
  readonly items: Float32Array;
  /** The vector of the query's person. */
  person(query: ModelQuery): Float32Array | undefined;
}

/** A model's answers for people it keeps a state of, so that a new event costs one step and not the whole history. */
export interface LiveRetrieval {
  /** As `Model.retrieve`; `person` names whose history it is. The states stay under the bound they were made with. */
  retrieve(person: string, query: ModelQuery, k: number): RankedItems;
  usage(): LiveUsage;
}

export interface LiveUsage {
  readonly users: number;
  readonly bytesPerUser: number;
  readonly bytes: number;
  readonly hits: number;
  readonly misses: number;
  /** Hits over all that were asked; 0 before the first. */
  readonly hitRate: number;
}

export interface Model {
  readonly algorithm: string;
  /** Names the space of its vectors and scores; differs between any two fits. Vectors of two spaces are never compared. */
  readonly spaceId: string;
  /** Items it can score: those of the training set and those folded in since. */
  readonly itemCount: number;
  readonly userCount: number;
  save(): ModelFiles;
  /** The k best of all items but the excluded. */
  retrieve(query: ModelQuery, k: number): RankedItems;
  /** Scores of the given items, in their order; −Infinity for what it cannot score. Exclusions do not apply. */
  score(query: ModelQuery, items: Int32Array): Float32Array;
  /**
   * Scores of all items for many queries at once, into rows of `itemCount`: `into[q * itemCount + item]`. Exclusions do
   * not apply. How full-catalogue evaluation asks; the model may use its threads.
   */
  scoreAll(queries: readonly ModelQuery[], into: Float32Array): Promise<void>;
  /** How sure it is of each item, 0 to 1: the chance of a positive reaction, calibrated on validation data. */
  confidence(query: ModelQuery, items: Int32Array): Float32Array;
  /** Strongest first; empty when it has nothing to say. */
  explain(query: ModelQuery, item: number): readonly ModelReason[];
  /** The vector of the query's person in the item vectors' space; undefined for models without vectors. */
  foldInUser(query: ModelQuery): Float32Array | undefined;
  /** Takes in an item and returns its index (the old `itemCount`); −1 when this kind of model cannot. */
  foldInItem(item: NewItem): number;
  /** Vectors for a nearest-neighbour index; undefined for models without. */
  itemVectors(): ItemVectors | undefined;
  /** Where people and items have vectors but share no space; absent: `foldInUser` and `itemVectors` say who is alike. */
  likeness?(): Likeness | undefined;
  /** Answers with states of people in at most `bytesMax`; absent or undefined for models without such states. */
  liveRetrieval?(bytesMax: number): LiveRetrieval | undefined;
  /** Frees what the garbage collector does not see (tensors, threads). Idempotent; the model is not asked afterwards. */
  close(): Promise<void>;
}
