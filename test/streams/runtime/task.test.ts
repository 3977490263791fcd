/** The task against the in-memory log and store: the protocol of micro-batches, timers, faults and fencing. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeRecord } from '../../../schemas/codec.js';
import { ManualClock } from '../../../streams/clock.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';
import { seededRandom } from '../../../streams/random.js';
import { Task } from '../../../streams/runtime/task.js';
import { DEFAULT_TASK_OPTIONS } from '../../../streams/runtime/task-options.js';
import type { Cell, Context, PublishContext } from '../../../streams/runtime/operator.js';
import { TestDriver } from '../../../streams/testing/test-driver.js';
import {
  DEAD_LETTERS,
  HINTS,
  OUTPUT,
  TABLE,
  count,
  countingStage,
  sumOperator,
  totalOperator,
} from './counting-stage.js';
import type { CountRecord, Sum } from './counting-stage.js';

const text = (records: readonly { readonly value: Buffer }[]): string[] => records.map(({ value }) => value.toString());

describe('a task', () => {
  it('folds records into state and emits, in log order', async () => {
    const driver = await TestDriver.create(countingStage());
    await driver.pipe(count('a', 1), count('b', 2), count('a', 3, 5));
    expect(await driver.state(sumOperator, 'a')).toMatchObject({ n: 6, last: 3 });
    expect(await driver.state(sumOperator, 'b')).toMatchObject({ n: 1 });
    expect(text(driver.outputs(OUTPUT))).toEqual(['total 1', 'again 1', 'total 2', 'again 2', 'total 3', 'again 3']);
    expect(await driver.state(totalOperator, '\u0001partition')).toEqual({ total: 3 });
  });

  it('names outputs by input offset and emission index, timers included', async () => {
    const driver = await TestDriver.create(countingStage());
    await driver.pipe(count('a', 0), count('b', 500));
    const origins = driver
      .outputs(OUTPUT)
      .map(({ origin, value }) => [value.toString(), origin!.operator, origin!.offset, origin!.index]);
    expect(origins).toEqual([
      ['total 1', 'total', 0, 0],
      ['again 1', 'total', 0, 1],
      ['a=1@100/100', 'sum', 1, 0],
      ['total 2', 'total', 1, 0],
      ['again 2', 'total', 1, 1],
    ]);
  });

  it('fires timers only when event time has passed them, strictly', async () => {
    const driver = await TestDriver.create(countingStage({ operators: [sumOperator] }));
    await driver.pipe(count('a', 0), count('b', 100));
    expect(text(driver.outputs(OUTPUT))).toEqual([]);
    await driver.pipe(count('b', 101));
    expect(text(driver.outputs(OUTPUT))).toEqual(['a=1@100/100']);
  });

  it('moves event time by the ticks of the owner that the input names, and by no other', async () => {
    const driver = await TestDriver.create(countingStage({ operators: [sumOperator] }));
    await driver.pipe(count('a', 0));
    const { codec } = countingStage();
    await driver.pipe({
      key: '',
      value: Buffer.from(codec.encodeRuntimeRecord({ type: 'tick', time: 900, owner: 'zombie' })),
    });
    expect(text(driver.outputs(OUTPUT))).toEqual([]);
    await driver.advanceTime(900);
    expect(text(driver.outputs(OUTPUT))).toEqual(['a=1@100/100']);
  });

  it('clamps event time by the time of receipt', async () => {
    const driver = await TestDriver.create(countingStage({ operators: [sumOperator], clockToleranceMs: 10 }));
    await driver.pipe(count('a', 0), count('b', 1e12, 1, { receivedAt: 50 }));
    expect(driver.task.streamTime).toBe(60);
  });

  it('publishes the last table value of a batch and one hint a key', async () => {
    const driver = await TestDriver.create(countingStage());
    await driver.pipe(count('a', 0), count('a', 1), count('a', 2));
    expect(text(driver.outputs(TABLE))).toEqual(['3']);
    expect(driver.hints.get(HINTS)).toEqual([{ key: 'a', partition: 0, offset: 3, eventIds: ['0', '1', '2'] }]);
  });

  it('publishes what was asked for once a commit, from the state as committed, unless it was removed', async () => {
    const calls: string[] = [];
    const operators = [
      {
        ...sumOperator,
        process: (record: CountRecord, cell: Cell<Sum>, context: Context) => {
          const sum = cell.getOr(() => ({ n: 0, last: 0, armed: 0 }));
          sum.n += record.n;
          cell.changed();
          context.publishLater();
          if (record.n < 0) context.removeCells();
        },
        publish: ({ n }: Sum, context: PublishContext) => {
          calls.push(`${context.key}=${n}@${context.offset}`);
          context.publish(TABLE, context.key, Buffer.from(String(n)));
        },
      },
    ];
    const driver = await TestDriver.create(countingStage({ operators }));
    await driver.pipe(count('a', 0), count('b', 1, 5), count('a', 2, 2), count('c', 3), count('c', 4, -1));
    await driver.pipe(count('d', 5));
    expect(calls).toEqual(['a=3@2', 'b=5@1', 'd=1@5']);
    expect(text(driver.outputs(TABLE))).toEqual(['5', '3', '1']);
  });

  it('drops outputs of other tasks that it has seen, by their identity', async () => {
    const driver = await TestDriver.create(countingStage({ operators: [sumOperator] }));
    const origin = (offset: number, index: number) => ({ source: 's', operator: 'o', offset, index });
    const sent = [
      { ...count('a', 0), origin: origin(1, 0) },
      { ...count('a', 0), origin: origin(1, 1) },
      { ...count('a', 0), origin: origin(4, 0) },
    ];
    await driver.pipe(...sent);
    await driver.pipe(...sent.slice(1), { ...count('a', 0), origin: origin(4, 1) });
    expect(await driver.state(sumOperator, 'a')).toMatchObject({ n: 4 });
    expect(driver.statistics.repeatsDropped).toBe(2);
  });
});

describe('faults', () => {
  it('send the bytes and the reason to dead letters, and change no state', async () => {
    const driver = await TestDriver.create(countingStage());
    await driver.pipe(
      count('a', 0),
      count('a', 1, 100, { poison: true }),
      { key: 'a', value: Buffer.from('{') },
      count('a', 2),
    );
    expect(await driver.state(sumOperator, 'a')).toMatchObject({ n: 2 });
    expect(await driver.state(totalOperator, '\u0001partition')).toEqual({ total: 2 });
    const letters = driver.outputs(DEAD_LETTERS).map(({ value }) => decodeRecord(value));
    expect(letters).toMatchObject([
      { topic: 'counts', offset: 1, key: 'a', code: 'TASK_FAILED' },
      { topic: 'counts', offset: 2, key: 'a', code: 'CODEC_CORRUPT', value: Buffer.from('{') },
    ]);
  });

  it('stop the task under the policy fail, and lose nothing', async () => {
    const driver = await TestDriver.create(countingStage({ faultPolicy: 'fail' }), { task: { batchRecordsMax: 1 } });
    await expect(driver.pipe(count('a', 0), count('a', 1, 1, { poison: true }))).rejects.toMatchObject({
      code: 'TASK_FAILED',
    });
    expect(driver.task.offset).toBe(1);
    await expect(driver.task.step()).rejects.toMatchObject({ code: 'INVARIANT_VIOLATED' });
  });

  it('are passed over and counted under the policy continue', async () => {
    const driver = await TestDriver.create(countingStage({ faultPolicy: 'continue' }));
    await driver.pipe(count('a', 0), { key: 'a', value: Buffer.from('{') }, count('a', 1));
    expect(driver.statistics.faultsIgnored).toBe(1);
    expect(await driver.state(sumOperator, 'a')).toMatchObject({ n: 2 });
  });

  it('treat records beyond the allowed lateness as declared', async () => {
    const late = countingStage({ operators: [sumOperator], allowedLatenessMs: 10, latePolicy: 'dead-letter' });
    const driver = await TestDriver.create(late);
    await driver.pipe(count('a', 100), count('a', 90), count('a', 89));
    expect(await driver.state(sumOperator, 'a')).toMatchObject({ n: 2 });
    expect(decodeRecord(driver.outputs(DEAD_LETTERS)[0]!.value)).toMatchObject({
      code: 'EVENT_TIME_INVALID',
      offset: 2,
    });
  });
});

describe('a batch', () => {
  const backlog = ['a', 'b', 'c', 'd', 'e', 'f'].map((key, i) => count(key, i));

  it('ends at the chunk in which its time is over, and goes on from there', async () => {
    let spentMs = 0;
    const clock = Object.assign(new ManualClock(), { monotonic: () => spentMs });
    const slow: typeof sumOperator = {
      ...sumOperator,
      process(...given) {
        spentMs += 6;
        sumOperator.process(...given);
      },
    };
    const log = new MemoryLog({ clock });
    log.createTopicsNow(
      ['counts', OUTPUT, TABLE, HINTS, DEAD_LETTERS].map((name) => ({ name, partitions: 1, class: 'event' })),
    );
    const store = new MemoryStore({ delivery: 'atomic', log });
    const options = { ...DEFAULT_TASK_OPTIONS, chunkRecordsMax: 2, batchMsMax: 10 };
    const environment = { log, store, clock, random: seededRandom('slow') };
    const task = new Task(countingStage({ operators: [slow] }), 0, environment, options);
    await task.open();
    log.appendNow('counts', backlog);
    const seen: [number, boolean][] = [];
    while ((await task.step()) > 0) seen.push([task.offset, task.hasMetEnd]);
    expect(seen).toEqual([
      [2, false],
      [4, false],
      [6, false],
    ]);
    expect(task.hasMetEnd).toBe(true);
  });
});

describe('a table value', () => {
  it('has a place of its own for each commit made at one offset, when more timers are due than a batch takes', async () => {
    const publishing: typeof sumOperator = {
      ...sumOperator,
      fire(cell, context) {
        context.publish(TABLE, 'last', Buffer.from(`fired for ${context.key}`));
        sumOperator.fire!(cell, context);
      },
    };
    const driver = await TestDriver.create(countingStage({ operators: [publishing] }), { task: { timersMax: 1 } });
    await driver.pipe(count('a', 0), count('b', 1), count('c', 2));
    driver.outputs(TABLE);
    await driver.pipe(count('last', 500));
    const made = driver
      .outputs(TABLE)
      .filter(({ key }) => key === 'last')
      .map(({ value, origin }) => [value.toString(), origin!.offset, origin!.index]);
    expect(made).toEqual([
      ['fired for a', 3, 0],
      ['fired for b', 3, 1],
      ['fired for c', 3, 2],
      ['1', 3, 3],
    ]);
  });
});

describe('ownership', () => {
  it('ends when another owner acquires the partition', async () => {
    const driver = await TestDriver.create(countingStage());
    await driver.pipe(count('a', 0));
    const environment = {
      log: driver.log,
      store: driver.store,
      clock: new ManualClock(),
      random: seededRandom('other'),
    };
    const successor = new Task(countingStage(), 0, environment, DEFAULT_TASK_OPTIONS);
    await successor.open();
    await expect(driver.pipe(count('a', 1))).rejects.toMatchObject({ code: 'TASK_FENCED' });
    expect(await successor.step()).toBe(1);
    expect(await driver.state(sumOperator, 'a')).toMatchObject({ n: 2 });
  });
});

describe('batch cuts', () => {
  const record = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd'),
    ts: fc.integer({ min: 0, max: 2_000 }),
    poison: fc.boolean().map((isPoison) => isPoison && true),
  });
  const bounds = fc.record({
    batchRecordsMax: fc.integer({ min: 1, max: 7 }),
    chunkRecordsMax: fc.integer({ min: 1, max: 4 }),
    timersMax: fc.integer({ min: 1, max: 3 }),
    outputBytesMax: fc.constantFrom(1, 40, 1 << 20),
    cacheBytesMax: fc.constantFrom(0, 1_000, 1 << 20),
  });

  it('never show: any cut gives the same state, outputs and output identities', async () => {
    const run = async (records: { key: string; ts: number; poison: boolean }[], task: object) => {
      const driver = await TestDriver.create(countingStage(), { task });
      await driver.pipe(...records.map(({ key, ts, poison }) => count(key, ts, 1, poison ? { poison } : {})));
      await driver.advanceTime(10_000);
      const rows: [string, string][] = [];
      for await (const [key, value] of driver.store.scan(driver.task.id)) rows.push([key, value.toString('hex')]);
      const outputs = driver
        .outputs(OUTPUT)
        .map(({ key, value, origin }) => [key, value.toString(), origin!.operator, origin!.offset, origin!.index]);
      const letters = driver
        .outputs(DEAD_LETTERS)
        .map(({ origin, value }) => [origin!.offset, origin!.index, value.toString('hex')]);
      return { rows, outputs, letters, streamTime: driver.task.streamTime };
    };
    await fc.assert(
      fc.asyncProperty(fc.array(record, { maxLength: 30 }), bounds, async (records, task) => {
        expect(await run(records, task)).toEqual(await run(records, {}));
      }),
      { numRuns: 200 },
    );
  });
});
