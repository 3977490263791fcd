/**
 * What every StateStore must do. One suite, run on each adapter: `describeStore('memory', () => …)`.
 *
 * With delivery `atomic` the harness brings the log that outputs go to; adapters that survive a restart offer
 * `reopen`.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isEngineError } from '../../../schemas/errors.js';
import type { EventLog, OutgoingRecord } from '../../../streams/log/event-log.js';
import type { Commit, PrefetchRequest, StateStore, TaskId, TimerEntry } from '../../../streams/state/state-store.js';

export interface StoreHarness {
  readonly store: StateStore;
  readonly log?: EventLog;
  readonly reopen?: () => Promise<Pick<StoreHarness, 'store' | 'log'>>;
  readonly close: () => Promise<void>;
}

const TASK: TaskId = { stage: 'users', partition: 3 };
const OTHER: TaskId = { stage: 'users', partition: 12 };
const TOPIC = 'test.outputs';
/** In the order of their UTF-8 bytes, which is not that of UTF-16 units. */
const SORTED_KEYS = ['', ' ', 'a', 'a\0', 'aa', 'b', 'é', '中', '\uffee', '🙂', '🙃', '\u{10ffff}'];

export function describeStore(name: string, open: () => Promise<StoreHarness>): void {
  describe(`${name} store`, () => {
    let harness: StoreHarness;
    let store: StateStore;
    let log: EventLog | undefined;

    beforeEach(async () => {
      harness = await open();
      ({ store, log } = harness);
      await log?.createTopics([{ name: TOPIC, partitions: 1, class: 'event' }]);
    });
    afterEach(() => harness.close());

    const reopen = async (): Promise<void> => {
      if (harness.reopen !== undefined) ({ store, log } = await harness.reopen());
    };
    const rows = async (task = TASK): Promise<Record<string, string>> => {
      const found: Record<string, string> = {};
      for await (const [key, value] of store.scan(task)) found[key] = value.toString();
      return found;
    };
    const outputs = async (): Promise<string[]> => {
      const limits = { recordsMax: 1_000, bytesMax: 1e6 };
      if (log !== undefined) return (await log.read(TOPIC, 0, 0, limits)).records.map(({ key }) => key);
      return (await store.outbox(TASK)).flatMap((entry) =>
        entry.outputs.flatMap((o) => o.records.map(({ key }) => key)),
      );
    };
    const prefetch = (request: Partial<PrefetchRequest>, task = TASK) =>
      store.prefetch(task, { keys: [], timersBefore: Infinity, timersMax: 1_000, ...request });

    describe('fencing', () => {
      it('starts a task empty, and knows no head before', async () => {
        expect(await store.head(TASK)).toBeUndefined();
        expect(await store.acquire(TASK, 'A')).toEqual({ commitId: '', offset: 0, meta: new Uint8Array(0) });
        expect(await store.head(TASK)).toMatchObject({ commitId: '', offset: 0 });
      });

      it('moves the head with each commit, and gives it to the next owner', async () => {
        await store.acquire(TASK, 'A');
        expect(await store.commit(TASK, commit('A', '', 'c1', { offset: 10, meta: Uint8Array.of(1, 2) }))).toBe(
          'committed',
        );
        expect(await store.commit(TASK, commit('A', 'c1', 'c2', { offset: 2 ** 40 }))).toBe('committed');
        const head = await store.acquire(TASK, 'B');
        expect([head.commitId, head.offset, [...head.meta]]).toEqual(['c2', 2 ** 40, []]);
      });

      it('refuses a commit of a task that nobody acquired', async () => {
        await expectCode(store.commit(TASK, commit('A', '', 'c1')), 'TASK_FENCED');
      });

      it('refuses a former owner, and changes nothing', async () => {
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1', { puts: { k: '1' } }));
        await store.acquire(TASK, 'B');
        const refused = commit('A', 'c1', 'c2', { puts: { k: '2' }, outputs: ['o'], timersAdded: [timer(1)] });
        await expectCode(store.commit(TASK, refused), 'TASK_FENCED');
        expect(await rows()).toEqual({ k: '1' });
        expect(await outputs()).toEqual([]);
        expect((await prefetch({})).timers).toEqual([]);
        expect(await store.commit(TASK, commit('B', 'c1', 'c3'))).toBe('committed');
      });

      it('refuses a commit that does not follow the stored one', async () => {
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1'));
        await expectCode(store.commit(TASK, commit('A', '', 'c2')), 'TASK_FENCED');
        await expectCode(store.commit(TASK, commit('A', 'c0', 'c2')), 'TASK_FENCED');
        expect((await store.head(TASK))?.commitId).toBe('c1');
      });

      it('answers already-applied to a retry of the last commit, whoever owns the task by now', async () => {
        await store.acquire(TASK, 'A');
        const first = commit('A', '', 'c1', { puts: { k: '1' }, outputs: ['o'] });
        await store.commit(TASK, first);
        expect(await store.commit(TASK, first)).toBe('already-applied');
        await store.acquire(TASK, 'B');
        expect(await store.commit(TASK, first)).toBe('already-applied');
        expect(await outputs()).toEqual(['o']);
        await store.commit(TASK, commit('B', 'c1', 'c2'));
        await expectCode(store.commit(TASK, first), 'TASK_FENCED');
      });

      it('keeps tasks apart', async () => {
        await store.acquire(TASK, 'A');
        await store.acquire(OTHER, 'B');
        await store.commit(TASK, commit('A', '', 'c1', { puts: { k: 'mine' } }));
        await expectCode(store.commit(OTHER, commit('A', '', 'c1')), 'TASK_FENCED');
        await store.commit(OTHER, commit('B', '', 'c1', { puts: { k: 'other' } }));
        expect([await rows(TASK), await rows(OTHER)]).toEqual([{ k: 'mine' }, { k: 'other' }]);
        await store.acquire({ stage: 'items', partition: 0 }, 'C');
        const tasks = await store.tasks();
        expect(tasks.map(({ stage, partition }) => `${stage}/${partition}`)).toEqual([
          'items/0',
          'users/3',
          'users/12',
        ]);
      });
    });

    describe('rows', () => {
      it('says which commit a batch of rows was read from', async () => {
        await store.acquire(TASK, 'A');
        expect((await prefetch({})).commitId).toBe('');
        await store.commit(TASK, commit('A', '', 'c1', { puts: { a: '1' } }));
        await store.commit(TASK, commit('A', 'c1', 'c2', { puts: { a: '2' } }));
        expect(await prefetch({ keys: ['a'] })).toMatchObject({ commitId: 'c2', rows: [Buffer.from('2')] });
      });

      it('puts, replaces and deletes, and reads the last commit', async () => {
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1', { puts: { a: '1', b: '1', c: '' } }));
        await store.commit(TASK, commit('A', 'c1', 'c2', { puts: { a: '2' }, deletes: ['b', 'none'] }));
        const { rows: found } = await prefetch({ keys: ['c', 'b', 'a', 'a'] });
        expect(found.map((value) => value?.toString())).toEqual(['', undefined, '2', '2']);
        expect((await store.get(TASK, 'a'))?.toString()).toBe('2');
        expect(await store.get(TASK, 'b')).toBeUndefined();
        expect(await store.get(OTHER, 'a')).toBeUndefined();
      });

      it('gives every caller buffers of its own', async () => {
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1', { puts: { a: 'value-a', b: 'value-b' } }));
        const { rows: found } = await prefetch({ keys: ['a', 'b'] });
        found[0]?.fill(0);
        expect(found[1]?.toString()).toBe('value-b');
        expect((await store.get(TASK, 'a'))?.toString()).toBe('value-a');
      });

      it('has done with the bytes of a commit when that has resolved', async () => {
        await store.acquire(TASK, 'A');
        const value = Buffer.from('kept');
        await store.commit(TASK, { ...commit('A', '', 'c1'), puts: [['a', value]] });
        value.fill(0);
        expect((await store.get(TASK, 'a'))?.toString()).toBe('kept');
      });

      it('scans in the order of UTF-8 bytes, within a range', async () => {
        await store.acquire(TASK, 'A');
        const shuffled = [...SORTED_KEYS].reverse();
        const puts = Object.fromEntries(shuffled.map((key) => [key, `of ${key}`]));
        await store.commit(TASK, commit('A', '', 'c1', { puts, timersAdded: [timer(5)] }));
        expect(await keysOf(store, {})).toEqual(SORTED_KEYS);
        expect(await keysOf(store, { from: 'aa', to: '🙂' })).toEqual(['aa', 'b', 'é', '中', '\uffee']);
        expect(await keysOf(store, { from: 'ab', limit: 2 })).toEqual(['b', 'é']);
        expect(await keysOf(store, { limit: 0 })).toEqual([]);
      });

      it('scans one consistent view while commits go on', async () => {
        await store.acquire(TASK, 'A');
        const keys = Array.from({ length: 300 }, (_, i) => `k${String(i).padStart(3, '0')}`);
        await store.commit(TASK, commit('A', '', 'c1', { puts: Object.fromEntries(keys.map((key) => [key, 'old'])) }));
        const seen: string[] = [];
        for await (const [key, value] of store.scan(TASK)) {
          if (seen.push(`${key}=${value.toString()}`) !== 1) continue;
          await store.commit(TASK, commit('A', 'c1', 'c2', { puts: { k299: 'new' }, deletes: ['k150'] }));
        }
        expect(seen).toEqual(keys.map((key) => `${key}=old`));
      });

      it('stores large rows and many of them', async () => {
        await store.acquire(TASK, 'A');
        const puts = Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`key-${(i * 7919) % 3_000}`, `${i}`]));
        await store.commit(TASK, commit('A', '', 'c1', { puts: { ...puts, large: 'x'.repeat(300_000) } }));
        expect(await rows()).toEqual({ ...puts, large: 'x'.repeat(300_000) });
      });
    });

    describe('timers', () => {
      const timers = [
        timer(5, 'b', 'k'),
        timer(5, 'a', 'z'),
        timer(1, 'b', 'k'),
        timer(5, 'a', '🙂'),
        timer(5, 'a', '\uffee'),
      ];
      const sorted = [
        timer(1, 'b', 'k'),
        timer(5, 'a', 'z'),
        timer(5, 'a', '\uffee'),
        timer(5, 'a', '🙂'),
        timer(5, 'b', 'k'),
      ];

      it('come in the order of time, operator and key, with the rows of their keys', async () => {
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1', { timersAdded: timers, puts: { k: 'row of k' } }));
        const found = await prefetch({});
        expect(found.timers).toEqual(sorted);
        expect(found.timerRows.map((row) => row?.toString())).toEqual([
          'row of k',
          undefined,
          undefined,
          undefined,
          'row of k',
        ]);
        const scanned: TimerEntry[] = [];
        for await (const entry of store.scanTimers(TASK)) scanned.push(entry);
        expect(scanned).toEqual(sorted);
      });

      it('stop before a time and at a number', async () => {
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1', { timersAdded: timers }));
        expect((await prefetch({ timersBefore: 1 })).timers).toEqual([]);
        expect((await prefetch({ timersBefore: 5 })).timers).toEqual(sorted.slice(0, 1));
        expect((await prefetch({ timersBefore: 6, timersMax: 3 })).timers).toEqual(sorted.slice(0, 3));
        expect((await prefetch({ timersBefore: -Infinity })).timers).toEqual([]);
        expect((await prefetch({ timersMax: 0 })).timers).toEqual([]);
        // Earlier ones may be left out or not; what is asked for is there.
        const from = (await prefetch({ timersFrom: 5, timersBefore: 6 })).timers;
        expect(from.filter(({ time }) => time >= 5)).toEqual(sorted.filter(({ time }) => time === 5));
      });

      it('are added and removed by their whole identity, once', async () => {
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1', { timersAdded: [timer(7), timer(8), timer(7)] }));
        const next = commit('A', 'c1', 'c2', {
          timersRemoved: [timer(7), timer(7, 'other')],
          timersAdded: [timer(3), timer(-4)],
        });
        await store.commit(TASK, next);
        expect((await prefetch({})).timers).toEqual([timer(-4), timer(3), timer(8)]);
      });

      it('are found when added behind a time that was asked for before', async () => {
        await store.acquire(TASK, 'A');
        expect((await prefetch({ timersBefore: 100 })).timers).toEqual([]);
        await store.commit(TASK, commit('A', '', 'c1', { timersAdded: [timer(50)] }));
        expect((await prefetch({ timersBefore: 100 })).timers).toEqual([timer(50)]);
        expect((await prefetch({ timersBefore: 50 })).timers).toEqual([]);
        await store.commit(TASK, commit('A', 'c1', 'c2', { timersRemoved: [timer(50)], timersAdded: [timer(20)] }));
        expect((await prefetch({ timersBefore: 100 })).timers).toEqual([timer(20)]);
      });
    });

    describe('outputs', () => {
      it('move with the state', async () => {
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1', { puts: { n: '1' }, outputs: ['o1', 'o2'] }));
        await store.commit(TASK, commit('A', 'c1', 'c2', { puts: { n: '2' }, outputs: ['o3'] }));
        await store.commit(TASK, commit('A', 'c2', 'c3'));
        expect(await outputs()).toEqual(['o1', 'o2', 'o3']);
      });

      it('are none when the commit is refused for one of them', async () => {
        if (log === undefined) return;
        await store.acquire(TASK, 'A');
        const outputsOf = [
          { topic: TOPIC, records: [output('o')] },
          { topic: 'test.none', records: [output('o')] },
        ];
        await expectCode(
          store.commit(TASK, { ...commit('A', '', 'c1', { puts: { n: '1' } }), outputs: outputsOf }),
          'TOPIC_UNKNOWN',
        );
        expect([await rows(), await outputs(), (await store.head(TASK))?.commitId]).toEqual([{}, [], '']);
      });

      it('wait in the outbox until trimmed by the owner', async () => {
        if (store.delivery !== 'outbox') return expect(await store.outbox(TASK)).toEqual([]);
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1', { outputs: ['o1'] }));
        await store.commit(TASK, commit('A', 'c1', 'c2'));
        await store.commit(TASK, commit('A', 'c2', 'c3', { outputs: ['o2', 'o3'] }));
        const [first, second] = await store.outbox(TASK);
        expect([first!.commitId, second!.commitId]).toEqual(['c1', 'c3']);
        await expectCode(store.trimOutbox(TASK, 'B', second!.commitId), 'TASK_FENCED');
        await store.trimOutbox(TASK, 'A', first!.commitId);
        expect(await outputs()).toEqual(['o2', 'o3']);
        await store.trimOutbox(TASK, 'A', first!.commitId);
        expect(await outputs()).toEqual(['o2', 'o3']);
      });

      it('are kept when a late request names a commit that is gone', async () => {
        if (store.delivery !== 'outbox') return;
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1', { outputs: ['o1'] }));
        await store.trimOutbox(TASK, 'A', 'lost-by-a-failover');
        expect(await outputs()).toEqual(['o1']);
      });
    });

    describe('whole tasks', () => {
      it('are restored over what was there', async () => {
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1', { puts: { old: '1' }, timersAdded: [timer(1)] }));
        await store.restore(TASK, {
          head: { commitId: 'r1', offset: 77, meta: Uint8Array.of(9) },
          rows: each(Array.from({ length: 2_500 }, (_, i) => [`row-${i}`, Buffer.from(`${i}`)] as const)),
          timers: each([timer(2), timer(9)]),
        });
        expect(Object.keys(await rows())).toHaveLength(2_500);
        expect((await prefetch({ keys: ['old', 'row-7'] })).rows.map((row) => row?.toString())).toEqual([
          undefined,
          '7',
        ]);
        expect((await prefetch({})).timers).toEqual([timer(2), timer(9)]);
        await expectCode(store.commit(TASK, commit('A', 'r1', 'c2')), 'TASK_FENCED');
        const head = await store.acquire(TASK, 'B');
        expect([head.commitId, head.offset, [...head.meta]]).toEqual(['r1', 77, [9]]);
        expect(await store.commit(TASK, commit('B', 'r1', 'c2'))).toBe('committed');
      });

      it('are dropped with all they have', async () => {
        await store.acquire(TASK, 'A');
        await store.commit(TASK, commit('A', '', 'c1', { puts: { a: '1' }, timersAdded: [timer(1)] }));
        await store.drop(TASK);
        await store.drop(OTHER);
        expect([await store.tasks(), await store.head(TASK), await rows()]).toEqual([[], undefined, {}]);
        await expectCode(store.commit(TASK, commit('A', 'c1', 'c2')), 'TASK_FENCED');
        expect(await store.acquire(TASK, 'B')).toMatchObject({ commitId: '', offset: 0 });
        expect([await rows(), (await prefetch({})).timers]).toEqual([{}, []]);
      });
    });

    it('keeps documents', async () => {
      expect(await store.readDocument('manifest')).toBeUndefined();
      await store.writeDocument('manifest', '{"v":1}');
      await store.writeDocument('manifest', '{"v":2,"name":"ü🙂"}');
      await reopen();
      expect(await store.readDocument('manifest')).toBe('{"v":2,"name":"ü🙂"}');
    });

    it('replaces a document only where it says what is expected', async () => {
      const replace = (expected: string | undefined, text: string): Promise<boolean> =>
        store.replaceDocument('layout', expected, text);
      expect(await replace('a', 'b')).toBe(false);
      expect(await store.readDocument('layout')).toBeUndefined();
      expect(await replace(undefined, 'a')).toBe(true);
      // A reply that was lost: the same call again.
      expect(await replace(undefined, 'a')).toBe(true);
      expect(await replace(undefined, 'c')).toBe(false);
      expect(await replace('', 'c')).toBe(false);
      await reopen();
      expect(await store.readDocument('layout')).toBe('a');
      const texts = ['ü🙂', 'x', 'y'];
      const outcomes = await Promise.all(texts.map((text) => replace('a', text)));
      expect(outcomes.filter((isDone) => isDone)).toHaveLength(1);
      expect(await store.readDocument('layout')).toBe(texts[outcomes.indexOf(true)]);
    });

    it('has everything again after it was closed and opened', async () => {
      if (harness.reopen === undefined) return;
      await store.acquire(TASK, 'A');
      const first = commit('A', '', 'c1', {
        offset: 4,
        puts: { a: '1' },
        timersAdded: [timer(6)],
        outputs: ['o'],
        meta: Uint8Array.of(3),
      });
      await store.commit(TASK, first);
      await reopen();
      expect(await store.tasks()).toEqual([TASK]);
      expect(await store.commit(TASK, first)).toBe('already-applied');
      expect([await rows(), await outputs(), (await prefetch({})).timers]).toEqual([{ a: '1' }, ['o'], [timer(6)]]);
      expect(await store.commit(TASK, commit('A', 'c1', 'c2'))).toBe('committed');
    });
  });
}

