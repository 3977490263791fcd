/**
 * The warehouse that needs no server: chDB in a child process, behind the same client as a ClickHouse server.
 *
 * Opening starts the child and waits until it answers; closing stops it. In between it may crash and come back: calls
 * wait for it for a while or fail as retriable, and a block whose insert failed is simply sent again.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';
import { type Logger, silentLogger } from '../logger.js';
import { type Random, systemRandom } from '../random.js';
import { ChdbSupervisor } from './chdb-supervisor.js';
import { ClickhouseWarehouse } from './clickhouse-warehouse.js';
import type { Warehouse } from './warehouse.js';

export interface ChdbWarehouseOptions {
  /** Directory of this warehouse alone. Made when absent. */
  readonly directory: string;
  readonly clock: Clock;
  readonly logger?: Logger;
  /** Source of the child's password; the operating system's by default. */
  readonly random?: Random;
  /** Database inside the directory; one per namespace. Letters, digits and _. */
  readonly database?: string;
  /** Memory for all statements together, 4 GiB by default. */
  readonly memoryBytesMax?: number;
  /** How long a call waits for a restart under way, 15 s by default. */
  readonly readyWaitMs?: number;
  /** How long opening waits for another process to let go of the directory, 10 s by default. */
  readonly lockWaitMs?: number;
  /** Open although stored blocks could not be read and were set aside, to `reset` their tables. */
  readonly acceptDamage?: boolean;
  /** Told the process id of every child that became ready: the first one and each after a crash. */
  readonly onProcess?: (pid: number) => void;
}

/** Throws DATA_DIRECTORY_LOCKED, DATA_DIRECTORY_INVALID or WAREHOUSE_UNAVAILABLE; nothing is left running then. */
export async function openChdbWarehouse(options: ChdbWarehouseOptions): Promise<Warehouse> {
  const {
    logger = silentLogger,
    random = systemRandom(),
    database = 'freshet',
    clock,
    acceptDamage,
    ...rest
  } = options;
  const supervisor = await ChdbSupervisor.start({ ...rest, clock, logger, random });
  const warehouse = await ClickhouseWarehouse.open({
    endpoint: () => supervisor.endpoint(),
    database,
    clock,
    onClose: () => supervisor.close(),
  });
  if (acceptDamage === true) return warehouse;
  try {
    await requireUndamaged(warehouse, options.directory);
    return warehouse;
  } catch (error) {
    await warehouse.close();
    throw error;
  }
}

/** Damaged parts quoted in the message. */
const QUOTED_PARTS_MAX = 5;

/**
 * ClickHouse sets a part that it cannot read aside and starts without it. Positions would go on counting its rows as
 * stored, so that nobody would ever notice: better say so before anything is built on it.
 */
async function requireUndamaged(warehouse: Warehouse, directory: string): Promise<void> {
  const damaged = await warehouse.query<{ part: string }>(
    `SELECT concat(database, '.', table, '/detached/', name) AS part FROM system.detached_parts
     WHERE startsWith(reason, 'broken') ORDER BY part LIMIT {limit:UInt32}`,
    { limit: QUOTED_PARTS_MAX },
  );
  if (damaged.length === 0) return;
  const parts = damaged.map((row) => row.part).join(', ');
  throw new EngineError(
    'DATA_DIRECTORY_INVALID',
    `'${directory}' has blocks that cannot be read and were set aside: ${parts}; restore it from a copy, or open it ` +
      'accepting the damage, reset these tables and let the sinks fill them again, or delete these parts to go without',
    { context: { directory } },
  );
}
