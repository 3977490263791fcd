#!/usr/bin/env node
/**
 * The `freshet` command: parses the command line and hands over to one file a command.
 *
 * Exit code 0 on success, 1 on failure, 2 on wrong usage. Errors are one line with their code; `--verbose` adds the
 * stack. This file alone imports commander.
 */
import { Command, CommanderError, Option } from 'commander';
import { isEngineError } from '../schemas/errors.js';
import { systemClock } from '../streams/clock.js';
import { systemRandom } from '../streams/random.js';
import { DEFAULT_DATA_DIRECTORY, createCommandLogger, parseCount } from './commands/command.js';
import type { CommandContext } from './commands/command.js';
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
  .option('--roles <list>', 'what this process does', 'stream,serve')
  .option('--demo', 'send simulated traffic')
  .option('--rate <n>', 'with --demo: records a second', parseCount('rate'), 50)
  .option('--seed <text>', 'with --demo: seed of the simulated world', 'demo')
  .action(async (options: GlobalOptions & Parameters<typeof import('./commands/up.js').runUp>[1]) => {
    const { runUp } = await import('./commands/up.js');
    await execute(options, (context) => runUp(context, options));
  });

withData(command(program, 'simulate', 'let seeded people use the engine and measure whether it learns their tastes'))
  .option('--events <n>', 'records of people', parseCount('events'), 30_000)
  .option('--users <n>', 'people', parseCount('users'), 2_000)
  .option('--items <n>', 'items', parseCount('items'), 2_000)
  .option('--seed <text>', 'seed of the world', 'simulate')
  .action(async (options: GlobalOptions & Parameters<typeof import('./commands/simulate.js').runSimulate>[1], self: Command) => {
    const { runSimulate } = await import('./commands/simulate.js');
    const data = self.getOptionValueSource('data') === 'default' ? undefined : options.data;
    await execute(options, (context) => runSimulate(context, { ...options, data }));
  });

withData(command(program, 'import <file>', 'append a file through a mapping; can be cut off and repeated'))
  .requiredOption('--mapping <file|name>', 'mapping file, or the name of one that comes with freshet')
  .option('--limit <n>', 'rows to read at most', parseCount('limit'), Infinity)
  .action(async (file: string, options: GlobalOptions & Parameters<typeof import('./commands/import.js').runImport>[2]) => {
    const { runImport } = await import('./commands/import.js');
    await execute(options, (context) => runImport(context, file, options));
  });

withData(command(program, 'replay <file>', 'run a file through the whole engine; --evaluate measures its recommendations'))
  .requiredOption('--mapping <file|name>', 'mapping file, or the name of one that comes with freshet')
  .option('--limit <n>', 'events to read at most', parseCount('limit'), Infinity)
  .option('--evaluate', 'ask for the top 10 before each event and score it')
  .option('--sources <names>', 'with --evaluate: also score single sources, such as session-knn,trending')
  .option('--lag-events <n>', 'with --evaluate: events a batch in the normal mode', parseCount('lag-events'), 64)
  .option('--lockstep', 'both stages in a fixed interleaving: reproducible as a whole')
  .addOption(new Option('--speed <speed>', 'max, or a multiple of the file’s own speed such as 60x').default('max'))
  .action(async (file: string, options: GlobalOptions & Parameters<typeof import('./commands/replay.js').runReplay>[2], self: Command) => {
    const { runReplay } = await import('./commands/replay.js');
    // Without --data a replay leaves nothing behind.
    const data = self.getOptionValueSource('data') === 'default' ? undefined : options.data;
    await execute(options, (context) => runReplay(context, file, { ...options, data }));
  });

const state = program.command('state').description('look at the engine’s state');

type DataCommandOptions = GlobalOptions & Parameters<typeof import('./commands/state.js').runStateDigest>[1];

withData(command(state, 'digest', 'one hash for each stage and partition')).action(async (options: DataCommandOptions) => {
  const { runStateDigest } = await import('./commands/state.js');
  await execute(options, (context) => runStateDigest(context, options));
});

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

type DeadLetterCommandOptions = GlobalOptions & Parameters<typeof import('./commands/dead-letters.js').runDeadLettersList>[1];

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

const bench = program.command('bench').description('measure this machine');

command(bench, 'w1', 'sessions over clicks, topic filled before, outputs stored and checked')
  .requiredOption('--file <csv.gz>', 'Globo’s clicks')
  .option('--limit <n>', 'clicks', parseCount('limit'), Infinity)
  .action(async (options: GlobalOptions & Parameters<typeof import('./bench/w1.js').runW1>[1]) => {
    const { runW1 } = await import('./bench/w1.js');
    await execute(options, (context) => runW1(context, options));
  });

command(bench, 'throughput', 'the whole chain with durable commits, over a file or the simulator’s mix')
  .option('--file <file>', 'replay this file instead of the simulator’s mix')
  .option('--mapping <file|name>', 'mapping of the file', 'globo')
  .option('--limit <n>', 'events', parseCount('limit'), Infinity)
  .option('--seed <n>', 'seed of the mix', parseCount('seed'), 1)
  .option('--set <section.key=value>', 'override one setting; repeatable', collect, [])
  .action(async (options: GlobalOptions & Parameters<typeof import('./bench/throughput.js').runThroughput>[1]) => {
    const { runThroughput } = await import('./bench/throughput.js');
    await execute(options, (context) => runThroughput(context, options));
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
