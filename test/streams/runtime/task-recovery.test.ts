/** What a task does after calls that failed half-way, and where batches may not show: cases the simulation found. */
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../streams/clock.js';
import type { AppendReceipt, OutgoingRecord } from '../../../streams/log/event-log.js';
import { silentLogger } from '../../../streams/logger.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';
import { seededRandom } from '../../../streams/random.js';
import type { Operator } from '../../../streams/runtime/operator.js';
import { Task } from '../../../streams/runtime/task.js';
import { DEFAULT_TASK_OPTIONS } from '../../../streams/runtime/task-options.js';
import { buildTopology } from '../../../streams/runtime/topology.js';
import { StreamWorker } from '../../../streams/runtime/worker.js';
import { TestDriver } from '../../../streams/testing/test-driver.js';
import type { TopicSpec } from '../../../streams/log/event-log.js';
import {
  count,
  countingStage,
  DEAD_LETTERS,
  HINTS,
  INPUT,
  jsonCodec,
  OUTPUT,
  sumOperator,
  TABLE,
  totalOperator,
} from './counting-stage.js';
import type { CountRecord } from './counting-stage.js';

const ALL = { recordsMax: Infinity, bytesMax: Infinity };
const topic = (name: string, kind: TopicSpec['class'] = 'event'): TopicSpec => ({ name, partitions: 1, class: kind });

/** A log whose appends to other topics than the input fail as often as it is told. */
class FailingLog extends MemoryLog {
  failures = 0;

  override append(name: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]> {
    if (name !== INPUT && this.failures-- > 0) return Promise.reject(new Error('unreachable'));
    return super.append(name, records);
  }
}

function environment() {
  const clock = new ManualClock();
  const log = new FailingLog({ clock });
  log.createTopicsNow([topic(INPUT), topic(OUTPUT), topic(DEAD_LETTERS), topic(TABLE, 'table'), topic(HINTS, 'hint')]);
  return { log, store: new MemoryStore({ delivery: 'outbox' }), clock, random: seededRandom('recovery') };
}

const stage = countingStage({ operators: [totalOperator] });
const sent = (log: MemoryLog): string[] => log.readNow(OUTPUT, 0, 0, ALL).records.map(({ value }) => value.toString());

describe('outputs that could not be sent', () => {
  it('are sent by the next step, also when there is no more input', async () => {
    const { log, ...rest } = environment();
    const task = new Task(stage, 0, { log, ...rest }, DEFAULT_TASK_OPTIONS);
    await task.open();
    log.appendNow(INPUT, [count('a', 1)]);
    log.failures = 1;
    await expect(task.step()).rejects.toThrow('unreachable');
    expect(await task.step()).toBe(0);
    expect(sent(log)).toEqual(['total 1', 'again 1']);
    expect(await rest.store.outbox(task.id)).toEqual([]);
  });

  it('of an earlier owner are tried again until they are through', async () => {
    const { log, ...rest } = environment();
    const first = new Task(stage, 0, { log, ...rest }, DEFAULT_TASK_OPTIONS);
    await first.open();
    log.appendNow(INPUT, [count('a', 1)]);
    log.failures = 2;
    await expect(first.step()).rejects.toThrow('unreachable');
    const second = new Task(stage, 0, { log, ...rest }, DEFAULT_TASK_OPTIONS);
    await second.open();
    await expect(second.step()).rejects.toThrow('unreachable');
    expect(await second.step()).toBe(0);
    expect(sent(log)).toEqual(['total 1', 'again 1']);
  });
});

describe('a store that fell back to before the task existed', () => {
  it('fences the task instead of breaking it', async () => {
    const { log, ...rest } = environment();
    const before = rest.store.checkpoint();
    const task = new Task(stage, 0, { log, ...rest }, DEFAULT_TASK_OPTIONS);
    await task.open();
    log.appendNow(INPUT, [count('a', 1)]);
    log.failures = 1;
    rest.store.rollback(before);
    rest.store.commit = () => Promise.reject(new Error('unreachable'));
    await expect(task.step()).rejects.toMatchObject({ code: 'TASK_FENCED' });
  });
});

