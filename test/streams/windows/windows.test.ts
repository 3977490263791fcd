/** Tumbling, hopping and session windows: by example, and as a property against a reference that sorts first. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Context } from '../../../streams/runtime/operator.js';
import { TestDriver } from '../../../streams/testing/test-driver.js';
import { createHoppingWindows, createTumblingWindows } from '../../../streams/windows/fixed-windows.js';
import { createSessionWindows } from '../../../streams/windows/session-windows.js';
import type { WindowEmission, WindowOptions, WindowOutput } from '../../../streams/windows/window.js';
import { byKey, finalWindows, numbers, OUTPUT, parsed, sample, stageOf, sumText } from './windows-stage.js';
import type { KeyedSample, Sample } from './windows-stage.js';

const LATENESS_MS = 50;
const SIZE_MS = 20;
const ADVANCE_MS = 7;
const GAP_MS = 10;

type Options = WindowOptions<Sample, number[], string>;

function optionsOf(emission: WindowEmission, changes: Partial<Options> = {}): Options {
  return {
    name: 'windows',
    aggregate: numbers,
    emission,
    allowedLatenessMs: LATENESS_MS,
    windowsMax: 1_000,
    send: (output: WindowOutput<string>, context: Context) =>
      context.emit(OUTPUT, output.key, Buffer.from(JSON.stringify(output))),
    ...changes,
  };
}

const SHAPES = {
  tumbling: (options: Options) => createTumblingWindows({ ...options, sizeMs: SIZE_MS }),
  hopping: (options: Options) =>
    createHoppingWindows({ ...options, sizeMs: SIZE_MS, advanceMs: ADVANCE_MS, offsetMs: 3 }),
  session: (options: Options) => createSessionWindows({ ...options, gapMs: GAP_MS }),
};
type Shape = keyof typeof SHAPES;

async function run(shape: Shape, options: Options, samples: readonly KeyedSample[], task: object = {}) {
  const operator = SHAPES[shape](options);
  const driver = await TestDriver.create(stageOf(operator), { task });
  await driver.pipe(...samples.map(sample));
  return { driver, operator, read: () => parsed<WindowOutput<string>>(driver.outputs(OUTPUT)) };
}

const at = (ts: number, n: number, key = 'a'): KeyedSample => ({ key, ts, n });
const brief = (outputs: readonly WindowOutput<string>[]): string[] =>
  outputs.map(({ start, end, revision, value }) => `${start}..${end} r${revision} ${value ?? 'withdrawn'}`);

describe('tumbling windows', () => {
  it('close before the first record that cannot belong to them, and are corrected until they are final', async () => {
    const { driver, read } = await run('tumbling', optionsOf('close'), [at(5, 1), at(19, 2)]);
    expect(brief(read())).toEqual([]);
    await driver.pipe(sample(at(20, 3)));
    expect(brief(read())).toEqual(['0..20 r0 1+2']);
    await driver.pipe(sample(at(7, 4)), sample(at(69, 0, 'b')), sample(at(8, 5)));
    expect(brief(read())).toEqual(['0..20 r1 1+2+4', '20..40 r0 3', '0..20 r2 1+2+4+5']);
    await driver.pipe(sample(at(70, 0, 'b')), sample(at(9, 6)));
    expect(brief(read())).toEqual([]);
  });

  it('send every update, or only the final result', async () => {
    const samples = [at(5, 1), at(6, 2), at(200, 0, 'b'), at(3, 9)];
    expect(brief((await run('tumbling', optionsOf('update'), samples)).read())).toEqual([
      '0..20 r0 1',
      '0..20 r1 1+2',
      '200..220 r0 0',
    ]);
    expect(brief((await run('tumbling', optionsOf('final'), samples)).read())).toEqual(['0..20 r0 1+2']);
  });

  it('tell of records that are too late, and leave nothing behind when all is final', async () => {
    const late: Sample[] = [];
    const { driver, operator } = await run('tumbling', optionsOf('close', { late: (record) => late.push(record) }), [
      at(5, 1),
      at(500, 2, 'b'),
      at(6, 3),
    ]);
    expect(late).toEqual([{ ts: 6, n: 3 }]);
    expect(await driver.state(operator, 'a')).toBeUndefined();
    await driver.advanceTime(10_000);
    expect(await driver.state(operator, 'b')).toBeUndefined();
    expect(await driver.task.nextTimer()).toBeUndefined();
  });

  it('beyond the bound make the earliest one final, once and for all', async () => {
    const { driver, read } = await run('tumbling', optionsOf('final', { windowsMax: 2 }), [
      at(5, 1),
      at(25, 2),
      at(45, 3),
    ]);
    expect(brief(read())).toEqual(['0..20 r0 1']);
    await driver.pipe(sample(at(6, 4)));
    await driver.advanceTime(10_000);
    expect(brief(read())).toEqual(['20..40 r0 2', '40..60 r0 3']);
  });

  it('refuse options that make no sense', () => {
    expect(() => createTumblingWindows({ ...optionsOf('close'), sizeMs: 0 })).toThrow(/sizeMs is 0/);
    expect(() => createHoppingWindows({ ...optionsOf('close'), sizeMs: 5, advanceMs: 6 })).toThrow(/advanceMs/);
    expect(() => createSessionWindows({ ...optionsOf('close', { allowedLatenessMs: 0.5 }), gapMs: 1 })).toThrow(
      expect.objectContaining({ code: 'TOPOLOGY_INVALID' }),
    );
  });
});

describe('session windows', () => {
  it('join when a late record closes the gap between them, and withdraw what is no more', async () => {
    const { driver, read } = await run('session', optionsOf('close'), [at(0, 1), at(15, 2), at(40, 0, 'b')]);
    expect(brief(read())).toEqual(['0..0 r0 1', '15..15 r0 2']);
    await driver.pipe(sample(at(8, 3)));
    expect(brief(read())).toEqual(['15..15 r1 withdrawn', '0..15 r1 1+2+3']);
  });

  it('start earlier when a record comes from before, under the new start', async () => {
    const { driver, read } = await run('session', optionsOf('update'), [at(20, 1)]);
    await driver.pipe(sample(at(12, 2)));
    expect(brief(read())).toEqual(['20..20 r0 1', '20..20 r1 withdrawn', '12..20 r0 1+2']);
  });

  it('that went on after they were sent are sent again when they close', async () => {
    const { driver, read } = await run('session', optionsOf('close'), [at(0, 1), at(12, 0, 'b'), at(9, 2)]);
    expect(brief(read())).toEqual(['0..0 r0 1']);
    await driver.advanceTime(20);
    expect(brief(read())).toEqual(['0..9 r1 1+2']);
  });

  it('arm one timer a key, and only again when it fires', async () => {
    const { driver } = await run('session', optionsOf('close'), [at(0, 1), at(5, 2), at(9, 3)]);
    expect(driver.store.timersNow(driver.task.id)).toEqual([{ time: 10, operator: 'windows', key: 'a' }]);
    await driver.pipe(sample(at(11, 0, 'b')));
    expect(driver.store.timersNow(driver.task.id).map(({ time }) => time)).toEqual([19, 21]);
  });
});

describe('windows of keys that became one', () => {
  it.each(['tumbling', 'session'] as const)('%s: are taken back there and sent here', async (shape) => {
    const operator = SHAPES[shape](optionsOf('update'));
    const mover = {
      name: 'mover',
      purity: 'log-pure' as const,
      state: operator.state,
      process: (record: Sample, _cell: unknown, context: Context) => {
        if (record.n >= 0) return;
        if (context.key === 'old') {
          moved = context.exportCells();
          context.removeCells();
        } else context.importCells(moved);
        context.stop();
      },
    };
    let moved: ReturnType<Context['exportCells']> = [];
    const driver = await TestDriver.create(stageOf(mover, operator));
    const samples = [at(4, 1, 'old'), at(5, 2, 'new'), at(5, -1, 'old'), at(5, -1, 'new'), at(6, 3, 'new')];
    await driver.pipe(...samples.map(sample));
    await driver.advanceTime(1_000);
    const outputs = parsed<WindowOutput<string>>(driver.outputs(OUTPUT));
    expect(finalWindows(outputs)).toEqual([shape === 'session' ? 'new 4..6 1+2+3' : 'new 0..20 1+2+3']);
  });
});

/** Windows of the records sorted by time. */
const REFERENCE: Record<Shape, (samples: readonly KeyedSample[]) => string[]> = {
  tumbling: (samples) => fixedReference(samples, SIZE_MS, 0),
  hopping: (samples) => fixedReference(samples, ADVANCE_MS, 3),
  session: (samples) => {
    const found: string[] = [];
    for (const [key, records] of byKey(samples)) {
      let session: KeyedSample[] = [];
      records.forEach((record, i) => {
        session.push(record);
        const next = records[i + 1];
        if (next !== undefined && next.ts - record.ts <= GAP_MS) return;
        found.push(`${key} ${session[0]!.ts}..${record.ts} ${sumText(session)}`);
        session = [];
      });
    }
    return found.sort();
  },
};

