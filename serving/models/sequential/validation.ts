/**
 * The questions early stopping looks at: histories with the item that came next, ranked against the whole catalogue.
 *
 * They are the set's own validation pairs, or the last items of a drawn share of the rows, which then are not trained on;
 * of few rows up to half, since ten questions decide by chance.
 * Items of the history are not ranked where rows are people (who rarely want the same again), but are where rows are
 * sessions.
 */
import type { Random } from '../../../streams/random.js';
import { topOf } from '../fitting.js';
import type { TrainingSet } from '../training-set.js';
import { type Calibration, calibrate, UNCALIBRATED } from './calibration.js';
import type { HistoryScorer } from './scorer.js';

export interface ValidationQuestion {
  readonly history: Int32Array;
  readonly next: number;
}

export interface HeldOut {
  readonly questions: readonly ValidationQuestion[];
  /** Row r is trained on up to this position of the set's arrays. */
  readonly ends: Int32Array;
}

const QUESTIONS_LEAST = 200;
const SHARE_MOST = 0.5;

/** @param options.share of the rows, 0 for none */
export function holdOut(set: TrainingSet, random: Random, options: { share: number; most: number }): HeldOut {
  const ends = set.rowStart.slice(1);
  const rowOf = (row: number, end: number): Int32Array => set.items.subarray(set.rowStart[row], end);
  let questions: ValidationQuestion[] = [];
  if (set.validation !== undefined) {
    const { users, items } = set.validation;
    for (let p = 0; p < users.length; p++) {
      const history = rowOf(users[p]!, ends[users[p]!]!);
      if (history.length > 0) questions.push({ history, next: items[p]! });
    }
  } else {
    const share =
      options.share === 0 ? 0 : Math.max(options.share, Math.min(SHARE_MOST, QUESTIONS_LEAST / ends.length));
    for (let row = 0; row < ends.length; row++) {
      // A row of two would leave nothing to train on.
      if (ends[row]! - set.rowStart[row]! < 3 || random.float() >= share) continue;
      const end = --ends[row]!;
      questions.push({ history: rowOf(row, end), next: set.items[end]! });
    }
  }
  if (questions.length > options.most) questions = random.shuffle(questions).slice(0, options.most);
  return { questions, ends };
}

const TOP = 10;

/** Mean NDCG@10 over the questions. */
export function validate(scorer: HistoryScorer, questions: readonly ValidationQuestion[], isSessions: boolean): number {
  let sum = 0;
  forEachRow(scorer, questions, (row, { history, next }) => {
    const score = row[next]!;
    if (!isSessions) for (const item of history) if (item !== next) row[item] = -Infinity;
    let rank = 0;
    for (let i = 0; i < row.length && rank < TOP; i++) {
      if (row[i]! > score || (row[i] === score && i < next)) rank++;
    }
    if (rank < TOP) sum += 1 / Math.log2(rank + 2);
  });
  return questions.length === 0 ? 0 : sum / questions.length;
}

export function calibrateOn(scorer: HistoryScorer, questions: readonly ValidationQuestion[]): Calibration {
  const chances: number[] = [];
  const hits: boolean[] = [];
  if (questions.length === 0) return UNCALIBRATED;
  forEachRow(scorer, questions, (row, { history, next }) => {
    softmax(row);
    const { items, scores } = topOf(row, TOP, history);
    items.forEach((item, i) => {
      chances.push(scores[i]!);
      hits.push(item === next);
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
