/**
 * Trials of settings: fits on what is left when each person's last interaction is set aside, measured on the one before.
 *
 * What `freshet train` measures a model on is never looked at here, so its figure does not flatter the settings chosen.
 * A trial depends on set, settings and seed alone: where it is run changes nothing.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import { seededRandom } from '../../streams/random.js';
import { requireAlgorithm } from '../../serving/models/algorithms.js';
import { parseSettings } from '../../serving/models/fitting.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import { runFit } from './fit-run.js';
import { measureOn, splitForTraining } from './train-model.js';

export interface Trial {
  readonly algorithm: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly seed: string;
}

export interface TrialContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly threads: number;
  readonly memoryBytesMax: number;
}

export interface TrialResult {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly metrics: Readonly<Record<string, number>>;
}

/** What trials are ordered by. */
export const TRIAL_METRIC = 'ndcg@10';
const TRIALS_MAX = 1_000;

/** Each person's last interaction set aside. */
export function settingAsideLast(all: TrainingSet, seed: string): TrainingSet {
  return splitForTraining(all, { hasHoldout: true, seed }).train;
}

/**
 * Every combination of the values, in their order; of more than `most` as many are drawn.
 *
 * Throws USAGE_INVALID for too many, CONFIG_INVALID for values that the algorithm does not take.
 */
export async function combinations(
  algorithm: string,
  values: Readonly<Record<string, readonly unknown[]>>,
  { most = TRIALS_MAX, seed }: { readonly most?: number | undefined; readonly seed: string },
): Promise<Trial[]> {
  const known = await requireAlgorithm(algorithm);
  const names = Object.keys(values);
  const count = names.reduce((product, name) => product * values[name]!.length, 1);
  if (most > TRIALS_MAX || count === 0 || (count > TRIALS_MAX * TRIALS_MAX && most < count)) {
    throw new EngineError(
      'USAGE_INVALID',
      `The values make ${count} combinations, of which ${most} would be tried; expected up to ${TRIALS_MAX} trials.`,
    );
  }
  const drawn = drawnOf(count, most, seed);
  const trials = drawn.map((index) => ({ algorithm, seed, settings: combination(values, names, index) }));
  for (const { settings } of trials) parseSettings(known, settings);
  return trials;
}

/** Indexes below `count`, ascending: all, or `most` of them. */
function drawnOf(count: number, most: number, seed: string): number[] {
  if (count <= most) return Array.from({ length: count }, (_, index) => index);
  const random = seededRandom(seed).stream('combinations');
  const drawn = new Set<number>();
  while (drawn.size < most) drawn.add(random.int(count));
  return [...drawn].sort((left, right) => left - right);
}

/** The last name's values change fastest. */
function combination(
  values: Readonly<Record<string, readonly unknown[]>>,
  names: readonly string[],
  index: number,
): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  let rest = index;
  for (const name of names.toReversed()) {
    const choices = values[name]!;
    settings[name] = choices[rest % choices.length];
    rest = Math.floor(rest / choices.length);
  }
  return Object.fromEntries(names.map((name) => [name, settings[name]]));
}

export async function runTrial(set: TrainingSet, trial: Trial, context: TrialContext): Promise<TrialResult> {
  const { seed, settings } = trial;
  const algorithm = await requireAlgorithm(trial.algorithm);
  const { train, cases } = splitForTraining(set, { hasHoldout: true, seed });
  const fit = await runFit(algorithm, settings, train, { ...context, random: seededRandom(seed) });
  try {
    return { settings, metrics: await measureOn(fit.model, cases, train, { seed, signal: context.signal }) };
  } finally {
    await fit.model.close();
  }
}

/** Best first; of equal ones the earlier trial. */
export function bestFirst(results: readonly TrialResult[]): TrialResult[] {
  return [...results].sort((left, right) => right.metrics[TRIAL_METRIC]! - left.metrics[TRIAL_METRIC]!);
}