function fixedReference(samples: readonly KeyedSample[], advanceMs: number, offsetMs: number): string[] {
  const found: string[] = [];
  for (const [key, records] of byKey(samples)) {
    for (let start = offsetMs - 10 * advanceMs; start <= 400; start += advanceMs) {
      const inside = records.filter(({ ts }) => ts >= start && ts < start + SIZE_MS);
      if (inside.length > 0) found.push(`${key} ${start}..${start + SIZE_MS} ${sumText(inside)}`);
    }
  }
  return found.sort();
}

/** Records in an order in which none is later than allowed: sorted by time plus a delay below the lateness. */
const disordered = fc
  .array(
    fc.record({
      key: fc.constantFrom('a', 'b'),
      ts: fc.integer({ min: 0, max: 300 }),
      delay: fc.integer({ min: 0, max: LATENESS_MS }),
    }),
    { maxLength: 40 },
  )
  .map((drawn) =>
    drawn
      .map(({ key, ts, delay }, i) => ({ key, ts, n: i, arrival: ts + delay }))
      .sort((a, b) => a.arrival - b.arrival)
      .map(({ key, ts, n }): KeyedSample => ({ key, ts, n })),
  );

const cuts = fc.record({
  batchRecordsMax: fc.integer({ min: 1, max: 5 }),
  timersMax: fc.integer({ min: 1, max: 3 }),
  cacheBytesMax: fc.constantFrom(0, 1_000_000),
});

