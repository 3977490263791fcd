/**
 * Evaluations as one HTML page: a table of all rows first, then each with its models, plots, slices and settings.
 *
 * The page is self-contained (no script, no address outside), and everything that came from files is escaped.
 */
import type { EvaluationResult, ModelResult } from './run-evaluation.js';
import { barsOf } from './summary.js';
import type { Curve } from './svg-plots.js';
import { barPlot, curvePlot, escapeText } from './svg-plots.js';

/** @param failures rows that could not be run, with the reason */
export function renderReport(results: readonly EvaluationResult[], failures: readonly string[]): string {
  const failed =
    failures.length === 0
      ? ''
      : `<h2>Not run</h2><ul>${failures.map((text) => `<li>${escapeText(text)}</li>`).join('')}</ul>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Freshet: evaluations</title><style>${STYLE}</style></head>
<body><h1>Evaluations</h1>${overview(results)}${failed}${results.map(section).join('\n')}</body></html>
`;
}

const STYLE = `
:root { color-scheme: light dark; --bar: #4c7bd9; --mark: #c2541b; --third: #2f8f5b; --line: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; } td, th { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
td:first-child, th:first-child { text-align: left; } .met { color: var(--third); } .missed { color: var(--mark); }
.plots { display: flex; flex-wrap: wrap; gap: 1.2rem; } svg { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
pre { overflow-x: auto; font-size: 12px; } section { margin-top: 2.5rem; }`;

function overview(results: readonly EvaluationResult[]): string {
  const rows = results.map((result) => {
    const [own] = result.models;
    const bars = Object.entries(barsOf(result)).map(
      ([metric, { bar, met }]) =>
        `<span class="${met ? 'met' : 'missed'}">${escapeText(metric)} ${figure(own!.metrics[metric])} (bar ${bar})</span>`,
    );
    const minutes = (own!.trainSeconds + own!.evaluateSeconds) / 60;
    return [
      link(result),
      escapeText(own!.label),
      bars.join('<br>') || '–',
      minutes.toFixed(1),
      mebibytes(result.maxRssBytes),
    ];
  });
  return table(['row', 'model', 'against its bars', 'minutes', 'most memory, MiB'], rows);
}

function link({ evaluation }: EvaluationResult): string {
  return `<a href="#${escapeText(evaluation.name)}">${escapeText(evaluation.name)}</a>`;
}

function section(result: EvaluationResult): string {
  const { evaluation, models, sizes, cases, leftOut } = result;
  const candidates = candidatesText(evaluation);
  const facts = [
    `Protocol ${evaluation.protocol.name}, ${candidates}; ${cases} questions`,
    `${sizes.users} users or sessions, ${sizes.items} items, ${sizes.interactions} interactions, ${result.trainInteractions} of them trained on`,
    `left out: ${leftOut.inHistory} questions asking for what the history holds, ${leftOut.untrained} for items never trained on; ${sizes.rejected} rows did not fit the mapping`,
    `seed ${evaluation.seed}; intervals at ${evaluation.confidence} from ${evaluation.resamples} bootstrap samples`,
  ];
  return `<section id="${escapeText(evaluation.name)}"><h2>${escapeText(evaluation.name)}</h2>
<p>${escapeText(evaluation.about ?? '')}</p><ul>${facts.map((fact) => `<li>${escapeText(fact)}</li>`).join('')}</ul>
${figuresTable(result)}<div class="plots">${plots(result).join('')}</div>
${comparisonTable(result)}${sliceTable(models)}
<details><summary>Settings</summary><pre>${escapeText(settingsText(models))}</pre></details></section>`;
}

function candidatesText({ candidates }: EvaluationResult['evaluation']): string {
  if (candidates === 'all') return 'all items are ranked';
  if (candidates === 'generated') return 'generated candidates are ranked (not comparable with full ranking)';
  return `each right item among ${candidates.sampled} drawn ones (sampled: not comparable with full ranking)`;
}

function figuresTable({ models, evaluation }: EvaluationResult): string {
  const isGenerated = models.some(({ generated }) => generated !== undefined);
  const rows = models.map((model) => [
    escapeText(model.label),
    ...(isGenerated ? [figure(model.generated?.recall), figure(model.generated?.items)] : []),
    ...evaluation.metrics.map((metric) => withInterval(model, metric)),
    model.trainSeconds.toFixed(1),
    model.evaluateSeconds.toFixed(1),
  ]);
  const generated = isGenerated ? ['recall of the candidates', 'candidates a question'] : [];
  return table(['model', ...generated, ...evaluation.metrics, 'training, s', 'ranking, s'], rows);
}

function withInterval({ metrics, ci }: ModelResult, metric: string): string {
  const interval = ci[metric];
  const range = interval === undefined ? '' : ` <small>[${figure(interval[0])}, ${figure(interval[1])}]</small>`;
  return figure(metrics[metric]) + range;
}

function plots({ models, evaluation }: EvaluationResult): string[] {
  const bars = evaluation.metrics
    .filter((metric) => models[0]!.ci[metric] !== undefined)
    .map((metric) => {
      const values = models.map(({ label, metrics, ci }) => ({
        label,
        value: metrics[metric] ?? NaN,
        interval: ci[metric],
      }));
      return barPlot(metric, values, evaluation.bars[metric]);
    });
  const curve = (name: string, read: (point: ModelResult['curve'][number]) => number | undefined): string => {
    const curves = models.map(({ label, curve: points }): Curve => {
      const known = points.flatMap((point): [number, number][] => {
        const value = read(point);
        return value === undefined ? [] : [[point.epoch, value]];
      });
      return { label, points: known };
    });
    return curvePlot(name, curves, 'epochs');
  };
  const losses = curve('Training loss', (point) => point.loss);
  const validation = curve('Validation', (point) => point.validation?.value);
  return [...bars, losses, validation].filter((plot) => plot !== '');
}

function comparisonTable({ models, comparisons }: EvaluationResult): string {
  const rows = Object.entries(comparisons).flatMap(([label, tests]) =>
    Object.entries(tests).map(([metric, { difference, interval, p }]) => [
      `${escapeText(models[0]!.label)} − ${escapeText(label)}, ${escapeText(metric)}`,
      figure(difference),
      `[${figure(interval[0])}, ${figure(interval[1])}]`,
      p.toFixed(4),
    ]),
  );
  return rows.length === 0 ? '' : table(['paired difference', 'mean', 'interval', 'p'], rows);
}

function sliceTable(models: readonly ModelResult[]): string {
  const names = Object.keys(models[0]!.slices);
  const metrics = Object.keys(models[0]!.slices[names[0]!]!.metrics);
  const rows = names.flatMap((slice) =>
    models.map((model) => {
      const { cases, metrics: values } = model.slices[slice]!;
      return [
        `${escapeText(slice)}, ${escapeText(model.label)}`,
        String(cases),
        ...metrics.map((metric) => figure(values[metric])),
      ];
    }),
  );
  return table(['slice', 'questions', ...metrics], rows);
}

function settingsText(models: readonly ModelResult[]): string {
  return models
    .map(({ label, algorithm, settings }) => `${label} (${algorithm}) ${JSON.stringify(settings, null, 1)}`)
    .join('\n');
}

/** Cells are HTML. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[]): string => `<tr>${row.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  return `<table><thead><tr>${head.map((name) => `<th>${escapeText(name)}</th>`).join('')}</tr></thead><tbody>${rows.map(cells).join('')}</tbody></table>`;
}

function figure(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? '–' : value.toFixed(4);
}

function mebibytes(bytes: number): string {
  return String(Math.round(bytes / 2 ** 20));
}
