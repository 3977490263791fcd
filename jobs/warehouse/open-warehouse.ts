/**
 * Which warehouse the configuration names, and how it is opened: ready for the follower, or for reading alone.
 *
 * With an address it is a ClickHouse server; without, the embedded one in the data directory. Nothing else differs.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import { openChdbWarehouse } from '../../streams/warehouse/chdb-warehouse.js';
import { openClickhouseServer } from '../../streams/warehouse/clickhouse-server.js';
import type { Warehouse } from '../../streams/warehouse/warehouse.js';
import type { WarehouseConfig } from './section.js';
import { applyRetention, WAREHOUSE_MIGRATIONS } from './tables.js';

export interface OpenWarehouseOptions {
  /** Data directory of the engine. */
  readonly data: string;
  readonly namespace: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly memoryBytes?: number;
  /** Of a ClickHouse server; the embedded warehouse when undefined or without a url. */
  readonly server?: WarehouseServer | undefined;
  /** Told the process id of every child that became ready. */
  readonly onProcess?: (pid: number) => void;
}

export type WarehouseServer = Pick<WarehouseConfig, 'url' | 'username' | 'password'>;

export const warehouseDirectory = (data: string): string => join(data, 'warehouse');

/** Databases of several namespaces can share a server; `default` alone is ClickHouse's own. */
export const warehouseDatabase = (namespace: string): string => `freshet_${namespace}`;

/** Opens it, brings its tables to this build's version and their retention to the configured one. */
export async function openWarehouse(
  options: OpenWarehouseOptions & { readonly retentionDays: number },
): Promise<Warehouse> {
  const warehouse = (await openServer(options)) ?? (await openEmbedded(options));
  try {
    await warehouse.migrate(WAREHOUSE_MIGRATIONS);
    await applyRetention(warehouse, options.retentionDays);
    return warehouse;
  } catch (error) {
    await warehouse.close();
    throw error;
  }
}

/** The child of an engine that was just stopped needs some seconds to let go. */
const READER_LOCK_WAIT_MS = 4_000;

/** For a command beside no running engine. Throws NOT_FOUND instead of making a warehouse. */
export async function openWarehouseToRead(options: OpenWarehouseOptions): Promise<Warehouse> {
  const server = await openServer(options);
  if (server !== undefined) return server;
  const directory = warehouseDirectory(options.data);
  if (!existsSync(directory)) {
    const advice = "name the data directory with --data DIR, and fill it by running 'freshet up'";
    throw new EngineError('NOT_FOUND', `There is no warehouse '${directory}'; ${advice}.`);
  }
  return openEmbedded({ ...options, lockWaitMs: READER_LOCK_WAIT_MS });
}

/** Undefined when the configuration names none. */
async function openServer({ server, namespace, clock }: OpenWarehouseOptions): Promise<Warehouse | undefined> {
  if (server?.url === undefined) return undefined;
  const { url, username, password } = server;
  return openClickhouseServer({ url, username, password, database: warehouseDatabase(namespace), clock });
}

function openEmbedded(options: OpenWarehouseOptions & { readonly lockWaitMs?: number }): Promise<Warehouse> {
  const { data, namespace, clock, logger, memoryBytes, lockWaitMs, onProcess } = options;
  return openChdbWarehouse({
    directory: warehouseDirectory(data),
    database: warehouseDatabase(namespace),
    ...{ clock, logger },
    ...(memoryBytes === undefined ? {} : { memoryBytesMax: memoryBytes }),
    ...(lockWaitMs === undefined ? {} : { lockWaitMs }),
    ...(onProcess === undefined ? {} : { onProcess }),
  });
}
