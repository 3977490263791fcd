/** A follower of a table whose log cannot be read for a while. */
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../streams/clock.js';
import type { LogBatch, ReadLimits } from '../../../streams/log/event-log.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { TableFollower } from '../../../streams/runtime/table-follower.js';

class UnreadableLog extends MemoryLog {
  isUnreadable = false;

  override read(topic: string, partition: number, from: number, limits: ReadLimits): Promise<LogBatch> {
    return this.isUnreadable ? Promise.reject(new Error('unreachable')) : super.read(topic, partition, from, limits);
  }
}

function follow() {
  const clock = new ManualClock();
  const log = new UnreadableLog({ clock });
  log.createTopicsNow([{ name: 'table', partitions: 2, class: 'table' }]);
  const applied: string[] = [];
  const unread: number[] = [];
  const follower = new TableFollower({
    log,
    clock,
    topic: 'table',
    apply: ({ key }, partition) => void applied.push(`${partition}/${key}`),
    onFault: (error) => {
      throw error;
    },
    onUnread: (_, partition) => void unread.push(partition),
  });
  const put = (partition: number, key: string): void =>
    void log.appendNow('table', [{ key, value: Buffer.from('x'), partition }]);
  return { clock, log, follower, applied, unread, put };
}

describe('a follower whose log cannot be read', () => {
  it('tells it, and goes on where it was when the log is back', async () => {
    const { clock, log, follower, applied, unread, put } = follow();
    await follower.open();
    await clock.settle();
    log.isUnreadable = true;
    put(0, 'a');
    put(1, 'b');
    await clock.advance(1_200);
    expect(unread).toEqual([0, 1, 0, 1, 0, 1]);
    log.isUnreadable = false;
    await clock.advance(1_000);
    expect(applied).toEqual(['0/a', '1/b']);
    await follower.close();
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
