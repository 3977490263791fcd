/**
 * `freshet evaluate FILE…`: figures of models on real data, by the protocol an evaluation file states.
 *
 * Options lie over the file: the same protocol and models on other data (`--mapping`, `--file`, `--test`), or other
 * models on the same data. Without a file the options alone make the evaluation. `--all` runs every file that comes with
 * freshet, `--report` writes one HTML page of all of them.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EngineError, isEngineError } from '../../schemas/errors.js';
import { parseYaml } from '../../streams/yaml.js';
import { parseEvaluation, placesOf, readEvaluationFile } from '../evaluate/load-evaluation.js';
import { runEvaluation } from '../evaluate/run-evaluation.js';
import type { EvaluationResult } from '../evaluate/run-evaluation.js';
import { renderReport } from '../evaluate/report.js';
import { summaryOf } from '../evaluate/summary.js';
import { cancelledBy } from './cancellation.js';
import { tryOpenWorkPool } from './command-pool.js';
import type { CommandContext } from './command.js';
import type { WorkPool } from '../work/work-pool.js';

export interface EvaluateOptions {
  readonly all?: boolean;
  readonly report?: string | undefined;
  readonly mapping?: string | undefined;
  readonly file?: string | undefined;
  readonly test?: string | undefined;
  readonly model?: string | undefined;
  readonly protocol?: string | undefined;
  readonly seed?: string | undefined;
  readonly limit?: number | undefined;
  readonly workers?: boolean | undefined;
  /** Where the workers' Redis is. */
  readonly config?: string | undefined;
  /** `path=value`, such as `models.0.settings.epochs=3`. */
  readonly set?: readonly string[] | undefined;
}

export async function runEvaluate(
  context: CommandContext,
  files: readonly string[],
  options: EvaluateOptions,
): Promise<void> {
  const pool = await tryOpenWorkPool(context, { workers: options.workers, config: options.config });
  try {
    await evaluateAll(context, files, { ...options, pool });
  } finally {
    await pool?.close();
  }
}

type PooledOptions = EvaluateOptions & { readonly pool: WorkPool | undefined };

async function evaluateAll(context: CommandContext, files: readonly string[], options: PooledOptions): Promise<void> {
  const paths = options.all === true ? shippedEvaluations() : files.map(evaluationPath);
  const results: EvaluationResult[] = [];
  const failures: string[] = [];
  for (const path of paths.length > 0 ? paths : [undefined]) {
    try {
      const result = await evaluateOne(context, path, options);
      results.push(result);
      if (paths.length > 1) context.terminal.say(JSON.stringify(summaryOf(result)));
    } catch (error) {
      // Of many rows one that fails must not take the others with it; alone it is the answer.
      if (paths.length < 2 || !isEngineError(error)) throw error;
      const name = path === undefined ? 'evaluation' : basename(path, '.yaml');
      failures.push(`${name}: ${error.code}: ${error.message}`);
      context.terminal.say(failures.at(-1)!);
    }
  }
  if (options.report !== undefined) writeFileSync(options.report, renderReport(results, failures));
  const [only] = results;
  if (paths.length < 2 && only !== undefined) context.terminal.result(summaryOf(only));
  else context.terminal.result({ evaluations: results.map(summaryOf), failures });
  if (failures.length > 0) process.exitCode = 1;
}

async function evaluateOne(
  context: CommandContext,
  path: string | undefined,
  options: PooledOptions,
): Promise<EvaluationResult> {
  const raw = path === undefined ? { name: 'evaluation' } : readEvaluationFile(path);
  const evaluation = parseEvaluation(overlaid(raw, options), path === undefined ? 'The evaluation' : `'${path}'`);
  const stop = cancelledBy('SIGINT');
  try {
    return await runEvaluation(evaluation, placesOf(path, process.env), {
      clock: context.clock,
      logger: context.logger,
      signal: stop.signal,
      pool: options.pool,
      progress: (text) => context.terminal.progress(text),
    });
  } finally {
    stop.release();
  }
}

/** A path, or the name of an evaluation that comes with freshet. */
function evaluationPath(nameOrPath: string): string {
  return shippedEvaluations().find((path) => basename(path, '.yaml') === nameOrPath) ?? nameOrPath;
}

function shippedEvaluations(): string[] {
  const folder = fileURLToPath(new URL('../evaluations/', import.meta.url));
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .map((name) => join(folder, name));
}

type Tree = Record<string, unknown>;

/** The options as values over those of the file. */
function overlaid(raw: unknown, options: EvaluateOptions): unknown {
  if (typeof raw !== 'object' || raw === null) return raw;
  const tree = structuredClone(raw) as Tree;
  // A path on the command line is relative to where the command is given.
  const given = (path: string): string => resolve(path);
  const set = (path: string, value: unknown): void => place(tree, path.split('.'), value);
  if (options.mapping !== undefined)
    set('data.mapping', options.mapping.includes('.') ? given(options.mapping) : options.mapping);
  if (options.file !== undefined) set('data.file', given(options.file));
  if (options.file !== undefined && options.test === undefined) set('data.test', undefined);
  if (options.test !== undefined) set('data.test', given(options.test));
  if (options.model !== undefined)
    set(
      'models',
      options.model.split(',').map((algorithm) => ({ algorithm })),
    );
  if (options.protocol !== undefined) set('protocol', { name: options.protocol });
  if (options.seed !== undefined) set('seed', options.seed);
  if (options.limit !== undefined) set('data.limit', options.limit);
  for (const assignment of options.set ?? []) {
    const separator = assignment.indexOf('=');
    if (separator < 1) throw new EngineError('USAGE_INVALID', `--set is '${assignment}'; expected path=value.`);
    set(assignment.slice(0, separator), parseYaml(assignment.slice(separator + 1), '--set', 'USAGE_INVALID'));
  }
  return tree;
}

function place(tree: Tree, [step, ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    if (value === undefined) delete tree[step!];
    else tree[step!] = value;
    return;
  }
  if (typeof tree[step!] !== 'object' || tree[step!] === null) tree[step!] = {};
  place(tree[step!] as Tree, rest, value);
}
