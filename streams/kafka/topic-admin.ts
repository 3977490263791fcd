/**
 * Topics as Kafka has them: creation with declared partitions and retention, and refusal of ones that differ.
 *
 * A delivery class is a cleanup policy: tables are compacted, events deleted by age. Topics of class hint are not stored.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';
import type { TopicSpec } from '../log/event-log.js';
import type { KafkaClient, TopicAdministration } from './kafka-client.js';
import { kafkaFault } from './kafka-error.js';
import { patientlyOnKafka } from './patience.js';

export interface TopicDefaults {
  /** Copies of each partition; undefined leaves it to the cluster. */
  readonly replicas: number | undefined;
  /** Copies that must have a record before it is acknowledged; undefined leaves it to the cluster. */
  readonly replicasMin: number | undefined;
}

/** Properties of a topic that a declaration decides on. */
interface Settings {
  readonly partitions: number;
  readonly cleanup: string;
  /** -1: kept for good. */
  readonly retentionMs: number;
}

const KEPT_FOR_GOOD = -1;
const CLUSTER_DEFAULT = -1;
const CREATE_MS = 15_000;
const CLEANUP = 'cleanup.policy';
const RETENTION = 'retention.ms';

export class TopicAdmin {
  private constructor(
    private readonly administration: TopicAdministration,
    private readonly clock: Clock,
  ) {}

  static async open(client: KafkaClient, clock: Clock): Promise<TopicAdmin> {
    return new TopicAdmin(await client.openAdministration(), clock);
  }

  async names(): Promise<ReadonlySet<string>> {
    return new Set(await this.administration.names());
  }

  /** Creates what is missing; whoever was faster is checked afterwards. `names` are physical. */
  createMissing(specs: readonly TopicSpec[], defaults: TopicDefaults): Promise<void> {
    return patientlyOnKafka(this.clock, 'create topics', () => this.tryCreateMissing(specs, defaults));
  }

  private async tryCreateMissing(specs: readonly TopicSpec[], defaults: TopicDefaults): Promise<void> {
    const existing = await this.names();
    const missing = specs.filter(({ name }) => !existing.has(name));
    if (missing.length > 0) await this.create(missing, defaults);
    for (const spec of specs.filter(({ name }) => existing.has(name)))
      requireSame(spec, await this.settings(spec.name));
  }

  private async create(specs: readonly TopicSpec[], { replicas, replicasMin }: TopicDefaults): Promise<void> {
    const minimum = replicasMin === undefined ? [] : [{ name: 'min.insync.replicas', value: String(replicasMin) }];
    const topics = specs.map((spec) => ({
      topic: spec.name,
      numPartitions: spec.partitions,
      replicationFactor: replicas ?? CLUSTER_DEFAULT,
      configEntries: [
        { name: CLEANUP, value: cleanupOf(spec) },
        { name: RETENTION, value: String(spec.retentionMs ?? KEPT_FOR_GOOD) },
        ...minimum,
      ],
    }));
    try {
      await this.administration.create(topics, CREATE_MS);
    } catch (error) {
      throw kafkaFault(error, `create the topics ${specs.map(({ name }) => name).join(', ')}`);
    }
  }

  /** A topic somebody else made, as a declaration. Throws TOPIC_UNKNOWN. */
  async describe(name: string): Promise<TopicSpec> {
    const { partitions, cleanup, retentionMs } = await this.settings(name);
    return {
      name,
      partitions,
      class: cleanup.includes('compact') ? 'table' : 'event',
      retentionMs: retentionMs === KEPT_FOR_GOOD ? undefined : retentionMs,
    };
  }

  /** Makes a partition begin at an offset that it has reached. */
  async deleteBefore(name: string, partition: number, offset: number): Promise<void> {
    try {
      await this.administration.deleteBefore(name, partition, offset);
    } catch (error) {
      throw kafkaFault(error, `make ${name}/${partition} begin at offset ${offset}`);
    }
  }

  /** Of a group; none of one that does not exist. */
  async members(group: string): Promise<readonly string[]> {
    try {
      const members = await this.administration.members(group);
      return members.map(({ memberId, clientId, clientHost }) => `${clientId} at ${clientHost} (${memberId})`);
    } catch (error) {
      throw kafkaFault(error, `tell who is in group ${group}`);
    }
  }

  private async settings(name: string): Promise<Settings> {
    const partitions = await this.administration.partitions(name);
    if (partitions === undefined) {
      throw new EngineError('TOPIC_UNKNOWN', `Topic '${name}' does not exist in Kafka.`, { context: { topic: name } });
    }
    const config = await this.administration.configuration(name, [CLEANUP, RETENTION]);
    return {
      partitions,
      cleanup: config.get(CLEANUP) ?? '',
      retentionMs: Number(config.get(RETENTION) ?? KEPT_FOR_GOOD),
    };
  }

  async close(): Promise<void> {
    await this.administration.close();
  }
}

function cleanupOf(spec: TopicSpec): string {
  return spec.class === 'table' ? 'compact' : 'delete';
}

/** Throws TOPIC_MISMATCH, saying what to do. */
function requireSame(spec: TopicSpec, actual: Settings): void {
  const faults: string[] = [];
  if (actual.partitions !== spec.partitions) {
    faults.push(`it has ${actual.partitions} partitions, not ${spec.partitions} (repartition it)`);
  }
  if (actual.cleanup !== cleanupOf(spec)) {
    faults.push(`its ${CLEANUP} is '${actual.cleanup}', not '${cleanupOf(spec)}'`);
  }
  const retentionMs = spec.retentionMs ?? KEPT_FOR_GOOD;
  // What compaction keeps has no age.
  if (spec.class !== 'table' && actual.retentionMs !== retentionMs) {
    faults.push(`its ${RETENTION} is ${actual.retentionMs}, not ${retentionMs}`);
  }
  if (faults.length === 0) return;
  throw new EngineError(
    'TOPIC_MISMATCH',
    `Topic '${spec.name}' in Kafka differs from its declaration: ${faults.join('; ')}. Change the topic ` +
      '(kafka-configs --alter) or the declaration.',
    { context: { topic: spec.name } },
  );
}
