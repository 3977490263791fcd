/**
 * Runs one evaluation: data, then for each model fit, rank, measure; then every other model against the row's own.
 *
 * Invariant: same file, data, build and seed, same figures: split, draws and fits take named streams of the seed. Times and
 * memory are what was seen.
 */
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import { seededRandom } from '../../streams/random.js';
import type { Random } from '../../streams/random.js';
import { requireAlgorithm } from '../../serving/models/algorithms.js';
import { describeProgress, runFit } from '../train/fit-run.js';
import type { CurvePoint } from '../train/fit-run.js';
import { SharedRows } from '../work/half-sweep-work.js';
import { artefactOf, shareRanking } from '../work/ranking-work.js';
import type { WorkPool } from '../work/work-pool.js';
import type { Evaluation, ModelSpecification } from './evaluation-schema.js';
import { type GeneratedFigures, rankGenerated } from './generated-ranking.js';
import { loadEvaluationData } from './load-evaluation.js';
import type { DataPlaces, LoadedData } from './load-evaluation.js';
import { clusterOf, measureModel, parseMetric } from './measure-model.js';
import type { MeasureOptions, ModelFigures } from './measure-model.js';
import type { Split } from './protocols.js';
import { rankCases } from './ranking.js';
import { clusterSums, pairedTest } from './resampling.js';
import type { PairedTest } from './resampling.js';

export interface EvaluationContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Other processes that take shards of fits and full rankings; figures are the same. */
  readonly pool?: WorkPool | undefined;
  /** A line for people, replaced by the next one. */
  progress(text: () => string): void;
}

export interface ModelResult extends ModelFigures {
  readonly label: string;
  readonly algorithm: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly curve: readonly CurvePoint[];
  /** What generated candidates reach by themselves, where those are ranked. */
  readonly generated?: GeneratedFigures | undefined;
  readonly trainSeconds: number;
  readonly evaluateSeconds: number;
}

export interface EvaluationResult {
  readonly evaluation: Evaluation;
  readonly sizes: LoadedData['sizes'];
  readonly trainInteractions: number;
  readonly cases: number;
  readonly leftOut: { readonly inHistory: number; readonly untrained: number };
  /** The row's own model first. */
  readonly models: readonly ModelResult[];
  /** The row's own model minus each other one, by label and metric. */
  readonly comparisons: Readonly<Record<string, Readonly<Record<string, PairedTest>>>>;
  readonly maxRssBytes: number;
}

export async function runEvaluation(
  evaluation: Evaluation,
  places: DataPlaces,
  context: EvaluationContext,
): Promise<EvaluationResult> {
  const random = seededRandom(evaluation.seed);
  context.progress(() => `${evaluation.name}: reading data`);
  const { split, sizes } = await loadEvaluationData(evaluation, places, random);
  const cases =
    evaluation.casesMax === undefined ? split.cases : split.cases.drawn(evaluation.casesMax, random.stream('cases'));
  const measured: ModelResult[] = [];
  for (const model of evaluation.models) {
    measured.push(await evaluateModel(model, evaluation, { train: split.train, cases }, random, context));
  }
  const models = bestFirst(measured, evaluation.best);
  const [own, ...others] = models;
  const compare = (other: ModelResult): readonly [string, Record<string, PairedTest>] => [
    other.label,
    compareModels(own!, other, { ...evaluation, random }, (c) => clusterOf(cases, c)),
  ];
  return {
    evaluation,
    sizes,
    trainInteractions: split.train.items.length,
    cases: cases.count,
    leftOut: split.cases.leftOut,
    models,
    comparisons: Object.fromEntries(others.map(compare)),
    maxRssBytes: process.resourceUsage().maxRSS * 1_024,
  };
}

async function evaluateModel(
  specification: ModelSpecification,
  evaluation: Evaluation,
  { train, cases }: Split,
  random: Random,
  context: EvaluationContext,
): Promise<ModelResult> {
  const { algorithm: name, label = name, settings } = specification;
  const { threads, memoryBytesMax, candidates, resamples, confidence } = evaluation;
  const { clock } = context;
  const say = (text: string): void => context.progress(() => `${evaluation.name}, ${label}: ${text}`);
  say('training');
  const rowSolver = context.pool === undefined ? undefined : new SharedRows(context.pool, context.signal);
  const fit = await runFit(await requireAlgorithm(name), settings, train, {
    ...context,
    rowSolver,
    random: random.stream('fit'),
    threads,
    memoryBytesMax,
    onProgress: (point) => say(describeProgress(point)),
  });
  try {
    const start = clock.monotonic();
    const metrics = evaluation.metrics.map(parseMetric);
    const rankOptions = {
      depth: Math.max(1, ...metrics.map((metric) => metric.k)),
      withAuc: metrics.some((metric) => metric.kind === 'auc'),
      signal: context.signal,
      onProgress: (share: number) => say(`ranked ${Math.round(share * 100)} %`),
    };
    const drawn = { ...rankOptions, clock, random: random.stream('rank') };
    const generation = candidates === 'generated' ? await rankGenerated(fit.model, train, cases, drawn) : undefined;
    const sampled = typeof candidates === 'string' ? undefined : candidates.sampled;
    const ranking =
      generation !== undefined
        ? generation.ranking
        : context.pool !== undefined && candidates === 'all'
          ? await shareRanking(context.pool, artefactOf(fit.model, fit.settings), cases, rankOptions)
          : await rankCases(fit.model, cases, { ...drawn, sampled });
    const options: MeasureOptions = { metrics, resamples, confidence, random };
    const figures = measureModel(ranking, cases, train, options);
    const evaluateSeconds = (clock.monotonic() - start) / 1_000;
    const { curve, seconds: trainSeconds, settings: parsed } = fit;
    const generated = generation?.generated;
    return { label, algorithm: name, settings: parsed, curve, trainSeconds, evaluateSeconds, generated, ...figures };
  } finally {
    await rowSolver?.close();
    await fit.model.close();
  }
}

/** By the metric named, greatest first; as given without one. */
function bestFirst(models: readonly ModelResult[], best: string | undefined): readonly ModelResult[] {
  if (best === undefined) return models;
  return [...models].sort((left, right) => right.metrics[best]! - left.metrics[best]!);
}

function compareModels(
  own: ModelResult,
  other: ModelResult,
  options: Omit<MeasureOptions, 'metrics'>,
  cluster: (index: number) => number,
): Record<string, PairedTest> {
  const tests = Object.entries(own.perCase).map(([metric, values]) => {
    const differences = values.map((value, c) => value - other.perCase[metric]![c]!);
    const random = options.random.stream(`paired ${other.label} ${metric}`);
    return [metric, pairedTest(clusterSums(differences, cluster), { ...options, random })] as const;
  });
  return Object.fromEntries(tests);
}
