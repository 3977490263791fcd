/**
 * A stage's state as tasks of another number of partitions hold it.
 *
 *   rows and timers of a key    go to the partition that the key's hash names among the new ones
 *   cells of a partition        go to partition p modulo the new number, whole: what is added up over all partitions
 *                               stays what it was; several that meet are merged
 *
 * The old tasks must stand still. Keys are where their hash says unless somebody chose a record's partition: then a key may
 * have state in several, which is merged in the order of partitions.
 */
import { partitionFor } from '../../schemas/ids.js';
import { compareKeys, compareTimers } from '../memory/key-order.js';
import { PARTITION_KEY } from '../runtime/operator-chain.js';
import { TaskMeta } from '../runtime/task-meta.js';
import type { AnyStage } from '../runtime/topology.js';
import type { StateStore, TaskContent, TaskHead, TimerEntry } from '../state/state-store.js';
import { groupSorted } from './group-sorted.js';
import { mergeRows } from './merge-rows.js';

export interface RekeyPlan {
  readonly stage: AnyStage;
  readonly store: StateStore;
  /** Partitions there are, and are to be. */
  readonly from: number;
  readonly to: number;
  /** Next input offset of every new task: above all versions that rows have. */
  readonly offset: number;
  /** Begins the sources of outputs that cannot come any more. */
  readonly endedSources: string;
}

type StoredRow = readonly [key: string, value: Buffer];

export class StateRekeying {
  private constructor(
    private readonly plan: RekeyPlan,
    private readonly metas: ReadonlyMap<number, TaskMeta>,
    /** Some keys are not where their hash says. */
    private readonly hasStrays: boolean,
    readonly rows: number,
  ) {}

  /** Looks through the whole state once. */
  static async open(plan: RekeyPlan): Promise<StateRekeying> {
    const { stage, store, from } = plan;
    const metas = new Map<number, TaskMeta>();
    let hasStrays = false;
    let rows = 0;
    for (let partition = 0; partition < from; partition++) {
      const task = { stage: stage.name, partition };
      const head = await store.head(task);
      if (head === undefined) continue;
      metas.set(partition, TaskMeta.decode(head.meta));
      for await (const [key] of store.scan(task)) {
        rows++;
        hasStrays ||= key !== PARTITION_KEY && partitionFor(key, from) !== partition;
      }
    }
    return new StateRekeying(plan, metas, hasStrays, rows);
  }

  /** No task has ever run. */
  get isEmpty(): boolean {
    return this.metas.size === 0;
  }

  /** What one of the new tasks starts with. Rows must be read to their end before timers. */
  contentOf(partition: number, commitId: string): TaskContent {
    const { from, offset, endedSources } = this.plan;
    const sources = this.sourcesOf(partition);
    const metas = sources.map((source) => ({ meta: this.metas.get(source)!, partition: source }));
    const meta = TaskMeta.inherit(metas, { partitions: from, ended: endedSources });
    const head: TaskHead = { commitId, offset, meta: meta.encode() };
    const added: TimerEntry[] = [];
    const removed: TimerEntry[] = [];
    const merging = { partition, sources, streamTime: meta.streamTime, added, removed };
    return { head, rows: this.rowsOf(merging), timers: this.timersOf(merging) };
  }

  /**
   * Old partitions that may hold what belongs to a new one. A hash that leaves p over when divided by `from` and q when
   * divided by `to` does so only if p and q are the same modulo their greatest common divisor.
   */
  private sourcesOf(partition: number): number[] {
    const { from, to } = this.plan;
    const step = this.hasStrays ? 1 : greatestCommonDivisor(from, to);
    return [...this.metas.keys()].filter((source) => source % step === partition % step);
  }

  private async *rowsOf(merging: Merging): AsyncGenerator<readonly [key: string, value: Uint8Array]> {
    const { stage, store, offset } = this.plan;
    const { partition, streamTime } = merging;
    const sequences = merging.sources.map((source) =>
      filtered(store.scan({ stage: stage.name, partition: source }), ([key]) => this.isOf(partition, key, source)),
    );
    for await (const group of groupSorted<StoredRow>(sequences, ([left], [right]) => compareKeys(left, right))) {
      const [[key, row]] = group as [StoredRow, ...StoredRow[]];
      if (group.length === 1) {
        yield [key, row];
        continue;
      }
      const place = { stage, key, partition, streamTime, offset };
      const merged = mergeRows(
        group.map(([, value]) => value),
        place,
      );
      merging.added.push(...merged.timersAdded);
      merging.removed.push(...merged.timersRemoved);
      if (merged.row !== undefined) yield [key, merged.row];
    }
  }

  private async *timersOf({ partition, sources, added, removed }: Merging): AsyncGenerator<TimerEntry> {
    const { stage, store } = this.plan;
    const sequences = sources.map((source) =>
      filtered(store.scanTimers({ stage: stage.name, partition: source }), ({ key }) =>
        this.isOf(partition, key, source),
      ),
    );
    const cleared = new Set(removed.map(textOf));
    sequences.push(sorted(added));
    for await (const [timer] of groupSorted(sequences, compareTimers)) {
      if (!cleared.has(textOf(timer!))) yield timer!;
    }
  }

  private isOf(partition: number, key: string, source: number): boolean {
    const { to } = this.plan;
    return (key === PARTITION_KEY ? source % to : partitionFor(key, to)) === partition;
  }
}

interface Merging {
  readonly partition: number;
  readonly sources: readonly number[];
  readonly streamTime: number;
  /** Timers that merges have set and cleared. */
  readonly added: TimerEntry[];
  readonly removed: TimerEntry[];
}

async function* filtered<T>(sequence: AsyncIterable<T>, isWanted: (value: T) => boolean): AsyncGenerator<T> {
  for await (const value of sequence) if (isWanted(value)) yield value;
}

async function* sorted(timers: readonly TimerEntry[]): AsyncGenerator<TimerEntry> {
  yield* [...timers].sort(compareTimers);
}

function textOf({ time, operator, key }: TimerEntry): string {
  return `${time} ${operator} ${key}`;
}

function greatestCommonDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestCommonDivisor(right, left % right);
}
