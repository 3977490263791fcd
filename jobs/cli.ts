#!/usr/bin/env -S node --max-semi-space-size=64 --single-threaded-gc
/**
 * The `freshet` command: parses the command line and hands over to one file a command.
 *
 * Exit code 0 on success, 1 on failure, 2 on wrong usage. Errors are one line with their code; `--verbose` adds the
 * stack. This file alone imports commander.
 *
 * The garbage collector's flags: most objects live as long as a batch, so a larger young generation copies fewer of
 * them, and helper threads cost a small machine more CPU than they save time.
 */
import { Command, CommanderError, Option } from 'commander';
import { isEngineError } from '../schemas/errors.js';
import { systemClock } from '../streams/clock.js';
import { systemRandom } from '../streams/random.js';
import { DEFAULT_DATA_DIRECTORY, createCommandLogger, parseCount } from './commands/command.js';
import type { CommandContext, DataOptions } from './commands/command.js';
import type { IngestBenchOptions } from './bench/ingest.js';
import type { LatencyOptions } from './bench/latency.js';
import type { NeuralScoresOptions } from './bench/neural-scores.js';
import type { SequentialStepOptions } from './bench/sequential-step.js';
import type { ServeOptions } from './bench/serve.js';
import type { ThroughputOptions } from './bench/throughput.js';
import type { W1Options } from './bench/w1.js';
import type { EvaluateOptions } from './commands/evaluate.js';
import type { DeadLetterOptions } from './commands/dead-letters.js';
import type { ImportCommandOptions } from './commands/import.js';
import type { ReplayOptions } from './commands/replay.js';
import type { SimulateOptions } from './commands/simulate.js';
import type { SqlOptions } from './commands/sql.js';
import type { ModelsOptions, TrainCommandOptions } from './commands/train.js';
import type { UpOptions } from './commands/up.js';
import { Terminal } from './terminal.js';

interface GlobalOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

type Run = (context: CommandContext) => Promise<void>;

const program = new Command('freshet')
  .description('Stream processing and real-time personalization: events in, refreshed recommendations pushed.')
  .enablePositionalOptions()
  .exitOverride();

/** A subcommand with the options all of them have. */
function command(parent: Command, usage: string, description: string): Command {
  return parent
    .command(usage)
    .description(description)
    .option('--json', 'print the result as one JSON object, last line of standard output')
    .option('--verbose', 'log what happens')
    .exitOverride();
}

