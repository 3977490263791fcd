/**
 * A fitted sequence model of any architecture, behind the contract of all models.
 *
 * The scores of a history are the network's logits. A person with fewer than `shortSequence` items gets the logarithm of
 * the mean of the network's chance and the chance that an item follows the last one in the training rows (half and half;
 * without any history: popularity), so that two clicks of a stranger are not read as a long story.
 *
 * Invariant: `retrieve`, `score` and `scoreAll` rank alike; what a person's index is changes nothing, the history counts.
 */
import { spaceIdOf, topOf } from '../fitting.js';
import type { ItemVectors, Model, ModelArtefact, ModelFiles, ModelQuery, ModelReason, RankedItems } from '../model.js';
import { jsonBytes, readJson } from '../model-files.js';
import type { TrainingSet } from '../training-set.js';
import { type BeamOptions, type Continuation, searchBeam } from './beam-search.js';
import { type Calibration, confidenceOf } from './calibration.js';
import { categoriesOf, explain, ItemCategories } from './explanations.js';
import { SequenceLiveRetrieval } from './live-retrieval.js';
import { EncoderScorer, type HistoryScorer } from './scorer.js';
import { Successors } from './successors.js';
import { softmax } from './validation.js';

/** What differs between networks. */
export interface Network {
  readonly scorer: HistoryScorer;
  readonly files: ModelFiles;
  /** A person's vector in the space of the items'; undefined where the network has none. */
  queryVector(history: Int32Array): Float32Array | undefined;
  itemVectors(): ItemVectors | undefined;
  close(): void;
}

/** What is learnt beside the network. */
export interface SequenceKnowledge {
  readonly successors: Successors;
  readonly categories: ItemCategories;
  readonly calibration: Calibration;
  readonly shortSequence: number;
  readonly userCount: number;
}

const CALIBRATION_FILE = 'calibration.json';

export function learnKnowledge(
  set: TrainingSet,
  rest: { calibration: Calibration; shortSequence: number },
): SequenceKnowledge {
  return { ...rest, successors: Successors.of(set), categories: categoriesOf(set), userCount: set.userIds.length };
}

export function loadKnowledge(artefact: ModelArtefact, shortSequence: number): SequenceKnowledge {
  return {
    shortSequence,
    successors: Successors.load(artefact),
    categories: ItemCategories.load(artefact),
    calibration: readJson(artefact, CALIBRATION_FILE) as Calibration,
    userCount: artefact.userCount,
  };
}

export class SequenceModel implements Model {
  readonly spaceId: string;
  readonly userCount: number;

  constructor(
    readonly algorithm: string,
    readonly network: Network,
    private readonly knowledge: SequenceKnowledge,
  ) {
    this.spaceId = spaceIdOf(algorithm, ...Object.values(network.files));
    this.userCount = knowledge.userCount;
  }

  get itemCount(): number {
    return this.network.scorer.itemCount;
  }

  save(): ModelFiles {
    const { successors, categories, calibration } = this.knowledge;
    return {
      ...this.network.files,
      ...successors.save(),
      ...categories.save(),
      [CALIBRATION_FILE]: jsonBytes(calibration),
    };
  }

  retrieve(query: ModelQuery, k: number): RankedItems {
    const basis = query.items.length === 0 ? 'popular' : this.isShort(query.items) ? 'short_sequence' : 'model';
    return topOf(this.scoresOf(query.items), k, query.excluded, basis);
  }

  score(query: ModelQuery, items: Int32Array): Float32Array {
    const scores = this.scoresOf(query.items);
    return Float32Array.from(items, (item) => scores[item]!);
  }

  async scoreAll(queries: readonly ModelQuery[], into: Float32Array): Promise<void> {
    const { batch } = this.network.scorer;
    for (let from = 0; from < queries.length; from += batch) {
      const histories = queries.slice(from, from + batch).map(({ items }) => items);
      this.scoreMany(histories, into.subarray(from * this.itemCount, (from + histories.length) * this.itemCount));
    }
  }

  /** The calibrated chance that the item is the next one. */
  confidence(query: ModelQuery, items: Int32Array): Float32Array {
    const chances = this.scoresOf(query.items);
    softmax(chances);
    return Float32Array.from(items, (item) => confidenceOf(this.knowledge.calibration, chances[item]!));
  }

  explain(query: ModelQuery, item: number): readonly ModelReason[] {
    const { successors, categories } = this.knowledge;
    return explain(query, item, { successors, categories });
  }

  /** The likeliest ways on from here: sequences of items with their length-normalised log-chance, best first. */
  continuations(query: ModelQuery, options: BeamOptions = {}): readonly Continuation[] {
    return searchBeam(query, options, (histories, rows) => this.scoreMany(histories, rows), this.itemCount);
  }

  foldInUser(query: ModelQuery): Float32Array | undefined {
    return query.items.length === 0 ? undefined : this.network.queryVector(query.items);
  }

  /** A sequence model knows an item by what came before and after it: a new one has neither. */
  foldInItem(): number {
    return -1;
  }

  itemVectors(): ItemVectors | undefined {
    return this.network.itemVectors();
  }

  liveRetrieval(bytesMax: number): SequenceLiveRetrieval | undefined {
    const { scorer } = this.network;
    const { shortSequence } = this.knowledge;
    return scorer instanceof EncoderScorer
      ? new SequenceLiveRetrieval(this, scorer, { bytesMax, shortSequence })
      : undefined;
  }

  async close(): Promise<void> {
    this.network.close();
  }

  private isShort(items: Int32Array): boolean {
    return items.length < this.knowledge.shortSequence;
  }

  private scoresOf(items: Int32Array): Float32Array {
    const row = new Float32Array(this.itemCount);
    this.scoreMany([items], row);
    return row;
  }

  private scoreMany(histories: readonly Int32Array[], rows: Float32Array): void {
    const { itemCount } = this;
    // The network is not asked about nothing; its answer to the placeholder is overwritten.
    const asked = histories.map((items) => (items.length === 0 ? PLACEHOLDER : items));
    this.network.scorer.scoreHistories(asked, rows);
    histories.forEach((items, h) => {
      const row = rows.subarray(h * itemCount, (h + 1) * itemCount);
      if (items.length === 0) this.scorePopular(row);
      else if (this.isShort(items)) this.mixWithSuccessors(items.at(-1)!, row);
    });
  }

  private scorePopular(row: Float32Array): void {
    this.knowledge.successors.chancesAfter(-1, row);
    for (let i = 0; i < row.length; i++) row[i] = Math.log(row[i]! + CHANCE_FLOOR);
  }

  /** Logits -> log of the mean of both chances. */
  private mixWithSuccessors(last: number, row: Float32Array): void {
    const chances = new Float32Array(row.length);
    this.knowledge.successors.chancesAfter(last, chances);
    softmax(row);
    for (let i = 0; i < row.length; i++) row[i] = Math.log((row[i]! + chances[i]!) / 2 + CHANCE_FLOOR);
  }
}

const PLACEHOLDER = Int32Array.of(0);
/** Keeps the logarithm of an item nobody met finite; far below 1 over any catalogue. */
const CHANCE_FLOOR = 1e-12;
