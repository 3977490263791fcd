/**
 * The warehouse's sink in a run: the real `WarehouseSink` over the real `BlockLedger`, following the sessions in a process of
 * its own, which dies and is started again, while the server behind it is killed in the midst of inserts.
 *
 * Afterwards the table holds every record of the topic once. It runs where the log is durable; an embedded engine, whose log
 * falls back with its state, waits for a flush before it stores anything.
 */
import type { MemoryLog } from '../../streams/memory/memory-log.js';
import { seededRandom } from '../../streams/random.js';
import type { Random } from '../../streams/random.js';
import { BlockLedger } from '../../streams/warehouse/block-ledger.js';
import { WarehouseSink } from '../../streams/warehouse/sink.js';
import type { SinkRecord } from '../../streams/warehouse/sink-source.js';
import type { Cluster } from './cluster.js';
import { FaultPlan } from './faults.js';
import type { FaultCounts } from './faults.js';
import { Process } from './process.js';
import type { Network } from './process.js';
import type { Scheduler } from './scheduler.js';
import { SimulatedLog } from './simulated-log.js';
import { INSERT_MS, WarehouseServer } from './simulated-warehouse.js';
import { SESSIONS } from './stages.js';

const TABLE = 'sessions';
const READ_RECORDS = [1, 3, 20];
const POLL_MS = 20;
const RESTART_MS_MAX = 200;
/** Inserts that the server does not survive, of all. */
const KILL_SHARES = [0, 0.1, 0.4];
const KILLS_MAX = 8;
/** Pauses between attempts grow to 10 s. */
const DRAIN_MS_MAX = 60_000;

export interface SinkFaults {
  readonly warehouseKilled: number;
  /** Inserts of which a kill left a part. */
  readonly blockTorn: number;
  readonly sinkRestarted: number;
}

export const NO_SINK_FAULTS: SinkFaults = { warehouseKilled: 0, blockTorn: 0, sinkRestarted: 0 };

export class SimulatedSink {
  readonly server: WarehouseServer;
  private readonly network: Network;
  private readonly random: Random;
  private process: Process | undefined;
  private kills = 0;
  private restarts = -1;
  private failure: string | undefined;

  constructor(
    seed: number,
    scheduler: Scheduler,
    private readonly log: MemoryLog,
    private readonly cluster: Cluster,
  ) {
    // Streams of its own: what else happens in a run of this seed does not depend on the sink.
    const random = seededRandom(`simulation-sink-${seed}`);
    this.random = random.stream('sink');
    const faults = new FaultPlan(random.stream('faults'));
    this.network = { scheduler, faults, random: random.stream('network'), delayMsMax: this.random.pick([1, 5]) };
    this.server = new WarehouseServer(scheduler);
  }

  start(): void {
    this.startProcess();
    const killShare = this.random.pick(KILL_SHARES);
    this.server.onInsert = () => {
      if (this.kills >= KILLS_MAX || this.random.float() >= killShare) return;
      // Before, in, or a moment after the insert.
      this.network.scheduler.after(this.random.int(2 * INSERT_MS), () => {
        this.kills++;
        this.server.kill();
      });
    };
  }

  /** The network and the sink's process are well from now on; most is stored while the rest drains, so kills go on. */
  heal(): void {
    this.network.faults.stop();
  }

  /** Lets it store what is left, and says what is wrong with the table then. */
  async drain(): Promise<string[]> {
    const { scheduler } = this.network;
    const isDone = (): boolean => this.failure !== undefined || this.behind().length === 0;
    await scheduler.runUntil(scheduler.elapsedMs + DRAIN_MS_MAX, isDone);
    if (this.failure !== undefined) return [this.failure];
    return [...this.behind().map((place) => `the warehouse did not come to the end of ${place}`), ...this.verify()];
  }

  get faults(): SinkFaults & { readonly network: FaultCounts } {
    const { kills, restarts, server, network } = this;
    return {
      warehouseKilled: kills,
      blockTorn: server.torn,
      sinkRestarted: restarts,
      network: network.faults.counts,
    };
  }

  private startProcess(): void {
    this.restarts++;
    const process = new Process(`sink-${this.restarts}`, this.network, () => {
      this.network.scheduler.after(this.random.int(RESTART_MS_MAX), () => this.startProcess());
    });
    this.process = process;
    this.follow(process).catch((error: unknown) => {
      if (this.process === process) this.failure = `the sink stopped: ${String(error)}`;
    });
  }

  private async follow(process: Process): Promise<void> {
    const ledger = new BlockLedger(this.server.seenBy(process));
    // Of each process anew: one that follows another may cut its blocks shorter.
    const blockRecords = this.random.pick([2, 5, 12]);
    const sink = WarehouseSink.ofRows({
      warehouse: {
        insert: (table, rows, range) => ledger.insert(table, rows, range),
        position: (table, topic, partition) => ledger.position(table, topic, partition),
      },
      table: TABLE,
      clock: process,
      blockRecords,
      blockWaitMs: this.random.pick([1, 20, 150]),
      bufferedRowsMax: 3 * blockRecords,
    });
    const limits = { recordsMax: this.random.pick(READ_RECORDS), bytesMax: 1 << 20 };
    const log = new SimulatedLog(this.log, process, this.network, this.cluster.coordinator);
    const places: { partition: number; next: number }[] = [];
    for (let partition = 0; partition < this.log.topic(SESSIONS).partitions; partition++) {
      places.push({ partition, next: await sink.assign(SESSIONS, partition) });
    }
    const pull = async (waitMsMax: number): Promise<SinkRecord[]> => {
      const pulled: SinkRecord[] = [];
      for (const place of places) {
        const { partition, next } = place;
        const batch = await log.read(SESSIONS, partition, next, limits).catch(() => undefined);
        if (batch === undefined || batch.nextOffset <= next) continue;
        place.next = batch.nextOffset;
        for (const { offset } of batch.records) {
          if (offset >= next) pulled.push({ topic: SESSIONS, partition, offset, row: {} });
        }
      }
      if (pulled.length === 0) await process.sleep(Math.min(waitMsMax, POLL_MS));
      return pulled;
    };
    await sink.run(pull, new AbortController().signal);
  }

  /** Partitions of which the table does not say that it has all. */
  private behind(): string[] {
    return this.places()
      .filter(({ end, topic, partition }) => (this.server.position(topic, partition) ?? -1) < end - 1)
      .map(({ topic, partition }) => `${topic}/${partition}`);
  }

  private places(): { topic: string; partition: number; end: number }[] {
    return Array.from({ length: this.log.topic(SESSIONS).partitions }, (_, partition) => ({
      topic: SESSIONS,
      partition,
      end: this.log.boundsNow(SESSIONS, partition).end,
    }));
  }

  private verify(): string[] {
    const counts = new Map<string, number>();
    for (const row of this.server.rows) counts.set(row, (counts.get(row) ?? 0) + 1);
    const faults: string[] = [];
    for (const { topic, partition, end } of this.places()) {
      for (let offset = 0; offset < end; offset++) {
        const times = counts.get(`${topic}/${partition}/${offset}/`) ?? 0;
        if (times !== 1) faults.push(`the warehouse has ${topic}/${partition}/${offset} ${times} times`);
      }
    }
    return faults;
  }
}
