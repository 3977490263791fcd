/**
 * The figures of one model: every metric by question, its mean with interval, catalogue figures, slices.
 *
 * Metrics of lists are kept by question, so that intervals, paired tests and slices all rest on the same numbers.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Random } from '../../streams/random.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import type { CaseList } from './case-list.js';
import { CATALOGUE_METRICS, CatalogueMetrics, meanOf } from './catalogue-metrics.js';
import type { CatalogueMetric } from './catalogue-metrics.js';
import { LIST_METRICS, listQuality } from './list-metrics.js';
import type { ListMetric } from './list-metrics.js';
import type { Ranking } from './ranking.js';
import { bootstrapInterval, clusterSums } from './resampling.js';
import type { Interval } from './resampling.js';

/** A metric asked for, such as `ndcg@10`. */
export interface MetricName {
  readonly text: string;
  readonly kind: ListMetric | CatalogueMetric | 'auc';
  /** 0 for auc. */
  readonly k: number;
}

/** Throws EVALUATION_INVALID listing what there is. */
export function parseMetric(text: string): MetricName {
  const [kind = '', cut = '0'] = text.split('@');
  const known = [...LIST_METRICS, ...CATALOGUE_METRICS, 'auc' as const];
  const found = known.find((name) => name === kind);
  if (found !== undefined) return { text, kind: found, k: Number(cut) };
  throw new EngineError('EVALUATION_INVALID', `There is no metric '${kind}'; there are ${known.join(', ')}.`);
}

function isOfLists(metric: MetricName): metric is MetricName & { kind: ListMetric } {
  return (LIST_METRICS as readonly string[]).includes(metric.kind);
}

export interface ModelFigures {
  readonly metrics: Readonly<Record<string, number>>;
  readonly ci: Readonly<Record<string, Interval>>;
  readonly slices: Readonly<Record<string, SliceFigures>>;
  /** By metric, one value a question; NaN where it has none. */
  readonly perCase: Readonly<Record<string, Float64Array>>;
}

export interface SliceFigures {
  readonly cases: number;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface MeasureOptions {
  readonly metrics: readonly MetricName[];
  readonly confidence: number;
  readonly resamples: number;
  readonly random: Random;
}

export function measureModel(
  ranking: Ranking,
  cases: CaseList,
  train: TrainingSet,
  options: MeasureOptions,
): ModelFigures {
  const lists = options.metrics.filter(isOfLists);
  const perCase: Record<string, Float64Array> = qualityByCase(ranking, cases, lists, (_, relevant) => relevant);
  if (options.metrics.some((metric) => metric.kind === 'auc')) perCase['auc'] = ranking.auc;
  const metrics: Record<string, number> = {};
  const ci: Record<string, Interval> = {};
  const catalogue = new CatalogueMetrics(train, cases);
  for (const metric of options.metrics) {
    const values = perCase[metric.text];
    if (values === undefined) {
      metrics[metric.text] = catalogue.value(metric.kind as CatalogueMetric, ranking, metric.k);
      continue;
    }
    metrics[metric.text] = meanOf(values.length, (c) => values[c]!);
    const clusters = clusterSums(values, (c) => clusterOf(cases, c));
    ci[metric.text] = bootstrapInterval(clusters, { ...options, random: options.random.stream('bootstrap') });
  }
  return { metrics, ci, slices: sliceFigures(ranking, cases, train, lists, perCase), perCase };
}

/** Questions about one user stand together; those of strangers and sessions each for themselves. */
export function clusterOf(cases: CaseList, index: number): number {
  const user = cases.userOf(index);
  return user >= 0 ? user : -1 - index;
}

type Restrict = (index: number, relevant: Int32Array) => Int32Array;

/** One array a metric; NaN where nothing right is left by `restrict`. */
function qualityByCase(
  { lists, depth }: Ranking,
  cases: CaseList,
  metrics: readonly (MetricName & { kind: ListMetric })[],
  restrict: Restrict,
): Record<string, Float64Array> {
  const values = metrics.map(() => new Float64Array(cases.count).fill(NaN));
  const hits: boolean[] = [];
  for (let c = 0; c < cases.count; c++) {
    const relevant = restrict(c, cases.relevant(c));
    if (relevant.length === 0) continue;
    hits.length = 0;
    for (let place = 0; place < depth; place++) {
      const item = lists[c * depth + place]!;
      if (item < 0) break;
      hits.push(relevant.includes(item));
    }
    metrics.forEach(({ kind, k }, m) => (values[m]![c] = listQuality(kind, hits, k, relevant.length)));
  }
  return Object.fromEntries(metrics.map(({ text }, m) => [text, values[m]!]));
}

/** Users with fewer interactions in their history are cold: they get a cold start. */
const WARM_HISTORY_MIN = 5;
/** The most popular share of items is the head (the Pareto cut that the literature on long tails uses). */
const HEAD_SHARE = 0.2;

/**
 * Cold and warm: questions with fewer than 5, or at least 5, interactions in the history. Head and tail: the same lists
 * against only those right items that are among the most popular fifth of trained items, or are not.
 */
function sliceFigures(
  ranking: Ranking,
  cases: CaseList,
  train: TrainingSet,
  metrics: readonly (MetricName & { kind: ListMetric })[],
  perCase: Readonly<Record<string, Float64Array>>,
): Record<string, SliceFigures> {
  const isHead = headItems(train);
  const ofItems = (wanted: boolean): Readonly<Record<string, Float64Array>> =>
    qualityByCase(ranking, cases, metrics, (_, relevant) => relevant.filter((item) => (isHead[item] === 1) === wanted));
  const isWarm = (c: number): boolean => cases.historyLength(c) >= WARM_HISTORY_MIN;
  return {
    'cold-users': meansOf(perCase, metrics, (c) => !isWarm(c)),
    'warm-users': meansOf(perCase, metrics, isWarm),
    'head-items': meansOf(ofItems(true), metrics, () => true),
    'tail-items': meansOf(ofItems(false), metrics, () => true),
  };
}

function meansOf(
  perCase: Readonly<Record<string, Float64Array>>,
  metrics: readonly MetricName[],
  isIn: (index: number) => boolean,
): SliceFigures {
  let cases = 0;
  const means = metrics.map(({ text }) => {
    const values = perCase[text]!.filter((value, c) => !Number.isNaN(value) && isIn(c));
    cases = values.length;
    return [text, meanOf(values.length, (i) => values[i]!)] as const;
  });
  return { cases, metrics: Object.fromEntries(means) };
}

function headItems(train: TrainingSet): Uint8Array {
  const counts = new Int32Array(train.itemIds.length);
  for (const item of train.items) counts[item]!++;
  const order = Array.from(counts.keys())
    .filter((item) => counts[item]! > 0)
    .sort((left, right) => counts[right]! - counts[left]! || left - right);
  const isHead = new Uint8Array(counts.length);
  for (const item of order.slice(0, Math.ceil(order.length * HEAD_SHARE))) isHead[item] = 1;
  return isHead;
}
