/**
 * A StateStore and an EventLog that pass every call on: the base of those that change one thing about another.
 *
 * Nothing here has state of its own, so closing one closes what stands behind it.
 */
import type { Clock } from './clock.js';
import type {
  AppendListener,
  AppendReceipt,
  AssignmentListener,
  EventLog,
  GapListener,
  Hint,
  HintsListener,
  LogBatch,
  Membership,
  OutgoingRecord,
  PartitionBounds,
  ReadLimits,
  TopicSpec,
} from './log/event-log.js';
import type {
  Commit,
  CommitOutcome,
  OutboxEntry,
  Prefetched,
  PrefetchRequest,
  ScanRange,
  StateStore,
  TaskContent,
  TaskHead,
  TaskId,
  TimerEntry,
} from './state/state-store.js';

export class ForwardingStore implements StateStore {
  readonly delivery: 'atomic' | 'outbox';
  readonly commitKeysMax: number | undefined;

  constructor(protected target: StateStore) {
    this.delivery = target.delivery;
    this.commitKeysMax = target.commitKeysMax;
  }

  acquire(task: TaskId, owner: string): Promise<TaskHead> {
    return this.target.acquire(task, owner);
  }

  head(task: TaskId): Promise<TaskHead | undefined> {
    return this.target.head(task);
  }

  prefetch(task: TaskId, request: PrefetchRequest): Promise<Prefetched> {
    return this.target.prefetch(task, request);
  }

  commit(task: TaskId, commit: Commit): Promise<CommitOutcome> {
    return this.target.commit(task, commit);
  }

  outbox(task: TaskId): Promise<readonly OutboxEntry[]> {
    return this.target.outbox(task);
  }

  trimOutbox(task: TaskId, owner: string, commitId: string): Promise<void> {
    return this.target.trimOutbox(task, owner, commitId);
  }

  get(task: TaskId, key: string): Promise<Buffer | undefined> {
    return this.target.get(task, key);
  }

  scan(task: TaskId, range?: ScanRange): AsyncIterable<readonly [key: string, value: Buffer]> {
    return this.target.scan(task, range);
  }

  scanTimers(task: TaskId): AsyncIterable<TimerEntry> {
    return this.target.scanTimers(task);
  }

  tasks(): Promise<readonly TaskId[]> {
    return this.target.tasks();
  }

  readDocument(name: string): Promise<string | undefined> {
    return this.target.readDocument(name);
  }

  writeDocument(name: string, text: string): Promise<void> {
    return this.target.writeDocument(name, text);
  }

  replaceDocument(name: string, expected: string | undefined, text: string): Promise<boolean> {
    return this.target.replaceDocument(name, expected, text);
  }

  restore(task: TaskId, content: TaskContent): Promise<void> {
    return this.target.restore(task, content);
  }

  drop(task: TaskId): Promise<void> {
    return this.target.drop(task);
  }

  close(): Promise<void> {
    return this.target.close();
  }
}

export class ForwardingLog implements EventLog {
  identity: string;

  constructor(
    protected target: EventLog,
    identity = target.identity,
  ) {
    this.identity = identity;
  }

  createTopics(specs: readonly TopicSpec[]): Promise<void> {
    return this.target.createTopics(specs);
  }

  topic(name: string): TopicSpec {
    return this.target.topic(name);
  }

  topics(): readonly TopicSpec[] {
    return this.target.topics();
  }

  append(topic: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]> {
    return this.target.append(topic, records);
  }

  endSource(source: string): void {
    this.target.endSource?.(source);
  }

  beginAt(topic: string, partition: number, offset: number): Promise<void> {
    return this.target.beginAt(topic, partition, offset);
  }

  read(topic: string, partition: number, from: number, limits: ReadLimits): Promise<LogBatch> {
    return this.target.read(topic, partition, from, limits);
  }

  bounds(topic: string, partition: number): Promise<PartitionBounds> {
    return this.target.bounds(topic, partition);
  }

  onAppend(topic: string, listener: AppendListener): () => void {
    return this.target.onAppend(topic, listener);
  }

  wantsHints(topic: string): boolean {
    return this.target.wantsHints?.(topic) ?? true;
  }

  sendHints(topic: string, hints: readonly Hint[]): void {
    this.target.sendHints(topic, hints);
  }

  onHints(topic: string, listener: HintsListener, onGap?: GapListener): () => void {
    return this.target.onHints(topic, listener, onGap);
  }

  join(group: string, topic: string, listener: AssignmentListener): Promise<Membership> {
    return this.target.join(group, topic, listener);
  }

  members(group: string): Promise<readonly string[]> {
    return this.target.members?.(group) ?? Promise.resolve([]);
  }

  clean(turns?: Clock): Promise<number> {
    return this.target.clean(turns);
  }

  close(): Promise<void> {
    return this.target.close();
  }
}
