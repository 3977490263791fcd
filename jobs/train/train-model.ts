/**
 * Trains a model on data that is there, measures it, and publishes it unless it is worse than the one in use.
 *
 * 1. The last interaction of each person is kept back (`holdout`), the rest is trained on; checkpoints lie in a folder
 *    named after data, settings and seed, and a fit that was killed goes on there.
 * 2. Model and published model answer the same questions about what was kept back.
 * 3. Guardrail: below (1 − margin) × the published one's figure nothing is published (MODEL_REFUSED).
 * 4. The registry signs it and puts it to use.
 */
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import { type Random, seededRandom } from '../../streams/random.js';
import { requireAlgorithm } from '../../serving/models/algorithms.js';
import { candidateFiles, ITEMS_PER_PERSON, learnCandidates } from '../../serving/models/candidates/candidate-parts.js';
import { parseSettings, throwIfCancelled } from '../../serving/models/fitting.js';
import type { RowSolver } from '../../serving/models/ials/half-sweep.js';
import type { Algorithm } from '../../serving/models/model.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import { evaluationSchema } from '../evaluate/evaluation-schema.js';
import type { CaseList } from '../evaluate/case-list.js';
import { measureModel, parseMetric } from '../evaluate/measure-model.js';
import { splitByProtocol } from '../evaluate/protocols.js';
import { rankCases } from '../evaluate/ranking.js';
import type { Scorer } from '../evaluate/ranking.js';
import { alignModel } from './aligned-model.js';
import { FileCheckpoints, fitKeyOf, hashOf } from './file-checkpoints.js';
import type { CurvePoint, FitRun } from './fit-run.js';
import { runFit } from './fit-run.js';
import { peopleWithNews, withItemsOf } from './new-data.js';
import type { ManifestDraft, Published } from '../../serving/models/published-version.js';
import type { LoadedModel, ModelRegistry } from './model-registry.js';

export interface TrainOptions {
  readonly algorithm: string;
  /** Name in the registry; the algorithm by default. */
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly seed: string;
  readonly source: string;
  readonly threads: number;
  readonly memoryBytesMax: number;
  readonly checkpointEveryMs: number;
  /** Measure on each person's last interaction; false trains on everything and measures nothing. */
  readonly hasHoldout: boolean;
  /** Share by which the figure may be below the published model's. */
  readonly margin: number;
  /** Go on from the published model instead of from nothing. */
  readonly isWarm: boolean;
  readonly publishes: boolean;
}

export interface TrainContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Folder of registry and unfinished fits. */
  readonly folder: string;
  readonly registry: ModelRegistry;
  /** Other processes that take shards of the fit. */
  readonly rowSolver?: RowSolver | undefined;
  onProgress(point: CurvePoint): void;
  say(line: string): void;
}

export interface TrainResult {
  readonly metrics: Readonly<Record<string, number>>;
  readonly publishedMetrics: Readonly<Record<string, number>> | undefined;
  readonly published: Published | undefined;
  readonly curve: readonly CurvePoint[];
  readonly trainSeconds: number;
}

const METRICS = ['ndcg@10', 'hr@10', 'mrr@10'].map(parseMetric);
/** What the guardrail looks at. */
const GUARD_METRIC = 'ndcg@10';
/** Questions a model is measured by: an interval of about ± .01 on a hit rate. */
const CASES_MAX = 20_000;
const RESAMPLES = 100;

export async function trainModel(all: TrainingSet, options: TrainOptions, context: TrainContext): Promise<TrainResult> {
  const algorithm = await requireAlgorithm(options.algorithm);
  const random = seededRandom(options.seed);
  const settings = parseSettings(algorithm, options.settings);
  const inUse = await tryLoadInUse(options, context);
  const warmStart = options.isWarm ? sameAlgorithm(inUse, options) : undefined;
  const { train, cases } = splitForTraining(newDataFor(all, warmStart, algorithm, context), options);
  const key = fitKeyOf(train, {
    algorithm: algorithm.name,
    settings,
    seed: options.seed,
    from: warmStart?.checksum ?? null,
  });
  const checkpoints = new FileCheckpoints(
    join(context.folder, 'unfinished', key),
    context.clock,
    options.checkpointEveryMs,
  );
  const fit = await runFit(algorithm, settings, train, { ...context, ...options, random, checkpoints, warmStart });
  try {
    const measure = (scorer: Scorer): Promise<Record<string, number>> =>
      measureOn(scorer, cases, train, { ...options, ...context });
    const metrics = cases === undefined ? {} : await measure(fit.model);
    const publishedMetrics =
      cases === undefined || inUse === undefined ? undefined : await measure(alignModel(inUse, train));
    requireNotWorse(metrics, publishedMetrics, options);
    const published = options.publishes
      ? await publish(fit, train, { metrics, random }, { ...options, ...context })
      : undefined;
    await checkpoints.clear();
    return { metrics, publishedMetrics, published, curve: fit.curve, trainSeconds: fit.seconds };
  } finally {
    await fit.model.close();
    await inUse?.model.close();
  }
}