describe.each(Object.keys(SHAPES) as Shape[])('any order within the lateness: %s windows', (shape) => {
  it.each(['update', 'close', 'final'] as const)(
    'with emission %s are those of the sorted records',
    async (emission) => {
      await fc.assert(
        fc.asyncProperty(disordered, cuts, async (samples, task) => {
          const { driver, operator, read } = await run(shape, optionsOf(emission), samples, task);
          await driver.advanceTime(10_000);
          const outputs = read();
          expect(finalWindows(outputs)).toEqual(REFERENCE[shape](samples));
          if (emission === 'final')
            expect(outputs.every(({ revision, withdrawn }) => revision === 0 && !withdrawn)).toBe(true);
          for (const key of ['a', 'b']) expect(await driver.state(operator, key)).toBeUndefined();
          expect(await driver.task.nextTimer()).toBeUndefined();
          const whole = await run(shape, optionsOf(emission), samples);
          await whole.driver.advanceTime(10_000);
          expect(outputs).toEqual(whole.read());
        }),
        { numRuns: 60 },
      );
    },
  );

  it('of records however late never contradict themselves: revisions of an id rise by one', async () => {
    const anyOrder = fc.array(
      fc.record({ key: fc.constant('a'), ts: fc.integer({ min: 0, max: 300 }), n: fc.nat(9) }),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(anyOrder, fc.integer({ min: 1, max: 4 }), async (samples, windowsMax) => {
        const options = optionsOf('close', { windowsMax, allowedLatenessMs: 20 });
        const { driver, read } = await run(shape, options, samples);
        await driver.advanceTime(10_000);
        const revisions = new Map<number, number>();
        for (const { start, revision } of read()) {
          expect(revision).toBe((revisions.get(start) ?? -1) + 1);
          revisions.set(start, revision);
        }
      }),
      { numRuns: 60 },
    );
  });
});
