import { beforeEach, describe, expect, it } from 'vitest';
import { LogWriter } from '../../../serving/http/log-writer.js';
import { ManualClock } from '../../../streams/clock.js';
import { ForwardingLog } from '../../../streams/forwarding.js';
import type { AppendReceipt, OutgoingRecord } from '../../../streams/log/event-log.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';

/** Notes what was appended in one call. */
class NotingLog extends ForwardingLog {
  readonly calls: string[] = [];
  /** Appends take until it is resolved. */
  disk: Promise<void> = Promise.resolve();

  override async append(topic: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]> {
    this.calls.push(records.map(({ value }) => String(value)).join());
    await this.disk;
    return super.append(topic, records);
  }
}

describe('LogWriter', () => {
  let clock: ManualClock;
  let log: NotingLog;
  let writer: LogWriter;

  beforeEach(async () => {
    clock = new ManualClock();
    log = new NotingLog(new MemoryLog({ clock }));
    await log.createTopics([{ name: 'events', partitions: 1, class: 'event' }]);
    writer = new LogWriter({ log, clock, topic: 'events', pendingBytesMax: 12 });
  });

  it('appends at once what is waited for, and in one call what arrives together', async () => {
    const durable = Promise.all([writer.append(records('a', 'b')), writer.append(records('c'))]);
    await clock.advance(0);
    expect(log.calls).toEqual(['a,b,c']);
    await durable;
    expect(writer.pendingBytes).toBe(0);
  });

  it('lets linger what nobody waits for, and appends all that lingered in one call', async () => {
    void writer.appendSoon(records('a'));
    await clock.advance(30);
    void writer.appendSoon(records('b'));
    await clock.advance(19);
    expect(log.calls).toEqual([]);
    await clock.advance(1);
    expect(log.calls).toEqual(['a,b']);
    void writer.appendSoon(records('c'));
    await clock.advance(50);
    expect(log.calls).toEqual(['a,b', 'c']);
  });

  it('keeps the order: what is waited for takes along what lingers before it', async () => {
    void writer.appendSoon(records('served'));
    const durable = writer.append(records('viewed'));
    await clock.advance(0);
    await durable;
    expect(log.calls).toEqual(['served,viewed']);
    await clock.advance(1_000);
    expect(log.calls).toHaveLength(1);
  });

  it('drains without waiting for what lingers, also after a refusal', async () => {
    const all = [writer.append(records('a')), writer.appendSoon(records('b'))];
    await expect(writer.append(records('far too many bytes'))).rejects.toMatchObject({ code: 'OVERLOADED' });
    const drained = writer.drain();
    await clock.advance(0);
    await drained;
    await Promise.all(all);
    expect(log.calls).toEqual(['a,b']);
  });

  it('counts what lingers against the bound', async () => {
    void writer.appendSoon(records('1234567890'));
    await expect(writer.appendSoon(records('123'))).rejects.toMatchObject({ code: 'OVERLOADED' });
    await clock.advance(50);
    void writer.appendSoon(records('123'));
    await clock.advance(50);
    expect(log.calls).toEqual(['1234567890', '123']);
  });

  it('drains when the last append ends after a refusal that found nothing waiting', async () => {
    let isReady = (): void => undefined;
    log.disk = new Promise((resolve) => (isReady = resolve));
    const first = writer.append(records('12345678'));
    await clock.advance(0);
    await expect(writer.append(records('12345678'))).rejects.toMatchObject({ code: 'OVERLOADED' });
    await clock.advance(0);
    const drained = writer.drain();
    isReady();
    await Promise.all([first, drained]);
  });
});

function records(...values: string[]): OutgoingRecord[] {
  return values.map((value) => ({ key: 'k', value: Buffer.from(value) }));
}