/** What an algorithm that goes on learns from: people with something new. Others learn from everything, whatever was asked. */
function newDataFor(
  all: TrainingSet,
  warmStart: LoadedModel | undefined,
  { goesOn, name }: Algorithm,
  context: TrainContext,
): TrainingSet {
  const sinceMs = warmStart?.manifest.data.toMs ?? null;
  if (warmStart === undefined || sinceMs === null || !all.hasTimes) return all;
  if (goesOn !== true) {
    context.say(`${name} does not go on from a published version: it learns from everything`);
    return all;
  }
  const fresh = peopleWithNews(all, sinceMs);
  context.say(
    `${fresh.userIds.length} of ${all.userIds.length} people did something since ${new Date(sinceMs).toISOString()}`,
  );
  return withItemsOf(fresh, warmStart.itemIds);
}

export function splitForTraining(
  all: TrainingSet,
  options: Pick<TrainOptions, 'hasHoldout' | 'seed'>,
): { train: TrainingSet; cases: CaseList | undefined } {
  if (!options.hasHoldout) return { train: all, cases: undefined };
  const name = all.isSessions ? 'session-prefixes' : 'leave-last-out';
  const evaluation = {
    name: 'holdout',
    data: { file: '-', mapping: '-' },
    models: [{ algorithm: '-' }],
    protocol: { name },
  };
  const random = seededRandom(options.seed);
  const split = splitByProtocol(all, evaluationSchema.parse(evaluation).protocol, random);
  return { train: split.train, cases: split.cases.drawn(CASES_MAX, random.stream('cases')) };
}

async function tryLoadInUse(options: TrainOptions, context: TrainContext): Promise<LoadedModel | undefined> {
  if ((await context.registry.tryCurrent(options.name)) === undefined) return undefined;
  return context.registry.load(options.name, { ...context, threads: options.threads });
}

function sameAlgorithm(inUse: LoadedModel | undefined, options: TrainOptions): LoadedModel | undefined {
  return inUse?.manifest.algorithm === options.algorithm ? inUse : undefined;
}

export async function measureOn(
  scorer: Scorer,
  cases: CaseList | undefined,
  train: TrainingSet,
  { seed, signal }: { readonly seed: string; readonly signal: AbortSignal },
): Promise<Record<string, number>> {
  if (cases === undefined) return {};
  const random = seededRandom(seed).stream('measure');
  const depth = Math.max(...METRICS.map((metric) => metric.k));
  const ranking = await rankCases(scorer, cases, { depth, withAuc: false, random, signal });
  const figures = measureModel(ranking, cases, train, {
    metrics: METRICS,
    confidence: 0.95,
    resamples: RESAMPLES,
    random,
  });
  return { ...figures.metrics };
}

function requireNotWorse(
  metrics: Readonly<Record<string, number>>,
  published: Readonly<Record<string, number>> | undefined,
  options: TrainOptions,
): void {
  const [fresh, inUse] = [metrics[GUARD_METRIC], published?.[GUARD_METRIC]];
  if (fresh === undefined || inUse === undefined || !options.publishes) return;
  const least = inUse * (1 - options.margin);
  if (fresh >= least) return;
  throw new EngineError(
    'MODEL_REFUSED',
    `'${options.name}' was not published: its ${GUARD_METRIC} is ${fresh.toFixed(4)}, the published model's ` +
      `${inUse.toFixed(4)} on the same questions, and at least ${least.toFixed(4)} is asked for. The published one stays in use.`,
    { context: { fresh, inUse, margin: options.margin } },
  );
}

/** The model, and beside it what candidates are generated from where its settings say so. */
async function publish(
  fit: FitRun,
  train: TrainingSet,
  { metrics, random }: { readonly metrics: Readonly<Record<string, number>>; readonly random: Random },
  options: TrainOptions & TrainContext,
): Promise<Published> {
  const { clock, signal, registry, name } = options;
  const nextTurn = async (): Promise<void> => {
    await clock.nextTurn();
    throwIfCancelled({ signal });
  };
  const isGenerated = fit.settings['candidates'] === 'generated';
  const parts = isGenerated ? await learnCandidates(train, fit.model, { random, nextTurn }) : undefined;
  const files = { ...fit.model.save(), ...(parts === undefined ? {} : candidateFiles(parts)) };
  const ids = { itemIds: train.itemIds, userIds: train.userIds };
  return registry.publish(
    name,
    { files, ...ids },
    {
      ...manifestOf(fit, train, metrics, options),
      candidates: parts && {
        people: parts.met.start.length - 1,
        itemsPerPerson: ITEMS_PER_PERSON,
        dimensions: parts.dimensions,
      },
    },
  );
}

function manifestOf(
  fit: FitRun,
  train: TrainingSet,
  metrics: Readonly<Record<string, number>>,
  options: TrainOptions,
): ManifestDraft {
  const { times, hasTimes } = train;
  const fromMs = hasTimes ? times.reduce((left, right) => Math.min(left, right), Infinity) : null;
  const toMs = hasTimes ? times.reduce((left, right) => Math.max(left, right), -Infinity) : null;
  return {
    algorithm: options.algorithm,
    spaceId: fit.model.spaceId,
    settings: fit.settings,
    seed: options.seed,
    itemCount: fit.model.itemCount,
    userCount: fit.model.userCount,
    data: {
      source: options.source,
      interactions: train.items.length,
      fromMs,
      toMs,
      hash: hashOf(train),
      isSessions: train.isSessions,
      hasWeights: train.hasWeights,
    },
    metrics,
    trainSeconds: fit.seconds,
  };
}
