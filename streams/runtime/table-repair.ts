/**
 * Keeps compaction from keeping an old value of a table.
 *
 * Where outputs are sent after the commit, a task that was replaced may still send a value long after its successor sent
 * a newer one. Followers go by versions and do not mind, but the old value is now the key's last in the log: compaction
 * keeps it and removes the newer one, and whoever loads the table afterwards starts from the past. So the owner of a
 * partition reads what lands in it, and appends the newest value of such a key again.
 *
 * An owner sends versions in order. A record whose version is below the highest so far is therefore the mark of a late
 * or repeated sender, and nothing needs to be remembered of any other key; the newest value is looked for in the log.
 * Compaction leaves a topic's latest segment alone, so it is still there unless no owner looked for very long.
 */
import type { Clock, TimerHandle } from '../clock.js';
import type { EventLog, LogRecord } from '../log/event-log.js';
import type { Logger } from '../logger.js';
import { isAbove } from './inherited-marks.js';
import type { Mark } from './inherited-marks.js';

export interface TableRepairOptions {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly topic: string;
  readonly partition: number;
  /** Between two looks, ms: much less than the time for which a segment stays open. */
  readonly lookMs: number;
}

const NONE: Mark = { offset: -1, index: -1 };
const READ_LIMITS = { recordsMax: 2_000, bytesMax: 4 << 20 };

export class TableRepair {
  private timer: TimerHandle | undefined;
  private looking: Promise<void> | undefined;
  private isClosed = false;
  private position: number | undefined;
  private source = '';
  private highest: Mark = NONE;
  /** Keys whose last record is older than some record before it, with where that was made. */
  private readonly suspects = new Map<string, Mark>();

  constructor(private readonly options: TableRepairOptions) {}

  /** Looks now and then until `close`. */
  open(): void {
    this.timer = this.options.clock.setInterval(this.options.lookMs, () => {
      this.looking ??= this.look()
        .catch((error: unknown) => {
          const { logger, topic, partition } = this.options;
          logger.warn('table could not be looked through; trying again', { topic, partition, error });
        })
        .finally(() => {
          this.looking = undefined;
        });
    });
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.timer?.cancel();
    await this.looking;
  }

  /** Reads what is new, then appends again what an old value has covered. One call at a time. */
  async look(): Promise<void> {
    const { log, topic, partition } = this.options;
    const { start } = await log.bounds(topic, partition);
    this.position = await this.read(Math.max(start, this.position ?? start), Infinity, (record) => this.note(record));
    if (this.suspects.size === 0 || this.isClosed) return;
    const newest = new Map<string, LogRecord>();
    await this.read(start, this.position, (record) => {
      const known = newest.get(record.key);
      if (!this.suspects.has(record.key) || record.origin?.source !== this.source) return;
      if (known === undefined || !isAbove(known.origin!, record.origin)) newest.set(record.key, record);
    });
    const covered = [...newest.values()].filter(({ key, origin }) => isAbove(origin!, this.suspects.get(key)!));
    if (covered.length > 0) {
      await log.append(
        topic,
        covered.map(({ key, value, origin }) => ({ key, value, origin, partition })),
      );
      this.options.logger.info('newest values of a table sent again', { topic, partition, keys: covered.length });
    }
    this.suspects.clear();
  }

  private note({ key, origin }: LogRecord): void {
    if (origin === undefined) return;
    if (origin.source !== this.source) {
      // Versions of another input cannot be compared with these.
      this.source = origin.source;
      this.highest = NONE;
      this.suspects.clear();
    }
    if (isAbove(this.highest, origin)) {
      this.suspects.set(key, origin);
      return;
    }
    this.highest = origin;
    this.suspects.delete(key);
  }

  /** Calls back with the records from an offset to another, or to the end. Returns where it stopped. */
  private async read(from: number, to: number, onRecord: (record: LogRecord) => void): Promise<number> {
    const { log, topic, partition, clock } = this.options;
    let offset = from;
    while (offset < to && !this.isClosed) {
      const { records, nextOffset } = await log.read(topic, partition, offset, READ_LIMITS);
      if (nextOffset === offset) break;
      for (const record of records) if (record.offset >= offset && record.offset < to) onRecord(record);
      offset = nextOffset;
      await clock.nextTurn();
    }
    return offset;
  }
}
