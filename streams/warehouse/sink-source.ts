/**
 * Where a sink's records come from: a pull function, which the wiring makes from a log reader, or any async iterable.
 */
import type { Clock, TimerHandle } from '../clock.js';
import type { WarehouseRow } from './warehouse.js';

/** Where a record is. */
export interface SinkPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** A record as a row. */
export interface SinkRecord extends SinkPlace {
  /** Belongs to the sink from then on. Undefined for a record that has no place in the table: its offset counts as stored all the same. */
  readonly row: WarehouseRow | undefined;
  /** Tells rows of one offset apart; '' when there is one. */
  readonly outputId?: string;
}

/** Next records, none after `waitMsMax`, undefined at the end. Rejects when the signal aborts, or returns early. */
export type Pull<R extends SinkPlace = SinkRecord> = (
  waitMsMax: number,
  signal: AbortSignal,
) => Promise<readonly R[] | undefined>;

/** Enough to make the waiting per pull cheap, little enough not to matter in memory. */
const PULL_RECORDS_MAX = 1_000;

/** Pulls from an async iterable, which must not be read by anybody else. Closing it is up to its owner. */
export function pullOf(source: AsyncIterable<SinkRecord>, clock: Clock): Pull {
  const iterator = source[Symbol.asyncIterator]();
  let next: Promise<IteratorResult<SinkRecord>> | undefined;
  let ended = false;
  return async (waitMsMax, signal) => {
    if (ended) return undefined;
    let timer: TimerHandle | undefined;
    let onAbort = (): void => undefined;
    const timeout = new Promise<'timeout'>((resolve) => {
      onAbort = () => resolve('timeout');
      timer = clock.setTimer(waitMsMax, onAbort);
      signal.addEventListener('abort', onAbort);
    });
    try {
      const records: SinkRecord[] = [];
      while (records.length < PULL_RECORDS_MAX && !signal.aborted) {
        if (next === undefined) {
          next = iterator.next();
          // A failure is thrown by the pull that waits for it, which may be a later one.
          next.catch(() => undefined);
        }
        const result = await Promise.race([next, timeout]);
        // The record under way is not lost: the next pull waits for the same promise.
        if (result === 'timeout') return records;
        next = undefined;
        if (result.done === true) {
          ended = true;
          return records;
        }
        records.push(result.value);
      }
      return records;
    } finally {
      timer?.cancel();
      signal.removeEventListener('abort', onAbort);
    }
  };
}
