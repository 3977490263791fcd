/** The warehouse of a running engine: followed in the background, asked by SQL, closed before the engine. */
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Metrics } from '../../streams/metrics.js';
import type { Random } from '../../streams/random.js';
import type { FreshetConfig } from '../config.js';
import type { Engine } from '../engine/engine.js';
import { openWarehouse } from './open-warehouse.js';
import { openPseudonyms } from './pseudonyms.js';
import { createSqlHandler } from './sql-handler.js';
import type { SqlHandler, SqlWarehouse } from './sql-handler.js';
import { WarehouseFollower } from './warehouse-follower.js';

export interface LiveWarehouse {
  readonly sql: SqlHandler;
  /** Reads without limits, for other parts of this process. */
  readonly reading: SqlWarehouse;
  stop(): Promise<void>;
}

export interface LiveWarehouseOptions {
  readonly engine: Engine;
  readonly config: FreshetConfig;
  /** Data directory of the engine. */
  readonly data: string;
  readonly clock: Clock;
  /** Must not be seeded: it makes the key that people's ids are hashed with. */
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** undefined when the configuration turns the warehouse off. Resolves before the database is open. */
export async function startWarehouse(options: LiveWarehouseOptions): Promise<LiveWarehouse | undefined> {
  const { engine, config, data, random, logger, metrics } = options;
  // Analysts' rows may wait for feeds: reading and encoding them give way.
  const backgroundClock = (): Clock => engine.politeness?.backgroundClock() ?? options.clock;
  const { enabled, retentionDays, memoryBytes, blockRows, blockWaitMs, sqlRowsMax, sqlTimeoutMs } = config.warehouse;
  if (!enabled) return undefined;
  const { namespace } = config.streams;
  const follower = new WarehouseFollower({
    topicGenerations: (topic) => engine.storage.topicGenerations(topic),
    flushed: () => engine.storage.flushed(),
    namespace,
    clock: backgroundClock(),
    logger,
    metrics,
    blockRows,
    blockWaitMs,
    pseudonyms: await openPseudonyms(data, random),
    open: () =>
      openWarehouse({
        ...{ data, namespace, logger, retentionDays, memoryBytes, server: config.warehouse },
        clock: backgroundClock(),
      }),
  });
  follower.start();
  engine.onSwitched(() => follower.refollow());
  return {
    sql: createSqlHandler(follower.sql, { rowsMax: sqlRowsMax, timeoutMs: sqlTimeoutMs }),
    reading: follower.sql,
    stop: () => follower.stop(),
  };
}
