/**
 * EventLog on Apache Kafka.
 *
 * Reads are fetches at the offsets the caller names, appends go through an idempotent producer, *exact* topics through
 * transactions, groups through Kafka's group protocol. Offsets of readers are kept by the state commit, not by Kafka.
 * Retention and compaction are the broker's: `clean` has nothing to do. Hints do not go through Kafka: they need no
 * storing, and pass over the bus that is given, or stay within this process.
 *
 * Records of one call to one partition are one record batch, taken as a whole, up to the limits of a batch; a larger call
 * is cut, and a crash in its midst leaves its beginning.
 */
import { LONE_SURROGATE } from '../../schemas/binary-writer.js';
import { EngineError } from '../../schemas/errors.js';
import { partitionFor } from '../../schemas/ids.js';
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
import { partitionNotEmpty, requirePartition } from '../memory/memory-log.js';
import { TopicRegistry } from '../memory/topic-registry.js';
import { ExactSender, requireOrigins } from './exact-sender.js';
import { GroupMember } from './group-member.js';
import { kafkaFault } from './kafka-error.js';
import { KafkaConnection } from './kafka-connection.js';
import type { KafkaLogOptions } from './kafka-options.js';

const FILLER: OutgoingRecord = { key: '', value: new Uint8Array(0) };
/** One batch of the broker: seven bytes a record. */
const FILLER_RECORDS = 10_000;
const ONE_RECORD: ReadLimits = { recordsMax: 1, bytesMax: 1 };

export class KafkaLog implements EventLog {
  private readonly registry = new TopicRegistry();
  private readonly exactSenders = new Map<string, ExactSender>();
  private readonly memberships = new Set<GroupMember>();

  private constructor(
    readonly identity: string,
    private readonly connection: KafkaConnection,
    private readonly options: KafkaLogOptions,
  ) {
    connection.onAppended = (physical, partition) => this.registry.notifyAppended(this.logical(physical), partition);
  }

  /** Throws LOG_UNAVAILABLE, LOG_REFUSED, CONFIG_INVALID. */
  static async open(options: KafkaLogOptions): Promise<KafkaLog> {
    const connection = await KafkaConnection.open(options);
    try {
      const { catalogue, admin } = connection;
      const identity = await catalogue.identity(
        () => options.identity ?? options.random.stream('log-identity').hex(16),
      );
      const log = new KafkaLog(identity, connection, options);
      const existing = await admin.names();
      const known = catalogue.topics.filter(({ name, class: of }) => of === 'hint' || existing.has(log.physical(name)));
      await log.declare(known);
      return log;
    } catch (error) {
      await connection.close();
      throw kafkaFault(error, 'open the log');
    }
  }

  private physical(topic: string): string {
    return this.connection.prefix + topic;
  }

