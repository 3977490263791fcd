/**
 * Groups what concurrent requests append into few log appends: one durable write for many requests.
 *
 * What arrives during a turn of the event loop, or while appends are under way, leaves in one append. Callers are
 * answered when their records are durable. What nobody waits for lingers, so that twenty of them cost the log, and the
 * stages behind it, as little as one. Bounded by `pendingBytesMax`: beyond it nothing more is taken (OVERLOADED), so
 * memory never stands in for the disk.
 *
 * Invariant: records leave in the order in which they were taken.
 */
import { EngineError } from '../../schemas/errors.js';
import type { EventLog, OutgoingRecord } from '../../streams/log/event-log.js';
import type { Clock, TimerHandle } from '../../streams/clock.js';

export interface LogWriterOptions {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly topic: string;
  readonly pendingBytesMax: number;
}

/** Appends under way at once: while one is synced the next is prepared. */
const APPENDS_MAX = 2;
/** What lingers leaves by then: far below the time in which somebody looks at an answer and reports what was seen. */
const LINGER_MS = 50;
/** Records of one append: bounds the time that the log spends in one transaction. */
const GROUP_RECORDS_MAX = 5_000;

interface Waiter {
  readonly records: readonly OutgoingRecord[];
  readonly bytes: number;
  resolve(): void;
  reject(error: unknown): void;
}

export class LogWriter {
  /** Bytes taken and not yet durable. */
  pendingBytes = 0;
  private waiting: Waiter[] = [];
  private appending = 0;
  private scheduled = false;
  /** Something in `waiting` is to leave as soon as it can. */
  private isHurried = false;
  private lingering: TimerHandle | undefined;
  private idle: (() => void) | undefined;

  constructor(private readonly options: LogWriterOptions) {}

  /** Resolves when the records are durable. @throws OVERLOADED, STORAGE_FULL and what else the log throws */
  append(records: readonly OutgoingRecord[]): Promise<void> {
    const durable = this.take(records);
    this.hurry();
    return durable;
  }

  /** As `append`, for records that nobody waits for: they leave with the next ones that are waited for, or soon. */
  appendSoon(records: readonly OutgoingRecord[]): Promise<void> {
    const durable = this.take(records);
    if (this.waiting.length > 0) this.lingering ??= this.options.clock.setTimer(LINGER_MS, () => this.hurry());
    return durable;
  }

  /** Resolves when nothing is pending. */
  async drain(): Promise<void> {
    this.hurry();
    while (this.pendingBytes > 0 || this.appending > 0) await new Promise<void>((resolve) => (this.idle = resolve));
  }

  private take(records: readonly OutgoingRecord[]): Promise<void> {
    let bytes = 0;
    for (const { value } of records) bytes += value.length;
    const { pendingBytesMax, topic } = this.options;
    if (this.pendingBytes > 0 && this.pendingBytes + bytes > pendingBytesMax) {
      const message = `${this.pendingBytes} bytes wait to be written to ${topic}; the limit is ${pendingBytesMax}. Try again later.`;
      return Promise.reject(new EngineError('OVERLOADED', message, { context: { topic } }));
    }
    this.pendingBytes += bytes;
    return new Promise((resolve, reject) => this.waiting.push({ records, bytes, resolve, reject }));
  }

  private hurry(): void {
    this.lingering?.cancel();
    this.lingering = undefined;
    if (this.waiting.length === 0) return;
    this.isHurried = true;
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled || this.appending >= APPENDS_MAX) return;
    this.scheduled = true;
    void this.options.clock.nextTurn().then(() => {
      this.scheduled = false;
      if (this.waiting.length > 0) void this.appendGroup();
    });
  }

  private async appendGroup(): Promise<void> {
    const group = this.takeGroup();
    this.appending++;
    try {
      const records = group.length === 1 ? group[0]!.records : group.flatMap((waiter) => waiter.records);
      await this.options.log.append(this.options.topic, records);
      for (const waiter of group) waiter.resolve();
    } catch (error) {
      for (const waiter of group) waiter.reject(error);
    }
    this.appending--;
    for (const waiter of group) this.pendingBytes -= waiter.bytes;
    if (this.isHurried) this.schedule();
    else if (this.waiting.length === 0 && this.appending === 0) {
      this.idle?.();
      this.idle = undefined;
    }
  }

  private takeGroup(): Waiter[] {
    let count = 0;
    let records = 0;
    while (count < this.waiting.length && (count === 0 || records < GROUP_RECORDS_MAX)) {
      records += this.waiting[count++]!.records.length;
    }
    if (count === this.waiting.length) {
      const all = this.waiting;
      this.waiting = [];
      this.isHurried = false;
      return all;
    }
    return this.waiting.splice(0, count);
  }
}
