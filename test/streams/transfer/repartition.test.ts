/**
 * Repartitioned, every key has what it had, tasks go on as if there had always been so many partitions, and a call that is
 * cut off anywhere leaves one generation or the other in force.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { partitionFor } from '../../../schemas/ids.js';
import { ManualClock } from '../../../streams/clock.js';
import { LayoutChange } from '../../../streams/generations/layout-change.js';
import { readLayout } from '../../../streams/generations/layout.js';
import { viewOf } from '../../../streams/generations/views.js';
import type { LogAndStore } from '../../../streams/generations/views.js';
import type { OutgoingRecord, TopicSpec } from '../../../streams/log/event-log.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';
import { seededRandom } from '../../../streams/random.js';
import { ForwardingLog, ForwardingStore } from '../../../streams/forwarding.js';
import { requireManifest } from '../../../streams/runtime/manifest.js';
import { PARTITION_KEY } from '../../../streams/runtime/operator-chain.js';
import type { Operator } from '../../../streams/runtime/operator.js';
import { readCell } from '../../../streams/runtime/row-bytes.js';
import { Task } from '../../../streams/runtime/task.js';
import { buildTopology } from '../../../streams/runtime/topology.js';
import type { TimerEntry } from '../../../streams/state/state-store.js';
import { repartition } from '../../../streams/transfer/repartition.js';
import {
  count,
  countingStage,
  DEAD_LETTERS,
  HINTS,
  INPUT,
  OUTPUT,
  QUIET_MS,
  sumOperator,
  TABLE,
  totalOperator,
} from '../runtime/counting-stage.js';
import type { CountRecord } from '../runtime/counting-stage.js';

const ALL = { recordsMax: 1e9, bytesMax: 1e12 };
const FEEDS = 'feeds';
const clock = new ManualClock();

const addingTotal: Operator<CountRecord, { total: number }> = {
  ...totalOperator,
  merge(target, source) {
    target.set({ total: target.get()!.total + source.total });
  },
};
const stage = countingStage({ operators: [sumOperator, addingTotal] });
const topology = buildTopology('t', [stage]);

function topics(partitions: number): TopicSpec[] {
  return [INPUT, OUTPUT, TABLE, HINTS, DEAD_LETTERS].map((name) => ({
    name,
    partitions: name === DEAD_LETTERS ? 1 : partitions,
    class: name === TABLE ? 'table' : name === HINTS ? 'hint' : 'event',
  }));
}

function optionsFor(partitions: number, of = topology) {
  const later = (text: string | undefined): string => String(Number(text ?? 0) + 1);
  return { topology: of, topics: topics(partitions), documents: { [FEEDS]: later }, random: seededRandom('move') };
}

class World {
  readonly log = new MemoryLog({ clock, identity: 'world' });
  readonly store: MemoryStore;
  private lives = 0;

  constructor(delivery: 'atomic' | 'outbox' = 'atomic') {
    this.store = new MemoryStore(delivery === 'atomic' ? { delivery, log: this.log } : { delivery });
  }

  async view(): Promise<LogAndStore> {
    return viewOf(this, { layout: await readLayout(this) }, [FEEDS]);
  }

  async start(partitions: number): Promise<LogAndStore> {
    const view = await this.view();
    await view.log.createTopics(topics(partitions));
    await requireManifest(topology, view);
    return view;
  }

  /** Appends, and lets tasks take everything. */
  async process(partitions: number, records: readonly OutgoingRecord[], of = stage): Promise<void> {
    const view = await this.start(partitions);
    if (records.length > 0) await view.log.append(INPUT, records);
    const random = seededRandom(`life ${this.lives++}`);
    for (let partition = 0; partition < partitions; partition++) {
      const task = new Task(of, partition, { ...view, clock, random });
      await task.open();
      while ((await task.step()) > 0);
      task.close();
    }
  }

  /** By key, with the partition it lies in; timers likewise. */
  async keys(): Promise<Map<string, unknown>> {
    const { store } = await this.view();
    const found = new Map<string, { partition: number; sum: unknown; timers: TimerEntry[] }>();
    for (const task of await store.tasks()) {
      for await (const [key, row] of store.scan(task)) {
        if (key === PARTITION_KEY) continue;
        expect(found.has(key)).toBe(false);
        found.set(key, { partition: task.partition, sum: readCell(sumOperator, row), timers: [] });
      }
      for await (const timer of store.scanTimers(task)) found.get(timer.key)!.timers.push(timer);
    }
    return found;
  }

  async total(): Promise<number> {
    const { store } = await this.view();
    let total = 0;
    for (const task of await store.tasks()) {
      const row = await store.get(task, PARTITION_KEY);
      if (row !== undefined) total += readCell<{ total: number }>(addingTotal, row)!.total;
    }
    return total;
  }

  /** Latest value of each key of the table, as a follower has it. */
  async table(): Promise<Map<string, string>> {
    const { log } = await this.view();
    const values = new Map<string, { version: number; value: string }>();
    const { partitions } = log.topic(TABLE);
    for (let partition = 0; partition < partitions; partition++) {
      const { start } = await log.bounds(TABLE, partition);
      for (const { key, value, origin } of (await log.read(TABLE, partition, start, ALL)).records) {
        expect(partitionFor(key, partitions)).toBe(partition);
        const version = origin!.offset;
        if ((values.get(key)?.version ?? -1) <= version) values.set(key, { version, value: value.toString() });
      }
    }
    return new Map([...values].map(([key, { value }]) => [key, value]));
  }

  /** Sums sent, of all generations. */
  sums(): string[] {
    const sent: string[] = [];
    for (const { name, partitions } of this.log.topics()) {
      if (!name.startsWith(OUTPUT)) continue;
      for (let partition = 0; partition < partitions; partition++) {
        const { start } = this.log.boundsNow(name, partition);
        for (const { value } of this.log.readNow(name, partition, start, ALL).records) {
          const text = value.toString();
          if (text.includes('=')) sent.push(text.replace(/@.*/, ''));
        }
      }
    }
    return sent.sort();
  }
}

