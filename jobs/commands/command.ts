/** What every command is given, and the options that most of them share. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import { createLogger } from '../../streams/logger.js';
import type { Logger } from '../../streams/logger.js';
import type { Random } from '../../streams/random.js';
import { freshetConfig } from '../config.js';
import type { FreshetConfig } from '../config.js';
import { Engine } from '../engine/engine.js';
import type { Terminal } from '../terminal.js';

export interface CommandContext {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Options of commands that work on a data directory. */
export interface DataOptions {
  readonly data: string;
  readonly config?: string | undefined;
  /** `section.key=value`, repeatable. */
  readonly set?: readonly string[] | undefined;
}

export const DEFAULT_DATA_DIRECTORY = './data';

export function loadConfig(options: Pick<DataOptions, 'config' | 'set'>): FreshetConfig {
  return freshetConfig.load({
    ...(options.config === undefined ? {} : { file: options.config }),
    overrides: options.set ?? [],
    environment: process.env,
  });
}

/** Opens the engine of a data directory for a job: no ticks, no serving. */
export function openForJob(context: CommandContext, options: DataOptions): Promise<Engine> {
  return Engine.open({
    config: loadConfig(options),
    directory: options.data,
    clock: context.clock,
    random: context.random,
    logger: context.logger,
  });
}

/** As `openForJob`, but refuses to make a new directory: for commands that only read. */
export function openExisting(context: CommandContext, options: DataOptions): Promise<Engine> {
  if (existsSync(options.data)) return openForJob(context, options);
  throw new EngineError('NOT_FOUND', `There is no data directory '${options.data}'. Name one with --data DIR.`);
}

/** A mapping by path, or by the name of one that comes with the engine. */
export function mappingPath(nameOrPath: string): string {
  if (existsSync(nameOrPath)) return nameOrPath;
  const shipped = join(fileURLToPath(new URL('../mappings/', import.meta.url)), `${nameOrPath}.yaml`);
  return existsSync(shipped) ? shipped : nameOrPath;
}

export function createCommandLogger(isVerbose: boolean): Logger {
  return createLogger({ level: isVerbose ? 'debug' : 'warn' });
}

/** Whole number option; throws USAGE_INVALID naming the option. */
export function parseCount(name: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new EngineError('USAGE_INVALID', `--${name} is '${text}'; expected a whole number.`);
  };
}
