/** A migration keeps offsets, origins and states, goes on where it was cut off, and refuses what is in use. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../streams/clock.js';
import type { OutgoingRecord } from '../../../streams/log/event-log.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';
import { digestTask } from '../../../streams/queries/state-digest.js';
import { seededRandom } from '../../../streams/random.js';
import { ForwardingLog } from '../../../streams/forwarding.js';
import { requireManifest } from '../../../streams/runtime/manifest.js';
import { Task } from '../../../streams/runtime/task.js';
import { buildTopology } from '../../../streams/runtime/topology.js';
import { migrate } from '../../../streams/transfer/migrate.js';
import type { MigrationSide } from '../../../streams/transfer/migrate.js';
import { INPUT, OUTPUT, TABLE, HINTS, DEAD_LETTERS, count, countingStage } from '../runtime/counting-stage.js';

const PARTITIONS = 2;
/** What retention has taken from the front before the migration. */
const CLEANED = 40;
const RECORDS = 300;
const ALL = { recordsMax: 1e9, bytesMax: 1e12 };
const stage = countingStage();
const topology = buildTopology('t', [stage]);
const options = { topology, documents: ['generation'] };

const clock = new ManualClock();
let source: MigrationSide;

/** Two partitions, tables compacted, input that is read to its end but for the last records. */
beforeEach(async () => {
  const log = new MemoryLog({ clock, identity: 'moving' });
  const store = new MemoryStore({ delivery: 'atomic', log });
  log.createTopicsNow(
    [INPUT, OUTPUT, TABLE, HINTS, DEAD_LETTERS].map((name) => ({
      name,
      partitions: PARTITIONS,
      class: name === TABLE ? 'table' : name === HINTS ? 'hint' : 'event',
    })),
  );
  for (let partition = 0; partition < PARTITIONS; partition++) log.beginAtNow(INPUT, partition, CLEANED);
  await requireManifest(topology, { log, store });
  await store.writeDocument('generation', '77');
  const environment = { log, store, clock, random: seededRandom('migrate') };
  const tasks = Array.from({ length: PARTITIONS }, (_, partition) => new Task(stage, partition, environment));
  for (const task of tasks) {
    await store.restore(task.id, {
      head: { commitId: '', offset: CLEANED, meta: new Uint8Array(0) },
      rows: none(),
      timers: none(),
    });
    await task.open();
  }
  log.appendNow(INPUT, records(0, RECORDS));
  for (const task of tasks) while ((await task.step()) > 0);
  log.appendNow(INPUT, records(RECORDS, RECORDS + 20));
  log.cleanNow();
  source = { log, store };
});

function records(from: number, to: number): OutgoingRecord[] {
  return Array.from({ length: to - from }, (_, i) => count(`k${(from + i) % 23}`, (from + i) * 7));
}

async function* none(): AsyncGenerator<never> {
  // Nothing yet.
}

function emptySide(identity = 'moving'): MigrationSide & { readonly log: MemoryLog } {
  return { log: new MemoryLog({ clock, identity }), store: new MemoryStore({ delivery: 'outbox' }) };
}

async function contents(log: MigrationSide['log'], topic: string, withOffsets: boolean): Promise<unknown[]> {
  const all: unknown[] = [];
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const { start } = await log.bounds(topic, partition);
    for (const { offset, key, value, origin } of (await log.read(topic, partition, start, ALL)).records) {
      all.push({ partition, key, value: value.toString(), origin, ...(withOffsets ? { offset } : {}) });
    }
  }
  return all;
}

async function requireSame(target: MigrationSide): Promise<void> {
  for (const topic of [INPUT, OUTPUT]) {
    expect(await contents(target.log, topic, true)).toEqual(await contents(source.log, topic, true));
  }
  expect(await contents(target.log, TABLE, false)).toEqual(await contents(source.log, TABLE, false));
  for (const task of await source.store.tasks()) {
    expect(await digestTask(stage, target.store, task)).toEqual(await digestTask(stage, source.store, task));
  }
  expect(await target.store.readDocument('generation')).toBe('77');
  await requireManifest(topology, target);
}

describe('a migration', () => {
  it('keeps offsets, origins, tables and states, and work goes on behind it', async () => {
    const target = emptySide();
    const { tasks } = await migrate(source, target, options);
    expect(tasks).toBe(PARTITIONS);
    await requireSame(target);
    const task = new Task(stage, 0, { ...target, clock, random: seededRandom('behind') });
    await task.open();
    expect(task.offset).toBeGreaterThan(CLEANED);
    while ((await task.step()) > 0);
    expect(task.offset).toBe((await target.log.bounds(INPUT, 0)).end);
  });

  it.each([0, 1, 3, 5])('goes on where it was cut off, after %i appends', async (appends) => {
    const target = emptySide();
    const cut = { ...target, log: new FailingLog(target.log, appends) };
    await expect(migrate(source, cut, options)).rejects.toThrow('cut off');
    await expect(requireManifest(topology, target)).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' });
    await migrate(source, target, options);
    await requireSame(target);
  });

  it('refuses a target that holds something, was migrated to, or has another identity', async () => {
    const used = emptySide();
    await migrate(source, used, options);
    await expect(migrate(source, used, options)).rejects.toThrow('done already');
    const filled = emptySide();
    filled.log.createTopicsNow(source.log.topics());
    filled.log.appendNow(OUTPUT, [{ key: 'a', value: Buffer.from('b') }]);
    await expect(migrate(source, filled, options)).rejects.toThrow(`its topic ${OUTPUT}`);
    await expect(migrate(source, emptySide('other'), options)).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' });
  });
});

/** Fails at an append, half of which was taken. */
class FailingLog extends ForwardingLog {
  constructor(
    target: MemoryLog,
    private left: number,
  ) {
    super(target);
  }

  override async append(topic: string, outgoing: readonly OutgoingRecord[]) {
    if (this.left-- > 0) return super.append(topic, outgoing);
    await super.append(topic, outgoing.slice(0, outgoing.length >> 1));
    throw new Error('cut off');
  }
}
