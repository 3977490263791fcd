/**
 * Reads and decodes a task's input batch: what each record is and when it happened.
 *
 * Event time is clamped to receivedAt plus the stage's tolerance, so that one bad clock cannot move a partition.
 * Nothing here depends on the task's state: a batch may be cut after it was read.
 */
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { EventLog, LogRecord, Origin, ReadLimits } from '../log/event-log.js';
import { faultOf } from './fault.js';
import type { Fault } from './fault.js';
import type { Row } from './row.js';
import type { AnyStage, RuntimeRecord } from './topology.js';

export interface InputEntry {
  readonly offset: number;
  readonly key: string;
  readonly value: Buffer;
  readonly origin: Origin | undefined;
  /** Decoded; undefined when that failed. */
  record: unknown;
  /** Event time, clamped; -Infinity when unknown. */
  time: number;
  fault: Fault | undefined;
  /** Set when the record is for the runtime and not for operators. */
  runtime: RuntimeRecord | undefined;
  /** Of the entry's key; put here by whoever loads it. */
  row: Row | undefined;
}

export interface InputBatch {
  readonly entries: readonly InputEntry[];
  /** Of all values. */
  readonly bytes: number;
  /** No entry's time is higher. */
  readonly highestTime: number;
  readonly nextOffset: number;
  /** As in `LogBatch`. */
  readonly hasMore: boolean;
}

export class InputReader {
  constructor(
    private readonly stage: AnyStage,
    private readonly partition: number,
    private readonly log: EventLog,
  ) {}

  /** `known` are records that failed in an earlier try of the same batch. */
  async read(from: number, limits: ReadLimits, known: ReadonlyMap<number, Fault>): Promise<InputBatch> {
    const {
      records,
      nextOffset,
      hasMore = false,
    } = await this.log.read(this.stage.input, this.partition, from, limits);
    const entries: InputEntry[] = [];
    let highestTime = -Infinity;
    let bytes = 0;
    for (const logged of records) {
      // A log client may still deliver what it fetched before a seek.
      if (logged.offset < from) continue;
      const entry = this.decode(logged, known.size === 0 ? undefined : known.get(logged.offset));
      if (entry.time > highestTime) highestTime = entry.time;
      bytes += logged.value.length;
      entries.push(entry);
    }
    return { entries, bytes, highestTime, nextOffset, hasMore };
  }

  private decode(logged: LogRecord, known: Fault | undefined): InputEntry {
    const entry: InputEntry = {
      offset: logged.offset,
      key: logged.key,
      value: logged.value,
      origin: logged.origin,
      record: undefined,
      time: -Infinity,
      fault: known,
      runtime: undefined,
      row: undefined,
    };
    try {
      const record = this.stage.codec.decode(logged.value) as unknown;
      entry.runtime = this.stage.codec.runtimeRecord(record);
      entry.time = this.timeOf(record, entry.runtime);
      entry.record = record;
    } catch (error) {
      if (isEngineError(error, 'INVARIANT_VIOLATED')) throw error;
      entry.fault = faultOf(error);
    }
    return entry;
  }

  private timeOf(record: unknown, runtime: RuntimeRecord | undefined): number {
    if (runtime !== undefined) return runtime.type === 'tick' ? runtime.time : -Infinity;
    const { ts, receivedAt } = this.stage.codec.times(record);
    const time = receivedAt === undefined ? ts : Math.min(ts, receivedAt + this.stage.clockToleranceMs);
    if (Number.isSafeInteger(time)) return time;
    throw new EngineError('EVENT_TIME_INVALID', `Event time is ${time}; expected whole milliseconds since the epoch.`);
  }
}
