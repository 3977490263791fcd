import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseEvaluation, readEvaluationFile } from '../../../jobs/evaluate/load-evaluation.js';
import { parseMetric } from '../../../jobs/evaluate/measure-model.js';
import { parseSettings } from '../../../serving/models/fitting.js';
import { requireAlgorithm } from '../../../serving/models/algorithms.js';

const FOLDER = join(process.cwd(), 'jobs', 'evaluations');

describe('the evaluations that come with freshet', () => {
  it.for(readdirSync(FOLDER))('%s names models, settings and metrics that exist', async (file) => {
    const evaluation = parseEvaluation(readEvaluationFile(join(FOLDER, file)), file);
    expect(evaluation.name).toBe(basename(file, '.yaml'));
    for (const { algorithm, settings } of evaluation.models) parseSettings(await requireAlgorithm(algorithm), settings);
    const metrics = evaluation.metrics.map(parseMetric).map(({ text }) => text);
    for (const bar of Object.keys(evaluation.bars)) expect(metrics).toContain(bar);
  });
});