interface Parts {
  readonly offset?: number;
  readonly meta?: Uint8Array;
  readonly puts?: Readonly<Record<string, string>>;
  readonly deletes?: readonly string[];
  readonly timersAdded?: readonly TimerEntry[];
  readonly timersRemoved?: readonly TimerEntry[];
  readonly outputs?: readonly string[];
}

export function commit(owner: string, previous: string, next: string, parts: Parts = {}): Commit {
  const outputs = parts.outputs ?? [];
  return {
    owner,
    previous,
    next,
    offset: parts.offset ?? 1,
    meta: parts.meta ?? new Uint8Array(0),
    puts: Object.entries(parts.puts ?? {}).map(([key, value]) => [key, Buffer.from(value)]),
    deletes: parts.deletes ?? [],
    timersAdded: parts.timersAdded ?? [],
    timersRemoved: parts.timersRemoved ?? [],
    outputs: outputs.length === 0 ? [] : [{ topic: TOPIC, records: outputs.map(output) }],
  };
}

function output(key: string): OutgoingRecord {
  return { key, value: Buffer.from(key), partition: 0 };
}

function timer(time: number, operator = 'session', key = 'user'): TimerEntry {
  return { time, operator, key };
}

async function keysOf(store: StateStore, range: { from?: string; to?: string; limit?: number }): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of store.scan(TASK, range)) keys.push(key);
  return keys;
}

async function* each<T>(elements: readonly T[]): AsyncGenerator<T> {
  for (const element of elements) yield await Promise.resolve(element);
}

async function expectCode(call: Promise<unknown>, code: string): Promise<void> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(isEngineError(error) ? error.code : error).toBe(code);
}
