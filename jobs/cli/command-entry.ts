/**
 * A command of the command line as data: its words, its options, and the module that runs it, loaded when it is called.
 *
 * `cli.ts` turns the table into a parser; nothing here knows which one.
 */
import type { CommandContext } from '../commands/command.js';
import { DEFAULT_DATA_DIRECTORY } from '../commands/command.js';

export interface OptionEntry {
  /** Such as `--port <n>`. */
  readonly flags: string;
  readonly description: string;
  readonly parse?: (text: string) => unknown;
  readonly default?: unknown;
  /** One of these. */
  readonly choices?: readonly string[];
  readonly isRequired?: boolean;
  /** May be given several times: values come as a list. */
  readonly isRepeatable?: boolean;
}

export interface CommandEntry {
  /** Words and arguments, such as `state get <stage> <key>`. */
  readonly usage: string;
  readonly description: string;
  readonly options: readonly OptionEntry[];
  /** `given` names the options that were given, not left at their defaults. Arguments come as the parser read them. */
  run(
    context: CommandContext,
    options: unknown,
    args: readonly never[],
    given: (option: string) => boolean,
  ): Promise<void>;
}

/** Keeps the types of options and arguments within the entry that knows them. */
export function command<Options, Args extends readonly unknown[] = []>(entry: {
  usage: string;
  description: string;
  options?: readonly OptionEntry[];
  run(context: CommandContext, options: Options, args: Args, given: (option: string) => boolean): Promise<void>;
}): CommandEntry {
  const { usage, description, options = [] } = entry;
  return {
    usage,
    description,
    options,
    run: (context, given, args, isGiven) => entry.run(context, given as Options, args as unknown as Args, isGiven),
  };
}

export function option(flags: string, description: string, more: Partial<OptionEntry> = {}): OptionEntry {
  return { flags, description, ...more };
}

export const SET = option('--set <section.key=value>', 'override one setting; repeatable', { isRepeatable: true });

export const MODELS = option('--models <dir>', 'registry of published models', { default: './models' });

/** Of commands that work on a data directory. */
export const DATA: readonly OptionEntry[] = [
  option('--data <dir>', 'data directory', { default: DEFAULT_DATA_DIRECTORY }),
  option('--config <file>', 'configuration file (YAML)'),
  SET,
];
