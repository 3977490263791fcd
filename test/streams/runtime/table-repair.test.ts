/** A table into which a task that was replaced sends an old value late. */
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { TableRepair } from '../../../streams/runtime/table-repair.js';

const TOPIC = 'table';

function openTable() {
  const clock = new ManualClock();
  const log = new MemoryLog({ clock, tombstoneGraceMs: 1_000_000 });
  log.createTopicsNow([{ name: TOPIC, partitions: 1, class: 'table' }]);
  const put = (key: string, version: number, value = `${key}${version}`, source = '1/in/0', index = 0): void => {
    const origin = { source, operator: 'o', offset: version, index };
    log.appendNow(TOPIC, [{ key, value: Buffer.from(value), partition: 0, origin }]);
  };
  const repair = new TableRepair({ log, clock, logger: silentLogger, topic: TOPIC, partition: 0, lookMs: 5_000 });
  const compacted = (): string[] => {
    log.cleanNow();
    const limits = { recordsMax: Infinity, bytesMax: Infinity };
    return log.readNow(TOPIC, 0, 0, limits).records.map(({ value }) => value.toString());
  };
  return { clock, log, put, repair, compacted, appended: () => log.boundsNow(TOPIC, 0).end };
}

describe('the owner of a table', () => {
  it('sends the newest value of a key again when an old one landed behind it', async () => {
    const { clock, put, repair, compacted, appended } = openTable();
    put('a', 1);
    put('b', 2);
    put('a', 3);
    put('a', 1);
    repair.open();
    await clock.advance(5_000);
    while (appended() < 5) await clock.settle();
    expect(compacted()).toEqual(['b2', 'a3']);
    await repair.close();
  });

  it('sees also what lands later, and withdrawn keys', async () => {
    const { put, repair, compacted } = openTable();
    put('a', 1);
    put('a', 5, '');
    await repair.look();
    put('a', 1);
    await repair.look();
    expect(compacted()).toEqual(['']);
  });

  it('sends nothing where values only came twice, or newer ones followed', async () => {
    const { put, repair, appended } = openTable();
    put('a', 1);
    put('b', 2);
    put('a', 1);
    put('b', 2);
    put('c', 4);
    put('c', 3);
    put('c', 6);
    await repair.look();
    expect(appended()).toBe(7);
  });

  it('tells values apart that several commits made at one offset', async () => {
    const { put, repair, compacted } = openTable();
    put('a', 7, 'timers', '1/in/0', 0);
    put('a', 7, 'record', '1/in/0', 1);
    put('a', 7, 'timers', '1/in/0', 0);
    await repair.look();
    expect(compacted()).toEqual(['record']);
  });

  it('does not compare versions of different inputs', async () => {
    const { put, repair, appended } = openTable();
    put('a', 9);
    put('a', 1, 'new', '2/in/0');
    await repair.look();
    expect(appended()).toBe(2);
  });
});
