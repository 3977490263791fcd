/** The interval join: by example, and as a property against all pairs of the records sorted by time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonState } from '../../../streams/json-codecs.js';
import { TestDriver } from '../../../streams/testing/test-driver.js';
import { createIntervalJoin } from '../../../streams/windows/interval-join.js';
import type { IntervalJoinOptions, JoinOutput } from '../../../streams/windows/interval-join.js';
import { OUTPUT, parsed, sample, stageOf } from './windows-stage.js';
import type { KeyedSample, Sample } from './windows-stage.js';

const LATENESS_MS = 30;
const BEFORE_MS = 5;
const AFTER_MS = 12;

type Options = IntervalJoinOptions<Sample, number, number>;

function joinOf(changes: Partial<Options> = {}) {
  const sideOf = (side: 'left' | 'right') => (record: Sample) => (record.side === side ? record.n : undefined);
  return createIntervalJoin<Sample, number, number>({
    name: 'join',
    kind: 'left',
    left: { of: sideOf('left'), codec: jsonState<number>() },
    right: { of: sideOf('right'), codec: jsonState<number>() },
    beforeMs: BEFORE_MS,
    afterMs: AFTER_MS,
    allowedLatenessMs: LATENESS_MS,
    send: (output, context) => context.emit(OUTPUT, output.key, Buffer.from(JSON.stringify(output))),
    ...changes,
  });
}

const left = (ts: number, n: number, key = 'a'): KeyedSample => ({ key, ts, n, side: 'left' });
const right = (ts: number, n: number, key = 'a'): KeyedSample => ({ key, ts, n, side: 'right' });

async function start(operator = joinOf(), task: object = {}) {
  const driver = await TestDriver.create(stageOf(operator), { task });
  return {
    driver,
    pipe: (...samples: readonly KeyedSample[]) => driver.pipe(...samples.map(sample)),
    read: () => parsed<JoinOutput<number, number>>(driver.outputs(OUTPUT)),
    pairs: () =>
      parsed<JoinOutput<number, number>>(driver.outputs(OUTPUT)).map(
        (output) => `${output.left}-${output.right ?? ''}`,
      ),
  };
}

describe('an interval join', () => {
  it('sends a pair when the later of the two arrives, in whichever order', async () => {
    const { pipe, pairs } = await start();
    await pipe(left(10, 1), right(22, 2), right(23, 3), right(4, 4), right(5, 5));
    expect(pairs()).toEqual(['1-2', '1-5']);
    await pipe(left(11, 6), left(11, 7, 'b'));
    expect(pairs()).toEqual(['6-2', '6-3']);
  });

  it('sends a left record alone when nobody can meet it any more, once', async () => {
    const { driver, pipe, pairs } = await start();
    await pipe(left(10, 1), left(40, 2), right(41, 3));
    await driver.advanceTime(10 + AFTER_MS + LATENESS_MS);
    expect(pairs()).toEqual(['2-3']);
    await driver.advanceTime(10 + AFTER_MS + LATENESS_MS + 1);
    expect(pairs()).toEqual(['1-']);
    await driver.advanceTime(1_000);
    expect(pairs()).toEqual([]);
    expect(await driver.state(joinOf(), 'a')).toBeUndefined();
  });

  it('tells of records that are too late', async () => {
    const late: Sample[] = [];
    const { pipe, pairs } = await start(joinOf({ late: (record) => late.push(record) }));
    await pipe(left(10, 1), left(41, 2, 'b'), right(10, 3));
    expect(late).toEqual([{ ts: 10, n: 3, side: 'right' }]);
    expect(pairs()).toEqual([]);
  });

  it('beyond the bound lets the earliest record go, alone if it met nobody', async () => {
    const { driver, pipe, pairs } = await start(joinOf({ bufferedMax: 2 }));
    await pipe(left(1, 1), right(1, 9), left(2, 2), left(3, 3), left(4, 4));
    expect(pairs()).toEqual(['1-9', '2-9', '3-9', '4-9']);
    await pipe(left(30, 5), left(31, 6), left(32, 7), right(30, 8));
    expect(pairs()).toEqual(['5-', '6-8', '7-8']);
    await driver.advanceTime(1_000);
    expect(pairs()).toEqual([]);
  });

  it('joins what two keys held when they become one, and nothing twice', async () => {
    const operator = joinOf();
    const sent: string[] = [];
    const context = {
      key: 'new',
      time: 10,
      streamTime: 10,
      setTimer: () => undefined,
      clearTimer: () => undefined,
      emit: (_topic: string, _key: string, value: Uint8Array) => sent.push(Buffer.from(value).toString()),
    };
    const entry = (time: number, value: number, matched = false) => ({ time, value, matched });
    const target = { timer: 5, left: [entry(8, 1)], right: [entry(9, 2)] };
    const source = { timer: 5, left: [entry(8, 3, true)], right: [entry(9, 4, true)] };
    const cell = { getOr: () => target, changed: () => undefined };
    operator.merge!(cell as never, source, context as never);
    const pairs = sent
      .map((text) => JSON.parse(text) as JoinOutput<number, number>)
      .map((pair) => [pair.left, pair.right]);
    expect(pairs).toEqual([
      [3, 2],
      [1, 4],
    ]);
    expect(target.left).toHaveLength(2);
  });
});

describe('any order within the lateness', () => {
  const arrivals = fc
    .array(
      fc.record({
        key: fc.constantFrom('a', 'b'),
        ts: fc.integer({ min: 0, max: 150 }),
        side: fc.constantFrom('left' as const, 'right' as const),
        delay: fc.integer({ min: 0, max: LATENESS_MS }),
      }),
      { maxLength: 40 },
    )
    .map((drawn) =>
      drawn
        .map(({ delay, ...record }, n) => ({ arrival: record.ts + delay, record: { ...record, n } }))
        .sort((one, other) => one.arrival - other.arrival)
        .map(({ record }): KeyedSample => record),
    );

  function reference(samples: readonly KeyedSample[], kind: 'inner' | 'left'): string[] {
    const found: string[] = [];
    for (const one of samples.filter(({ side }) => side === 'left')) {
      const met = samples.filter(
        ({ key, side, ts }) =>
          side === 'right' && key === one.key && ts >= one.ts - BEFORE_MS && ts <= one.ts + AFTER_MS,
      );
      found.push(...met.map(({ n }) => `${one.key} ${one.n}-${n}`));
      if (met.length === 0 && kind === 'left') found.push(`${one.key} ${one.n}-alone`);
    }
    return found.sort();
  }

  it.each(['inner', 'left'] as const)('the %s join sends every pair once, however batches are cut', async (kind) => {
    const cuts = fc.record({
      batchRecordsMax: fc.integer({ min: 1, max: 5 }),
      timersMax: fc.integer({ min: 1, max: 3 }),
      cacheBytesMax: fc.constantFrom(0, 1_000_000),
    });
    await fc.assert(
      fc.asyncProperty(arrivals, cuts, async (samples, task) => {
        const run = async (bounds: object) => {
          const { driver, pipe, read } = await start(joinOf({ kind }), bounds);
          await pipe(...samples);
          await driver.advanceTime(10_000);
          expect(await driver.task.nextTimer()).toBeUndefined();
          expect(driver.store.rowsNow(driver.task.id)).toEqual([]);
          return read();
        };
        const outputs = await run(task);
        expect(outputs.map((pair) => `${pair.key} ${pair.left}-${pair.right ?? 'alone'}`).sort()).toEqual(
          reference(samples, kind),
        );
        expect(outputs).toEqual(await run({}));
      }),
      { numRuns: 80 },
    );
  });
});
