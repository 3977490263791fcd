/**
 * What a batch sends: events with their identities, table values conflated by key, hints conflated by key.
 *
 * An event's identity is (source, input offset, operator, emission index) and never a counter, because a replay after
 * a rollback cuts batches elsewhere and must still name every output the same.
 */
import { EngineError } from '../../schemas/errors.js';
import type { EventLog, Hint, OutgoingRecord } from '../log/event-log.js';
import { PackedRecords } from '../log/packed-records.js';
import type { PackedOrigin, ValueWriter } from '../log/packed-records.js';
import type { OutputBatch } from '../state/state-store.js';

/** A feed names at most so many events as its cause. */
const HINT_EVENT_IDS_MAX = 32;

/** What is asked of the log about topics. */
type OutputLog = Pick<EventLog, 'topic' | 'wantsHints'>;

export class BatchOutputs {
  private readonly allowed: ReadonlySet<string>;
  private events = new Map<string, PackedRecords>();
  private tables = new Map<string, Map<string, OutgoingRecord>>();
  /** By topic; undefined where nobody listens. */
  private hints = new Map<string, Map<string, { offset: number; eventIds: string[] }> | undefined>();
  private headOffset = 0;
  private cuts = 0;
  /** Value bytes of events and tables so far. */
  bytes = 0;
  eventCount = 0;

  constructor(
    topics: readonly string[],
    private readonly source: string,
    private readonly partition: number,
    private readonly log: OutputLog,
  ) {
    this.allowed = new Set(topics);
  }

  /** Starts a batch at an input offset, at which earlier batches made `cuts` commits without reaching its record. */
  begin(headOffset: number, cuts: number): void {
    this.headOffset = headOffset;
    this.cuts = cuts;
    for (const records of this.events.values()) records.discard();
    this.events = new Map();
    this.tables = new Map();
    this.hints = new Map();
    this.bytes = 0;
    this.eventCount = 0;
  }

  /** Takes the value's bytes from `write`, now. Throws EVENT_INVALID for a key that is not Unicode. */
  event<T>(topic: string, key: string, write: ValueWriter<T>, value: T, origin: PackedOrigin): void {
    const records = this.events.get(topic) ?? this.openEvents(topic, origin.operator);
    this.bytes += records.addWritten(key, write, value, origin);
    this.eventCount++;
  }

  private openEvents(topic: string, operator: string): PackedRecords {
    this.requireAllowed(topic, operator);
    const records = new PackedRecords(topic, this.log.topic(topic).partitions, this.source);
    this.events.set(topic, records);
    return records;
  }

  /**
   * The origin tells followers the version of the value, also of a withdrawn one, which has no bytes to carry it. Of
   * values that several commits made at one offset, its index tells which is later.
   */
  table(topic: string, key: string, value: Uint8Array, operator: string, offset: number): void {
    let values = this.tables.get(topic);
    if (values === undefined) {
      this.requireAllowed(topic, operator);
      values = new Map();
      this.tables.set(topic, values);
    }
    const origin = { source: this.source, operator, offset, index: offset === this.headOffset ? this.cuts : 0 };
    values.set(key, { key, value, partition: this.partition, origin });
    this.bytes += value.length;
  }

  hint(topic: string, key: string, eventId: string, version: number, operator: string): void {
    let hints = this.hints.get(topic);
    if (hints === undefined) {
      if (this.hints.has(topic)) return;
      this.requireAllowed(topic, operator);
      hints = this.log.wantsHints?.(topic) === false ? undefined : new Map();
      this.hints.set(topic, hints);
      if (hints === undefined) return;
    }
    const hint = hints.get(key);
    if (hint === undefined) {
      hints.set(key, { offset: version, eventIds: [eventId] });
      return;
    }
    hint.offset = version;
    hint.eventIds.push(eventId);
    if (hint.eventIds.length > HINT_EVENT_IDS_MAX) hint.eventIds.shift();
  }

  /**
   * Events before tables, topics in the order in which they were first written to. Values of a table rise in version, as
   * they do from commit to commit: so a late sender's can be told from others (TableRepair). Nothing can be added
   * afterwards. What is returned is let go of here: it would grow old until the next batch, and much memory with it.
   */
  batches(): OutputBatch[] {
    const batches: OutputBatch[] = [];
    for (const records of this.events.values()) batches.push(records.finish());
    this.events = new Map();
    for (const [topic, values] of this.tables) batches.push({ topic, records: [...values.values()].sort(byVersion) });
    this.tables = new Map();
    return batches;
  }

  *hintBatches(): Iterable<{ topic: string; hints: Hint[] }> {
    for (const [topic, hints] of this.hints) {
      if (hints === undefined) continue;
      yield { topic, hints: [...hints].map(([key, hint]) => ({ key, partition: this.partition, ...hint })) };
    }
  }

  private requireAllowed(topic: string, operator: string): void {
    if (this.allowed.has(topic)) return;
    throw new EngineError(
      'TOPOLOGY_INVALID',
      `Operator '${operator}' wrote to '${topic}', which its stage does not declare as an output.`,
      {
        context: { operator, topic },
      },
    );
  }
}

function byVersion(left: OutgoingRecord, right: OutgoingRecord): number {
  return left.origin!.offset - right.origin!.offset;
}
