#!/usr/bin/env -S node --max-semi-space-size=64 --single-threaded-gc
/**
 * The `freshet` command: parses the command line by the table in cli/ and hands over to one file a command.
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
import { BENCH_COMMANDS } from './cli/bench-commands.js';
import type { CommandEntry, OptionEntry } from './cli/command-entry.js';
import { ENGINE_COMMANDS } from './cli/engine-commands.js';
import { MODEL_COMMANDS } from './cli/model-commands.js';
import { createCommandLogger } from './commands/command.js';
import { Terminal } from './terminal.js';

/** Words that stand before others. */
const GROUPS: Readonly<Record<string, string>> = {
  state: 'look at the engine’s state',
  snapshot: 'state as files: written, and put back',
  'dead-letters': 'records that could not be processed',
  models: 'published models',
  bench: 'measure this machine',
};

interface GlobalOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

const program = new Command('freshet')
  .description('Stream processing and real-time personalization: events in, refreshed recommendations pushed.')
  .enablePositionalOptions()
  .exitOverride();

function register(entry: CommandEntry, groups: Map<string, Command>): void {
  const [first, ...rest] = entry.usage.split(' ');
  const isGrouped = Object.hasOwn(GROUPS, first!);
  const target = (isGrouped ? groupOf(first!, groups) : program)
    .command(isGrouped ? rest.join(' ') : entry.usage)
    .description(entry.description)
    .option('--json', 'print the result as one JSON object, last line of standard output')
    .option('--verbose', 'log what happens')
    .exitOverride();
  for (const option of entry.options) target.addOption(toOption(option));
  target.action(async (...all: unknown[]) => {
    const self = all.pop() as Command;
    const options = all.pop() as GlobalOptions;
    const given = (name: string): boolean => self.getOptionValueSource(name) !== 'default';
    await execute(options, entry, { args: all as never[], given });
  });
}

function groupOf(name: string, groups: Map<string, Command>): Command {
  let group = groups.get(name);
  if (group === undefined) {
    group = program.command(name).description(GROUPS[name]!);
    groups.set(name, group);
  }
  return group;
}

function toOption({ flags, description, parse, isRepeatable, ...entry }: OptionEntry): Option {
  const made = new Option(flags, description);
  if (entry.choices !== undefined) made.choices([...entry.choices]);
  if (isRepeatable === true) made.default([]).argParser((value: string, before: string[]) => [...before, value]);
  if (parse !== undefined) made.argParser(parse);
  if (entry.default !== undefined) made.default(entry.default);
  if (entry.isRequired === true) made.makeOptionMandatory();
  return made;
}

interface Call {
  readonly args: readonly never[];
  readonly given: (option: string) => boolean;
}

async function execute(options: GlobalOptions, entry: CommandEntry, { args, given }: Call): Promise<void> {
  const logger = createCommandLogger(options.verbose === true);
  const terminal = new Terminal(systemClock, options.json === true);
  try {
    await entry.run({ terminal, clock: systemClock, random: systemRandom(), logger }, options, args, given);
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

const groups = new Map<string, Command>();
for (const entry of [...ENGINE_COMMANDS, ...MODEL_COMMANDS, ...BENCH_COMMANDS]) register(entry, groups);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else report(error, {});
}
