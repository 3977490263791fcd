/** Rebuilding one operator beside the running stage, flipping it under load, and crashes at every step of it. */
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { exportSnapshot } from '../../../streams/queries/snapshot.js';
import { ForwardingStore } from '../../../streams/forwarding.js';
import { requireFlipped, ShadowRebuild } from '../../../streams/rebuild/shadow-rebuild.js';
import type { RebuildOptions } from '../../../streams/rebuild/shadow-rebuild.js';
import { readCell } from '../../../streams/runtime/row-bytes.js';
import { Task } from '../../../streams/runtime/task.js';
import { DEFAULT_TASK_OPTIONS } from '../../../streams/runtime/task-options.js';
import type { TaskEnvironment } from '../../../streams/runtime/task.js';
import { buildTopology } from '../../../streams/runtime/topology.js';
import { StreamWorker } from '../../../streams/runtime/worker.js';
import type { Commit, OutputBatch, StateStore, TaskContent, TaskId } from '../../../streams/state/state-store.js';
import { INPUT, OUTPUT, totalOperator } from '../runtime/counting-stage.js';
import {
  changedSum,
  digest,
  NEW_STAGE,
  OLD_STAGE,
  records,
  referenceDigest,
  runStage,
  STORAGES,
} from './rebuild-stage.js';
import type { Storage } from './rebuild-stage.js';

const LIVE: TaskId = { stage: 'counting', partition: 0 };
const SMALL_BATCHES = { ...DEFAULT_TASK_OPTIONS, sliceMs: Infinity, batchRecordsMax: 5 };
const OPTIONS: RebuildOptions = { stage: NEW_STAGE, partition: 0, operator: 'sum', generation: 2, task: SMALL_BATCHES };

const opened: Storage[] = [];
async function open(kind: keyof typeof STORAGES, size = 0): Promise<TaskEnvironment> {
  const storage = await STORAGES[kind](size === 0 ? systemClock : undefined);
  opened.push(storage);
  if (size > 0) {
    await storage.environment.log.append(INPUT, records(0, size));
    (await runStage(OLD_STAGE, storage.environment)).close();
  }
  return storage.environment;
}
afterEach(async () => {
  for (const storage of opened.splice(0)) await storage.close();
});

describe.each(['memory', 'lmdb'] as const)('a rebuild on the %s store', (kind) => {
  it('flips the operator while records keep coming, and ends where the new stage would be from the start', async () => {
    const environment = await open(kind);
    const { log } = environment;
    const worker = (stage: typeof OLD_STAGE) =>
      new StreamWorker(buildTopology('t', [stage]), environment, { idleTickAfterMs: undefined, logger: silentLogger });
    const before = worker(OLD_STAGE);
    await before.start();
    await log.append(INPUT, records(0, 100));
    const rebuild = await ShadowRebuild.open(environment, OPTIONS);
    for (let i = 100; i < 300; i += 20) {
      await log.append(INPUT, records(i, i + 20));
      await rebuild.catchUp();
    }
    await before.stop();
    await log.append(INPUT, records(300, 340));
    expect(await rebuild.flip()).toMatchObject({ flipped: true });
    const after = worker(NEW_STAGE);
    await after.start();
    await log.append(INPUT, records(340, 400));
    await after.drain();
    await after.stop();
    expect(await digest(NEW_STAGE, environment)).toBe(await referenceDigest(NEW_STAGE, 400));
    expect(await environment.store.tasks()).toEqual([LIVE]);
  });

  it('survives a crash before or after any of its writes: readers see all of it or nothing', async () => {
    const [before, after] = [await referenceDigest(OLD_STAGE, 60), await referenceDigest(NEW_STAGE, 60)];
    for (const when of ['before', 'after'] as const) {
      for (let at = 1; ; at++) {
        const environment = await open(kind, 60);
        const crashing = new CrashingStore(environment.store, at, when);
        const attempt = async (store: StateStore): Promise<void> => {
          const rebuild = await ShadowRebuild.open({ ...environment, store }, OPTIONS);
          await rebuild.catchUp();
          await rebuild.flip();
        };
        await attempt(crashing).catch((error: unknown) => {
          if (!(error instanceof Crash)) throw error;
        });
        // Cells of version 1 are the old operator's.
        expect([before, after]).toContain(await digest(NEW_STAGE, environment));
        await attempt(environment.store);
        expect(await digest(NEW_STAGE, environment)).toBe(after);
        expect(await environment.store.tasks()).toEqual([LIVE]);
        await opened.pop()!.close();
        if (!crashing.crashed) break;
        expect(at).toBeLessThan(100);
      }
    }
  });
});

