/** Asks a Kafka cluster whether it is ready for topics, groups and transactions. */
import { type Admin, Kafka, logLevel } from 'kafkajs';

export class KafkaProbe {
  private readonly kafka: Kafka;
  private readonly admin: Admin;
  private connected = false;

  constructor(brokers: readonly string[]) {
    const retry = { retries: 0, initialRetryTime: 50 };
    this.kafka = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING, connectionTimeout: 1_000, retry });
    this.admin = this.kafka.admin();
  }

  /** Throws while fewer brokers are there than `count`, or a coordinator is still being made. */
  async requireReady(count: number): Promise<void> {
    if (!this.connected) await this.admin.connect();
    this.connected = true;
    const { brokers } = await this.admin.describeCluster();
    if (brokers.length < count) throw new Error(`${brokers.length} of ${count} brokers are there`);
    // Both calls make Kafka create its inner topics.
    await this.admin.fetchOffsets({ groupId: 'readiness' });
    const producer = this.kafka.producer({
      transactionalId: 'readiness',
      idempotent: true,
      maxInFlightRequests: 1,
      retry: { retries: 5 },
    });
    try {
      await producer.connect();
      const transaction = await producer.transaction();
      await transaction.abort();
    } finally {
      await producer.disconnect();
    }
  }

  /** Throws while a partition has fewer copies in sync than it should have. */
  async requireInSync(): Promise<void> {
    const { topics } = await this.admin.fetchTopicMetadata();
    for (const { name, partitions } of topics) {
      const behind = partitions.find(({ isr, replicas }) => isr.length < replicas.length);
      if (behind !== undefined)
        throw new Error(`${name}/${behind.partitionId} has ${behind.isr.length} copies in sync`);
    }
  }

  async close(): Promise<void> {
    await this.admin.disconnect();
  }
}
