/**
 * From a model's score to a chance: isotonic regression over scores of items people met and of items they did not.
 *
 * The chance is that of an item that was met against one drawn by popularity, both equally often: .5 means 'as likely as
 * not'. Between two knots it is interpolated, beyond the last ones it stays. Ayer and others (1955), pool adjacent
 * violators; Zadrozny, Elkan: "Transforming Classifier Scores into Accurate Multiclass Probability Estimates" (2002).
 *
 * Invariant: knots ascend in score and do not descend in chance; chances lie within [.01, .99].
 */
import { EngineError } from '../../../schemas/errors.js';
import { bytesOf, readFloats } from '../model-files.js';
import type { ModelArtefact } from '../model.js';

export interface CalibrationExample {
  readonly score: number;
  readonly isPositive: boolean;
}

/** Examples are pooled into at least this many a knot, so that a chance rests on more than a few. */
const EXAMPLES_PER_KNOT = 25;
const [CHANCE_MIN, CHANCE_MAX] = [0.01, 0.99];
const FILE = 'calibration.f32';

export class Calibration {
  private constructor(
    private readonly scores: Float32Array,
    private readonly chances: Float32Array,
  ) {}

  /** Without examples every score has a chance of one half. */
  static learn(examples: readonly CalibrationExample[]): Calibration {
    const known = examples.filter(({ score }) => Number.isFinite(score));
    const sorted = known.toSorted((left, right) => left.score - right.score);
    const pools: { score: number; positives: number; count: number }[] = [];
    for (let start = 0; start < sorted.length; start += EXAMPLES_PER_KNOT) {
      const chunk = sorted.slice(start, start + EXAMPLES_PER_KNOT);
      const positives = chunk.filter(({ isPositive }) => isPositive).length;
      const score = chunk.reduce((sum, example) => sum + example.score, 0);
      pools.push({ score, positives, count: chunk.length });
      // A pool that is no better than the one before it violates the order: they become one.
      while (pools.length > 1 && chanceOf(pools.at(-1)!) <= chanceOf(pools.at(-2)!)) {
        const last = pools.pop()!;
        const before = pools.at(-1)!;
        before.score += last.score;
        before.positives += last.positives;
        before.count += last.count;
      }
    }
    if (pools.length === 0) return new Calibration(Float32Array.of(0), Float32Array.of(0.5));
    return new Calibration(
      Float32Array.from(pools, ({ score, count }) => score / count),
      Float32Array.from(pools, (pool) => Math.min(CHANCE_MAX, Math.max(CHANCE_MIN, chanceOf(pool)))),
    );
  }

  static load(artefact: ModelArtefact): Calibration {
    const bytes = artefact.files[FILE]?.byteLength ?? 0;
    const knots = bytes / 8;
    if (!Number.isInteger(knots) || knots < 1) {
      throw new EngineError('MODEL_INVALID', `File '${FILE}' of a ${artefact.algorithm} model has ${bytes} bytes.`);
    }
    const values = readFloats(artefact, FILE, 2 * knots);
    return new Calibration(values.slice(0, knots), values.slice(knots));
  }

  files(): Record<string, Uint8Array> {
    return { [FILE]: bytesOf(Float32Array.of(...this.scores, ...this.chances)) };
  }

  chance(score: number): number {
    const { scores, chances } = this;
    if (Number.isNaN(score) || score === -Infinity) return 0;
    const last = scores.length - 1;
    if (score <= scores[0]!) return chances[0]!;
    if (score >= scores[last]!) return chances[last]!;
    let [low, high] = [0, last];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (scores[middle]! <= score) low = middle;
      else high = middle;
    }
    const width = scores[high]! - scores[low]!;
    const share = width > 0 ? (score - scores[low]!) / width : 1;
    return chances[low]! + share * (chances[high]! - chances[low]!);
  }
}

function chanceOf({ positives, count }: { positives: number; count: number }): number {
  return positives / count;
}
