/**
 * Everything of a Kafka log that lives as long as its connection: channels, reader, sender, watch, catalogue.
 *
 * Channels by what they wait for: reading and metadata, sending, transactions, long polls, topic administration.
 */
import { requireCompression } from './compression.js';
import { AppendWatch } from './append-watch.js';
import { Catalogue, CATALOGUE } from './catalogue.js';
import { type Channel, KafkaClient } from './kafka-client.js';
import { KafkaMetrics } from './kafka-metrics.js';
import { DEFAULT_TUNING, type KafkaLogOptions, type KafkaTuning } from './kafka-options.js';
import { PartitionReader } from './partition-reader.js';
import { patientlyOnKafka } from './patience.js';
import { Sender } from './sender.js';
import { TopicAdmin } from './topic-admin.js';

export class KafkaConnection {
  /** Called with the physical name of a topic and the partition that grew. */
  onAppended: (topic: string, partition: number) => void = () => undefined;
  readonly prefix: string;
  readonly reader: PartitionReader;
  readonly sender: Sender;
  readonly watch: AppendWatch;
  readonly catalogue: Catalogue;
  readonly exactChannel: Channel;
  private readonly channels: readonly Channel[];

  private constructor(
    private readonly options: KafkaLogOptions,
    readonly tuning: KafkaTuning,
    readonly client: KafkaClient,
    readonly admin: TopicAdmin,
    readonly metrics: KafkaMetrics,
    channels: readonly Channel[],
  ) {
    const [reading, sending, exact, ...lanes] = channels as [Channel, Channel, Channel, ...Channel[]];
    const { clock, logger, prefix = '' } = options;
    this.prefix = prefix;
    this.channels = channels;
    this.exactChannel = exact;
    const { fetchBytes: partitionBytesMax, cacheBytesMax, pollMs } = tuning;
    this.reader = new PartitionReader({ channel: reading, clock, metrics }, { partitionBytesMax, cacheBytesMax });
    const onRecords = (topic: string, partition: number): void => this.onAppended(topic, partition);
    this.watch = new AppendWatch(
      { lanes, reader: this.reader, clock, logger, onRecords },
      { pollMs, partitionBytesMax },
    );
    this.sender = new Sender(
      {
        channel: sending,
        clock,
        logger,
        metrics,
        // A poll under way brings the records along with the news.
        onAppended: (topic, partition) => {
          if (!this.watch.watches(topic, partition)) this.onAppended(topic, partition);
        },
      },
      tuning,
    );
    this.catalogue = new Catalogue(prefix + CATALOGUE, this.reader, this.sender);
  }

  static async open(options: KafkaLogOptions): Promise<KafkaConnection> {
    const tuning = { ...DEFAULT_TUNING, ...options.tuning };
    requireCompression(tuning.compression);
    const { brokers, clientId = 'freshet', sasl, tls, prefix = '', logger, clock } = options;
    const { connectTimeoutMs, requestTimeoutMs } = tuning;
    const client = new KafkaClient({ brokers, clientId, sasl, tls, connectTimeoutMs, requestTimeoutMs }, logger);
    const admin = await TopicAdmin.open(client, clock);
    const channels: Channel[] = [];
    try {
      const name = prefix + CATALOGUE;
      await admin.createMissing([{ name, partitions: 1, class: 'event' }], tuning);
      for (let i = 0; i < 3 + tuning.pollLanes; i++) {
        channels.push(await patientlyOnKafka(clock, 'open the log', () => client.openChannel([name])));
      }
      return new KafkaConnection(options, tuning, client, admin, new KafkaMetrics(options.metrics), channels);
    } catch (error) {
      await Promise.all(channels.map((channel) => channel.close()));
      await admin.close();
      throw error;
    }
  }

  /** Learns who leads these topics. A topic just made is not known to every broker yet. */
  async follow(topics: readonly string[]): Promise<void> {
    if (topics.length === 0) return;
    const what = `find the leaders of ${topics.join(', ')}`;
    for (const channel of this.channels) await patientlyOnKafka(this.options.clock, what, () => channel.follow(topics));
  }

  async close(): Promise<void> {
    await this.sender.close();
    await this.watch.close();
    await Promise.all(this.channels.map((channel) => channel.close()));
    await this.admin.close();
  }
}
