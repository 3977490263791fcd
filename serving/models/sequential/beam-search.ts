/**
 * Beam search for the likeliest next items in a row: of every beam the best continuations, of all those the best beams.
 *
 * A beam's value is the mean log-chance of its items (normalised by length), chances being a softmax at a temperature
 * over items that are neither excluded nor in the beam. A beam nothing can be added to competes as it is.
 * Defaults: 10 beams, 20 steps, temperature .8.
 */
import { topOf } from '../fitting.js';
import type { ModelQuery } from '../model.js';
import { softmax } from './validation.js';

export interface BeamOptions {
  readonly beams?: number;
  readonly steps?: number;
  readonly temperature?: number;
}

export interface Continuation {
  readonly items: readonly number[];
  /** Mean log-chance of an item. */
  readonly score: number;
}

interface Beam extends Continuation {
  readonly sum: number;
}

const BEAMS = 10;
const STEPS = 20;
const STEPS_MAX = 20;
const TEMPERATURE = 0.8;

export function searchBeam(
  query: ModelQuery,
  { beams: width = BEAMS, steps = STEPS, temperature = TEMPERATURE }: BeamOptions,
  scoreMany: (histories: readonly Int32Array[], rows: Float32Array) => void,
  itemCount: number,
): readonly Continuation[] {
  const excluded = [...(query.excluded ?? [])];
  const rows = new Float32Array(width * itemCount);
  let open: Beam[] = [{ items: [], score: 0, sum: 0 }];
  const finished: Beam[] = [];
  for (let step = 0; step < Math.min(steps, STEPS_MAX) && open.length > 0; step++) {
    scoreMany(
      open.map(({ items }) => Int32Array.from([...query.items, ...items])),
      rows,
    );
    const next: Beam[] = [];
    open.forEach((beam, b) => {
      const row = rows.subarray(b * itemCount, (b + 1) * itemCount);
      const without = Int32Array.from([...excluded, ...beam.items]);
      for (const item of without) row[item] = -Infinity;
      for (let i = 0; i < row.length; i++) row[i]! /= temperature;
      const best = topOf(row, width, undefined).items;
      if (best.length === 0) finished.push(beam);
      softmax(row);
      for (const item of best) next.push(extended(beam, item, Math.log(row[item]!)));
    });
    next.sort(byScore);
    open = next.slice(0, width);
  }
  return [...finished, ...open]
    .filter(({ items }) => items.length > 0)
    .sort(byScore)
    .slice(0, width)
    .map(({ items, score }) => ({ items, score }));
}

function extended(beam: Beam, item: number, logChance: number): Beam {
  const items = [...beam.items, item];
  const sum = beam.sum + logChance;
  return { items, sum, score: sum / items.length };
}

/** Equal scores: the sequence with the lower item first, so that the order is total. */
function byScore(left: Beam, right: Beam): number {
  if (left.score !== right.score) return right.score - left.score;
  const place = left.items.findIndex((item, i) => item !== right.items[i]);
  return place < 0 ? 0 : left.items[place]! - right.items[place]!;
}
