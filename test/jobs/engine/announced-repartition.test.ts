/** A repartition under the eyes of other processes: who has to let go, what comes late, and who must not go on. */
import { beforeEach, describe, expect, it } from 'vitest';
import { repartitionAnnounced } from '../../../jobs/engine/announced-repartition.js';
import { ManualClock } from '../../../streams/clock.js';
import { ForwardingLog } from '../../../streams/forwarding.js';
import { OpenStore } from '../../../streams/generations/current.js';
import { LayoutChange } from '../../../streams/generations/layout-change.js';
import { readLayout, requireOpen } from '../../../streams/generations/layout.js';
import { viewOf } from '../../../streams/generations/views.js';
import type { LogAndStore } from '../../../streams/generations/views.js';
import type { TopicSpec } from '../../../streams/log/event-log.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';
import { seededRandom } from '../../../streams/random.js';
import { requireManifest } from '../../../streams/runtime/manifest.js';
import { Task } from '../../../streams/runtime/task.js';
import { buildTopology } from '../../../streams/runtime/topology.js';
import type { RepartitionResult } from '../../../streams/transfer/repartition.js';
import {
  count,
  countingStage,
  DEAD_LETTERS,
  HINTS,
  INPUT,
  OUTPUT,
  sumOperator,
  TABLE,
} from '../../streams/runtime/counting-stage.js';

const stage = countingStage({ operators: [sumOperator] });
const topology = buildTopology('t', [stage]);

function topics(partitions: number): TopicSpec[] {
  return [INPUT, OUTPUT, TABLE, HINTS, DEAD_LETTERS].map((name) => ({
    name,
    partitions: name === DEAD_LETTERS ? 1 : partitions,
    class: name === TABLE ? 'table' : name === HINTS ? 'hint' : 'event',
  }));
}

class GroupLog extends ForwardingLog {
  readonly inGroups: string[] = [];

  override members(group: string): Promise<readonly string[]> {
    return Promise.resolve(this.inGroups.map((member) => `${member} of ${group}`));
  }
}

describe('an announced repartition', () => {
  let clock: ManualClock;
  let physical: {
    log: GroupLog;
    store: MemoryStore;
    flushed: () => Promise<void>;
    stats: () => undefined;
    close: () => Promise<void>;
  };
  let lives: number;
  let processed: number;
  let onProcess: ((pass: number) => Promise<unknown>) | undefined;

  beforeEach(async () => {
    clock = new ManualClock();
    [lives, processed, onProcess] = [0, 0, undefined];
    physical = {
      log: new GroupLog(new MemoryLog({ clock, identity: 'shared' })),
      store: new MemoryStore({ delivery: 'outbox' }),
      flushed: () => Promise.resolve(),
      stats: () => undefined,
      close: () => Promise.resolve(),
    };
    const { log, store } = await view();
    await log.createTopics(topics(3));
    await requireManifest(topology, { log, store });
    await log.append(
      INPUT,
      Array.from({ length: 30 }, (_, i) => count(`k${i % 7}`, 1_000 + i)),
    );
    await process();
  });

  /** As a process sees it, which knows of no announcement or of its own. */
  async function view(token?: string): Promise<LogAndStore> {
    const layout = await readLayout(physical);
    const { log, store } = viewOf(physical, { layout }, []);
    const confirm = async (): Promise<void> => requireOpen(await readLayout(physical), layout.inForce, token);
    return { log, store: new OpenStore(store, confirm) };
  }

  function newTask(of: LogAndStore, partition: number): Task {
    return new Task(stage, partition, { ...of, clock, random: seededRandom(`life ${lives++}`) });
  }

  async function process(token?: string): Promise<void> {
    const own = await view(token);
    for (let partition = 0; partition < own.log.topic(INPUT).partitions; partition++) {
      const task = newTask(own, partition);
      await task.open();
      while ((await task.step()) > 0);
      task.close();
    }
    await onProcess?.(++processed);
  }

  /** Time passes for as long as it takes. */
  async function run(patienceMs = 5_000): Promise<RepartitionResult | undefined> {
    const plan = { topology, topics: topics(5), documents: {}, random: seededRandom('move') };
    const random = seededRandom(`token ${lives++}`);
    let isDone = false;
    const done = repartitionAnnounced(physical, plan, { clock, random, patienceMs, processWaiting: process }).finally(
      () => (isDone = true),
    );
    done.catch(() => undefined);
    while (!isDone) await clock.advance(100);
    return done;
  }

  it('waits until nobody is in a group, and puts the new number in force', async () => {
    physical.log.inGroups.push('slow');
    clock.setTimer(2_000, () => physical.log.inGroups.pop());
    expect(await run()).toMatchObject({ generation: 2, rows: 7 });
    const layout = await readLayout(physical);
    expect([layout.inForce, layout.closing]).toEqual([2, undefined]);
    expect((await view()).log.topic(INPUT).partitions).toBe(5);
    await process();
    expect(clock.pendingTimers).toBe(0);
  });

  it('names who does not let go, and leaves everything as it was', async () => {
    physical.log.inGroups.push('importer');
    await expect(run()).rejects.toMatchObject({
      code: 'ENGINE_RUNNING',
      message: expect.stringContaining(`importer of t.${stage.name}`) as string,
    });
    expect(await readLayout(physical)).toEqual({ format: 1, inForce: 1, generations: expect.any(Array) as unknown[] });
    expect(processed).toBe(0);
    await process();
  });

  it('begins anew with what came late, a few times', async () => {
    const late = async (): Promise<void> => void (await (await view()).log.append(INPUT, [count('late', 5_000)]));
    onProcess = (pass) => (pass === 1 ? late() : Promise.resolve());
    expect(await run()).toMatchObject({ rows: 8 });
    onProcess = undefined;
    await process();
  });

  it('does not go on for ever, nor once somebody else took over', async () => {
    const late = async (): Promise<void> => void (await (await view()).log.append(INPUT, [count('late', 5_000)]));
    onProcess = late;
    await expect(run()).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    expect(processed).toBe(3);
    onProcess = undefined;
    await process();
    processed = 0;
    onProcess = async () => (await LayoutChange.open(physical)).announce('another');
    await expect(run()).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    expect(processed).toBe(1);
    // It is another's now, and stays that.
    expect((await readLayout(physical)).closing?.token).toBe('another');
  });

  it('fences whoever had a task, and gives none to whoever comes later', async () => {
    const before = await view();
    const zombie = newTask(before, 0);
    await zombie.open();
    const stranger = newTask(before, 1);
    onProcess = async () => {
      await expect(stranger.open()).rejects.toMatchObject({ code: 'REPARTITIONING' });
    };
    expect(await run()).toMatchObject({ generation: 2 });
    onProcess = undefined;
    // It wakes with a record that nobody was told of, in the old partition.
    await before.log.append(INPUT, [{ ...count('k0', 9_000), partition: 0 }]);
    await expect(zombie.step()).rejects.toMatchObject({ code: 'TASK_FENCED' });
    await expect(newTask(before, 0).open()).rejects.toMatchObject({ code: 'REPARTITIONING' });
    const { store } = await view();
    let rows = 0;
    for (const task of await store.tasks()) for await (const row of store.scan(task)) rows += row.length > 0 ? 1 : 0;
    expect(rows).toBe(7);
  });
});
