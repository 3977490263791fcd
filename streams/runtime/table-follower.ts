/**
 * Follows a table topic into memory: what serving nodes and `table-reading` operators see of other stages.
 *
 * Reads every partition from its start, then keeps up. Values of a key arrive in rising version order within a
 * partition, except after a take-over or a late re-send, so `apply` must ignore a version below the one it holds.
 */
import type { Clock } from '../clock.js';
import type { EventLog, LogRecord } from '../log/event-log.js';
import { patiently } from '../patience.js';
import { Slices } from '../slices.js';

export interface TableFollowerOptions {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly topic: string;
  /** Where to begin: at the start of each partition unless told `end`, for topics of which only what comes matters. */
  readonly from?: 'start' | 'end';
  /** Called in partition order; must not throw for records it does not know. An empty value removes the key. */
  readonly apply: (record: LogRecord, partition: number) => void;
  /** Called when a record could not be applied; the follower goes on. */
  readonly onFault: (error: unknown, record: LogRecord, partition: number) => void;
  /** Called when the log could not be read; the follower tries again after a pause. */
  readonly onUnread: (error: unknown, partition: number) => void;
}

/** One read takes at most this much, so that a node that catches up stays responsive. */
const READ_LIMITS = { recordsMax: 250, bytesMax: 1 << 20 };
const SLICE_MS = 2;
/** Before a partition that could not be read is tried again. */
const RETRY_MS = 500;

export class TableFollower {
  private readonly positions: number[] = [];
  private running: Promise<void> | undefined;
  /** Partitions that may have grown since they were read. */
  private readonly grown = new Set<number>();
  /** Of all partitions: those that grew together are read one after another. */
  private readonly slices = new Slices(SLICE_MS);
  private readonly closing = new AbortController();
  private unsubscribe: (() => void) | undefined;

  constructor(private readonly options: TableFollowerOptions) {}

  /**
   * Resolves when everything that was in the topic at the call has been applied; keeps following afterwards. A partition
   * that cannot be read for a moment, as after the death of a broker, is tried again; throws what it threw last.
   */
  async open(): Promise<void> {
    const { log, topic, clock, onUnread } = this.options;
    const { signal } = this.closing;
    for (let partition = 0; partition < log.topic(topic).partitions; partition++) {
      const onFault = (error: unknown): void => onUnread(error, partition);
      await patiently({ clock, retryMs: RETRY_MS, onFault, signal }, () => this.begin(partition));
    }
    this.unsubscribe = log.onAppend(topic, (partitions) => this.wake(partitions));
    this.wake(undefined);
  }

  /** As `open`, for schedulers that call `catchUp` themselves: does not follow afterwards. */
  async load(): Promise<void> {
    const { log, topic } = this.options;
    for (let partition = 0; partition < log.topic(topic).partitions; partition++) await this.begin(partition);
  }

  /** May be repeated after a failure: goes on where it was. */
  private async begin(partition: number): Promise<void> {
    const { log, topic, from = 'start' } = this.options;
    this.positions[partition] ??= (await log.bounds(topic, partition))[from];
    await this.drain(partition);
  }

  /** Records not yet applied, over all partitions. */
  async lag(): Promise<number> {
    let lag = 0;
    for (let partition = 0; partition < this.positions.length; partition++) {
      const { end } = await this.options.log.bounds(this.options.topic, partition);
      lag += Math.max(0, end - this.positions[partition]!);
    }
    return lag;
  }

  /** Applies what is there and returns how many records that were; for schedulers that interleave by hand. */
  async catchUp(): Promise<number> {
    let applied = 0;
    for (let partition = 0; partition < this.positions.length; partition++) applied += await this.drain(partition);
    return applied;
  }

  private async drain(partition: number): Promise<number> {
    let applied = 0;
    for (;;) {
      const count = await this.read(partition);
      if (count === 0) return applied;
      applied += count;
    }
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.unsubscribe?.();
    await this.running;
  }

  private wake(partitions: ReadonlySet<number> | undefined): void {
    for (const partition of partitions ?? this.positions.keys()) this.grown.add(partition);
    if (this.running !== undefined || this.closing.signal.aborted) return;
    this.running = this.run().finally(() => {
      this.running = undefined;
    });
  }

  private async run(): Promise<void> {
    const { signal } = this.closing;
    while (this.grown.size > 0 && !signal.aborted) {
      const partitions = [...this.grown];
      this.grown.clear();
      let hasFailed = false;
      for (const partition of partitions) {
        try {
          await this.drain(partition);
        } catch (error) {
          hasFailed = true;
          this.grown.add(partition);
          this.options.onUnread(error, partition);
        }
      }
      if (!hasFailed && this.grown.size === 0) this.options.clock.caughtUp?.();
      if (hasFailed) await this.options.clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }

  private async read(partition: number): Promise<number> {
    const { log, topic, apply, onFault, clock } = this.options;
    const from = this.positions[partition]!;
    // Before the read: what was read must not grow old while others have their turn.
    await this.slices.begin(clock);
    const batch = await log.read(topic, partition, from, READ_LIMITS);
    await this.slices.begin(clock);
    for (const record of batch.records) {
      try {
        apply(record, partition);
      } catch (error) {
        onFault(error, record, partition);
      }
    }
    if (batch.records.length > 0) this.slices.end(clock);
    this.positions[partition] = batch.nextOffset;
    return batch.nextOffset - from;
  }
}