/** Without the place, which another number of partitions changes. */
function contents(keys: ReadonlyMap<string, unknown>): Map<string, unknown> {
  return new Map([...keys].sort().map(([key, found]) => [key, { ...(found as object), partition: undefined }]));
}

const steps = fc.array(fc.record({ key: fc.integer({ min: 0, max: 60 }), gap: fc.integer({ min: 0, max: 40 }) }), {
  maxLength: 120,
});
const partitionCount = fc.integer({ min: 1, max: 9 });

function recordsOf(list: readonly { key: number; gap: number }[], from = 1_000): OutgoingRecord[] {
  let ts = from;
  return list.map(({ key, gap }) => count(`k${key}`, (ts += gap)));
}

describe('a repartition', () => {
  it('keeps the state and the timers of every key, there and back', async () => {
    await fc.assert(
      fc.asyncProperty(steps, partitionCount, partitionCount, async (list, from, to) => {
        const world = new World();
        await world.process(from, recordsOf(list));
        const before = await world.keys();
        const total = await world.total();
        const table = await world.table();
        for (const partitions of [to, from]) {
          await repartition(world, optionsFor(partitions));
          const keys = await world.keys();
          expect(contents(keys)).toEqual(contents(before));
          for (const [key, { partition }] of keys as Map<string, { partition: number }>) {
            expect(partition).toBe(partitionFor(key, partitions));
          }
          expect(await world.total()).toBe(total);
          expect(await world.table()).toEqual(table);
          await requireManifest(topology, await world.view());
        }
        expect(await world.keys()).toEqual(before);
      }),
      { numRuns: 60 },
    );
  });

  it.each(['atomic', 'outbox'] as const)('goes on like one that always had so many (%s)', async (delivery) => {
    await fc.assert(
      fc.asyncProperty(steps, steps, partitionCount, partitionCount, async (first, second, from, to) => {
        const early = recordsOf(first);
        const late = recordsOf(second, 10_000);
        // The same last moment everywhere, so that every key's quiet time has passed.
        const flush = Array.from({ length: 40 }, (_, i) => count(`flush${i}`, 100_000 + QUIET_MS));
        const [moved, always] = [new World(delivery), new World(delivery)];
        await moved.process(from, early);
        await repartition(moved, optionsFor(to));
        await moved.process(to, [...late, ...flush]);
        for (const records of [early, [...late, ...flush]]) await always.process(to, records);
        const sums = (keys: Map<string, unknown>): unknown[] =>
          [...keys].sort().map(([key, found]) => [key, (found as { sum: { n: number; last: number } }).sum.n]);
        expect(sums(await moved.keys())).toEqual(sums(await always.keys()));
        expect(await moved.total()).toBe(await always.total());
        expect(await moved.table()).toEqual(await always.table());
        // When a partition's time passes depends on who else is in it; that each final sum is sent, once, does not.
        for (const world of [moved, always]) {
          const finals = sums(await world.keys()).map((sum) => (sum as [string, number]).join('='));
          const sent = world.sums();
          for (const final of finals.filter((text) => !text.startsWith('flush'))) {
            expect(sent.filter((text) => text === final)).toHaveLength(1);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  it('versions go on rising, and what was sent before is not sent again', async () => {
    const world = new World();
    await world.process(2, recordsOf(Array.from({ length: 90 }, (_, i) => ({ key: i % 7, gap: 3 }))));
    const sent = world.sums();
    const { log } = await world.view();
    const ends = await Promise.all([0, 1].map(async (partition) => (await log.bounds(INPUT, partition)).end));
    await (await world.view()).store.writeDocument(FEEDS, '41');
    await repartition(world, optionsFor(5));
    const view = await world.view();
    for (let partition = 0; partition < 5; partition++) {
      const begin = Math.max(...ends);
      expect(await view.log.bounds(INPUT, partition)).toEqual({ start: begin, end: begin });
      expect((await view.store.head({ stage: stage.name, partition }))!.offset).toBe(begin);
    }
    expect(await view.store.readDocument(FEEDS)).toBe('42');
    await world.process(5, []);
    expect(world.sums()).toEqual(sent);
    expect(await world.log.bounds(INPUT, 0)).toEqual({ start: 0, end: ends[0] });
  });

  it('remembers how far each of the old partitions had come with a file', async () => {
    const world = new World();
    const file = Array.from({ length: 200 }, (_, row) => {
      const origin = { source: 'file/abc/clicks', operator: 'import', offset: row, index: 0 };
      return { ...count(`k${row % 31}`, 1_000 + row), origin };
    });
    // Cut off when one partition had taken much more than the other.
    const cut = file.filter(({ key }, row) => row < (partitionFor(key, 2) === 0 ? 150 : 20));
    await world.process(2, cut);
    await repartition(world, optionsFor(3));
    await world.process(3, file.slice(0, 170));
    await repartition(world, optionsFor(4));
    await world.process(4, file);
    await world.process(4, file);
    expect(await world.total()).toBe(file.length);
  });

  it('merges what one key has in several partitions', async () => {
    const merging: Operator<CountRecord, { n: number; last: number; armed: number }> = {
      ...sumOperator,
      merge(target, source, context) {
        const own = target.get()!;
        own.n += source.n;
        if (source.armed >= 0) context.clearTimer(source.armed);
        target.changed();
      },
    };
    const strays = countingStage({ operators: [merging, addingTotal] });
    const world = new World();
    const records = Array.from({ length: 20 }, (_, i) => ({ ...count('k', 1_000 + i), partition: i % 4 }));
    await world.process(4, records, strays);
    await repartition(world, optionsFor(6, buildTopology('t', [strays])));
    const keys = (await world.keys()) as Map<string, { partition: number; sum: { n: number }; timers: TimerEntry[] }>;
    expect([...keys.keys()]).toEqual(['k']);
    expect(keys.get('k')).toMatchObject({ partition: partitionFor('k', 6), sum: { n: 20 } });
    expect(keys.get('k')!.timers).toHaveLength(1);
    // Without a merge nobody knows what they come to.
    const other = new World();
    await other.process(4, records);
    await expect(repartition(other, optionsFor(6))).rejects.toMatchObject({ code: 'TOPOLOGY_INVALID' });
    expect((await readLayout(other)).inForce).toBe(1);
  });

  it('refuses what is not drained, and what moves meanwhile', async () => {
    const world = new World();
    await world.process(2, recordsOf([{ key: 1, gap: 1 }]));
    await (await world.view()).log.append(INPUT, [count('k', 5_000)]);
    await expect(repartition(world, optionsFor(3))).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    await world.process(2, []);
    const busy = {
      log: world.log,
      store: new (class extends ForwardingStore {
        override async restore(...args: Parameters<ForwardingStore['restore']>): Promise<void> {
          await super.restore(...args);
          await world.log.append(INPUT, [count('late', 6_000)]);
        }
      })(world.store),
    };
    await expect(repartition(busy, optionsFor(3))).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    await world.process(2, []);
    expect([...(await world.keys()).keys()].sort()).toEqual(['k', 'k1', 'late']);
    await repartition(world, optionsFor(3));
    expect([...(await world.keys()).keys()].sort()).toEqual(['k', 'k1', 'late']);
    expect(await repartition(world, optionsFor(3))).toBeUndefined();
  });

  it('a call that slept while another one went on fails, or leaves it alone', async () => {
    const list = Array.from({ length: 60 }, (_, i) => ({ key: i % 13, gap: 5 }));
    const prepared = async (): Promise<{ world: World; before: Map<string, unknown> }> => {
      const world = new World();
      await world.process(3, recordsOf(list));
      return { world, before: contents(await world.keys()) };
    };
    const requireOther = async (world: World, before: Map<string, unknown>): Promise<void> => {
      const { inForce } = await readLayout(world);
      expect((await world.view()).log.topic(INPUT).partitions).toBe(5);
      expect(contents(await world.keys())).toEqual(before);
      await world.process(5, [count('late', 20_000)]);
      expect(inForce).toBe(3);
    };

    // It wakes when it is about to put its generation in force.
    const early = await prepared();
    let writes = 0;
    const sleepy = new (class extends ForwardingStore {
      override async replaceDocument(...args: Parameters<ForwardingStore['replaceDocument']>): Promise<boolean> {
        if (++writes === 2) await repartition(early.world, optionsFor(5));
        return super.replaceDocument(...args);
      }
    })(early.world.store);
    await expect(repartition({ log: early.world.log, store: sleepy }, optionsFor(4))).rejects.toMatchObject({
      code: 'ENGINE_RUNNING',
    });
    await requireOther(early.world, early.before);

    // It wakes when it is about to remove what was before its own.
    const late = await prepared();
    const onInForce = async (): Promise<void> => void (await repartition(late.world, optionsFor(5)));
    await repartition(late.world, { ...optionsFor(4), onInForce });
    await requireOther(late.world, late.before);
  });

  it('removes nothing that somebody builds under an announcement', async () => {
    const world = new World();
    await world.process(3, recordsOf(Array.from({ length: 30 }, (_, i) => ({ key: i % 7, gap: 5 }))));
    const before = contents(await world.keys());
    const change = await LayoutChange.open(world);
    await change.announce('a');
    let calls = 0;
    const met = new (class extends ForwardingStore {
      override async replaceDocument(...args: Parameters<ForwardingStore['replaceDocument']>): Promise<boolean> {
        // A call for the number that is in force, which would only tidy up.
        if (++calls === 2)
          await expect(repartition(world, optionsFor(3))).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
        return super.replaceDocument(...args);
      }
    })(world.store);
    const under = await LayoutChange.open({ log: world.log, store: met });
    await repartition({ log: world.log, store: met }, { ...optionsFor(4), change: under });
    expect(calls).toBe(2);
    expect(contents(await world.keys())).toEqual(before);
  });

  it('is refused under an announcement that was taken back', async () => {
    const world = new World();
    await world.process(3, recordsOf([{ key: 1, gap: 1 }]));
    const change = await LayoutChange.open(world);
    await change.announce('a');
    await (await LayoutChange.open(world)).withdraw();
    await expect(repartition(world, { ...optionsFor(4), change })).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    expect((await readLayout(world)).inForce).toBe(1);
    const again = await LayoutChange.open(world);
    await again.announce('b');
    await repartition(world, { ...optionsFor(4), change: again });
    expect(await readLayout(world)).toMatchObject({ inForce: 2 });
    expect(again.layout.closing).toBeUndefined();
  });

  it('cut off at any write leaves one generation whole in force, and the next call finishes', async () => {
    const list = Array.from({ length: 80 }, (_, i) => ({ key: i % 13, gap: 5 }));
    let served = 0;
    for (let writes = 0; ; writes++) {
      const world = new World();
      await world.process(3, recordsOf(list));
      const before = contents(await world.keys());
      const table = await world.table();
      const cut = new CutOff(writes);
      const attempt = await repartition(
        { log: cut.log(world.log), store: cut.store(world.store) },
        optionsFor(4),
      ).catch((error: Error) => error.message);
      const { inForce } = await readLayout(world);
      expect(contents(await world.keys())).toEqual(before);
      expect(await world.table()).toEqual(table);
      await world.start(inForce === 1 ? 3 : 4);
      if (attempt !== 'cut off') {
        expect(inForce).toBe(2);
        break;
      }
      if (inForce === 2) served++;
      await repartition(world, optionsFor(4));
      expect(contents(await world.keys())).toEqual(before);
      const stages = (await world.store.tasks()).map(({ stage: name }) => name);
      expect(new Set(stages).size).toBe(1);
      expect(writes).toBeLessThan(200);
    }
    // After the flip the old tasks are dropped one by one.
    expect(served).toBe(3);
  });
});

/** Fails at a write, whatever it is: half of an append is taken, and of a restore the rows. */
class CutOff {
  constructor(private left: number) {}

  private get isOver(): boolean {
    return this.left-- <= 0;
  }

  private step(): void {
    if (this.isOver) throw new Error('cut off');
  }

  log(target: MemoryLog): ForwardingLog {
    const step = (): void => this.step();
    return new (class extends ForwardingLog {
      override async createTopics(specs: readonly TopicSpec[]): Promise<void> {
        step();
        await super.createTopics(specs);
      }

      override async beginAt(topic: string, partition: number, offset: number): Promise<void> {
        step();
        await super.beginAt(topic, partition, offset);
      }

      override async append(topic: string, records: readonly OutgoingRecord[]) {
        try {
          step();
        } catch (error) {
          await super.append(topic, records.slice(0, records.length >> 1));
          throw error;
        }
        return super.append(topic, records);
      }
    })(target);
  }

  store(target: MemoryStore): ForwardingStore {
    const step = (): void => this.step();
    return new (class extends ForwardingStore {
      override async restore(...[task, content]: Parameters<ForwardingStore['restore']>): Promise<void> {
        step();
        await super.restore(task, content);
      }

      override async drop(task: Parameters<ForwardingStore['drop']>[0]): Promise<void> {
        step();
        await super.drop(task);
      }

      override async writeDocument(name: string, text: string): Promise<void> {
        step();
        await super.writeDocument(name, text);
      }

      override async replaceDocument(...args: Parameters<ForwardingStore['replaceDocument']>): Promise<boolean> {
        step();
        return super.replaceDocument(...args);
      }
    })(target);
  }
}
