/**
 * Interactive queries: what the operators of a stage hold for a key, or for a range of keys, as of the last commit.
 *
 * Answers carry the version (input offset) that last changed the row; they never show half a batch, because rows are
 * only ever written by commits.
 */
import { EngineError } from '../../schemas/errors.js';
import { partitionFor } from '../../schemas/ids.js';
import type { EventLog } from '../log/event-log.js';
import { readCell, rowVersion } from '../runtime/row-bytes.js';
import type { AnyStage, Topology } from '../runtime/topology.js';
import type { ScanRange, StateStore, TaskId } from '../state/state-store.js';

export interface KeyState {
  readonly key: string;
  readonly partition: number;
  /** Input offset of the record that last changed the row. */
  readonly version: number;
  /** Decoded state by operator name; operators without state under the key are absent. */
  readonly operators: Readonly<Record<string, unknown>>;
}

export class StateQuery {
  constructor(
    private readonly topology: Topology,
    private readonly log: EventLog,
    private readonly store: StateStore,
  ) {}

  /** undefined when nothing is held for the key. Throws NOT_FOUND for a stage that is not in the topology. */
  async get(stageName: string, key: string): Promise<KeyState | undefined> {
    const stage = this.stage(stageName);
    const partition = partitionFor(key, this.log.topic(stage.input).partitions);
    const stored = await this.store.get({ stage: stageName, partition }, key);
    return stored === undefined ? undefined : decodeRow(stage, partition, key, stored);
  }

  /** Rows with from ≤ key < to, partition by partition, in key order within each. */
  async *range(stageName: string, range: ScanRange = {}): AsyncIterable<KeyState> {
    const stage = this.stage(stageName);
    let left = range.limit ?? Infinity;
    for (const task of await this.tasksOf(stageName)) {
      if (left <= 0) return;
      const part = left === Infinity ? range : { ...range, limit: left };
      for await (const [key, stored] of this.store.scan(task, part)) {
        left--;
        yield decodeRow(stage, task.partition, key, stored);
      }
    }
  }

  private async tasksOf(stageName: string): Promise<readonly TaskId[]> {
    return (await this.store.tasks()).filter((task) => task.stage === stageName);
  }

  private stage(name: string): AnyStage {
    const stage = this.topology.stages.find((candidate) => candidate.name === name);
    if (stage !== undefined) return stage;
    const known = this.topology.stages.map((candidate) => candidate.name).join(', ');
    throw new EngineError('NOT_FOUND', `There is no stage '${name}'; the topology has ${known}.`);
  }
}

function decodeRow(stage: AnyStage, partition: number, key: string, stored: Buffer): KeyState {
  const operators: Record<string, unknown> = {};
  for (const operator of stage.operators) {
    const state = readCell<unknown>(operator, stored);
    if (state !== undefined) operators[operator.name] = state;
  }
  return { key, partition, version: rowVersion(stored), operators };
}
