/**
 * Reads the records of one table's topic, all partitions, and hands those to the sink that may give rows.
 *
 *   log.read ──▶ skipped by header │ pull() of the sink ──▶ table-block.ts
 *
 * Records that give no row are passed over silently; only after many of them is their offset reported as stored, so
 * that a topic full of other records does not make the sink write empty blocks. What is read again after a restart is
 * therefore bounded, and cheap. Work between two turns of the event loop is bounded too: the engine lives on it.
 */
import { recordKindOf } from '../../schemas/codec.js';
import { isEngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { EventLog, LogRecord, ReadLimits } from '../../streams/log/event-log.js';
import type { Logger } from '../../streams/logger.js';
import type { Pull } from '../../streams/warehouse/sink-source.js';
import type { TableMapping } from './rows.js';
import type { TableRecord } from './table-block.js';

export interface TableReaderOptions {
  readonly log: Pick<EventLog, 'read' | 'bounds' | 'onAppend'>;
  readonly mapping: TableMapping;
  /** Physical name in the log. */
  readonly topic: string;
  /** Name under which the warehouse counts offsets. */
  readonly streamName: string;
  readonly partitions: number;
  /** The topic came after one that was repartitioned: its partitions begin where offsets were then, not at 0. */
  readonly isSuccessor: boolean;
  /** Offsets at whose multiples the sink ends a block. */
  readonly blockRecords: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Of one read: a few ms of work. */
const READ_RECORDS_MAX = 200;
const READ_BYTES_MAX = 1 << 20;
/** Records without a row after which their offset is reported anyway. */
const SKIPPED_RECORDS_MAX = 20_000;
/** After an append: what follows within this time is read along with it. */
const GATHER_MS = 250;

interface Cursor {
  /** Next offset to read. */
  next: number;
  /** Next offset to store: below it everything is in the warehouse. */
  stored: number;
  /** Next offset after the last one that is in a block of the sink. */
  handed: number;
}

export class TableReader {
  private readonly cursors: Cursor[] = [];
  /** Partition that is read next. */
  private turn = 0;
  private hasNews = true;
  private wake: (() => void) | undefined;
  private readonly unsubscribe: () => void;

  constructor(private readonly options: TableReaderOptions) {
    this.unsubscribe = options.log.onAppend(options.topic, () => {
      this.hasNews = true;
      this.wake?.();
    });
  }

  /** Sets every partition to what the sink asks for next. */
  async open(assign: (streamName: string, partition: number) => Promise<number>): Promise<void> {
    const { log, topic, streamName, partitions, isSuccessor, logger, mapping } = this.options;
    for (let partition = 0; partition < partitions; partition++) {
      const assigned = await assign(streamName, partition);
      const { start, end } = await log.bounds(topic, partition);
      const stored = assigned === 0 && isSuccessor ? start : assigned;
      if (stored > end) {
        logger.error(
          'The warehouse is ahead of the log, which lost its end; what is logged again there is not stored',
          {
            ...{ table: mapping.table, topic, partition, stored, logged: end },
          },
        );
      }
      this.cursors.push({ next: stored, stored, handed: stored });
    }
  }

  close(): void {
    this.unsubscribe();
  }

  /** The sink has a record in a block. */
  noteTaken(partition: number, offset: number): void {
    this.cursors[partition]!.handed = offset + 1;
  }

  /** The insert of a block that ends here succeeded. */
  noteStored(partition: number, toOffset: number): void {
    const cursor = this.cursors[partition]!;
    cursor.stored = Math.max(cursor.stored, toOffset + 1);
  }

  /** Records between the log's end and what is stored; those without a row count until they were read. */
  async lag(): Promise<number> {
    let lag = 0;
    for (const [partition, { next, stored, handed }] of this.cursors.entries()) {
      const { end } = await this.options.log.bounds(this.options.topic, partition);
      lag += Math.max(0, end - (handed > stored ? stored : next));
    }
    return lag;
  }

  readonly pull: Pull<TableRecord> = async (waitMsMax, signal) => {
    const { clock } = this.options;
    const until = clock.monotonic() + waitMsMax;
    for (;;) {
      await clock.nextTurn();
      if (signal.aborted) return [];
      this.hasNews = false;
      const { records, hasMore } = await this.readTurn();
      if (hasMore) this.hasNews = true;
      if (records.length > 0) return records;
      const leftMs = until - clock.monotonic();
      if (leftMs <= 0) return [];
      if (hasMore) continue;
      if (!this.hasNews) await this.newsWithin(leftMs, signal);
      if (signal.aborted || !this.hasNews) return [];
      await clock.sleep(Math.min(GATHER_MS, Math.max(0, until - clock.monotonic())), signal);
    }
  };

  private async newsWithin(ms: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', done);
        this.wake = undefined;
        resolve();
      };
      const timer = this.options.clock.setTimer(ms, done);
      signal.addEventListener('abort', done);
      this.wake = done;
    });
  }

  /**
   * One read, from the partition whose turn it is or the next one that has something. A partition with a backlog is read
   * up to the end of a block before the next one: blocks are full one after the other then, so that one is stored while
   * the next is filled, and few are held.
   */
  private async readTurn(): Promise<{ records: TableRecord[]; hasMore: boolean }> {
    const { blockRecords } = this.options;
    for (let tried = 0; tried < this.cursors.length; tried++) {
      const partition = this.turn;
      const cursor = this.cursors[partition]!;
      const ofBlock = blockRecords - (cursor.next % blockRecords);
      const recordsMax = Math.min(READ_RECORDS_MAX, ofBlock);
      const batch = await this.read(partition, cursor, { recordsMax, bytesMax: READ_BYTES_MAX });
      const hasBacklog = batch.records.length >= recordsMax;
      if (!hasBacklog || recordsMax === ofBlock) this.turn = (partition + 1) % this.cursors.length;
      if (batch.nextOffset > cursor.next) {
        return { records: this.take(partition, batch.records, batch.nextOffset), hasMore: true };
      }
    }
    return { records: [], hasMore: false };
  }

  private async read(
    partition: number,
    cursor: Cursor,
    limits: ReadLimits,
  ): Promise<{ records: readonly LogRecord[]; nextOffset: number }> {
    const { log, topic, logger, mapping } = this.options;
    try {
      return await log.read(topic, partition, cursor.next, limits);
    } catch (error) {
      if (!isEngineError(error, 'OFFSET_OUT_OF_RANGE')) throw error;
      const { start, end } = await log.bounds(topic, partition);
      if (start > cursor.next) {
        logger.error('The log removed records before the warehouse had them', {
          ...{ table: mapping.table, topic, partition, lost: start - cursor.next },
        });
        cursor.next = start;
      }
      // Ahead of a log that lost its end: wait until it is back at that offset.
      if (cursor.next >= end) return { records: [], nextOffset: cursor.next };
      return log.read(topic, partition, cursor.next, limits);
    }
  }

  private take(partition: number, records: readonly LogRecord[], nextOffset: number): TableRecord[] {
    const { mapping, streamName: topic } = this.options;
    const cursor = this.cursors[partition]!;
    const taken: TableRecord[] = [];
    cursor.next = nextOffset;
    for (const { offset, value, timestamp } of records) {
      const kind = recordKindOf(value);
      if (kind !== undefined && mapping.kinds.has(kind)) taken.push({ topic, partition, offset, value, timestamp });
    }
    if (taken.length === 0 && nextOffset - cursor.handed >= SKIPPED_RECORDS_MAX) {
      taken.push({ topic, partition, offset: nextOffset - 1, value: undefined, timestamp: 0 });
    }
    return taken;
  }
}
