/**
 * What every EventLog must do. One suite, run on each adapter: `describeLog('memory', () => …)`.
 *
 * A harness opens a log on a clock that the suite moves; adapters that survive a restart offer `reopen`. Adapters
 * whose server alone cleans say so, and the parts about cleaning are left out.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { partitionFor } from '../../../schemas/ids.js';
import { isEngineError } from '../../../schemas/errors.js';
import { ManualClock } from '../../../streams/clock.js';
import type { EventLog, Hint, LogRecord, OutgoingRecord, TopicSpec } from '../../../streams/log/event-log.js';

export interface LogHarness {
  readonly log: EventLog;
  /** Closes and opens again; absent where a log lives in memory. */
  readonly reopen?: () => Promise<EventLog>;
  readonly close: () => Promise<void>;
}

export interface LogTraits {
  /** `clean` does retention and compaction by the harness's clock. */
  readonly cleans: boolean;
  /** How long a tombstone stays, ms. */
  readonly tombstoneGraceMs: number;
}

const RETENTION_MS = 60_000;
const EVENTS: TopicSpec = { name: 'test.events', partitions: 4, class: 'event', retentionMs: RETENTION_MS };
const TABLE: TopicSpec = { name: 'test.table', partitions: 1, class: 'table' };
const HINTS: TopicSpec = { name: 'test.hints', partitions: 2, class: 'hint' };
const ALL = { recordsMax: 100_000, bytesMax: 2 ** 30 };

