/** State written by an earlier build: decoded when read, rewritten when changed, and never read by an older build. */
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../streams/clock.js';
import { jsonState } from '../../../streams/json-codecs.js';
import { seededRandom } from '../../../streams/random.js';
import type { Operator, StateCodec } from '../../../streams/runtime/operator.js';
import { forEachCell } from '../../../streams/runtime/row-bytes.js';
import { Task } from '../../../streams/runtime/task.js';
import { DEFAULT_TASK_OPTIONS } from '../../../streams/runtime/task-options.js';
import { TestDriver } from '../../../streams/testing/test-driver.js';
import { createSessionWindows } from '../../../streams/windows/session-windows.js';
import { createWindowStateCodec, emptyWindowState } from '../../../streams/windows/window-state.js';
import type { WindowAggregate } from '../../../streams/windows/window.js';
import { count, countingStage, DEAD_LETTERS, INPUT } from '../runtime/counting-stage.js';
import type { CountRecord } from '../runtime/counting-stage.js';
import { records, runStage, STORAGES } from './rebuild-stage.js';

interface Tally {
  sum: number;
  /** Since version 2. */
  records: number;
}

/** Version 1 was a bare number. */
const TALLY_CODECS: Readonly<Record<1 | 2, StateCodec<Tally>>> = {
  1: {
    version: 1,
    encode: ({ sum }) => Buffer.from(String(sum)),
    decode: (bytes) => ({ sum: Number(bytes.toString()), records: 0 }),
  },
  2: jsonState<Tally>(2, (old) => ({ sum: Number(old), records: 0 })),
};

function tallyStage(version: 1 | 2, faultPolicy: 'dead-letter' | 'fail' = 'dead-letter') {
  const tally: Operator<CountRecord, Tally> = {
    name: 'tally',
    purity: 'log-pure',
    state: TALLY_CODECS[version],
    process(record, cell) {
      const state = cell.getOr(() => ({ sum: 0, records: 0 }));
      state.records++;
      // A record of 0 is looked at, and changes nothing.
      if (record.n === 0) return;
      state.sum += record.n;
      cell.changed();
    },
  };
  return { tally, stage: countingStage({ operators: [tally], faultPolicy }) };
}

async function upgraded() {
  const driver = await TestDriver.create(tallyStage(1).stage);
  await driver.pipe(count('a', 0, 5), count('b', 1, 7), count('c', 2, 9));
  const environment = {
    log: driver.log,
    store: driver.store,
    clock: new ManualClock(),
    random: seededRandom('next build'),
  };
  const continueWith = async (stage: ReturnType<typeof tallyStage>['stage'], ...input: ReturnType<typeof count>[]) => {
    driver.log.appendNow(stage.input, input);
    const task = new Task(stage, 0, environment, { ...DEFAULT_TASK_OPTIONS, sliceMs: Infinity });
    await task.open();
    while ((await task.step()) > 0);
    return task;
  };
  const stored = async (key: string) => {
    const versions: [number, string][] = [];
    const row = await driver.store.get(driver.task.id, key);
    forEachCell(row!, (_hash, version, bytes) => versions.push([version, bytes.toString()]));
    return versions;
  };
  return { driver, continueWith, stored };
}

describe('state of an earlier version', () => {
  it('is decoded when read and rewritten when changed; other rows keep the version they have', async () => {
    const { driver, continueWith, stored } = await upgraded();
    const { tally, stage } = tallyStage(2);
    await continueWith(stage, count('a', 10, 1), count('b', 11, 0));
    expect(await stored('a')).toEqual([[2, '{"sum":6,"records":1}']]);
    expect(await stored('b')).toEqual([[1, '7']]);
    expect(await stored('c')).toEqual([[1, '9']]);
    expect(await driver.state(tally, 'b')).toEqual({ sum: 7, records: 0 });
  });
});

describe('state of a newer version', () => {
  it.each(['dead-letter', 'fail'] as const)('stops the task under the policy %s; no record is lost', async (policy) => {
    const { driver, continueWith, stored } = await upgraded();
    await continueWith(tallyStage(2).stage, count('a', 10, 1));
    await expect(continueWith(tallyStage(1, policy).stage, count('a', 20, 1))).rejects.toMatchObject({
      code: 'STATE_VERSION_UNKNOWN',
      context: { operator: 'tally', key: 'a', version: 2 },
    });
    expect(driver.outputs(DEAD_LETTERS)).toEqual([]);
    expect((await driver.store.head(driver.task.id))!.offset).toBe(4);
    await continueWith(tallyStage(2).stage);
    expect(await stored('a')).toEqual([[2, '{"sum":7,"records":2}']]);
  });
});

describe('an aggregate inside of windows', () => {
  const aggregateOf = (codec: StateCodec<Tally>): WindowAggregate<CountRecord, Tally, number> => ({
    initial: () => ({ sum: 0, records: 0 }),
    add: (tally, { n }) => ({ sum: tally.sum + n, records: tally.records + 1 }),
    merge: (into, from) => ({ sum: into.sum + from.sum, records: into.records + from.records }),
    result: ({ sum }) => sum,
    codec,
  });
  const stageWith = (version: 1 | 2, sums: unknown[]) => {
    const operator = createSessionWindows({
      name: 'windows',
      aggregate: aggregateOf(TALLY_CODECS[version]),
      emission: 'update',
      allowedLatenessMs: 1_000_000,
      gapMs: 1_000_000,
      send: ({ value }) => sums.push(value),
    });
    return countingStage({ operators: [operator] });
  };

  it('has a version of its own: older ones are migrated, newer ones stop the task', async () => {
    const { environment, close } = await STORAGES.memory();
    const sums: unknown[] = [];
    await environment.log.append(INPUT, [count('a', 0, 5)]);
    await runStage(stageWith(1, sums), environment);
    await environment.log.append(INPUT, [count('a', 1, 6)]);
    await runStage(stageWith(2, sums), environment);
    expect(sums).toEqual([5, 11]);
    await environment.log.append(INPUT, records(0, 20));
    await environment.log.append(INPUT, [count('a', 2, 7)]);
    await expect(runStage(stageWith(1, sums), environment)).rejects.toMatchObject({ code: 'STATE_VERSION_UNKNOWN' });
    await close();
  });

  it('that is damaged is told as such', () => {
    const codec = createWindowStateCodec('windows', TALLY_CODECS[2]);
    const window = { start: 5, end: 9, revision: 3, closed: true, aggregate: { sum: 1, records: 1 } };
    const state = { ...emptyWindowState<Tally>(), timer: 12, finalThrough: 4, sentAs: 'ä', windows: [window] };
    const bytes = Buffer.from(codec.encode(state));
    expect(codec.decode(bytes, 1)).toEqual(state);
    for (const size of [0, 1, 3, bytes.length - 1]) {
      expect(() => codec.decode(bytes.subarray(0, size), 1)).toThrow(
        expect.objectContaining({ code: 'STATE_CORRUPT' }),
      );
    }
  });
});
