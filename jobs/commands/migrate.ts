/**
 * `freshet migrate --from embedded --to distributed`: an engine's log and state out of its data directory onto Kafka and
 * Redis, digests compared. The directory is only read; a migration that was cut off goes on when the command is repeated.
 */
import { existsSync } from 'node:fs';
import { EngineError } from '../../schemas/errors.js';
import { migrate } from '../../streams/transfer/migrate.js';
import type { FreshetConfig } from '../config.js';
import { createTopologyOf } from '../engine/engine.js';
import { openStorage } from '../engine/current-storage.js';
import { GENERATION_DOCUMENT } from '../engine/storage.js';
import { loadConfig } from './command.js';
import type { CommandContext, DataOptions } from './command.js';

export interface MigrateOptions extends DataOptions {
  readonly from: string;
  readonly to: string;
}

export async function runMigrate(context: CommandContext, options: MigrateOptions): Promise<void> {
  const { clock, random, logger, terminal } = context;
  const { from, to, data } = options;
  if (from !== 'embedded' || to !== 'distributed') {
    throw new EngineError('USAGE_INVALID', `Data go from 'embedded' to 'distributed', not from '${from}' to '${to}'.`);
  }
  if (!existsSync(data)) {
    throw new EngineError('NOT_FOUND', `There is no data directory '${data}'. Name one with --data DIR.`);
  }
  const config = loadConfig(options);
  const common = { directory: data, clock, random, logger };
  const source = await openStorage({ ...common, config: withStorage(config, 'embedded') });
  try {
    const { identity } = source.log;
    const target = await openStorage({ ...common, config: withStorage(config, 'distributed'), identity });
    try {
      const { topology } = createTopologyOf(config);
      const moved = await migrate(source, target, {
        topology,
        documents: [GENERATION_DOCUMENT],
        onProgress: (text) => terminal.progress(text),
      });
      terminal.result({ ...moved, digestsEqual: true });
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

function withStorage(config: FreshetConfig, storage: 'embedded' | 'distributed'): FreshetConfig {
  return { ...config, streams: { ...config.streams, storage } };
}