function withData(target: Command): Command {
  return target
    .option('--data <dir>', 'data directory', DEFAULT_DATA_DIRECTORY)
    .option('--config <file>', 'configuration file (YAML)')
    .option('--set <section.key=value>', 'override one setting; repeatable', collect, []);
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

async function execute(options: GlobalOptions, run: Run): Promise<void> {
  const logger = createCommandLogger(options.verbose === true);
  const terminal = new Terminal(systemClock, options.json === true);
  try {
    await run({ terminal, clock: systemClock, random: systemRandom(), logger });
  } catch (error) {
    report(error, options);
  }
}

function report(error: unknown, options: GlobalOptions): void {
  process.exitCode = isEngineError(error, 'USAGE_INVALID') ? 2 : 1;
  const line = isEngineError(error) ? `${error.code}: ${error.message}` : `unexpected: ${String(error)}`;
  process.stderr.write(`freshet: ${line}\n`);
  if (options.verbose === true || !isEngineError(error)) process.stderr.write(`${(error as Error).stack ?? ''}\n`);
}

withData(command(program, 'up', 'run the engine until it is told to stop'))
  .option('--port <n>', 'port to listen on; 0 picks a free one', parseCount('port'))
  .option('--host <address>', 'address to listen on; anything but loopback needs API keys')
  .option('--roles <list>', 'what this process does', 'stream,serve,warehouse')
  .option('--demo', 'send simulated traffic')
  .option('--rate <n>', 'with --demo: records a second', parseCount('rate'), 50)
  .option('--seed <text>', 'with --demo: seed of the simulated world', 'demo')
  .action(async (options: GlobalOptions & UpOptions) => {
    const { runUp } = await import('./commands/up.js');
    await execute(options, (context) => runUp(context, options));
  });

withData(command(program, 'simulate', 'let seeded people use the engine and measure whether it learns their tastes'))
  .option('--events <n>', 'records of people', parseCount('events'), 30_000)
  .option('--users <n>', 'people', parseCount('users'), 2_000)
  .option('--items <n>', 'items', parseCount('items'), 2_000)
  .option('--seed <text>', 'seed of the world', 'simulate')
  .action(async (options: GlobalOptions & SimulateOptions, self: Command) => {
    const { runSimulate } = await import('./commands/simulate.js');
    const data = self.getOptionValueSource('data') === 'default' ? undefined : options.data;
    await execute(options, (context) => runSimulate(context, { ...options, data }));
  });

withData(command(program, 'import <file>', 'append a file through a mapping; can be cut off and repeated'))
  .requiredOption('--mapping <file|name>', 'mapping file, or the name of one that comes with freshet')
  .option('--limit <n>', 'rows to read at most', parseCount('limit'), Infinity)
  .action(async (file: string, options: GlobalOptions & ImportCommandOptions) => {
    const { runImport } = await import('./commands/import.js');
    await execute(options, (context) => runImport(context, file, options));
  });

withData(
  command(program, 'replay <file>', 'run a file through the whole engine; --evaluate measures its recommendations'),
)
  .requiredOption('--mapping <file|name>', 'mapping file, or the name of one that comes with freshet')
  .option('--limit <n>', 'events to read at most', parseCount('limit'), Infinity)
  .option('--evaluate', 'ask for the top 10 before each event and score it')
  .option('--sources <names>', 'with --evaluate: also score single sources, such as session-knn,trending')
  .option('--lag-events <n>', 'with --evaluate: events a batch in the normal mode', parseCount('lag-events'), 16)
  .option('--lockstep', 'both stages in a fixed interleaving: reproducible as a whole')
  .addOption(new Option('--speed <speed>', 'max, or a multiple of the file’s own speed such as 60x').default('max'))
  .action(async (file: string, options: GlobalOptions & ReplayOptions, self: Command) => {
    const { runReplay } = await import('./commands/replay.js');
    // Without --data a replay leaves nothing behind.
    const data = self.getOptionValueSource('data') === 'default' ? undefined : options.data;
    await execute(options, (context) => runReplay(context, file, { ...options, data }));
  });

const state = program.command('state').description('look at the engine’s state');

type DataCommandOptions = GlobalOptions & DataOptions;

withData(command(state, 'digest', 'one hash for each stage and partition')).action(
  async (options: DataCommandOptions) => {
    const { runStateDigest } = await import('./commands/state.js');
    await execute(options, (context) => runStateDigest(context, options));
  },
);

withData(command(state, 'get <stage> <key>', 'the state under one key, as JSON')).action(
  async (stage: string, key: string, options: DataCommandOptions) => {
    const { runStateGet } = await import('./commands/state.js');
    await execute(options, (context) => runStateGet(context, stage, key, options));
  },
);

withData(command(state, 'export <dir>', 'write a snapshot of every partition')).action(
  async (directory: string, options: DataCommandOptions) => {
    const { runStateExport } = await import('./commands/state.js');
    await execute(options, (context) => runStateExport(context, directory, options));
  },
);

const deadLetters = program.command('dead-letters').description('records that could not be processed');

type DeadLetterCommandOptions = GlobalOptions & DeadLetterOptions;

withData(command(deadLetters, 'list', 'show them, oldest first'))
  .option('--limit <n>', 'show at most', parseCount('limit'), 100)
  .option('--code <code>', 'only those with this error code')
  .action(async (options: DeadLetterCommandOptions) => {
    const { runDeadLettersList } = await import('./commands/dead-letters.js');
    await execute(options, (context) => runDeadLettersList(context, options));
  });

withData(command(deadLetters, 'replay', 'send them to their topics again'))
  .option('--limit <n>', 'replay at most', parseCount('limit'), Infinity)
  .option('--code <code>', 'only those with this error code')
  .action(async (options: DeadLetterCommandOptions) => {
    const { runDeadLettersReplay } = await import('./commands/dead-letters.js');
    await execute(options, (context) => runDeadLettersReplay(context, options));
  });

withData(command(program, 'sql <query>', 'ask the warehouse; reading statements only'))
  .addOption(new Option('--format <format>', 'how rows are printed').choices(['table', 'json', 'csv']).default('table'))
  .action(async (query: string, options: GlobalOptions & SqlOptions) => {
    const { runSql } = await import('./commands/sql.js');
    await execute(options, (context) => runSql(context, query, options));
  });

command(program, 'evaluate [files...]', 'figures of models on real data; files of jobs/evaluations by name or path')
  .option('--all', 'every evaluation that comes with freshet')
  .option('--report <html>', 'write a page with tables and plots')
  .option('--mapping <file|name>', 'other data: their mapping')
  .option('--file <file>', 'other data: interactions to learn from')
  .option('--test <file>', 'other data: what was kept back')
  .option('--model <names>', 'other models, by algorithm, separated by commas')
  .option('--protocol <name>', 'another protocol, with its defaults')
  .option('--seed <text>', 'another seed')
  .option('--limit <n>', 'rows of the file to read at most', parseCount('limit'))
  .option('--set <path=value>', 'override one value of the file; repeatable', collect, [])
  .action(async (files: string[], options: GlobalOptions & EvaluateOptions) => {
    const { runEvaluate } = await import('./commands/evaluate.js');
    await execute(options, (context) => runEvaluate(context, files, options));
  });

/** Folder of published models unless told otherwise. */
const DEFAULT_MODELS_DIRECTORY = './models';

function withRegistry(target: Command): Command {
  return target
    .option('--models <dir>', 'registry of published models', DEFAULT_MODELS_DIRECTORY)
    .option('--data <dir>', 'data directory: where the model is announced')
    .option('--config <file>', 'configuration file (YAML)')
    .option('--set <section.key=value>', 'override one setting; repeatable', collect, []);
}

withRegistry(command(program, 'train <algorithm>', 'learn from a file or the warehouse, measure, and publish'))
  .option('--file <file>', 'interactions; the warehouse of --data without it')
  .option('--mapping <file|name>', 'mapping of the file')
  .option('--sql <query>', 'statement for the warehouse; must give user, itemId, timeMs, type and value')
  .addOption(new Option('--rows <kind>', 'what a history is').choices(['users', 'sessions']).default('users'))
  .option('--items <file:mapping>', 'contents of items; repeatable', collect, [])
  .option('--users <file:mapping>', 'traits of users; repeatable', collect, [])
  .option('--images <dir>', 'pictures named by item id')
  .option('--name <name>', 'what it is published as; the algorithm by default')
  .option('--option <name=value>', 'one setting of the algorithm; repeatable', collect, [])
  .option('--seed <text>', 'seed of everything drawn', '1')
  .option('--threads <n>', 'threads; all cores by default', parseCount('threads'))
  .option('--memory <MiB>', 'memory the fit may use', parseCount('memory'), 4_096)
  .option('--checkpoint-seconds <n>', 'time between checkpoints; 60 by default', parseCount('checkpoint-seconds'))
  .option('--no-holdout', 'train on everything and measure nothing')
  .option('--margin <share>', 'how much worse than the published one it may be', '0.05')
  .option('--warm', 'go on from the published model')
  .option('--no-publish', 'only train and measure')
  .action(async (algorithm: string, options: GlobalOptions & TrainCommandOptions) => {
    const { runTrain } = await import('./commands/train.js');
    await execute(options, (context) => runTrain(context, algorithm, options));
  });

const models = program.command('models').description('published models');

withRegistry(command(models, 'list', 'models, the version in use and the ones before')).action(
  async (options: GlobalOptions & ModelsOptions) => {
    const { runModelsList } = await import('./commands/train.js');
    await execute(options, (context) => runModelsList(context, options));
  },
);

withRegistry(command(models, 'verify <name>', 'check signature, files and that the model can be read'))
  .option('--to <version>', 'a version; the one in use by default')
  .action(async (name: string, options: GlobalOptions & ModelsOptions) => {
    const { runModelsVerify } = await import('./commands/train.js');
    await execute(options, (context) => runModelsVerify(context, name, options));
  });

withRegistry(command(models, 'rollback <name>', 'put the version before to use again'))
  .option('--to <version>', 'an earlier version; the one before by default')
  .action(async (name: string, options: GlobalOptions & ModelsOptions) => {
    const { runModelsRollback } = await import('./commands/train.js');
    await execute(options, (context) => runModelsRollback(context, name, options));
  });

const bench = program.command('bench').description('measure this machine');

function withServers(target: Command): Command {
  return target
    .option('--kafka <host:port>', 'a broker: the log is there, not embedded')
    .option('--redis <host:port>', 'with --kafka: where the state is kept');
}

withServers(command(bench, 'w1', 'sessions over clicks, topic filled before, outputs stored and checked'))
  .option('--file <csv.gz>', 'Globo’s clicks, for a run in one process')
  .option('--limit <n>', 'clicks of the file', parseCount('limit'), Infinity)
  .option('--input <topic>', 'with --kafka: topic with clicks', 'clicks')
  .option('--output <topic>', 'with --kafka: topic for sessions, empty or new', 'sessions')
  .option('--started <file>', 'with --kafka: write here when the first record was read')
  .option('--until-stopped', 'with --kafka: stay, and leave the checking to others')
  .option('--set <section.key=value>', 'override one setting; repeatable', collect, [])
  .action(async (options: GlobalOptions & W1Options) => {
    const { runW1 } = await import('./bench/w1.js');
    await execute(options, (context) => runW1(context, options));
  });

withServers(command(bench, 'throughput', 'the whole chain with durable commits, over a file or the simulator’s mix'))
  .option('--file <file>', 'replay this file instead of the simulator’s mix')
  .option('--mapping <file|name>', 'mapping of the file', 'globo')
  .option('--limit <n>', 'events', parseCount('limit'), Infinity)
  .option('--seed <n>', 'seed of the mix', parseCount('seed'), 1)
  .option('--set <section.key=value>', 'override one setting; repeatable', collect, [])
  .action(async (options: GlobalOptions & ThroughputOptions) => {
    const { runThroughput } = await import('./bench/throughput.js');
    await execute(options, (context) => runThroughput(context, options));
  });

withServers(command(bench, 'latency', 'from an act to the refreshed feed: 1,000 subscribers, one event a request'))
  .option('--subscribers <n>', 'users, each with an open feed', parseCount('subscribers'), 1_000)
  .option('--rate <n>', 'events a second, sent whether or not answers came', parseCount('rate'), 2_000)
  .option('--items <n>', 'items of the catalogue', parseCount('items'), 10_000)
  .option('--seconds <n>', 'measured time', parseCount('seconds'), 60)
  .option('--warmup <n>', 'seconds before', parseCount('warmup'), 15)
  .option('--runs <n>', 'runs, each with a new engine; the median is reported', parseCount('runs'), 3)
  .option('--profile <dir>', 'write CPU profiles of the engine here')
  .option('--set <section.key=value>', 'override one setting of the engine; repeatable', collect, [])
  .action(async (options: GlobalOptions & LatencyOptions) => {
    const { runLatency } = await import('./bench/latency.js');
    await execute(options, (context) => runLatency(context, options));
  });

command(bench, 'serve', 'recommendations asked for at a steady rate')
  .option('--items <n>', 'items of the catalogue', parseCount('items'), 100_000)
  .option('--users <n>', 'users with a history', parseCount('users'), 5_000)
  .option('--rate <n>', 'requests a second, sent whether or not answers came', parseCount('rate'), 200)
  .option('--seconds <n>', 'measured time', parseCount('seconds'), 60)
  .option('--warmup <n>', 'seconds before', parseCount('warmup'), 10)
  .option('--profile <dir>', 'write a CPU profile of the engine here')
  .option('--set <section.key=value>', 'override one setting of the engine; repeatable', collect, [])
  .action(async (options: GlobalOptions & ServeOptions) => {
    const { runServe } = await import('./bench/serve.js');
    await execute(options, (context) => runServe(context, options));
  });

command(bench, 'sequential-step', 'one live event of the transformer, incrementally and recomputed')
  .option('--users <n>', 'people whose events alternate', parseCount('users'), 200)
  .option('--events <n>', 'events measured', parseCount('events'), 20_000)
  .option('--items <n>', 'items of the catalogue', parseCount('items'), 10_000)
  .option('--memory <MiB>', 'bound of all states', parseCount('memory'), 64)
  .option('--seed <n>', 'seed of parameters and events', parseCount('seed'), 1)
  .action(async (options: GlobalOptions & SequentialStepOptions) => {
    const { runSequentialStep } = await import('./bench/sequential-step.js');
    await execute(options, (context) => runSequentialStep(context, options));
  });

command(bench, 'neural-scores', 'the candidates of a request scored by neural_cf')
  .option('--candidates <n>', 'items scored at once', parseCount('candidates'), 1_000)
  .option('--requests <n>', 'requests measured', parseCount('requests'), 2_000)
  .option('--users <n>', 'people of the fit', parseCount('users'), 1_000)
  .option('--items <n>', 'items of the catalogue', parseCount('items'), 10_000)
  .option('--seed <n>', 'seed of people and requests', parseCount('seed'), 1)
  .action(async (options: GlobalOptions & NeuralScoresOptions) => {
    const { runNeuralScores } = await import('./bench/neural-scores.js');
    await execute(options, (context) => runNeuralScores(context, options));
  });

command(bench, 'ingest', 'events over HTTP, durable before the answer: one a request, then lists')
  .option('--clients <n>', 'clients, each with one request under way', parseCount('clients'), 8)
  .option('--batch <n>', 'events of a list', parseCount('batch'), 1_000)
  .option('--items <n>', 'items of the catalogue', parseCount('items'), 10_000)
  .option('--users <n>', 'users', parseCount('users'), 5_000)
  .option('--seconds <n>', 'measured time of each of the two', parseCount('seconds'), 20)
  .option('--warmup <n>', 'seconds before each', parseCount('warmup'), 5)
  .option('--profile <dir>', 'write a CPU profile of the engine here')
  .option('--set <section.key=value>', 'override one setting of the engine; repeatable', collect, [])
  .action(async (options: GlobalOptions & IngestBenchOptions) => {
    const { runIngest } = await import('./bench/ingest.js');
    await execute(options, (context) => runIngest(context, options));
  });

withData(command(program, 'doctor', 'check this machine, the configuration and the data directory')).action(
  async (options: DataCommandOptions) => {
    const { runDoctor } = await import('./commands/doctor.js');
    await execute(options, (context) => runDoctor(context, options));
  },
);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else report(error, {});
}
