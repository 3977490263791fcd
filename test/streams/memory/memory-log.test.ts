import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../streams/clock.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { describeLog } from '../log/log-conformance.js';

describeLog(
  'memory',
  (clock) => {
    const log = new MemoryLog({ clock, tombstoneGraceMs: 1_000 });
    return Promise.resolve({ log, close: () => log.close() });
  },
  { cleans: true, tombstoneGraceMs: 1_000 },
);

describe('a memory log', () => {
  const limits = { recordsMax: 100, bytesMax: 1_000 };
  const value = Buffer.from('v');

  it('goes back to a checkpoint, several times', () => {
    const log = new MemoryLog({ clock: new ManualClock() });
    log.createTopicsNow([{ name: 't', partitions: 1, class: 'event' }]);
    log.appendNow('t', [{ key: 'a', value }]);
    const checkpoint = log.checkpoint();
    for (const key of ['b', 'c']) {
      log.appendNow('t', [{ key, value }]);
      expect(log.readNow('t', 0, 0, limits).records.map((record) => record.key)).toEqual(['a', key]);
      log.rollback(checkpoint);
      expect(log.boundsNow('t', 0)).toEqual({ start: 0, end: 1 });
    }
  });

  it('balances the members of a group, taking partitions away before giving them', async () => {
    const log = new MemoryLog({ clock: new ManualClock() });
    log.createTopicsNow([{ name: 't', partitions: 3, class: 'event' }]);
    const owned = new Map<string, readonly number[]>();
    const member = (name: string) => (partitions: readonly number[]) => {
      owned.set(name, partitions);
      const given = [...owned.values()].flat();
      expect(new Set(given).size).toBe(given.length);
      return Promise.resolve();
    };
    await log.join('g', 't', member('a'));
    const second = await log.join('g', 't', member('b'));
    expect([owned.get('a'), owned.get('b')]).toEqual([[0, 2], [1]]);
    await second.leave();
    expect([owned.get('a'), owned.get('b')]).toEqual([[0, 1, 2], []]);
  });
});
