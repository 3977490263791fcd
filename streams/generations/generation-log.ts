/**
 * The log as one generation sees it: logical names outside, physical ones inside, and topics of other generations not there.
 *
 * Concurrency and errors are those of the log behind it; messages of that log name physical topics.
 */
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
} from '../log/event-log.js';
import { ForwardingLog } from '../forwarding.js';
import { generationOf, ownerOf, physicalName } from './layout.js';
import type { Layout } from './layout.js';

export class GenerationLog extends ForwardingLog {
  private readonly physicalNames = new Map<string, string>();
  /** Names that generations have given to physical topics: no logical topic has one of them. */
  private readonly taken: ReadonlySet<string>;
  private readonly moved: ReadonlySet<string>;

  constructor(
    target: EventLog,
    private readonly layout: Layout,
    private readonly number: number,
  ) {
    super(target, generationOf(layout, number).identity);
    const { generations } = layout;
    this.moved = new Set(generations.flatMap(({ topics }) => topics));
    this.taken = new Set(generations.flatMap((one) => one.topics.map((topic) => physicalName(topic, one.number))));
  }

  physical(topic: string): string {
    let physical = this.physicalNames.get(topic);
    if (physical === undefined) {
      physical = physicalName(topic, ownerOf(this.layout, this.number, topic).number);
      this.physicalNames.set(topic, physical);
    }
    return physical;
  }

  override createTopics(specs: readonly TopicSpec[]): Promise<void> {
    return this.target.createTopics(specs.map((spec) => ({ ...spec, name: this.physical(spec.name) })));
  }

  override topic(name: string): TopicSpec {
    return { ...this.target.topic(this.physical(name)), name };
  }

  override topics(): readonly TopicSpec[] {
    const physical = new Map(this.target.topics().map((spec) => [spec.name, spec]));
    const names = new Set([...this.moved, ...[...physical.keys()].filter((name) => !this.taken.has(name))]);
    const found: TopicSpec[] = [];
    for (const name of [...names].sort()) {
      const spec = physical.get(this.physical(name));
      if (spec !== undefined) found.push({ ...spec, name });
    }
    return found;
  }

  override append(topic: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]> {
    return this.target.append(this.physical(topic), records);
  }

  override beginAt(topic: string, partition: number, offset: number): Promise<void> {
    return this.target.beginAt(this.physical(topic), partition, offset);
  }

  override read(topic: string, partition: number, from: number, limits: ReadLimits): Promise<LogBatch> {
    return this.target.read(this.physical(topic), partition, from, limits);
  }

  override bounds(topic: string, partition: number): Promise<PartitionBounds> {
    return this.target.bounds(this.physical(topic), partition);
  }

  override onAppend(topic: string, listener: AppendListener): () => void {
    return this.target.onAppend(this.physical(topic), listener);
  }

  override wantsHints(topic: string): boolean {
    return super.wantsHints(this.physical(topic));
  }

  override sendHints(topic: string, hints: readonly Hint[]): void {
    this.target.sendHints(this.physical(topic), hints);
  }

  override onHints(topic: string, listener: HintsListener, onGap?: GapListener): () => void {
    return this.target.onHints(this.physical(topic), listener, onGap);
  }

  /** Groups of two generations never meet: their partitions are not the same things. */
  override join(group: string, topic: string, listener: AssignmentListener): Promise<Membership> {
    return this.target.join(physicalName(group, this.number), this.physical(topic), listener);
  }

  override members(group: string): Promise<readonly string[]> {
    return super.members(physicalName(group, this.number));
  }
}
