/** A follower of a table whose log cannot be read for a while. */
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../schemas/errors.js';
import { ManualClock } from '../../../streams/clock.js';
import type { LogBatch, PartitionBounds, ReadLimits } from '../../../streams/log/event-log.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { Politeness } from '../../../streams/politeness.js';
import { TableFollower } from '../../../streams/runtime/table-follower.js';
import { WorkedClock } from '../worked-clock.js';

class UnreadableLog extends MemoryLog {
  isUnreadable = false;
  /** Calls for bounds to come that fail, and how. */
  fault: { times: number; readonly error: Error } | undefined;

  override bounds(topic: string, partition: number): Promise<PartitionBounds> {
    const { fault } = this;
    return fault !== undefined && fault.times-- > 0 ? Promise.reject(fault.error) : super.bounds(topic, partition);
  }

  override read(topic: string, partition: number, from: number, limits: ReadLimits): Promise<LogBatch> {
    return this.isUnreadable ? Promise.reject(new Error('unreachable')) : super.read(topic, partition, from, limits);
  }
}

function follow() {
  const clock = new ManualClock();
  const background = new Politeness(clock).backgroundClock();
  let caughtUp = 0;
  background.caughtUp = () => void caughtUp++;
  const log = new UnreadableLog({ clock });
  log.createTopicsNow([{ name: 'table', partitions: 2, class: 'table' }]);
  const applied: string[] = [];
  const unread: number[] = [];
  const follower = new TableFollower({
    ...{ log, clock: background },
    topic: 'table',
    apply: ({ key }, partition) => void applied.push(`${partition}/${key}`),
    onFault: (error) => {
      throw error;
    },
    onUnread: (_, partition) => void unread.push(partition),
  });
  const put = (partition: number, key: string): void =>
    void log.appendNow('table', [{ key, value: Buffer.from('x'), partition }]);
  return { clock, log, follower, applied, unread, put, caughtUp: () => caughtUp };
}

describe('a follower whose log cannot be read', () => {
  it('tells it, and goes on where it was when the log is back', async () => {
    const { clock, log, follower, applied, unread, put, caughtUp } = follow();
    await follower.open();
    await clock.settle();
    const before = caughtUp();
    expect(before).toBeGreaterThan(0);
    log.isUnreadable = true;
    put(0, 'a');
    put(1, 'b');
    await clock.advance(1_200);
    expect(unread).toEqual([0, 1, 0, 1, 0, 1]);
    expect(caughtUp()).toBe(before);
    log.isUnreadable = false;
    await clock.advance(1_000);
    expect(applied).toEqual(['0/a', '1/b']);
    expect(caughtUp()).toBeGreaterThan(before);
    await follower.close();
  });

  it('opens once the log can be read, and gives up when it does not come back', async () => {
    const { clock, log, follower, applied, unread, put } = follow();
    put(1, 'b');
    const unavailable = new EngineError('LOG_UNAVAILABLE', 'a broker is gone');
    log.fault = { times: 3, error: unavailable };
    const opened = follower.open();
    await clock.advance(2_000);
    await opened;
    expect([unread, applied]).toEqual([[0, 0, 0], ['1/b']]);
    await follower.close();

    const other = follow();
    other.log.fault = { times: Infinity, error: unavailable };
    const failed = expect(other.follower.open()).rejects.toBe(unavailable);
    await other.clock.advance(31_000);
    await failed;
    other.log.fault = { times: Infinity, error: new EngineError('TOPIC_UNKNOWN', 'no such topic') };
    await expect(other.follower.open()).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' });
  });

  it('can be closed meanwhile', async () => {
    const { clock, log, follower, put } = follow();
    await follower.open();
    await clock.settle();
    log.isUnreadable = true;
    put(0, 'a');
    await clock.advance(100);
    await follower.close();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('a follower of many partitions', () => {
  it('gives others their turn between partitions that grew together, however little each grew', async () => {
    const clock = new Loop();
    const log = new MemoryLog({ clock });
    log.createTopicsNow([{ name: 'table', partitions: 16, class: 'table' }]);
    const options = { log, clock, topic: 'table', onFault: () => undefined, onUnread: () => undefined };
    const follower = new TableFollower({ ...options, apply: () => clock.work(1) });
    await follower.open();
    for (let partition = 0; partition < 16; partition++) {
      log.appendNow('table', [{ key: `k${partition}`, value: Buffer.from('x'), partition }]);
    }
    await clock.settle();
    // Of 16 ms in slices of 2, the last begun included.
    expect(clock.longestMs).toBeLessThanOrEqual(3);
    await follower.close();
  });
});

/** `longestMs`: worked without giving others a turn. */
class Loop extends WorkedClock {
  longestMs = 0;
  private turnMs = 0;

  override nextTurn(): Promise<void> {
    this.turnMs = this.monotonic();
    return super.nextTurn();
  }

  override work(ms: number): void {
    super.work(ms);
    this.longestMs = Math.max(this.longestMs, this.monotonic() - this.turnMs);
  }
}
