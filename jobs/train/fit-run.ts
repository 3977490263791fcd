/**
 * Runs one fit: the context an algorithm is given, progress with the time left, and the learning curve.
 *
 * The time left is elapsed · (1 − done) / done, from the share the algorithm says is done; after a resume only what was
 * done since counts.
 */
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Random } from '../../streams/random.js';
import type { Section } from '../../streams/config.js';
import { parseSettings } from '../../serving/models/fitting.js';
import type { Algorithm, Checkpoints, FitProgress, Model, PublishedModel } from '../../serving/models/model.js';
import type { RowSolver } from '../../serving/models/ials/half-sweep.js';
import type { TrainingSet } from '../../serving/models/training-set.js';

/** One report of a fit, with its time: the learning curve is the list of them. */
export interface CurvePoint extends FitProgress {
  readonly elapsedMs: number;
  /** Undefined before anything is done. */
  readonly leftMs: number | undefined;
}

export interface FitRunOptions {
  readonly random: Random;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly threads: number;
  readonly memoryBytesMax: number;
  readonly checkpoints?: Checkpoints | undefined;
  readonly warmStart?: PublishedModel | undefined;
  readonly rowSolver?: RowSolver | undefined;
  readonly onProgress?: ((point: CurvePoint) => void) | undefined;
}

export interface FitRun {
  readonly model: Model;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly curve: readonly CurvePoint[];
  readonly seconds: number;
}

/** @param raw settings as a person wrote them; CONFIG_INVALID lists what is wrong with them */
export async function runFit<S extends Section>(
  algorithm: Algorithm<S>,
  raw: unknown,
  set: TrainingSet,
  options: FitRunOptions,
): Promise<FitRun> {
  const { clock, onProgress } = options;
  const settings = parseSettings(algorithm, raw);
  const curve: CurvePoint[] = [];
  const start = clock.monotonic();
  let base: number | undefined;
  const model = await algorithm.fit(set, settings, {
    ...options,
    random: options.random.stream(algorithm.name),
    checkpoints: options.checkpoints ?? NO_CHECKPOINTS,
    progress: (report) => {
      const elapsedMs = clock.monotonic() - start;
      base ??= report.epoch <= 1 ? 0 : report.fraction;
      const done = report.fraction - base;
      const leftMs = done > 0 ? (elapsedMs * (1 - report.fraction)) / done : undefined;
      const point = { ...report, elapsedMs, leftMs };
      curve.push(point);
      onProgress?.(point);
    },
  });
  return { model, settings, curve, seconds: (clock.monotonic() - start) / 1_000 };
}

/** For fits that are short, or that nobody would resume. */
const NO_CHECKPOINTS: Checkpoints = {
  load: async () => undefined,
  isDue: () => false,
  save: async () => undefined,
};

/** `epoch 3/20  loss 0.4312  ndcg@10 0.1822  2 min left` */
export function describeProgress(point: CurvePoint): string {
  const parts = [`epoch ${point.epoch}/${point.epochs}`];
  if (point.loss !== undefined) parts.push(`loss ${point.loss.toFixed(4)}`);
  if (point.validation !== undefined) parts.push(`${point.validation.name} ${point.validation.value.toFixed(4)}`);
  if (point.leftMs !== undefined && point.fraction < 1) parts.push(`${describeDuration(point.leftMs)} left`);
  return parts.join('  ');
}

function describeDuration(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3_600).toFixed(1)} h`;
}
