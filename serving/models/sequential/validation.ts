/**
 * The questions early stopping looks at: histories with the item that came next, ranked against the whole catalogue.
 *
 * They are the set's own validation pairs, or the last items of a drawn share of the rows, which then are not trained on;
 * of few rows up to half, since ten questions decide by chance.
 * Items of the history are not ranked where rows are people (who rarely want the same again), but are where rows are
 * sessions. A model of sets is asked about a drawn fifth of each row instead: of the one item that came last, or of the
 * latest ones, it knows so little that training would stop at the first chance rise.
 */
import type { Random } from '../../../streams/random.js';
import { topOf } from '../fitting.js';
import type { TrainingSet } from '../training-set.js';
import { type Calibration, calibrate, UNCALIBRATED } from './calibration.js';
import type { HistoryScorer } from './scorer.js';

export interface ValidationQuestion {
  readonly history: Int32Array;
  readonly next: number;
  /** Further items that are as right as `next`, where more than one of a row was held out. */
  readonly others?: Int32Array | undefined;
}

export interface HeldOut {
  readonly questions: readonly ValidationQuestion[];
  /** Row r is trained on from the set's start of it up to this position of `items`. */
  readonly ends: Int32Array;
  /** The set's, but for rows of which drawn items were held out: those lie behind their ends. */
  readonly items: Int32Array;
}

const QUESTIONS_LEAST = 200;
const SHARE_MOST = 0.5;

/**
 * @param options.share of the rows, 0 for none
 * @param options.itemsShare drawn of the distinct items of each of them, one at least; absent: its last item
 */
export function holdOut(
  set: TrainingSet,
  random: Random,
  options: { readonly share: number; readonly most: number; readonly itemsShare?: number },
): HeldOut {
  const { itemsShare } = options;
  const ends = set.rowStart.slice(1);
  const items = itemsShare === undefined ? set.items : set.items.slice();
  const rowOf = (row: number, end: number): Int32Array => items.subarray(set.rowStart[row], end);
  let questions: ValidationQuestion[] = [];
  if (set.validation !== undefined) {
    const { users, items: next } = set.validation;
    for (let p = 0; p < users.length; p++) {
      const history = rowOf(users[p]!, ends[users[p]!]!);
      if (history.length > 0) questions.push({ history, next: next[p]! });
    }
  } else {
    const share =
      options.share === 0 ? 0 : Math.max(options.share, Math.min(SHARE_MOST, QUESTIONS_LEAST / ends.length));
    for (let row = 0; row < ends.length; row++) {
      // A row of two would leave nothing to train on.
      const start = set.rowStart[row]!;
      if (ends[row]! - start < 3 || random.float() >= share) continue;
      if (itemsShare === undefined) {
        const end = --ends[row]!;
        questions.push({ history: rowOf(row, end), next: items[end]! });
        continue;
      }
      const drawn = random.shuffle([...new Set(rowOf(row, ends[row]!))]);
      const end = start + drawn.length - Math.max(1, Math.floor(itemsShare * drawn.length));
      items.set(drawn, start);
      ends[row] = end;
      const held = items.subarray(end, start + drawn.length);
      if (end > start) questions.push({ history: rowOf(row, end), next: held[0]!, others: held.subarray(1) });
    }
  }
  if (questions.length > options.most) questions = random.shuffle(questions).slice(0, options.most);
  return { questions, ends, items };
}

const TOP = 10;

/** Mean NDCG@10 over the questions. */
export function validate(scorer: HistoryScorer, questions: readonly ValidationQuestion[], isSessions: boolean): number {
  let sum = 0;
  forEachRow(scorer, questions, (row, { history, next, others }) => {
    const right = new Set([next, ...(others ?? [])]);
    if (!isSessions) for (const item of history) if (!right.has(item)) row[item] = -Infinity;
    let [gain, ideal] = [0, 0];
    topOf(row, TOP, undefined).items.forEach((item, rank) => (gain += right.has(item) ? 1 / Math.log2(rank + 2) : 0));
    for (let rank = 0; rank < Math.min(TOP, right.size); rank++) ideal += 1 / Math.log2(rank + 2);
    sum += gain / ideal;
  });
  return questions.length === 0 ? 0 : sum / questions.length;
}

export function calibrateOn(scorer: HistoryScorer, questions: readonly ValidationQuestion[]): Calibration {
  const chances: number[] = [];
  const hits: boolean[] = [];
  if (questions.length === 0) return UNCALIBRATED;
  forEachRow(scorer, questions, (row, { history, next, others }) => {
    softmax(row);
    const { items, scores } = topOf(row, TOP, history);
    items.forEach((item, i) => {
      chances.push(scores[i]!);
      hits.push(item === next || others?.includes(item) === true);
    });
  });
  return calibrate(chances, hits);
}

function forEachRow(
  scorer: HistoryScorer,
  questions: readonly ValidationQuestion[],
  each: (row: Float32Array, question: ValidationQuestion) => void,
): void {
  const { batch, itemCount } = scorer;
  const rows = new Float32Array(Math.min(batch, questions.length) * itemCount);
  for (let from = 0; from < questions.length; from += batch) {
    const part = questions.slice(from, from + batch);
    scorer.scoreHistories(
      part.map(({ history }) => history),
      rows,
    );
    part.forEach((question, q) => each(rows.subarray(q * itemCount, (q + 1) * itemCount), question));
  }
}

/** In place. */
export function softmax(row: Float32Array): void {
  let most = -Infinity;
  for (const value of row) if (value > most) most = value;
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += row[i] = Math.exp(row[i]! - most);
  for (let i = 0; i < row.length; i++) row[i]! /= sum;
}
