/**
 * What a shadow task sees of log and store: the input up to where the live task is, and a store that sends nothing.
 *
 * The shadow never runs ahead of the live task, which could not be caught up with backwards; and what its operators
 * send was sent by the live task already, or is not wanted.
 */
import type { Hint, LogBatch, ReadLimits } from '../log/event-log.js';
import type { EventLog } from '../log/event-log.js';
import type {
  Commit,
  CommitOutcome,
  OutputBatch,
  StateStore,
  TaskContent,
  TaskId,
  TimerEntry,
} from '../state/state-store.js';
import { withoutCell } from './flip-content.js';
import { ForwardingLog, ForwardingStore } from '../forwarding.js';

/** Called before the commit that the outputs belong to, so it may be called again for the same ones. */
export type OutputListener = (outputs: readonly OutputBatch[]) => void | Promise<void>;

/** Commits without outputs. */
export class SilentStore extends ForwardingStore {
  constructor(
    target: StateStore,
    private readonly onOutputs: OutputListener | undefined,
  ) {
    super(target);
  }

  override async commit(task: TaskId, commit: Commit): Promise<CommitOutcome> {
    if (commit.outputs.length > 0) await this.onOutputs?.(commit.outputs);
    return this.target.commit(task, { ...commit, outputs: [] });
  }
}

/** Ends at `until`, and passes no hints on. */
export class BoundedLog extends ForwardingLog {
  /** Offset of the first record that is not read. */
  until = 0;

  constructor(target: EventLog) {
    super(target);
  }

  override async read(topic: string, partition: number, from: number, limits: ReadLimits): Promise<LogBatch> {
    if (from >= this.until) return { records: [], nextOffset: from };
    const { records, nextOffset } = await this.target.read(topic, partition, from, limits);
    if (nextOffset <= this.until) return { records, nextOffset };
    return { records: records.filter(({ offset }) => offset < this.until), nextOffset: this.until };
  }

  override endSource(_source: string): void {
    // The live task sends under the same source.
  }

  override sendHints(_topic: string, _hints: readonly Hint[]): void {
    // Followers are told by the live task.
  }
}

export interface ShadowSeed {
  readonly shadow: TaskId;
  /** Operator that is rebuilt, and the hash of its name. */
  readonly operator: string;
  readonly hash: number;
}

/**
 * Restores into the shadow what is meant for another task. A snapshot of the live task lacks the state that is to be
 * rebuilt: its cells and timers of that operator are left out. One of the shadow itself is taken whole.
 */
export class SeedStore extends ForwardingStore {
  constructor(
    target: StateStore,
    private readonly seed: ShadowSeed,
  ) {
    super(target);
  }

  override restore(task: TaskId, content: TaskContent): Promise<void> {
    const { shadow, operator, hash } = this.seed;
    if (task.stage === shadow.stage) return this.target.restore(shadow, content);
    const { head } = content;
    const rows = withoutOperator(content.rows, hash);
    return this.target.restore(shadow, { head, rows, timers: withoutTimers(content.timers, operator) });
  }
}

async function* withoutOperator(rows: TaskContent['rows'], hash: number): AsyncGenerator<readonly [string, Buffer]> {
  for await (const [key, value] of rows) {
    const rest = withoutCell(Buffer.from(value), hash);
    if (rest !== undefined) yield [key, rest];
  }
}

async function* withoutTimers(timers: AsyncIterable<TimerEntry>, operator: string): AsyncGenerator<TimerEntry> {
  for await (const timer of timers) if (timer.operator !== operator) yield timer;
}
