/** Queries, digests and snapshots over a small stage on the in-memory store. */
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { exportSnapshot, importSnapshot } from '../../../streams/queries/snapshot.js';
import { digestTask } from '../../../streams/queries/state-digest.js';
import { StateQuery } from '../../../streams/queries/state-query.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';
import { buildTopology, describeTopology } from '../../../streams/runtime/topology.js';
import { TestDriver } from '../../../streams/testing/test-driver.js';
import { count, countingStage } from '../runtime/counting-stage.js';
import type { CountRecord } from '../runtime/counting-stage.js';

async function filled(task: object = {}): Promise<TestDriver<CountRecord>> {
  const driver = await TestDriver.create(countingStage(), { task });
  await driver.pipe(count('a', 0), count('ü', 50), count('b', 120, 4), count('a', 121));
  return driver;
}

describe('state queries', () => {
  it('answer with the decoded state and the version that last changed it', async () => {
    const driver = await filled();
    const query = new StateQuery(buildTopology('t', [countingStage()]), driver.log, driver.store);
    expect(await query.get('counting', 'a')).toMatchObject({
      key: 'a',
      partition: 0,
      version: 3,
      operators: { sum: { n: 2 } },
    });
    expect(await query.get('counting', 'nobody')).toBeUndefined();
    await expect(query.get('elsewhere', 'a')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('scan a range of keys in order, up to a limit', async () => {
    const driver = await filled();
    const query = new StateQuery(buildTopology('t', [countingStage()]), driver.log, driver.store);
    const keys = async (range: object): Promise<string[]> => {
      const found: string[] = [];
      for await (const state of query.range('counting', range)) found.push(state.key);
      return found;
    };
    expect(await keys({ from: 'a' })).toEqual(['a', 'b', 'ü']);
    expect(await keys({ from: 'a', to: 'ü' })).toEqual(['a', 'b']);
    expect(await keys({ from: 'a', limit: 1 })).toEqual(['a']);
  });
});

describe('state digest', () => {
  it('is the same however batches were cut, and differs when a state differs', async () => {
    const whole = await filled();
    const cut = await filled({ batchRecordsMax: 1, timersMax: 1 });
    const digest = (driver: TestDriver<CountRecord>) => digestTask(countingStage(), driver.store, driver.task.id);
    expect((await digest(cut)).hash).toBe((await digest(whole)).hash);
    await cut.pipe(count('b', 122));
    expect((await digest(cut)).hash).not.toBe((await digest(whole)).hash);
  });
});

describe('snapshots', () => {
  it('restore rows, timers and offset into another store', async () => {
    const driver = await filled();
    const bytes = await buffer(await exportSnapshot(driver.store, driver.task.id, 'log-1'));
    const target = new MemoryStore({ delivery: 'outbox' });
    await importSnapshot(target, () => Readable.from([bytes]), 'log-1');
    const digest = await digestTask(countingStage(), target, driver.task.id);
    expect(digest).toEqual(await digestTask(countingStage(), driver.store, driver.task.id));
    expect(digest).toMatchObject({ offset: 4, rows: 4, timers: 3 });
  });

  it('refuse damaged files and files of another log, and leave the store as it was', async () => {
    const driver = await filled();
    const bytes = await buffer(await exportSnapshot(driver.store, driver.task.id, 'log-1'));
    const target = new MemoryStore({ delivery: 'outbox' });
    const attempt = (content: Buffer, log: string) =>
      importSnapshot(target, () => Readable.from([content]).pipe(new PassThrough()), log);
    await expect(attempt(bytes.subarray(0, bytes.length - 12), 'log-1')).rejects.toMatchObject({
      code: 'SNAPSHOT_INVALID',
    });
    await expect(attempt(bytes, 'log-2')).rejects.toMatchObject({ code: 'SNAPSHOT_INVALID' });
    expect(await target.tasks()).toEqual([]);
  });
});

describe('a topology', () => {
  it('describes itself as text and as a Mermaid diagram', () => {
    const topology = buildTopology('t', [countingStage()]);
    expect(describeTopology(topology)).toContain('stage counting ← counts');
    expect(describeTopology(topology, 'mermaid')).toMatch(/^flowchart LR\n/);
  });

  it('lists every fault of its declaration', () => {
    const bad = countingStage({ name: 'Bad Name', operators: [], deadLetters: undefined });
    expect(() => buildTopology('t', [bad])).toThrow(
      /lower-case kebab.*no operators.*dead-letter policy needs a topic/s,
    );
  });

  it('refuses more operators in a stage than a row can note', () => {
    const [operator] = countingStage().operators;
    const many = Array.from({ length: 31 }, (_, i) => ({ ...operator!, name: `o${i}` }));
    expect(() => buildTopology('t', [countingStage({ operators: many })])).toThrow(/31 operators, at most 30/);
    expect(buildTopology('t', [countingStage({ operators: many.slice(1) })]).stages).toHaveLength(1);
  });
});
