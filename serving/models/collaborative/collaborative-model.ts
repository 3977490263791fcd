/**
 * What all collaborative models have in common, around a Scorer that computes: cold start, calibrated confidence, reasons.
 *
 * A question with fewer interactions than `coldStartBelow` is answered from the cold start (basis `cold_start`,
 * confidence .3) by `retrieve`, `confidence` and `explain`; `score` and `scoreAll` still use the few there are, and fall
 * back to popularity when there are none.
 *
 * Invariant: as the contract's (model.ts); the scorer owns the numbers, this class owns none.
 */
import { scoreRows, spaceIdOf, throwIfCancelled, topOf } from '../fitting.js';
import type {
  FitContext,
  ItemVectors,
  Likeness,
  Model,
  ModelArtefact,
  ModelFiles,
  ModelQuery,
  ModelReason,
  NewItem,
  RankedItems,
} from '../model.js';
import type { TrainingSet } from '../training-set.js';
import { Calibration, type CalibrationExample } from './calibration.js';
import { COLD_START_CONFIDENCE, ColdStart } from './cold-start.js';

/** The computing part of a collaborative model. Histories are never empty here. */
export interface Scorer {
  readonly algorithm: string;
  readonly itemCount: number;
  readonly userCount: number;
  /** Scores of all items into a row of `itemCount`. */
  scoreInto(query: ModelQuery, row: Float32Array): void;
  scoreItems(query: ModelQuery, items: Int32Array): Float32Array;
  /** Many rows at once, where that is faster than one after the other. */
  scoreMany?(queries: readonly ModelQuery[], into: Float32Array): Promise<void>;
  /** What scores are divided by before they are compared between people; 1 where they already can be. */
  scaleOf?(query: ModelQuery): number;
  /** How much each item of the history adds to the item's score, in the history's order. */
  contributions(query: ModelQuery, item: number): Float64Array;
  foldInUser(query: ModelQuery): Float32Array | undefined;
  foldInItem(item: NewItem): number;
  itemVectors(): ItemVectors | undefined;
  likeness?(): Likeness | undefined;
  files(): ModelFiles;
  close(): Promise<void>;
}

export interface CollaborativeParts {
  readonly scorer: Scorer;
  readonly coldStart: ColdStart;
  readonly calibration: Calibration;
  readonly coldStartBelow: number;
}

const REASONS_MAX = 3;

/** Learns cold start and calibration around a scorer that was just fitted. */
export async function aroundScorer(
  set: TrainingSet,
  context: FitContext,
  scorer: Scorer,
  coldStartBelow: number,
): Promise<CollaborativeModel> {
  throwIfCancelled(context);
  const calibration = Calibration.learn(examplesOf(set, context, scorer));
  return new CollaborativeModel({ scorer, calibration, coldStart: ColdStart.learn(set), coldStartBelow });
}

/** The same from saved bytes. */
export function aroundLoaded(artefact: ModelArtefact, scorer: Scorer): CollaborativeModel {
  const coldStartBelow = Number(artefact.settings['coldStartBelow']);
  const [coldStart, calibration] = [ColdStart.load(artefact), Calibration.load(artefact)];
  return new CollaborativeModel({ scorer, calibration, coldStart, coldStartBelow });
}

export class CollaborativeModel implements Model {
  readonly algorithm: string;
  readonly spaceId: string;
  private readonly scorer: Scorer;

  constructor(private readonly parts: CollaborativeParts) {
    this.scorer = parts.scorer;
    this.algorithm = this.scorer.algorithm;
    this.spaceId = spaceIdOf(this.algorithm, ...Object.values(this.scorer.files()));
  }

  get itemCount(): number {
    return this.scorer.itemCount;
  }

  get userCount(): number {
    return this.scorer.userCount;
  }

  save(): ModelFiles {
    const { coldStart, calibration } = this.parts;
    return { ...this.scorer.files(), ...coldStart.files(this.userCount), ...calibration.files() };
  }

  retrieve(query: ModelQuery, k: number): RankedItems {
    if (this.isCold(query)) return this.parts.coldStart.rank(query, k, this.userCount);
    const row = new Float32Array(this.itemCount);
    this.scorer.scoreInto(query, row);
    return topOf(row, k, query.excluded);
  }

