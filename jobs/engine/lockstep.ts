/**
 * Both stages on one scheduler, in a fixed interleaving: what a replay must do to be reproducible as a whole.
 *
 * Tasks are stepped by hand, one input record at a time, stage by stage and partition by partition, and the item tables
 * follow after each round. So table-reading operators see the same tables at the same record in every run, and an
 * evaluation sees exactly the state before the event it tests.
 */
import { createItemStateApply } from '../../serving/node/item-state.js';
import type { ItemTables } from '../../serving/tables/item-tables.js';
import type { Clock } from '../../streams/clock.js';
import type { Random } from '../../streams/random.js';
import { requireManifest } from '../../streams/runtime/manifest.js';
import { TableFollower } from '../../streams/runtime/table-follower.js';
import { Task } from '../../streams/runtime/task.js';
import type { TaskOptions } from '../../streams/runtime/task-options.js';
import type { Topology } from '../../streams/runtime/topology.js';
import type { PhysicalStorage } from './storage.js';

export interface LockstepOptions {
  readonly topology: Topology;
  readonly storage: PhysicalStorage;
  readonly tables: ItemTables;
  readonly itemState: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly task: TaskOptions;
}

export class LockstepScheduler {
  private constructor(
    /** By stage, in the topology's order. */
    readonly stages: readonly (readonly Task[])[],
    private readonly follower: TableFollower,
    private readonly storage: PhysicalStorage,
  ) {}

  static async open(options: LockstepOptions): Promise<LockstepScheduler> {
    const { topology, storage, clock, random, tables, itemState } = options;
    await requireManifest(topology, storage);
    const environment = { log: storage.log, store: storage.store, clock, random };
    const follower = new TableFollower({
      log: storage.log,
      clock,
      topic: itemState,
      apply: createItemStateApply(tables, () => undefined),
      onFault: (error) => {
        throw error;
      },
      onUnread: (error) => {
        throw error;
      },
    });
    await follower.load();
    const stages: Task[][] = [];
    for (const stage of topology.stages) {
      const { partitions } = storage.log.topic(stage.input);
      const tasks = Array.from(
        { length: partitions },
        (_, partition) => new Task(stage, partition, environment, options.task),
      );
      for (const task of tasks) await task.open();
      stages.push(tasks);
    }
    return new LockstepScheduler(stages, follower, storage);
  }

  /**
   * Runs until nothing is left to do. `recordsMax` is the batch size: 1 is the reproducible interleaving, more is what
   * a busy engine does, where a later stage lags behind an earlier one by a batch. Resolves when a crash takes nothing
   * of it back: what is in the log and not in the state would be taken up in another order.
   */
  async settle(recordsMax = 1): Promise<void> {
    for (;;) {
      let progress = 0;
      for (const tasks of this.stages) {
        for (const task of tasks) progress += await task.step(recordsMax);
        await this.follower.catchUp();
      }
      if (progress === 0) return this.storage.flushed();
    }
  }

  close(): void {
    for (const task of this.stages.flat()) task.close();
  }
}