  private logical(physical: string): string {
    return physical.slice(this.connection.prefix.length);
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<void> {
    const undeclared = this.registry.undeclared(specs);
    if (undeclared.length === 0) return;
    const { admin, catalogue, tuning } = this.connection;
    const stored = undeclared.filter((spec) => spec.class !== 'hint');
    const wanted = stored.map((spec) => ({ ...spec, name: this.physical(spec.name) }));
    await admin.createMissing(wanted, tuning);
    await catalogue.declare(undeclared);
    await this.declare(undeclared);
  }

  /** Takes topics that somebody else made, as they are: for reading what other systems write, or writing for them. */
  async adoptTopics(names: readonly string[], traits: { readonly exact?: boolean } = {}): Promise<void> {
    const unknown = names.filter((name) => !this.registry.topics().some((spec) => spec.name === name));
    const specs: TopicSpec[] = [];
    for (const name of unknown) {
      specs.push({ ...(await this.connection.admin.describe(this.physical(name))), name, ...traits });
    }
    await this.declare(specs);
  }

  private async declare(specs: readonly TopicSpec[]): Promise<void> {
    await this.connection.follow(specs.filter((spec) => spec.class !== 'hint').map(({ name }) => this.physical(name)));
    this.registry.declare(specs);
  }

  topic(name: string): TopicSpec {
    return this.registry.topic(name);
  }

  topics(): readonly TopicSpec[] {
    return this.registry.topics();
  }

  async append(topic: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]> {
    const spec = this.registry.storedTopic(topic);
    if (records.length === 0) return [];
    const places = records.map((record) => placeOf(spec, record));
    if (spec.exact === true) return this.appendExactly(topic, records, places);
    return this.connection.sender.append(this.physical(topic), records, places, spec.class === 'table');
  }

  /** Outputs of several sources are several transactions. */
  private async appendExactly(
    topic: string,
    records: readonly OutgoingRecord[],
    places: readonly number[],
  ): Promise<readonly AppendReceipt[]> {
    requireOrigins(topic, records);
    const bySource = new Map<string, number[]>();
    records.forEach(({ origin }, i) => {
      const own = bySource.get(origin!.source);
      if (own === undefined) bySource.set(origin!.source, [i]);
      else own.push(i);
    });
    const receipts = new Array<AppendReceipt>(records.length);
    for (const [source, indexes] of bySource) {
      const placed = indexes.map((i) => ({
        record: { ...records[i]!, origin: records[i]!.origin! },
        partition: places[i]!,
      }));
      const own = await this.exactSender(topic, source).append(placed);
      indexes.forEach((index, i) => (receipts[index] = own[i]!));
    }
    for (const partition of new Set(places)) this.registry.notifyAppended(topic, partition);
    return receipts;
  }

  private exactSender(topic: string, source: string): ExactSender {
    const name = `${topic}\n${source}`;
    const known = this.exactSenders.get(name);
    if (known !== undefined) return known;
    const { exactChannel: channel, metrics, prefix, tuning } = this.connection;
    const context = { channel, metrics, prefix, clock: this.options.clock };
    const sender = new ExactSender(this.physical(topic), source, context, tuning);
    this.exactSenders.set(name, sender);
    return sender;
  }

  /**
   * A producer that is kept while another process owns the partition is fenced when the partition comes back, though its
   * owner is right: a new one asks for the next epoch.
   */
  endSource(source: string): void {
    for (const name of this.exactSenders.keys()) {
      if (name.endsWith(`\n${source}`)) this.exactSenders.delete(name);
    }
  }

  /** Kafka gives offsets out itself: filler is appended up to the offset and then deleted. */
  async beginAt(topic: string, partition: number, offset: number): Promise<void> {
    const { start, end } = await this.bounds(topic, partition);
    if (start === offset) return;
    const [first] = end === start ? [] : (await this.read(topic, partition, start, ONE_RECORD)).records;
    const isFiller = first === undefined || (first.key === '' && first.value.length === 0);
    if (!isFiller || end > offset) throw partitionNotEmpty(topic, partition, offset);
    const physical = this.physical(topic);
    for (let at = end; at < offset; at += FILLER_RECORDS) {
      const filler = new Array<OutgoingRecord>(Math.min(FILLER_RECORDS, offset - at)).fill(FILLER);
      const places = new Array<number>(filler.length).fill(partition);
      await this.connection.sender.append(physical, filler, places, false);
    }
    await this.connection.admin.deleteBefore(physical, partition, offset);
  }

  /** May return fewer records than the limits allow although more are there; none only at the end. */
  async read(topic: string, partition: number, from: number, limits: ReadLimits): Promise<LogBatch> {
    const { partitions } = this.registry.storedTopic(topic);
    requirePartition(topic, partition, partitions);
    const { reader, watch } = this.connection;
    const physical = this.physical(topic);
    const batch = await reader.read(physical, partition, from, limits);
    if (batch.nextOffset === from && this.registry.hasAppendListeners(topic)) watch.park(physical, partition, from);
    return batch;
  }

  async bounds(topic: string, partition: number): Promise<PartitionBounds> {
    const { partitions } = this.registry.storedTopic(topic);
    requirePartition(topic, partition, partitions);
    return this.connection.reader.bounds(this.physical(topic), partition);
  }

  onAppend(topic: string, listener: AppendListener): () => void {
    return this.registry.onAppend(topic, listener);
  }

  sendHints(topic: string, hints: readonly Hint[]): void {
    if (this.options.hints === undefined) return this.registry.sendHints(topic, hints);
    this.registry.topic(topic);
    if (hints.length > 0) this.options.hints.send(topic, hints);
  }

  onHints(topic: string, onHints: HintsListener, onGap: GapListener = () => undefined): () => void {
    if (this.options.hints === undefined) return this.registry.onHints(topic, onHints);
    return this.options.hints.listen(topic, this.registry.topic(topic).partitions, { onHints, onGap });
  }

  async join(group: string, topic: string, listener: AssignmentListener): Promise<Membership> {
    const { partitions } = this.registry.storedTopic(topic);
    const { client, metrics, tuning } = this.connection;
    const { clock, logger } = this.options;
    const context = { client, clock, logger, rebalances: metrics.rebalances(group) };
    const target = { group: this.physical(group), topic: this.physical(topic), partitions };
    const member = new GroupMember(target, listener, context, tuning);
    this.memberships.add(member);
    const leave = async (): Promise<void> => {
      this.memberships.delete(member);
      await member.leave();
    };
    try {
      await member.join();
    } catch (error) {
      await leave();
      throw error;
    }
    return {
      leave,
      confirmed: () => member.confirmed(),
      report: (partition, offset) => member.report(partition, offset),
    };
  }

  /** Members that are silent count until their session ends. */
  members(group: string): Promise<readonly string[]> {
    return this.connection.admin.members(this.physical(group));
  }

  /** Bytes of appends that are not acknowledged: for back-pressure. */
  get unacknowledgedBytes(): number {
    return this.connection.sender.unacknowledgedBytes;
  }

  /** Kafka's brokers clean by themselves. */
  clean(): Promise<number> {
    return Promise.resolve(0);
  }

  /** Leaves groups, sends what waits, disconnects. */
  async close(): Promise<void> {
    for (const member of [...this.memberships]) await member.leave();
    this.memberships.clear();
    await this.connection.close();
  }
}

function placeOf(spec: TopicSpec, { key, partition }: OutgoingRecord): number {
  if (LONE_SURROGATE.test(key)) {
    throw new EngineError(
      'EVENT_INVALID',
      `A record for topic '${spec.name}' has the key ${JSON.stringify(key)}, which holds half a surrogate pair; expected Unicode text.`,
      { context: { topic: spec.name } },
    );
  }
  if (partition === undefined) return partitionFor(key, spec.partitions);
  requirePartition(spec.name, partition, spec.partitions);
  return partition;
}
