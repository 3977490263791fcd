/**
 * The log as one simulated process sees it: the contract of EventLog, used to its limits.
 *
 * Reads return any cut of what is there, may begin below the asked offset and may see nothing yet. Appends are atomic
 * per partition only, may be repeated as a producer without idempotence repeats them, and may arrive after the caller
 * gave up. Hints get lost.
 */
import type {
  AppendListener,
  AppendReceipt,
  AssignmentListener,
  EventLog,
  Hint,
  LogBatch,
  Membership,
  OutgoingRecord,
  PartitionBounds,
  ReadLimits,
  TopicSpec,
} from '../../streams/log/event-log.js';
import { partitionFor } from '../../schemas/ids.js';
import type { MemoryLog } from '../../streams/memory/memory-log.js';
import { ConnectionLost } from './process.js';
import type { CallOptions, Network, Process } from './process.js';
import { withoutSent } from './exact-topics.js';

/** How far below the asked offset a read may begin: what a client had fetched before its seek. */
const EARLY_RECORDS_MAX = 4;
/** News of an append arrives at the latest after this long, ms. */
const NEWS_MS_MAX = 30;

/** Who works on what: a group protocol, or the loosest thing that may call itself one. */
export interface Coordinator {
  join(process: Process, topic: string, listener: AssignmentListener): Promise<Membership>;
}

export class SimulatedLog implements EventLog {
  readonly identity: string;

  constructor(
    private readonly base: MemoryLog,
    private readonly process: Process,
    private readonly network: Network,
    private readonly coordinator: Coordinator,
  ) {
    this.identity = base.identity;
  }

  createTopics(specs: readonly TopicSpec[]): Promise<void> {
    return this.ask(() => this.base.createTopicsNow(specs));
  }

  topic(name: string): TopicSpec {
    return this.base.topic(name);
  }

  topics(): readonly TopicSpec[] {
    return this.base.topics();
  }

  private ask<T>(effect: () => T, options: CallOptions = {}): Promise<T> {
    return this.process.call(effect, { ...options, server: 'log' });
  }

  append(topic: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]> {
    // A tick alone: its sender believes that it is the owner already.
    const isTick = records.length === 1 && records[0]!.key === '';
    const isStuck = isTick && this.network.faults.strikes('stuckTick');
    // A topic that does not exist is refused by the append itself.
    const isTable = this.base.topics().some((spec) => spec.name === topic && spec.class === 'table');
    const isLate = isTable && this.network.faults.strikes('lateTable');
    return this.ask(() => this.appendNow(topic, records), { mayBeLate: true, isLate, isOrdered: true, isStuck });
  }

  /** As to a topic that is not exact; for bugs on purpose. */
  appendAnyway(topic: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]> {
    return this.ask(() => this.base.appendNow(topic, records), { mayBeLate: true, isOrdered: true });
  }

  private appendNow(topic: string, records: readonly OutgoingRecord[]): readonly AppendReceipt[] {
    const { faults, random } = this.network;
    this.base.requireAppendable(topic, records);
    if (this.base.topic(topic).exact === true)
      return this.base.appendNow(topic, withoutSent(this.base, topic, records));
    const groups = this.byPartition(topic, records);
    if (groups.length > 1 && faults.strikes('partialAppend')) {
      const kept = random.shuffle([...groups]).slice(0, 1 + random.int(groups.length - 1));
      for (const group of kept) this.base.appendNow(topic, group);
      throw new ConnectionLost('some partitions were not reached');
    }
    if (groups.length > 0 && faults.strikes('duplicateAppend')) this.base.appendNow(topic, random.pick(groups));
    return this.base.appendNow(topic, records);
  }

  private byPartition(topic: string, records: readonly OutgoingRecord[]): OutgoingRecord[][] {
    const { partitions } = this.base.topic(topic);
    const groups = new Map<number, OutgoingRecord[]>();
    for (const record of records) {
      const partition = record.partition ?? partitionFor(record.key, partitions);
      const group = groups.get(partition);
      if (group === undefined) groups.set(partition, [record]);
      else group.push(record);
    }
    return [...groups.values()];
  }

  beginAt(topic: string, partition: number, offset: number): Promise<void> {
    return this.process.call(() => this.base.beginAtNow(topic, partition, offset));
  }

  read(topic: string, partition: number, from: number, limits: ReadLimits): Promise<LogBatch> {
    return this.ask(() => this.readNow(topic, partition, from, limits));
  }

  private readNow(topic: string, partition: number, from: number, limits: ReadLimits): LogBatch {
    const { faults, random } = this.network;
    const whole = this.base.readNow(topic, partition, from, limits);
    const count = whole.records.length;
    if (count === 0) return whole;
    if (faults.strikes('emptyRead')) return { records: [], nextOffset: from };
    let { records, nextOffset } = whole;
    if (count > 1 && faults.strikes('shortRead')) {
      records = records.slice(0, 1 + random.int(count - 1));
      nextOffset = records.at(-1)!.offset + 1;
    }
    const { start } = this.base.boundsNow(topic, partition);
    const early = Math.max(start, from - 1 - random.int(EARLY_RECORDS_MAX));
    if (early < from && faults.strikes('earlyRead')) {
      const before = this.base.readNow(topic, partition, early, { recordsMax: from - early, bytesMax: Infinity });
      records = [...before.records, ...records];
    }
    return { records, nextOffset };
  }

  bounds(topic: string, partition: number): Promise<PartitionBounds> {
    return this.ask(() => this.base.boundsNow(topic, partition));
  }

  onAppend(topic: string, listener: AppendListener): () => void {
    const unsubscribe = this.base.onAppend(topic, (partitions) => {
      if (this.process.alive)
        this.process.deliverAfter(this.network.random.int(NEWS_MS_MAX), () => listener(partitions));
      else unsubscribe();
    });
    return unsubscribe;
  }

  sendHints(topic: string, hints: readonly Hint[]): void {
    const kept = hints.filter(() => !this.network.faults.strikes('hintLost'));
    this.base.sendHints(topic, kept);
  }

  onHints(topic: string, listener: (hints: readonly Hint[]) => void): () => void {
    return this.base.onHints(topic, (hints) => this.process.deliver(() => listener(hints)));
  }

  join(_group: string, topic: string, listener: AssignmentListener): Promise<Membership> {
    return this.coordinator.join(this.process, topic, listener);
  }

  clean(): Promise<number> {
    return this.ask(() => this.base.cleanNow());
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