describe('a rebuild', () => {
  it('sends nothing, and tells of what it would have sent', async () => {
    const environment = await open('memory', 60);
    const { end } = await environment.log.bounds(OUTPUT, 0);
    const outputs: OutputBatch[] = [];
    const onOutputs = (batches: readonly OutputBatch[]): void => void outputs.push(...batches);
    const rebuild = await ShadowRebuild.open(environment, { ...OPTIONS, onOutputs });
    expect(await rebuild.catchUp()).toBeGreaterThan(60);
    await rebuild.flip();
    expect((await environment.log.bounds(OUTPUT, 0)).end).toBe(end);
    const texts = outputs.flatMap((batch) => batch.records.map(({ value }) => Buffer.from(value).toString()));
    expect(texts.some((text) => text.startsWith('new k'))).toBe(true);
  });

  it('runs alongside what the caller says, the whole stage unless told', async () => {
    const total = { ...totalOperator, state: { ...totalOperator.state, version: 2 } };
    const stage = { ...NEW_STAGE, operators: [NEW_STAGE.operators[0]!, total] };
    const totals: unknown[] = [];
    for (const alongside of [undefined, []]) {
      const environment = await open('memory', 60);
      const options = { ...OPTIONS, stage, operator: 'total', ...(alongside === undefined ? {} : { alongside }) };
      const rebuild = await ShadowRebuild.open(environment, options);
      expect(await rebuild.flip()).toEqual({ flipped: true, offset: 60 });
      const row = await environment.store.get(LIVE, '\u0001partition');
      totals.push(JSON.parse(/\{.*\}/.exec(row!.toString())![0]));
    }
    const [whole, alone] = totals as { total: number }[];
    expect(whole!.total).toBeLessThan(60);
    expect(alone!.total).toBe(60);
  });

  it('can be abandoned until the flip, and leaves the live task as it was', async () => {
    const environment = await open('memory', 60);
    const before = await digest(OLD_STAGE, environment);
    const rebuild = await ShadowRebuild.open(environment, OPTIONS);
    await rebuild.catchUp();
    await rebuild.abandon();
    expect(await environment.store.tasks()).toEqual([LIVE]);
    expect(await digest(OLD_STAGE, environment)).toBe(before);
    const again = await ShadowRebuild.open(environment, OPTIONS);
    expect([again.phase, again.offset, await again.lag()]).toEqual(['building', 0, 60]);
    await again.flip();
    await expect(again.abandon()).rejects.toMatchObject({ code: 'INVARIANT_VIOLATED' });
  });

  it('never runs ahead of the live task, which keeps its input', async () => {
    const environment = await open('memory', 60);
    await environment.log.append(INPUT, records(60, 90));
    const rebuild = await ShadowRebuild.open(environment, OPTIONS);
    await rebuild.catchUp();
    expect(rebuild.offset).toBe(60);
    expect(await rebuild.flip()).toEqual({ flipped: true, offset: 60 });
    await runStage(NEW_STAGE, environment);
    expect(await digest(NEW_STAGE, environment)).toBe(await referenceDigest(NEW_STAGE, 90));
  });

  it('waits for a live task that stopped among the timers before a record', async () => {
    const environment = await open('memory', 60);
    await environment.log.append(INPUT, [{ key: 'z', value: Buffer.from(JSON.stringify({ ts: 90_000, n: 1 })) }]);
    const task = new Task(OLD_STAGE, 0, environment, { ...SMALL_BATCHES, timersMax: 2 });
    await task.open();
    await task.step();
    expect(task.offset).toBe(60);
    const rebuild = await ShadowRebuild.open(environment, OPTIONS);
    expect(await rebuild.flip()).toEqual({ flipped: false, reason: 'between-timers' });
    while ((await task.step()) > 0);
    expect(await rebuild.flip()).toEqual({ flipped: true, offset: 61 });
    await expect(task.step()).resolves.toBe(0);
  });

  it('is refused where the log lacks its start, unless a snapshot or the caller makes up for it', async () => {
    const environment = await open('memory', 60);
    const snapshot = await buffer(await exportSnapshot(environment.store, LIVE, environment.log.identity));
    await environment.log.append(INPUT, records(60, 90));
    (await runStage(OLD_STAGE, environment)).close();
    const truncated = { ...environment, log: Object.create(environment.log) as TaskEnvironment['log'] };
    truncated.log.bounds = async (topic, partition) => ({
      ...(await environment.log.bounds(topic, partition)),
      start: 40,
    });
    await expect(ShadowRebuild.open(truncated, OPTIONS)).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
    const partial = await ShadowRebuild.open(truncated, { ...OPTIONS, acceptTruncatedLog: true });
    expect(partial.offset).toBe(40);
    await partial.abandon();
    const seeded = await ShadowRebuild.open(truncated, { ...OPTIONS, snapshot: () => Readable.from([snapshot]) });
    expect(seeded.offset).toBe(60);
    expect(await seeded.flip()).toEqual({ flipped: true, offset: 90 });
    const sums: number[] = [];
    for await (const [, row] of environment.store.scan(LIVE)) {
      const sum = readCell<{ n: number }>(changedSum, row);
      if (sum !== undefined) sums.push(sum.n);
    }
    expect(sums.length).toBeGreaterThan(0);
    expect(sums.every((n) => n % 10 === 0)).toBe(true);
  });

  it('refuses to go on with other operators, to flip more than it may, and to start what is not flipped', async () => {
    const environment = await open('memory', 60);
    (await ShadowRebuild.open(environment, OPTIONS)).close();
    const other = { ...OPTIONS, alongside: [] };
    await expect(ShadowRebuild.open(environment, other)).rejects.toMatchObject({ code: 'TOPOLOGY_INVALID' });
    await expect(ShadowRebuild.open(environment, { ...OPTIONS, operator: 'nobody' })).rejects.toThrow(
      /no operator 'nobody'/,
    );
    const bounded = await ShadowRebuild.open(environment, { ...OPTIONS, flipBytesMax: 1_000 });
    await expect(bounded.flip()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(requireFlipped(environment, OPTIONS)).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' });
    bounded.close();
    await (await ShadowRebuild.open(environment, OPTIONS)).flip();
    await requireFlipped(environment, OPTIONS);
    expect((await ShadowRebuild.open(environment, OPTIONS)).phase).toBe('flipped');
  });
});

class Crash extends Error {}

/** Dies at the nth write, before or after it took effect; from then on nothing works, as in a dead process. */
class CrashingStore extends ForwardingStore {
  crashed = false;
  private writes = 0;

  constructor(
    target: StateStore,
    private readonly at: number,
    private readonly when: 'before' | 'after',
  ) {
    super(target);
  }

  override acquire(task: TaskId, owner: string) {
    return this.write(() => super.acquire(task, owner));
  }

  override commit(task: TaskId, commit: Commit) {
    return this.write(() => super.commit(task, commit));
  }

  override writeDocument(name: string, text: string) {
    return this.write(() => super.writeDocument(name, text));
  }

  override restore(task: TaskId, content: TaskContent) {
    return this.write(() => super.restore(task, content));
  }

  override drop(task: TaskId) {
    return this.write(() => super.drop(task));
  }

  private async write<T>(effect: () => Promise<T>): Promise<T> {
    if (this.crashed) throw new Crash();
    const crashes = ++this.writes === this.at;
    if (crashes) this.crashed = true;
    if (crashes && this.when === 'before') throw new Crash();
    const result = await effect();
    if (crashes) throw new Crash();
    return result;
  }
}
