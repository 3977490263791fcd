/** Commands about models: figures on real data, training, and what was published. */
import { parseCount } from '../commands/command.js';
import type { EvaluateOptions } from '../commands/evaluate.js';
import type { ModelsOptions, TrainCommandOptions } from '../commands/train.js';
import type { TuneOptions } from '../commands/tune.js';
import { MODELS, SET, command, option } from './command-entry.js';
import type { CommandEntry, OptionEntry } from './command-entry.js';

const CONFIG = option('--config <file>', 'configuration file (YAML)');

const REGISTRY: readonly OptionEntry[] = [
  MODELS,
  option('--data <dir>', 'data directory: where the model is announced'),
  CONFIG,
  SET,
];

const WORKERS = option(
  '--workers',
  'share the work out to `up --roles train` processes on the same Redis; same result',
);
const SEED = option('--seed <text>', 'seed of everything drawn', { default: '1' });
const THREADS = option('--threads <n>', 'threads; all cores by default', { parse: parseCount('threads') });
const MEMORY = option('--memory <MiB>', 'memory a fit may use', { parse: parseCount('memory'), default: 4_096 });

/** What is learned from. */
const LEARN: readonly OptionEntry[] = [
  option('--file <file>', 'interactions; the warehouse of --data without it'),
  option('--mapping <file|name>', 'mapping of the file'),
  option('--sql <query>', 'statement for the warehouse; must give user, itemId, timeMs, type and value'),
  option('--rows <kind>', 'what a history is', { choices: ['users', 'sessions'], default: 'users' }),
  option('--items <file:mapping>', 'contents of items; repeatable', { isRepeatable: true }),
  option('--users <file:mapping>', 'traits of users; repeatable', { isRepeatable: true }),
  option('--images <dir>', 'pictures named by item id'),
];

export const MODEL_COMMANDS: readonly CommandEntry[] = [
  command<EvaluateOptions, [files: string[]]>({
    usage: 'evaluate [files...]',
    description: 'figures of models on real data; files of jobs/evaluations by name or path',
    options: [
      option('--all', 'every evaluation that comes with freshet'),
      option('--report <html>', 'write a page with tables and plots'),
      option('--mapping <file|name>', 'other data: their mapping'),
      option('--file <file>', 'other data: interactions to learn from'),
      option('--test <file>', 'other data: what was kept back'),
      option('--model <names>', 'other models, by algorithm, separated by commas'),
      option('--protocol <name>', 'another protocol, with its defaults'),
      option('--seed <text>', 'another seed'),
      option('--limit <n>', 'rows of the file to read at most', { parse: parseCount('limit') }),
      option('--set <path=value>', 'override one value of the file; repeatable', { isRepeatable: true }),
      CONFIG,
      WORKERS,
    ],
    run: async (context, options, [files]) =>
      (await import('../commands/evaluate.js')).runEvaluate(context, files, options),
  }),
  command<TrainCommandOptions, [algorithm: string]>({
    usage: 'train <algorithm>',
    description: 'learn from a file or the warehouse, measure, and publish',
    options: [
      ...REGISTRY,
      ...LEARN,
      option('--name <name>', 'what it is published as; the algorithm by default'),
      option('--option <name=value>', 'one setting of the algorithm; repeatable', { isRepeatable: true }),
      SEED,
      THREADS,
      MEMORY,
      option('--checkpoint-seconds <n>', 'time between checkpoints; 60 by default', {
        parse: parseCount('checkpoint-seconds'),
      }),
      option('--no-holdout', 'train on everything and measure nothing'),
      option('--margin <share>', 'how much worse than the published one it may be', { default: '0.05' }),
      option('--warm', 'go on from the published model'),
      option('--no-publish', 'only train and measure'),
      WORKERS,
    ],
    run: async (context, options, [algorithm]) =>
      (await import('../commands/train.js')).runTrain(context, algorithm, options),
  }),
  command<TuneOptions, [algorithm: string]>({
    usage: 'tune <algorithm>',
    description: 'try settings on the data, best first',
    options: [
      option('--try <name=values>', 'values of a setting, separated by commas; repeatable', {
        isRepeatable: true,
        isRequired: true,
      }),
      option('--trials <n>', 'combinations to try at most, drawn', { parse: parseCount('trials') }),
      option('--data <dir>', 'data directory with a warehouse to learn from'),
      CONFIG,
      SET,
      ...LEARN,
      SEED,
      THREADS,
      MEMORY,
      WORKERS,
    ],
    run: async (context, options, [algorithm]) =>
      (await import('../commands/tune.js')).runTune(context, algorithm, options),
  }),
  command<ModelsOptions>({
    usage: 'models list',
    description: 'models, the version in use and the ones before',
    options: REGISTRY,
    run: async (context, options) => (await import('../commands/train.js')).runModelsList(context, options),
  }),
  command<ModelsOptions, [name: string]>({
    usage: 'models verify <name>',
    description: 'check signature, files and that the model can be read',
    options: [...REGISTRY, option('--to <version>', 'a version; the one in use by default')],
    run: async (context, options, [name]) =>
      (await import('../commands/train.js')).runModelsVerify(context, name, options),
  }),
  command<ModelsOptions, [name: string]>({
    usage: 'models rollback <name>',
    description: 'put the version before to use again',
    options: [...REGISTRY, option('--to <version>', 'an earlier version; the one before by default')],
    run: async (context, options, [name]) =>
      (await import('../commands/train.js')).runModelsRollback(context, name, options),
  }),
];
