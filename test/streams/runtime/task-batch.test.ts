/** Where a batch ends: before its commit holds more rows and timers than the store takes at once, with the same result. */
import { expect, it } from 'vitest';
import { digestTask } from '../../../streams/queries/state-digest.js';
import type { Commit, TaskId } from '../../../streams/state/state-store.js';
import { TestDriver } from '../../../streams/testing/test-driver.js';
import { count, countingStage } from './counting-stage.js';
import type { CountRecord } from './counting-stage.js';

const KEYS_MAX = 60;
/** Distinct keys, a timer each, and timers that fire on the way. */
const records = Array.from({ length: 400 }, (_, i) => count(`k${i}`, i * 3));

async function run(commitKeysMax: number | undefined): Promise<{ driver: TestDriver<CountRecord>; sizes: number[] }> {
  const driver = await TestDriver.create(countingStage());
  const { store } = driver;
  const sizes: number[] = [];
  const commit = store.commit.bind(store);
  Object.assign(store, {
    commitKeysMax,
    commit: (task: TaskId, given: Commit) => {
      const { puts, deletes, timersAdded, timersRemoved } = given;
      sizes.push(puts.length + deletes.length + timersAdded.length + timersRemoved.length);
      return commit(task, given);
    },
  });
  await driver.pipe(...records);
  return { driver, sizes };
}

it('a batch is cut before its commit is larger than the store takes at once, and the state is the same', async () => {
  const [cut, whole] = [await run(KEYS_MAX), await run(undefined)];
  expect(Math.max(...cut.sizes)).toBeLessThanOrEqual(KEYS_MAX);
  expect(Math.max(...whole.sizes)).toBeGreaterThan(KEYS_MAX);
  // Not much smaller than it may be, either: every commit is round trips.
  expect(cut.sizes.length).toBeLessThan((5 * whole.sizes.reduce((sum, size) => sum + size, 0)) / KEYS_MAX);
  const digest = ({ driver }: typeof cut) => digestTask(countingStage(), driver.store, driver.task.id);
  expect((await digest(cut)).hash).toBe((await digest(whole)).hash);
});