export function describeLog(name: string, open: (clock: ManualClock) => Promise<LogHarness>, traits: LogTraits): void {
  describe(`${name} log`, () => {
    let clock: ManualClock;
    let harness: LogHarness;
    let log: EventLog;

    beforeEach(async () => {
      clock = new ManualClock();
      harness = await open(clock);
      log = harness.log;
      await log.createTopics([EVENTS, TABLE, HINTS]);
    });
    afterEach(() => harness.close());

    const all = async (topic: string, partition: number, from = 0): Promise<readonly LogRecord[]> =>
      (await log.read(topic, partition, from, ALL)).records;
    const append = (partition: number, ...values: string[]): Promise<unknown> =>
      log.append(
        EVENTS.name,
        values.map((value) => record(value, value, partition)),
      );
    const put = (...entries: (readonly [string, string])[]): Promise<unknown> =>
      log.append(
        TABLE.name,
        entries.map(([key, value]) => record(key, value, 0)),
      );

    it('begins an empty partition where it is told to, over restarts, and never one with records', async () => {
      const OFFSET = 25_001;
      await log.beginAt(EVENTS.name, 1, OFFSET);
      await log.beginAt(EVENTS.name, 1, OFFSET);
      log = (await harness.reopen?.()) ?? log;
      expect(await log.bounds(EVENTS.name, 1)).toEqual({ start: OFFSET, end: OFFSET });
      await append(1, 'a', 'b');
      expect((await all(EVENTS.name, 1, OFFSET)).map(({ offset }) => offset)).toEqual([OFFSET, OFFSET + 1]);
      await log.beginAt(EVENTS.name, 1, OFFSET);
      const refused = await log.beginAt(EVENTS.name, 1, OFFSET + 5).catch((error: unknown) => error);
      expect(isEngineError(refused, 'TOPIC_MISMATCH')).toBe(true);
      await expect(log.read(EVENTS.name, 1, OFFSET - 1, ALL)).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
    });

    it('makes a topic exact that was declared without, and says so after a restart', async () => {
      await log.createTopics([{ ...EVENTS, exact: true }]);
      log = (await harness.reopen?.()) ?? log;
      expect(log.topic(EVENTS.name)).toMatchObject({ ...EVENTS, exact: true });
      await log.createTopics([EVENTS]);
      log = (await harness.reopen?.()) ?? log;
      expect(log.topic(EVENTS.name).exact ?? false).toBe(false);
    });

    it('creates topics once, and refuses ones that differ', async () => {
      await log.createTopics([EVENTS]);
      expect(log.topics().map((topic) => topic.name)).toEqual([EVENTS.name, HINTS.name, TABLE.name]);
      await expectCode(log.createTopics([{ ...EVENTS, partitions: 5 }]), 'TOPIC_MISMATCH');
      await expectCode(log.createTopics([{ ...EVENTS, class: 'table' }]), 'TOPIC_MISMATCH');
      expect(log.topic(EVENTS.name).partitions).toBe(4);
    });

    it('knows which topics there are', async () => {
      expect(() => log.topic('test.none')).toThrow(/test\.none/);
      await expectCode(log.append('test.none', [record('a', 'a')]), 'TOPIC_UNKNOWN');
      await expectCode(log.read('test.none', 0, 0, ALL), 'TOPIC_UNKNOWN');
    });

    it('counts offsets from 0 and tells them in the order given', async () => {
      const receipts = await log.append(EVENTS.name, [record('a', '1', 2), record('b', '2', 0), record('c', '3', 2)]);
      expect(receipts).toEqual([
        { partition: 2, offset: 0 },
        { partition: 0, offset: 0 },
        { partition: 2, offset: 1 },
      ]);
      expect(await log.append(EVENTS.name, [])).toEqual([]);
      expect(await log.bounds(EVENTS.name, 2)).toEqual({ start: 0, end: 2 });
      expect(await log.bounds(EVENTS.name, 1)).toEqual({ start: 0, end: 0 });
    });

    it('places a key by its hash', async () => {
      const keys = Array.from({ length: 50 }, (_, i) => `user-${i}`);
      const receipts = await log.append(
        EVENTS.name,
        keys.map((key) => record(key, 'v')),
      );
      expect(receipts.map(({ partition }) => partition)).toEqual(keys.map((key) => partitionFor(key, 4)));
    });

    it('returns keys, values, times and origins as they were', async () => {
      const origin = { source: '1/test.users/3', operator: 'session', offset: 2 ** 40, index: 7 };
      const value = Uint8Array.of(0, 255, 128);
      await log.append(EVENTS.name, [{ key: 'ключ-🙂', value, partition: 1, origin }, record('', '', 1)]);
      const [first, second] = await all(EVENTS.name, 1);
      expect(first).toEqual({ offset: 0, key: 'ключ-🙂', value: Buffer.from(value), timestamp: clock.now(), origin });
      expect(second).toMatchObject({ offset: 1, key: '', origin: undefined });
      expect(second?.value.length).toBe(0);
    });

    it('keeps what was appended when the caller reuses its buffer', async () => {
      const value = Buffer.from('before');
      await log.append(EVENTS.name, [{ key: 'a', value, partition: 0 }]);
      value.write('after!');
      expect((await all(EVENTS.name, 0))[0]?.value.toString()).toBe('before');
    });

    it('keeps the order of concurrent appends of one caller', async () => {
      await Promise.all(Array.from({ length: 200 }, (_, i) => append(3, `${i}`)));
      expect((await all(EVENTS.name, 3)).map(({ value }) => Number(value))).toEqual(
        Array.from({ length: 200 }, (_, i) => i),
      );
    });

    it('stops reading at the limits, but returns at least one record', async () => {
      await append(0, 'aaaa', 'bbbb', 'cccc');
      await append(0, 'dddd');
      const read = async (recordsMax: number, bytesMax: number, from = 0): Promise<[number, number]> => {
        const batch = await log.read(EVENTS.name, 0, from, { recordsMax, bytesMax });
        return [batch.records.length, batch.nextOffset];
      };
      expect(await read(2, 1000)).toEqual([2, 2]);
      expect(await read(100, 0)).toEqual([1, 1]);
      expect(await read(100, 4)).toEqual([2, 2]);
      expect(await read(100, 5)).toEqual([2, 2]);
      expect(await read(100, 1000)).toEqual([4, 4]);
      expect(await read(2, 1000, 2)).toEqual([2, 4]);
      expect(await read(100, 1000, 4)).toEqual([0, 4]);
    });

    it('reads from every offset', async () => {
      for (let i = 0; i < 30; i++) await append(0, ...Array.from({ length: 1 + (i % 4) }, (_, k) => `${i}.${k}`));
      const whole = await all(EVENTS.name, 0);
      for (let from = 0; from <= whole.length; from++) {
        expect(await all(EVENTS.name, 0, from)).toEqual(whole.slice(from));
      }
    });

    it('refuses offsets outside of the log', async () => {
      await append(0, 'a');
      await expectCode(log.read(EVENTS.name, 0, 2, ALL), 'OFFSET_OUT_OF_RANGE');
      await expectCode(log.read(EVENTS.name, 0, -1, ALL), 'OFFSET_OUT_OF_RANGE');
      expect((await log.read(EVENTS.name, 0, 1, ALL)).nextOffset).toBe(1);
    });

    it('wakes listeners after an append, when the records can be read', async () => {
      let seen = -1;
      const woken = new Promise<void>((resolve) => {
        log.onAppend(EVENTS.name, () => {
          void all(EVENTS.name, 0).then((records) => {
            seen = records.length;
            if (seen === 2) resolve();
          });
        });
      });
      await append(0, 'a', 'b');
      await woken;
      expect(seen).toBe(2);
    });

    it('does not wake a listener that unsubscribed', async () => {
      let calls = 0;
      const unsubscribe = log.onAppend(EVENTS.name, () => void calls++);
      unsubscribe();
      await append(0, 'a');
      await clock.settle();
      expect(calls).toBe(0);
    });

    it('passes hints on and stores none', async () => {
      const hint: Hint = { key: 'u', partition: 1, offset: 5, eventIds: ['e1'] };
      const received = new Promise<readonly Hint[]>((resolve) => void log.onHints(HINTS.name, resolve));
      log.sendHints(HINTS.name, [hint]);
      expect(await received).toEqual([hint]);
      await expectCode(log.append(HINTS.name, [record('a', 'a')]), 'TOPIC_MISMATCH');
    });

    it('assigns all partitions to the only member of a group', async () => {
      const assignments: (readonly number[])[] = [];
      const membership = await log.join('group', EVENTS.name, (partitions) => {
        assignments.push([...partitions].sort());
        return Promise.resolve();
      });
      await expect.poll(() => assignments.at(-1)).toEqual([0, 1, 2, 3]);
      await membership.leave();
    });

    it('tells who is in a group, where others can be', async () => {
      if (log.members === undefined) return;
      expect(await log.members('watched')).toEqual([]);
      const membership = await log.join('watched', EVENTS.name, () => Promise.resolve());
      expect(await log.members('watched')).toHaveLength(1);
      await membership.leave();
      expect(await log.members('watched')).toEqual([]);
    });

    describe.runIf(traits.cleans)('when cleaned', () => {
      it('removes records past their retention from the front, and says so to readers', async () => {
        await append(0, 'old-1', 'old-2');
        await clock.advance(RETENTION_MS / 2);
        await append(0, 'young');
        await clock.advance(RETENTION_MS / 2 + 1);
        expect(await log.clean()).toBe(2);
        expect(await log.bounds(EVENTS.name, 0)).toEqual({ start: 2, end: 3 });
        expect((await all(EVENTS.name, 0, 2)).map(({ key }) => key)).toEqual(['young']);
        await expectCode(log.read(EVENTS.name, 0, 1, ALL), 'OFFSET_OUT_OF_RANGE');
        expect(await log.clean()).toBe(0);
      });

      it('goes on counting after everything was removed', async () => {
        await append(0, 'a', 'b');
        await clock.advance(RETENTION_MS + 1);
        expect(await log.clean()).toBe(2);
        expect(await log.bounds(EVENTS.name, 0)).toEqual({ start: 2, end: 2 });
        if (harness.reopen !== undefined) log = await harness.reopen();
        expect(await log.bounds(EVENTS.name, 0)).toEqual({ start: 2, end: 2 });
        await append(0, 'c');
        expect((await all(EVENTS.name, 0, 2)).map(({ offset, key }) => [offset, key])).toEqual([[2, 'c']]);
      });

      it('keeps the last record of each key of a table, at its offset', async () => {
        await put(['a', '1'], ['b', '1'], ['a', '2']);
        await put(['c', '1']);
        await put(['b', '2']);
        expect(await log.clean()).toBe(2);
        const kept = await all(TABLE.name, 0);
        expect(kept.map(({ offset, key, value }) => [offset, key, value.toString()])).toEqual([
          [2, 'a', '2'],
          [3, 'c', '1'],
          [4, 'b', '2'],
        ]);
        expect((await log.bounds(TABLE.name, 0)).end).toBe(5);
      });

      it('lets readers within a removed range go on at the next record', async () => {
        await put(['a', '1']);
        await put(['a', '2']);
        await put(['a', '3']);
        await put(['b', '1']);
        await log.clean();
        for (const from of [0, 1, 2]) {
          const batch = await log.read(TABLE.name, 0, from, { recordsMax: 1, bytesMax: 100 });
          expect([batch.records[0]?.offset, batch.nextOffset]).toEqual([2, 3]);
        }
      });

      it('removes a tombstone after its grace, with nothing of its key left', async () => {
        await put(['a', '1'], ['b', '1']);
        await put(['a', '']);
        await log.clean();
        expect((await all(TABLE.name, 0)).map(({ key }) => key)).toEqual(['b', 'a']);
        await clock.advance(traits.tombstoneGraceMs + 1);
        await log.clean();
        expect((await all(TABLE.name, 0)).map(({ key }) => key)).toEqual(['b']);
        const end = await log.read(TABLE.name, 0, 2, ALL);
        expect(end).toEqual({ records: [], nextOffset: 3 });
      });

      it('changes nothing but what is superseded, however it is cut into batches', async () => {
        const expected = new Map<string, [number, string]>();
        let offset = 0;
        for (let i = 0; i < 120; i++) {
          const entries = Array.from({ length: 1 + (i % 5) }, (_, k) => [`k${(i * 7 + k) % 23}`, `${i}/${k}`] as const);
          await put(...entries);
          for (const [key, value] of entries) expected.set(key, [offset++, value]);
          if (i % 17 === 0) await log.clean();
        }
        for (let i = 0; i < 20; i++) await log.clean();
        const kept = new Map((await all(TABLE.name, 0)).map((r) => [r.key, [r.offset, r.value.toString()]]));
        // Not every adapter compacts the newest records at once.
        for (const [key, place] of expected) expect(kept.get(key)).toEqual(place);
      });

      it('loses no event while it is cleaned and appended to', async () => {
        const cleaning: Promise<number>[] = [];
        for (let i = 0; i < 150; i++) {
          await append(0, `${i}`);
          if (i % 10 === 0) cleaning.push(log.clean());
        }
        await Promise.all(cleaning);
        expect((await all(EVENTS.name, 0)).map(({ key }) => Number(key))).toEqual(
          Array.from({ length: 150 }, (_, i) => i),
        );
      });
    });

    it('has everything again after it was closed and opened', async () => {
      if (harness.reopen === undefined) return;
      const origin = { source: '1/test.users/0', operator: 'profile', offset: 3, index: 1 };
      await log.append(EVENTS.name, [{ key: 'a', value: Buffer.from('1'), partition: 0, origin }]);
      await append(0, 'b');
      const before = await all(EVENTS.name, 0);
      const { identity } = log;
      log = await harness.reopen();
      expect(log.identity).toBe(identity);
      expect(log.topics()).toEqual([EVENTS, HINTS, TABLE]);
      expect(await all(EVENTS.name, 0)).toEqual(before);
      expect(await log.append(EVENTS.name, [record('c', 'c', 0)])).toEqual([{ partition: 0, offset: 2 }]);
    });
  });
}

function record(key: string, value: string, partition?: number): OutgoingRecord {
  return { key, value: Buffer.from(value), partition };
}

async function expectCode(call: Promise<unknown>, code: string): Promise<void> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(isEngineError(error) ? error.code : error).toBe(code);
}
