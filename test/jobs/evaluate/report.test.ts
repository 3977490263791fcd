import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseEvaluation } from '../../../jobs/evaluate/load-evaluation.js';
import { renderReport } from '../../../jobs/evaluate/report.js';
import { runEvaluation } from '../../../jobs/evaluate/run-evaluation.js';
import type { EvaluationResult } from '../../../jobs/evaluate/run-evaluation.js';
import { summaryOf } from '../../../jobs/evaluate/summary.js';
import { ManualClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { smallWorld } from '../../serving/models/small-world.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'freshet-report-'));
  const set = smallWorld();
  const lines = set.userIds.map((user, u) => {
    const row = set.items.subarray(set.rowStart[u], set.rowStart[u + 1]);
    return `${user} ${[...row].map((item) => set.itemIds[item]).join(' ')}`;
  });
  writeFileSync(join(folder, 'world.txt'), `${lines.join('\n')}\n`);
  const mapping =
    'name: world\nformat: sequences\ninteraction: { userId: user, itemId: item, ts: {}, type: { constant: click } }\n';
  writeFileSync(join(folder, 'world.yaml'), mapping);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(): Promise<EvaluationResult> {
  const evaluation = parseEvaluation(
    {
      name: 'world',
      about: 'A <small> world',
      data: { file: 'world.txt', mapping: 'world.yaml' },
      protocol: { name: 'leave-last-out' },
      models: [{ algorithm: 'popularity' }, { algorithm: 'item_knn', label: 'knn & co' }],
      metrics: ['hr@10', 'ndcg@10', 'coverage@10'],
      bars: { 'hr@10': 0.5 },
      best: 'ndcg@10',
      resamples: 200,
    },
    'test',
  );
  const context = { clock: new ManualClock(), logger: silentLogger, signal: new AbortController().signal };
  return runEvaluation(evaluation, { dataFolder: folder, home: folder }, { ...context, progress: () => undefined });
}

describe('an evaluation', () => {
  it('puts the best model first, tells whether the bar is met, and compares the others with it', async () => {
    const summary = summaryOf(await run()) as Record<string, Record<string, unknown>>;
    expect(summary['model']).toBe('knn & co');
    expect(summary['metrics']!['hr@10']).toBeGreaterThan(0.5);
    expect(summary['bars']).toEqual({ 'hr@10': { bar: 0.5, met: true } });
    const test = summary['comparisons']!['popularity'] as Record<string, { difference: number; p: number }>;
    expect(test['hr@10']!.difference).toBeGreaterThan(0.1);
    expect(test['hr@10']!.p).toBeLessThan(0.01);
    expect(summary['ci']!['hr@10']).toHaveLength(2);
  });

  it('gives the same figures again', async () => {
    const [first, second] = [summaryOf(await run()), summaryOf(await run())] as Record<string, unknown>[];
    for (const key of ['metrics', 'ci', 'comparisons', 'slices']) expect(second![key]).toEqual(first![key]);
  });

  it('becomes one page that needs nothing else and shows text as text', async () => {
    const page = renderReport([await run()], ['gone: FILE_UNREADABLE: <no file>']);
    expect(page).toContain('A &lt;small&gt; world');
    expect(page).toContain('knn &amp; co');
    expect(page).toContain('&lt;no file&gt;');
    expect(page).toContain('<svg');
    expect(page).not.toMatch(/<script|https?:\/\/|NaN|undefined/);
  });
});
