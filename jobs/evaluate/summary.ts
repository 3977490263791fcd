/** The result of an evaluation as one JSON object: the row's own model first, all others beside it. */
import { candidatesName } from './evaluation-schema.js';
import type { EvaluationResult, ModelResult } from './run-evaluation.js';

export function summaryOf(result: EvaluationResult): object {
  const { evaluation, models, comparisons, maxRssBytes, cases, leftOut, sizes, trainInteractions } = result;
  const [own] = models;
  return {
    name: evaluation.name,
    model: own!.label,
    protocol: evaluation.protocol.name,
    candidates: candidatesName(evaluation),
    metrics: own!.metrics,
    generated: own!.generated,
    ci: own!.ci,
    trainSeconds: own!.trainSeconds,
    evaluateSeconds: own!.evaluateSeconds,
    maxRssBytes,
    cases,
    leftOut,
    sizes: { ...sizes, trainInteractions },
    seed: evaluation.seed,
    bars: barsOf(result),
    slices: own!.slices,
    others: models.slice(1).map(briefly),
    comparisons,
  };
}

function briefly({ label, metrics, generated, ci, trainSeconds, evaluateSeconds }: ModelResult): object {
  return { model: label, metrics, generated, ci, trainSeconds, evaluateSeconds };
}

/** What the row should at least reach, and whether it did. */
export function barsOf({ evaluation, models }: EvaluationResult): Record<string, { bar: number; met: boolean }> {
  const metrics = models[0]!.metrics;
  const bars = Object.entries(evaluation.bars).map(([metric, bar]) => [
    metric,
    { bar, met: (metrics[metric] ?? NaN) >= bar },
  ]);
  return Object.fromEntries(bars) as Record<string, { bar: number; met: boolean }>;
}
