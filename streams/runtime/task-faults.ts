/**
 * What a task does with records and timers that fail: the stage's policy, and the memory of what failed.
 *
 * A record that fails half-way has touched states already. So it is noted here, the batch is run again from the last
 * commit, and this time the record is absorbed without being tried: none of the operators keeps anything of it.
 */
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { TaskId, TimerEntry } from '../state/state-store.js';
import { taskName } from '../state/state-store.js';
import { deadLetterBytes, faultOf } from './fault.js';
import type { Fault } from './fault.js';
import type { TaskStatistics } from './task-options.js';
import type { AnyStage } from './topology.js';

/** Not the record's fault: our bugs, and an older build over newer state, which would turn every record away. */
const NEVER_ABSORBED = ['INVARIANT_VIOLATED', 'TOPOLOGY_INVALID', 'TOPIC_UNKNOWN', 'STATE_VERSION_UNKNOWN'] as const;

/** A record, or the key of a timer, where it went wrong. */
export interface FaultPlace {
  readonly offset: number;
  readonly key: string;
  /** Absent for a timer. */
  readonly value: Buffer | undefined;
  /** Event time of the partition. */
  readonly streamTime: number;
}

export class TaskFaults {
  /** By offset: records that failed once. */
  readonly records = new Map<number, Fault>();
  private readonly timers = new Map<string, Fault>();

  constructor(
    private readonly stage: AnyStage,
    private readonly id: TaskId,
    private readonly statistics: TaskStatistics,
    private readonly emit: (topic: string, key: string, value: Uint8Array, offset: number) => void,
  ) {}

  /** To be called once a batch is committed: its faults are dealt with. */
  clear(): void {
    this.records.clear();
    this.timers.clear();
  }

  /** Notes a record that failed; rethrows what must stop the task. */
  noteRecord(offset: number, error: unknown): void {
    this.records.set(offset, this.requireAbsorbable(error));
  }

  noteTimer(timer: TimerEntry, offset: number, error: unknown): void {
    this.timers.set(idOf(timer, offset), this.requireAbsorbable(error));
  }

  ofTimer(timer: TimerEntry, offset: number): Fault | undefined {
    return this.timers.size === 0 ? undefined : this.timers.get(idOf(timer, offset));
  }

  /** Does what the stage's policy says. Throws TASK_FAILED under the policy `fail`. */
  absorb(fault: Fault, place: FaultPlace): void {
    switch (this.stage.faultPolicy) {
      case 'fail':
        throw new EngineError(
          'TASK_FAILED',
          `Task ${taskName(this.id)} cannot process the record at offset ${place.offset}: ${fault.message} Its fault policy is 'fail'.`,
          { context: { offset: place.offset, key: place.key, code: fault.code } },
        );
      case 'continue':
        this.statistics.faultsIgnored++;
        return;
      case 'dead-letter':
        this.deadLetter(fault, place);
    }
  }

  deadLetter(fault: Fault, { offset, key, value, streamTime }: FaultPlace): void {
    this.statistics.deadLetters++;
    const place = { topic: this.stage.input, partition: this.id.partition, offset, key };
    this.emit(this.stage.deadLetters!, key, deadLetterBytes(fault, place, value, streamTime), offset);
  }

  private requireAbsorbable(error: unknown): Fault {
    const mustStop = this.stage.faultPolicy === 'fail' || isEngineError(error, ...NEVER_ABSORBED);
    if (!mustStop) return faultOf(error);
    if (isEngineError(error) && !error.retriable) throw error;
    throw new EngineError('TASK_FAILED', `Task ${taskName(this.id)} stopped: ${String(error)}`, { cause: error });
  }
}

/** With the offset: a late record may set the same timer again, and then it may well succeed. */
function idOf({ time, operator, key }: TimerEntry, offset: number): string {
  return `${offset}/${time}/${operator}/${key}`;
}
