/**
 * `freshet tune MODEL --try name=v1,v2`: settings tried on the data, best first.
 *
 * In this process one after the other, or with `--workers` on as many machines as there are workers, to the same figures.
 */
import { availableParallelism } from 'node:os';
import { EngineError } from '../../schemas/errors.js';
import { parseYaml } from '../../streams/yaml.js';
import { bestFirst, combinations, runTrial, settingAsideLast, TRIAL_METRIC } from '../train/trial.js';
import type { TrialContext, TrialResult } from '../train/trial.js';
import { shareTrials } from '../work/trial-work.js';
import { cancelledBy } from './cancellation.js';
import { tryOpenWorkPool } from './command-pool.js';
import type { CommandContext } from './command.js';
import { readTrainingSet } from './train.js';
import type { TrainingData } from './train.js';

export interface TuneOptions extends TrainingData {
  /** `name=v1,v2`: values of one setting. */
  readonly try: readonly string[];
  readonly trials?: number | undefined;
  readonly seed: string;
  readonly threads?: number | undefined;
  readonly memory: number;
  readonly workers?: boolean | undefined;
}

export async function runTune(context: CommandContext, algorithm: string, options: TuneOptions): Promise<void> {
  const { clock, logger, terminal } = context;
  const { seed } = options;
  const trials = await combinations(algorithm, valuesOf(options.try), { most: options.trials, seed });
  const stop = cancelledBy('SIGINT');
  const pool = await tryOpenWorkPool(context, options);
  try {
    const { signal } = stop;
    const threads = options.threads ?? availableParallelism();
    const { set } = await readTrainingSet(context, options, { threads, signal });
    const rest = settingAsideLast(set, seed);
    const onDone = (done: number): void => terminal.progress(() => `${done} of ${trials.length} trials`);
    const results: TrialResult[] = [];
    if (pool !== undefined) results.push(...(await shareTrials(pool, rest, trials, { signal, onDone })));
    else {
      const run: TrialContext = { clock, logger, signal, threads, memoryBytesMax: options.memory * 2 ** 20 };
      for (const trial of trials) onDone(results.push(await runTrial(rest, trial, run)));
    }
    const ordered = bestFirst(results);
    terminal.result({ algorithm, metric: TRIAL_METRIC, best: ordered[0]!.settings, trials: ordered });
  } finally {
    await pool?.close();
    stop.release();
  }
}

/** A value is YAML: numbers, true, words. */
function valuesOf(texts: readonly string[]): Record<string, readonly unknown[]> {
  const entries = texts.map((text) => {
    const separator = text.indexOf('=');
    const values = parseYaml(`[${text.slice(separator + 1)}]`, '--try', 'USAGE_INVALID') as unknown[];
    if (separator < 1 || values.length === 0) {
      throw new EngineError('USAGE_INVALID', `--try is '${text}'; expected name=value,value,…`);
    }
    return [text.slice(0, separator), values] as const;
  });
  return Object.fromEntries(entries);
}
