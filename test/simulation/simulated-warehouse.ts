/**
 * A ClickHouse as the block ledger meets it: an insert is stored table partition by table partition, so that a server which
 * is killed in its midst leaves a part of it; what was acknowledged stays; of one query id one statement runs at a time, also
 * when its caller is gone.
 */
import { EngineError } from '../../schemas/errors.js';
import type { LedgerStore } from '../../streams/warehouse/block-ledger.js';
import type { BlockRows, WarehouseRow } from '../../streams/warehouse/warehouse.js';
import type { Process } from './process.js';
import type { Scheduler } from './scheduler.js';

const TABLE_PARTITIONS = 3;
/** Between two table partitions of an insert, ms. */
const STEP_MS = 2;
export const INSERT_MS = TABLE_PARTITIONS * STEP_MS;

export class WarehouseServer {
  /** `topic/partition/offset/outputId` of every stored row, in the order of storing. */
  readonly rows: string[] = [];
  private readonly positions = new Map<string, number>();
  private readonly running = new Set<string>();
  private generation = 0;
  /** Inserts of which a kill left a part. */
  torn = 0;

  /** Called when an insert begins, which takes about `INSERT_MS`. */
  onInsert: () => void = () => undefined;

  constructor(private readonly scheduler: Scheduler) {}

  /** Ends every statement under way; what is stored stays. */
  kill(): void {
    this.generation++;
    this.running.clear();
  }

  position(topic: string, partition: number): number | undefined {
    return this.positions.get(`${topic}/${partition}`);
  }

  /** The server over the network, as one process sees it. */
  seenBy(process: Process): LedgerStore {
    const ask = async <T>(effect: () => T | Promise<T>): Promise<T> => {
      try {
        return await process.call(effect, { server: 'store' });
      } catch (error) {
        if (error instanceof EngineError) throw error;
        throw new EngineError('WAREHOUSE_UNAVAILABLE', 'No complete answer.', { cause: error });
      }
    };
    return {
      insertRows: (_, rows) => ask(() => rows.forEach((row) => this.notePosition(row))),
      insertBlock: (_, rows, { _topic, _partition }, queryId) =>
        ask(() => {
          const done = this.insert(queryId, rows, `${_topic}/${_partition}`);
          // Its caller may be gone by then.
          done.catch(() => undefined);
          return done;
        }),
      select: (sql, params, queryId) => this.select(ask, sql, params, queryId),
      command: () => Promise.reject(new Error('The ledger runs no commands here')),
    };
  }

  private notePosition({ topic, partition, to_offset: toOffset }: WarehouseRow): void {
    const place = `${topic as string}/${partition as number}`;
    this.positions.set(place, Math.max(this.positions.get(place) ?? -1, Number(toOffset)));
  }

  private async insert(queryId: string, rows: BlockRows, place: string): Promise<void> {
    this.requireIdle(queryId);
    this.running.add(queryId);
    this.onInsert();
    const { generation } = this;
    for (let part = 0; part < TABLE_PARTITIONS; part++) {
      const own = rows.filter((row) => row._offset % TABLE_PARTITIONS === part);
      await new Promise<void>((resolve) => this.scheduler.after(STEP_MS, resolve));
      if (generation !== this.generation) {
        if (part > 0) this.torn++;
        throw new Error('socket hang up');
      }
      for (const row of own) this.rows.push(`${place}/${row._offset}/${row._outputId}`);
    }
    this.running.delete(queryId);
  }

  private async *select(
    ask: <T>(effect: () => T) => Promise<T>,
    sql: string,
    params: Readonly<Record<string, unknown>>,
    queryId: string | undefined,
  ): AsyncGenerator<Record<string, unknown>> {
    const place = `${String(params['topic'])}/${String(params['partition'])}`;
    if (sql.includes('max(to_offset)')) {
      const position = await ask(() => this.positions.get(place));
      if (position !== undefined) yield { position };
      return;
    }
    const from = Number(params['fromOffset']);
    yield* await ask(() => {
      if (queryId !== undefined) this.requireIdle(queryId);
      const stored = this.rows.filter((row) => row.startsWith(`${place}/`)).map((row) => row.slice(place.length + 1));
      return stored
        .map((row) => ({ _offset: Number(row.split('/')[0]), _outputId: row.split('/')[1] }))
        .filter(({ _offset }) => _offset >= from);
    });
  }

  private requireIdle(queryId: string): void {
    if (!this.running.has(queryId)) return;
    throw new EngineError('WAREHOUSE_UNAVAILABLE', `Query ${queryId} is already running.`);
  }
}