  score(query: ModelQuery, items: Int32Array): Float32Array {
    if (query.items.length > 0) return this.scorer.scoreItems(query, items);
    return Float32Array.from(items, (item) => this.parts.coldStart.scoreOf(item));
  }

  async scoreAll(queries: readonly ModelQuery[], into: Float32Array): Promise<void> {
    const { itemCount, scorer } = this;
    const isAnyEmpty = queries.some((query) => query.items.length === 0);
    if (scorer.scoreMany !== undefined && queries.length > 1 && !isAnyEmpty) return scorer.scoreMany(queries, into);
    scoreRows(queries, itemCount, into, (query, row) => {
      if (query.items.length > 0) return scorer.scoreInto(query, row);
      for (let item = 0; item < itemCount; item++) row[item] = this.parts.coldStart.scoreOf(item);
    });
  }

  confidence(query: ModelQuery, items: Int32Array): Float32Array {
    if (this.isCold(query)) return new Float32Array(items.length).fill(COLD_START_CONFIDENCE);
    const scale = this.scorer.scaleOf?.(query) ?? 1;
    return this.scorer.scoreItems(query, items).map((score) => this.parts.calibration.chance(score / scale));
  }

  explain(query: ModelQuery, item: number): readonly ModelReason[] {
    if (this.isCold(query)) return this.parts.coldStart.explain(query, item, this.userCount);
    const shares = this.scorer.contributions(query, item);
    const total = shares.reduce((sum, share) => sum + Math.max(0, share), 0);
    if (!(total > 0)) return [];
    return [...shares.keys()]
      .filter((place) => shares[place]! > 0)
      .sort((left, right) => shares[right]! - shares[left]! || right - left)
      .slice(0, REASONS_MAX)
      .map((place) => ({ kind: 'similar-item', strength: shares[place]! / total, items: [query.items[place]!] }));
  }

  foldInUser(query: ModelQuery): Float32Array | undefined {
    return this.scorer.foldInUser(query);
  }

  foldInItem(item: NewItem): number {
    return this.scorer.foldInItem(item);
  }

  itemVectors(): ItemVectors | undefined {
    return this.scorer.itemVectors();
  }

  likeness(): Likeness | undefined {
    return this.scorer.likeness?.();
  }

  close(): Promise<void> {
    return this.scorer.close();
  }

  private isCold(query: ModelQuery): boolean {
    return query.items.length < Math.max(1, this.parts.coldStartBelow);
  }
}

/** People whose held-out item and whose item drawn by popularity the calibration looks at. */
const CALIBRATION_USERS = 2000;

/**
 * Scores of items met after (or apart from) the history, and of others. Without a validation split the last item of a
 * row is taken out of the folded-in history; the item side has learnt from it, which flatters the model a little.
 */
function examplesOf(set: TrainingSet, context: FitContext, scorer: Scorer): CalibrationExample[] {
  const random = context.random.stream('calibration');
  const { rowStart, items, weights, validation } = set;
  const held = validation?.users.length
    ? Array.from(validation.users, (user, p) => ({ user, item: validation.items[p]!, end: rowStart[user + 1]! }))
    : Array.from(set.userIds.keys(), (user) => {
        const end = Math.max(rowStart[user]!, rowStart[user + 1]! - 1);
        return { user, item: items[end] ?? -1, end };
      });
  const usable = held.filter(({ user, end }) => end > rowStart[user]!);
  const chosen = random.shuffle(usable).slice(0, CALIBRATION_USERS);
  return chosen.flatMap(({ user, item, end }) => {
    const history = items.slice(rowStart[user], end);
    const query: ModelQuery = { user, items: history, weights: weights.slice(rowStart[user], end) };
    const other = items[random.int(items.length)]!;
    const pair = scorer.scoreItems(query, Int32Array.of(item, other));
    const scale = scorer.scaleOf?.(query) ?? 1;
    const positive = { score: pair[0]! / scale, isPositive: true };
    // What the person met anyway says nothing about what is not met.
    const isMet = other === item || history.includes(other);
    return isMet ? [positive] : [positive, { score: pair[1]! / scale, isPositive: false }];
  });
}
