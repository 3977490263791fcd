/**
 * Finds users whose state moved without their hint arriving, by comparing versions: those that feeds were made from with
 * those in the store. One read a partition, whenever a gap is told and at an interval.
 *
 * So a lost hint delays a feed by at most the interval, and costs nothing but reads.
 */
import type { Clock, TimerHandle } from '../clock.js';
import { rowVersion } from '../runtime/row-bytes.js';
import type { StateStore } from '../state/state-store.js';
import type { Hint } from './event-log.js';

/** A key that somebody watches, and the version (offset after the commit) that is known of it. */
export interface WatchedKey {
  readonly key: string;
  readonly version: number;
}

export interface HintRepairOptions {
  readonly store: StateStore;
  /** Whose rows these are. */
  readonly stage: string;
  readonly partitions: () => number;
  readonly clock: Clock;
  readonly intervalMs: number;
  /** Keys watched at this node that live in the partition. */
  readonly watched: (partition: number) => readonly WatchedKey[];
  /** Called with what the lost hints would have said, but for their events. */
  readonly onHints: (hints: readonly Hint[]) => void;
  /** The store could not be read; the next round tries again. */
  readonly onFault: (error: unknown) => void;
}

/** Keys of one read. */
const READ_KEYS = 1_000;

export class HintRepair {
  private readonly timer: TimerHandle;
  private readonly running = new Map<number, Promise<void>>();

  constructor(private readonly options: HintRepairOptions) {
    const { clock, intervalMs, partitions } = options;
    this.timer = clock.setInterval(intervalMs, () => {
      for (let partition = 0; partition < partitions(); partition++) void this.repair(partition);
    });
  }

  /** Compares one partition; a round that is under way is joined. Never rejects. */
  repair(partition: number): Promise<void> {
    let round = this.running.get(partition);
    if (round === undefined) {
      round = this.compare(partition)
        .catch(this.options.onFault)
        .finally(() => this.running.delete(partition));
      this.running.set(partition, round);
    }
    return round;
  }

  async close(): Promise<void> {
    this.timer.cancel();
    await Promise.all(this.running.values());
  }

  private async compare(partition: number): Promise<void> {
    const { store, stage, watched, onHints } = this.options;
    const all = watched(partition);
    for (let at = 0; at < all.length; at += READ_KEYS) {
      const part = all.slice(at, at + READ_KEYS);
      const request = { keys: part.map(({ key }) => key), timersBefore: -Infinity, timersMax: 0 };
      const { rows } = await store.prefetch({ stage, partition }, request);
      const hints = part.flatMap(({ key, version }, i): Hint[] => {
        const row = rows[i];
        const offset = row === undefined ? 0 : rowVersion(row) + 1;
        return offset > version ? [{ key, partition, offset, eventIds: [] }] : [];
      });
      if (hints.length > 0) onHints(hints);
    }
  }
}
