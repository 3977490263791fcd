/**
 * Rows a second from the log into the analysts' tables: records read and decoded, rows made with pseudonyms, encoded, sent over
 * ClickHouse's HTTP interface and stored, with the ledger that keeps a block from being stored twice.
 *
 * The log is in memory and filled before with the simulator's mix; the warehouse is the embedded one in a new directory, or the
 * server that `--set warehouse.url=…` names. Measured is from opening the tables until nothing is left to store; the last blocks,
 * which nothing fills any more, are stored as soon as all was read instead of after `warehouse.blockWaitMs`. What is there
 * afterwards is counted by SQL and must be every row once, also when the database was killed meanwhile: `--kills 20` does it at
 * places spread over the run, each after a pause drawn from the seed, so that it falls into any step of an insert.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import { TOPICS, topicName } from '../../schemas/topics.js';
import { engineTopics } from '../../operators/engine-topology.js';
import { patiently } from '../../streams/patience.js';
import { MemoryLog } from '../../streams/memory/memory-log.js';
import { createMetrics, type Metrics } from '../../streams/metrics.js';
import { seededRandom } from '../../streams/random.js';
import type { Warehouse } from '../../streams/warehouse/warehouse.js';
import type { CommandContext } from '../commands/command.js';
import { loadConfig } from '../commands/command.js';
import { SLATE_LENGTH } from '../simulate/behaviour.js';
import { createMix } from '../simulate/mix.js';
import { openWarehouse } from '../warehouse/open-warehouse.js';
import { openPseudonyms } from '../warehouse/pseudonyms.js';
import { WarehouseFollower } from '../warehouse/warehouse-follower.js';
import { measure } from './measure.js';
import { cpuSecondsOf } from './process-status.js';

export interface SinkBenchOptions {
  readonly interactions: number;
  readonly seed: number;
  /** Times that the embedded warehouse's process is ended by SIGKILL meanwhile. */
  readonly kills: number;
  readonly set?: readonly string[] | undefined;
}

const NAMESPACE = 'bench';
const POLL_MS = 20;
const RETRY_MS = 250;
/** Longer than a block takes: a kill falls anywhere. */
const PAUSE_MS_MAX = 400;
const TABLES = ['interactions', 'impressions'] as const;

export async function runSink(context: CommandContext, options: SinkBenchOptions): Promise<void> {
  const { clock, random, logger, terminal } = context;
  const { streams, warehouse: settings } = loadConfig(options);
  const log = new MemoryLog({ clock, identity: random.hex(16) });
  await log.createTopics(engineTopics(NAMESPACE, streams.partitions));
  const expected = await fill(log, options);
  terminal.say(`${expected} rows to store`);
  const directory = mkdtempSync(join(tmpdir(), 'freshet-sink-'));
  const place = { data: directory, namespace: NAMESPACE, clock, logger };
  const { retentionDays, memoryBytes, blockRows, blockWaitMs } = settings;
  let pid: number | undefined;
  const onProcess = (id: number): void => void (pid = id);
  const warehouse = await openWarehouse({ ...place, retentionDays, memoryBytes, server: settings, onProcess });
  try {
    const metrics = createMetrics({ namespace: NAMESPACE, includeProcess: false });
    const follower = new WarehouseFollower({
      ...{ namespace: NAMESPACE, clock, logger, metrics, blockRows, blockWaitMs },
      topicGenerations: () => [{ log, identity: log.identity }],
      flushed: () => Promise.resolve(),
      pseudonyms: await openPseudonyms(directory, random),
      open: () => Promise.resolve(warehouse),
    });
    const before = cpuSecondsOf(pid);
    const pauses = seededRandom(options.seed).stream('kills');
    let kills = 0;
    let isRead = false;
    const cost = await measure(clock, async () => {
      follower.start();
      const logged = (await log.bounds(topicName(NAMESPACE, TOPICS.userEvents), 0)).end;
      for (;;) {
        const { records } = await follower.lag();
        if (records === 0) break;
        if (!isRead && rowsMade(metrics) >= expected) {
          isRead = true;
          follower.refollow();
        }
        const stored = 1 - (records ?? Infinity) / (logged * streams.partitions * TABLES.length);
        const due = Math.min(options.kills, (options.kills + 1) * stored);
        if (kills < due && pid !== undefined) {
          await clock.sleep(pauses.int(PAUSE_MS_MAX));
          process.kill(pid, 'SIGKILL');
          pid = undefined;
          kills++;
        }
        await clock.sleep(POLL_MS);
      }
    });
    const serverCpuSeconds = cpuSecondsOf(pid) - before;
    // The last kill may have come with the last block: nobody has noticed it then.
    const { rows, doubled } = await patiently({ clock, retryMs: RETRY_MS }, () => countRows(warehouse, log.identity));
    await follower.stop();
    terminal.result({
      bench: 'sink',
      rows,
      ...cost,
      ...(pid === undefined || kills > 0 ? {} : { serverCpuSeconds }),
      rowsPerSecond: rows / cost.seconds,
      microsecondsPerRow: (cost.cpuSeconds * 1e6) / rows,
      blockRows,
      ...{ kills, lost: expected - rows + doubled, doubled },
    });
    if (rows === expected && doubled === 0) return;
    const there = `${rows} are there, ${doubled} of them doubled`;
    throw new EngineError('INVARIANT_VIOLATED', `${expected} rows were to be stored, and ${there}.`);
  } finally {
    await warehouse.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Returns the rows that the tables should have. */
async function fill(log: MemoryLog, { interactions, seed }: SinkBenchOptions): Promise<number> {
  const mix = createMix(seed);
  const topic = topicName(NAMESPACE, TOPICS.userEvents);
  while (mix.counts.interactions < interactions) await log.append(topic, mix.nextBatch());
  return mix.counts.interactions + mix.counts.impressions * SLATE_LENGTH;
}

/** Rows that are stored or in a block. */
function rowsMade(metrics: Metrics): number {
  const counts = metrics.samples().filter(({ name }) => /_warehouse_(rows_total|buffered_rows)$/.test(name));
  return counts.reduce((sum, { value }) => sum + value, 0);
}

/** Without FINAL: what a merge would hide counts. */
async function countRows(warehouse: Warehouse, identity: string): Promise<{ rows: number; doubled: number }> {
  const counts = { rows: 0, doubled: 0 };
  for (const table of TABLES) {
    const sql = `SELECT count() AS n, n - uniqExact(_topic, _partition, _offset, _outputId) AS doubled
      FROM ${table} WHERE endsWith(_topic, {log:String})`;
    const [row] = await warehouse.query<{ n: number; doubled: number }>(sql, { log: identity.slice(0, 8) });
    counts.rows += row!.n;
    counts.doubled += row!.doubled;
  }
  return counts;
}
