/**
 * Cleaning of the embedded log: retention, compaction of tables, and merging of small batches.
 *
 * Retention removes whole batches from the front. Compaction works in passes: it notes the latest offset of each key
 * within a window of records that came since the last pass, then rewrites everything from the start up to that
 * window's end without what was superseded. Event topics are only re-batched. All three move in steps of a few
 * batches, each replaced in one transaction, and within a budget of bytes, so that cleaning never holds up appends; other
 * work gets its turn every few milliseconds.
 *
 * Invariant: offsets never change, and a tombstone goes only after every older record of its key.
 */
import type { Clock } from '../clock.js';
import type { LogRecord, TopicSpec } from '../log/event-log.js';
import { BATCH_BYTES_MAX, BATCH_RECORDS_MAX, decodeBatch, encodeBatch, readBatchHeader } from '../log/record-batch.js';
import { Slices } from '../slices.js';
import type { Environment } from './environment.js';
import type { LogCatalogue } from './log-catalogue.js';
import type { LogPartition } from './log-partition.js';
import { uint48 } from './table.js';

export interface CleanerOptions {
  readonly environment: Environment;
  readonly catalogue: LogCatalogue;
  readonly clock: Clock;
  readonly tombstoneGraceMs: number;
}

/** What a round of cleaning may take. */
export interface CleanBudget {
  /** Left to look at. */
  bytes: number;
  /** Whose turns are waited for. */
  readonly turns: Clock;
}

/** About 10 MB of keys in memory; a table of more keys takes several passes. */
const WINDOW_KEYS_MAX = 100_000;
/** A pass reads the whole table, so it waits until as many records came as a tenth of those the last one left. */
const PASS_FRACTION = 0.1;
/** Batches of at least this are left as they are; smaller ones are merged. */
const SMALL_BATCH_BYTES = 65_536;
/** Merged batches stay short in time, or retention would keep their old records for their young ones. */
const MERGE_SPAN_FRACTION = 0.05;
const STEP_BATCHES_MAX = 1_024;
/** Nobody waits for cleaning. */
const SLICE_MS = 2;

interface Step {
  readonly baseOffsets: readonly number[];
  readonly batches: readonly Buffer[];
  readonly bytes: number;
  readonly endOffset: number;
  /** The step ends because nothing follows, not because it is full. */
  readonly atEnd: boolean;
}

interface Pass {
  readonly latest: Map<string, number>;
  /** End of the window; grows while keys are noted. */
  windowEnd: number;
  readonly windowGoal: number;
  noting: boolean;
  /** Where the second half stands, and how many records it left. */
  position: number;
  kept: number;
  oldestTombstone: number;
}

export class LogCleaner {
  private readonly passes = new Map<LogPartition, Pass>();
  private readonly cleanedTo = new Map<LogPartition, number>();
  /** Records that the last pass left; unknown, and taken as 0, after a restart. */
  private readonly live = new Map<LogPartition, number>();
  /** When the next tombstone may go, by partition. */
  private readonly tombstoneDue = new Map<LogPartition, number>();

  constructor(private readonly options: CleanerOptions) {}

  /** Returns the number of records removed. Takes what it read off the budget. */
  async clean(partition: LogPartition, spec: TopicSpec, budget: CleanBudget): Promise<number> {
    const removed = await this.expire(partition, spec, budget);
    if (spec.class === 'table') return removed + (await this.compact(partition, budget));
    await this.merge(partition, spec, budget);
    return removed;
  }

  private async expire(partition: LogPartition, spec: TopicSpec, budget: CleanBudget): Promise<number> {
    if (spec.retentionMs === undefined) return 0;
    const oldest = this.options.clock.now() - spec.retentionMs;
    let removed = 0;
    while (budget.bytes > 0) {
      const expired: number[] = [];
      const expirable = { from: uint48(0), to: uint48(partition.storedEnd), limit: STEP_BATCHES_MAX };
      for (const { key, value } of partition.table.range(expirable)) {
        const header = readBatchHeader(value);
        if (header.lastTimestamp >= oldest || budget.bytes <= 0) break;
        expired.push(key.readUIntBE(0, 6));
        removed += header.count;
        budget.bytes -= value.length;
      }
      if (expired.length === 0) break;
      await this.replace(partition, expired, []);
    }
    return removed;
  }

  private async merge(partition: LogPartition, spec: TopicSpec, budget: CleanBudget): Promise<void> {
    const spanMs = (spec.retentionMs ?? Infinity) * MERGE_SPAN_FRACTION;
    while (budget.bytes > 0) {
      const from = Math.max(this.cleanedToOf(partition), partition.start);
      const step = this.gather(partition, from, partition.storedEnd, spanMs);
      // What is still growing is left until it is worth a rewrite.
      if (step === undefined || (step.atEnd && step.bytes < SMALL_BATCH_BYTES)) return;
      budget.bytes -= step.bytes;
      this.cleanedTo.set(partition, step.endOffset);
      await budget.turns.nextTurn();
      if (!isFragmented(step)) continue;
      const records = await collect(step, budget, () => true);
      await this.replace(partition, step.baseOffsets, records);
    }
  }

  private async compact(partition: LogPartition, budget: CleanBudget): Promise<number> {
    let removed = 0;
    while (budget.bytes > 0) {
      const pass = this.passes.get(partition) ?? this.beginPass(partition);
      if (pass === undefined) break;
      if (pass.noting) await this.noteKeys(partition, pass, budget);
      else removed += await this.sweep(partition, pass, budget);
      await budget.turns.nextTurn();
    }
    return removed;
  }

