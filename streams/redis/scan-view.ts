/**
 * One consistent view of a task while commits go on, without stopping anybody.
 *
 * A view is a hash that lives in Redis for the time of a scan. Scripts that change a row or a timer first put what it was
 * into every open view, once ('+' and the value, or '-'). So what was there when the view was opened is: what the view
 * holds, and for everything else what is there now. Reading in that order — the present first, then the view — cannot
 * miss a change in between.
 *
 * A scan holds the keys (not the rows) of what it walks in memory, since Redis does not keep them in order.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Random } from '../random.js';
import type { ScanRange, TaskId, TimerEntry } from '../state/state-store.js';
import { taskName } from '../state/state-store.js';
import { decodeTimer } from '../state/timer-bytes.js';
import type { RedisClient } from './redis-client.js';
import { OPEN_VIEW } from './scripts.js';
import type { TaskKeys } from './task-keys.js';

/** A view whose scan has not been heard of for this long is forgotten. */
const VIEW_MS = 120_000;
/** Rows of one read. */
const PAGE_ROWS = 250;
const PAGE_TIMERS = 1_000;
const ROW = 0x72;
const PRESENT = 0x2b;

export interface ViewContext {
  readonly client: RedisClient;
  readonly random: Random;
  readonly keys: TaskKeys;
  readonly task: TaskId;
  /** Moves a pending commit in. */
  readonly settle: () => Promise<void>;
}

/** Opens a view; undefined when the task has no content. Throws OVERLOADED when too many scans of the task run. */
export async function openView(context: ViewContext): Promise<ScanView | undefined> {
  const { client, keys, task, random, settle } = context;
  const id = random.hex(8);
  for (;;) {
    const answer = await client.run(keys.slot, OPEN_VIEW, [keys.head, ...keys.views], [id, String(VIEW_MS)]);
    if (typeof answer === 'number') return new ScanView(context, keys.views[answer]!, id);
    if (String(answer) === 'absent') return undefined;
    if (String(answer) === 'busy') {
      throw new EngineError(
        'OVERLOADED',
        `Task ${taskName(task)} is being scanned ${keys.views.length} times already.`,
      );
    }
    await settle();
  }
}

export class ScanView {
  constructor(
    private readonly context: ViewContext,
    private readonly view: string,
    private readonly id: string,
  ) {}

  /** Rows in the order of their keys' UTF-8 bytes. */
  async *rows({ from, to, limit }: ScanRange): AsyncGenerator<readonly [key: string, value: Buffer]> {
    const low = Buffer.from(from ?? '');
    const high = to === undefined ? undefined : Buffer.from(to);
    const isInRange = (key: Buffer): boolean => key.compare(low) >= 0 && (high === undefined || key.compare(high) < 0);
    const keys = (await this.rowKeys()).filter(isInRange).sort((left, right) => left.compare(right));
    let left = limit ?? Infinity;
    for (let at = 0; at < keys.length && left > 0; at += PAGE_ROWS) {
      const page = keys.slice(at, at + PAGE_ROWS);
      const values = await this.readPage(page);
      for (let i = 0; i < page.length && left > 0; i++) {
        const value = values[i];
        if (value === undefined) continue;
        left--;
        yield [page[i]!.toString(), value];
      }
    }
  }

  async *timers(): AsyncGenerator<TimerEntry> {
    const { client, keys } = this.context;
    const found = new Map<string, Buffer>();
    for (let from: RedisFrom = '-'; ;) {
      const args = [keys.timers, from, '+', 'BYLEX', 'LIMIT', '0', String(PAGE_TIMERS)];
      const page = (await client.command(keys.slot, 'ZRANGE', ...args)) as Buffer[];
      for (const timer of page) found.set(timer.toString('latin1'), timer);
      if (page.length < PAGE_TIMERS) break;
      from = Buffer.concat([AFTER, page.at(-1)!]);
    }
    for (const [field, value] of await this.remembered()) {
      if (field[0] === ROW) continue;
      const timer = field.subarray(1);
      if (value[0] === PRESENT) found.set(timer.toString('latin1'), timer);
      else found.delete(timer.toString('latin1'));
    }
    const sorted = [...found.values()].sort((left, right) => left.compare(right));
    for (const timer of sorted) yield decodeTimer(timer);
  }

  async close(): Promise<void> {
    const { client, keys } = this.context;
    const id = (await client.command(keys.slot, 'HGET', this.view, 'view')) as Buffer | null;
    if (id?.toString() === this.id) await client.command(keys.slot, 'UNLINK', this.view);
  }

  /** Every key that may have had a row when the view was opened. */
  private async rowKeys(): Promise<Buffer[]> {
    const { client, keys } = this.context;
    const lead = Buffer.byteLength(keys.rows);
    const found = new Map<string, Buffer>();
    const add = (key: Buffer): void => void found.set(key.toString('latin1'), key);
    for await (const page of client.scan(keys.slot, `${keys.rows}*`)) for (const key of page) add(key.subarray(lead));
    for (const [field] of await this.remembered()) if (field[0] === ROW) add(field.subarray(1));
    return [...found.values()];
  }

  /** What the view holds by now, without the rows' bytes being of interest. */
  private async remembered(): Promise<(readonly [field: Buffer, value: Buffer])[]> {
    const { client, keys } = this.context;
    const found: (readonly [Buffer, Buffer])[] = [];
    let cursor = '0';
    do {
      const reply = await client.command(keys.slot, 'HSCAN', this.view, cursor, 'COUNT', String(PAGE_ROWS));
      const [next, pairs] = reply as [Buffer, Buffer[]];
      cursor = next.toString();
      for (let i = 0; i < pairs.length; i += 2) {
        if (pairs[i]!.toString('latin1') !== 'view') found.push([pairs[i]!, pairs[i + 1]!]);
      }
    } while (cursor !== '0');
    await this.requireAlive();
    return found;
  }

  private async readPage(page: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    const { client, keys } = this.context;
    const rowPrefix = Buffer.from(keys.rows);
    const replies = await client.call(keys.slot, [
      { command: 'MGET', args: page.map((key) => Buffer.concat([rowPrefix, key])) },
      { command: 'HMGET', args: [this.view, 'view', ...page.map((key) => Buffer.concat([ROW_FIELD, key]))] },
      { command: 'PEXPIRE', args: [this.view, String(VIEW_MS)] },
    ]);
    const [rows, [view, ...earlier]] = replies as [(Buffer | null)[], (Buffer | null)[]];
    this.requireSame(view ?? null);
    return rows.map((row, i) => {
      const before = earlier[i] ?? null;
      if (before === null) return row ?? undefined;
      return before[0] === PRESENT ? before.subarray(1) : undefined;
    });
  }

  private async requireAlive(): Promise<void> {
    const { client, keys } = this.context;
    this.requireSame((await client.command(keys.slot, 'HGET', this.view, 'view')) as Buffer | null);
  }

  private requireSame(view: Buffer | null): void {
    if (view?.toString() === this.id) return;
    throw new EngineError(
      'STORE_UNAVAILABLE',
      `Redis lost the view of task ${taskName(this.context.task)} that a scan was reading, by a failover or a long pause; scan again.`,
    );
  }
}

type RedisFrom = string | Buffer;
const AFTER = Buffer.from('(');
const ROW_FIELD = Buffer.from('r');