describe('an idle task', () => {
  it('finds out that the store fell back, and is fenced', async () => {
    const { log, ...rest } = environment();
    const task = new Task(stage, 0, { log, ...rest }, DEFAULT_TASK_OPTIONS);
    await task.open();
    const before = rest.store.checkpoint();
    log.appendNow(INPUT, [count('a', 1)]);
    await task.step();
    await task.requireCurrent();
    rest.store.rollback(before);
    expect(await task.step()).toBe(0);
    await expect(task.requireCurrent()).rejects.toMatchObject({ code: 'TASK_FENCED' });
    await expect(task.step()).rejects.toMatchObject({ code: 'INVARIANT_VIOLATED' });
  });
});

describe('a timer that failed', () => {
  /** Every record arms the same timer again; it throws when it fires for one record only. */
  const alarm: Operator<CountRecord, { n: number }> = {
    name: 'alarm',
    purity: 'log-pure',
    state: jsonCodec<{ n: number }>(),
    process(_record, cell, context) {
      cell.getOr(() => ({ n: 0 })).n++;
      cell.changed();
      context.setTimer(10);
    },
    fire(cell, context) {
      if (cell.get()!.n === 1) throw new Error('one is too few');
      context.emit(OUTPUT, context.key, Buffer.from(`${cell.get()!.n} at ${context.offset}`));
    },
  };

  it('may succeed when it is set again, wherever batches are cut', async () => {
    for (const batchRecordsMax of [1, 100]) {
      const driver = await TestDriver.create(countingStage({ operators: [alarm] }), { task: { batchRecordsMax } });
      await driver.pipe(count('a', 0), count('a', 50), count('a', 60));
      expect(driver.outputs(OUTPUT).map(({ value }) => value.toString())).toEqual(['2 at 2']);
      expect(driver.outputs(DEAD_LETTERS)).toHaveLength(1);
    }
  });
});

describe('a timer that sets itself again for its own time', () => {
  const twice: Operator<CountRecord, { fired: number }> = {
    name: 'twice',
    purity: 'log-pure',
    state: jsonCodec<{ fired: number }>(),
    process(_record, cell, context) {
      cell.getOr(() => ({ fired: 0 }));
      context.setTimer(10);
    },
    fire(cell, context) {
      if (++cell.get()!.fired === 1) context.setTimer(10);
      cell.changed();
      context.emit(OUTPUT, context.key, Buffer.from(`${context.key}${cell.get()!.fired}`));
    },
  };

  it('fires again before other keys have their turn, wherever batches are cut', async () => {
    for (const timersMax of [1, 2, 100]) {
      const driver = await TestDriver.create(countingStage({ operators: [twice] }), { task: { timersMax } });
      await driver.pipe(count('a', 0), count('b', 0), count('c', 0));
      await driver.pipe(count('z', 9), count('a', 11));
      const fired = driver.outputs(OUTPUT).map(({ value }) => value.toString());
      expect(fired).toEqual(['a1', 'a2', 'b1', 'b2', 'c1', 'c2', 'z1', 'z2']);
    }
  });
});

describe('a repeated message', () => {
  it('is no occasion for timers, wherever batches are cut', async () => {
    const origin = { source: 's', operator: 'o', offset: 1, index: 0 };
    for (const timersMax of [1, 100]) {
      const driver = await TestDriver.create(countingStage({ operators: [sumOperator] }), { task: { timersMax } });
      await driver.pipe({ ...count('z', 1_000), origin });
      await driver.pipe(count('a', 1), count('b', 2));
      await driver.pipe({ ...count('z', 1_000), origin }, { ...count('z', 1_000), origin }, count('z', 1_000));
      const places = driver.outputs(OUTPUT).map(({ value, origin: own }) => [value.toString(), own!.offset]);
      expect(places).toEqual([
        ['a=1@101/1000', 2],
        ['b=1@102/1000', 5],
      ]);
    }
  });
});

describe('a worker', () => {
  it('ticks for a timer that lies behind stream time, which only late records set', async () => {
    const { log, store, clock, random } = environment();
    const topology = buildTopology('counting', [countingStage({ operators: [sumOperator] })]);
    const worker = new StreamWorker(topology, { log, store, clock, random }, { logger: silentLogger });
    log.appendNow(INPUT, [count('a', clock.now()), count('b', clock.now() - 5_000)]);
    await worker.start();
    await clock.advance(5_000);
    expect(sent(log).map((text) => text.split('=')[0])).toEqual(['b', 'a']);
    await worker.stop();
  });
});