  private beginPass(partition: LogPartition): Pass | undefined {
    const cleanedTo = this.cleanedToOf(partition);
    const dirty = partition.storedEnd - cleanedTo;
    const tombstonesDue = (this.tombstoneDue.get(partition) ?? Infinity) <= this.options.clock.now();
    if (!tombstonesDue && (dirty === 0 || dirty < (this.live.get(partition) ?? 0) * PASS_FRACTION)) return undefined;
    const pass: Pass = {
      latest: new Map(),
      windowEnd: cleanedTo,
      windowGoal: partition.storedEnd,
      noting: true,
      position: 0,
      kept: 0,
      oldestTombstone: Infinity,
    };
    this.passes.set(partition, pass);
    return pass;
  }

  /** First half of a pass, one step of it: the latest offset of each key of the window. */
  private async noteKeys(partition: LogPartition, pass: Pass, budget: CleanBudget): Promise<void> {
    const { latest } = pass;
    const full = latest.size >= WINDOW_KEYS_MAX;
    const step = full ? undefined : this.gather(partition, pass.windowEnd, pass.windowGoal, Infinity);
    if (step === undefined) {
      if (!full) pass.windowEnd = pass.windowGoal;
      pass.noting = false;
      return;
    }
    await collect(step, budget, ({ key, offset }) => {
      latest.set(key, offset);
      return false;
    });
    pass.windowEnd = step.endOffset;
    budget.bytes -= step.bytes;
  }

  /** Second half: one step of rewriting. Returns the number of records removed. */
  private async sweep(partition: LogPartition, pass: Pass, budget: CleanBudget): Promise<number> {
    const step = this.gather(partition, pass.position, pass.windowEnd, Infinity);
    if (step === undefined) {
      await this.endPass(partition, pass);
      return 0;
    }
    budget.bytes -= step.bytes;
    const tombstonesFrom = this.options.clock.now() - this.options.tombstoneGraceMs;
    let removed = 0;
    const kept = await collect(step, budget, ({ key, offset, value, timestamp }) => {
      const isSuperseded = offset < (pass.latest.get(key) ?? offset);
      const isKept = !isSuperseded && (value.length > 0 || timestamp > tombstonesFrom);
      if (!isKept) removed++;
      else if (value.length === 0) pass.oldestTombstone = Math.min(pass.oldestTombstone, timestamp);
      return isKept;
    });
    if (removed > 0 || isFragmented(step)) await this.replace(partition, step.baseOffsets, kept);
    // Only now: a step that failed must be taken again, or a tombstone behind it would go before what it removes.
    pass.position = step.endOffset;
    pass.kept += kept.length;
    return removed;
  }

  private async endPass(partition: LogPartition, pass: Pass): Promise<void> {
    this.passes.delete(partition);
    this.cleanedTo.set(partition, pass.windowEnd);
    this.live.set(partition, pass.kept);
    this.tombstoneDue.set(partition, pass.oldestTombstone + this.options.tombstoneGraceMs);
    await this.replace(partition, [], []);
  }

  /** The next batches from an offset on, up to the size of one batch; undefined when there are none before `to`. */
  private gather(partition: LogPartition, from: number, to: number, spanMs: number): Step | undefined {
    const baseOffsets: number[] = [];
    const batches: Buffer[] = [];
    let [bytes, records, endOffset, firstTimestamp] = [0, 0, from, 0];
    let atEnd = true;
    for (const { key, value } of partition.table.range({ from: uint48(from), to: uint48(to) })) {
      const header = readBatchHeader(value);
      if (batches.length === 0) firstTimestamp = header.firstTimestamp;
      const overfull = bytes + value.length > BATCH_BYTES_MAX || records + header.count > BATCH_RECORDS_MAX;
      const overlong = header.lastTimestamp - firstTimestamp > spanMs || batches.length >= STEP_BATCHES_MAX;
      if (batches.length > 0 && (overfull || overlong)) {
        atEnd = false;
        break;
      }
      baseOffsets.push(key.readUIntBE(0, 6));
      batches.push(value);
      bytes += value.length;
      records += header.count;
      endOffset = header.lastOffset + 1;
    }
    return batches.length === 0 ? undefined : { baseOffsets, batches, bytes, endOffset, atEnd };
  }

  /** Puts records where batches were, in one transaction that also notes the partition's place. */
  private async replace(
    partition: LogPartition,
    baseOffsets: readonly number[],
    records: readonly LogRecord[],
  ): Promise<void> {
    const batch = records.length === 0 ? undefined : encodeBatch(records);
    const { environment, catalogue } = this.options;
    await environment.transact(() => {
      for (const baseOffset of baseOffsets) partition.table.remove(uint48(baseOffset));
      if (batch !== undefined) partition.table.put(uint48(records[0]!.offset), batch);
      catalogue.putPlace(partition.name, { end: partition.storedEnd, cleanedTo: this.cleanedToOf(partition) });
    }, batch?.length);
    partition.rewritten(baseOffsets);
  }

  private cleanedToOf(partition: LogPartition): number {
    const known = this.cleanedTo.get(partition) ?? this.options.catalogue.place(partition.name).cleanedTo;
    this.cleanedTo.set(partition, known);
    return known;
  }
}

/** The records of a step that are kept. */
async function collect(
  step: Step,
  { turns }: CleanBudget,
  isKept: (record: LogRecord) => boolean,
): Promise<readonly LogRecord[]> {
  const kept: LogRecord[] = [];
  const slices = new Slices(SLICE_MS);
  await slices.begin(turns);
  for (const batch of step.batches) {
    for (const record of decodeBatch(batch)) {
      if (isKept(record)) kept.push(record);
      if (slices.isOver(turns)) await slices.next(turns);
    }
  }
  return kept;
}

/** Whether several batches are here that would make one of a useful size. */
function isFragmented(step: Step): boolean {
  return step.batches.length > 1 && step.bytes / step.batches.length < SMALL_BATCH_BYTES;
}
