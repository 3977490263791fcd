/**
 * What Kafka cannot say about our topics: the log's identity, delivery classes, hint topics. A topic of its own.
 *
 * One partition, never compacted: the first identity written is the log's for good, whoever else writes one at the same
 * time; of a topic's declarations the last one counts. Somebody who deletes all topics deletes this one too, and state
 * that belongs to the old log is then told apart by the new identity.
 */
import type { OutgoingRecord, TopicSpec } from '../log/event-log.js';
import type { PartitionReader } from './partition-reader.js';
import type { Sender } from './sender.js';

export const CATALOGUE = 'freshet-catalogue';

const IDENTITY_KEY = 'identity';
const TOPIC_PREFIX = 'topic/';
const READ_LIMITS = { recordsMax: 10_000, bytesMax: 8 * 1_048_576 };

export class Catalogue {
  private next = 0;
  private readonly specs = new Map<string, TopicSpec>();
  private identityRead: string | undefined;

  constructor(
    private readonly topic: string,
    private readonly reader: PartitionReader,
    private readonly sender: Sender,
  ) {}

  /** As declared by anybody so far. */
  get topics(): readonly TopicSpec[] {
    return [...this.specs.values()];
  }

  /** The log's, made by `create` where there is none yet. */
  async identity(create: () => string): Promise<string> {
    await this.read();
    if (this.identityRead === undefined) {
      await this.write([{ key: IDENTITY_KEY, value: Buffer.from(create()) }]);
      await this.read();
    }
    return this.identityRead!;
  }

  async declare(specs: readonly TopicSpec[]): Promise<void> {
    const changed = specs.filter((spec) => JSON.stringify(this.specs.get(spec.name)) !== JSON.stringify(ordered(spec)));
    await this.write(
      changed.map((spec) => ({
        key: `${TOPIC_PREFIX}${spec.name}`,
        value: Buffer.from(JSON.stringify(ordered(spec))),
      })),
    );
    for (const spec of changed) this.specs.set(spec.name, ordered(spec));
  }

  private async read(): Promise<void> {
    for (;;) {
      const { records, nextOffset } = await this.reader.read(this.topic, 0, this.next, READ_LIMITS);
      for (const { key, value } of records) {
        if (key === IDENTITY_KEY) this.identityRead ??= value.toString();
        else if (key.startsWith(TOPIC_PREFIX)) {
          const spec = JSON.parse(value.toString()) as TopicSpec;
          this.specs.set(spec.name, ordered(spec));
        }
      }
      if (nextOffset === this.next) return;
      this.next = nextOffset;
    }
  }

  private async write(records: readonly OutgoingRecord[]): Promise<void> {
    if (records.length === 0) return;
    const places = records.map(() => 0);
    await this.sender.append(this.topic, records, places, false);
  }
}

/** Fields in one order, so that equal declarations are equal text. */
function ordered({ name, partitions, class: deliveryClass, retentionMs, exact }: TopicSpec): TopicSpec {
  return {
    name,
    partitions,
    class: deliveryClass,
    ...(retentionMs === undefined ? {} : { retentionMs }),
    ...(exact === true ? { exact } : {}),
  };
}
