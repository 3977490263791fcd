/** `--workers` of commands that train: shards go to `freshet up --roles train` on the Redis of the configuration. */
import { WorkPool } from '../work/work-pool.js';
import { loadConfig } from './command.js';
import type { CommandContext, DataOptions } from './command.js';

export interface WorkersOptions extends Pick<DataOptions, 'config' | 'set'> {
  readonly workers?: boolean | undefined;
}

/** Undefined where no workers were asked for. The caller closes it. */
export async function tryOpenWorkPool(context: CommandContext, options: WorkersOptions): Promise<WorkPool | undefined> {
  if (options.workers !== true) return undefined;
  const { clock, random } = context;
  // How long workers are waited for is told also without --verbose.
  const { logger } = context;
  return WorkPool.open({ config: loadConfig(options), clock, random, logger });
}
