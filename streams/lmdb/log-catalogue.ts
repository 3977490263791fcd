/**
 * What the embedded log remembers about itself: its identity, the declared topics, and each partition's place.
 *
 * A place is written when cleaning moved it: where the partition ends, since its last batch may be removed, and how
 * far cleaning has come, so that a restart does not clean everything again.
 */
import { z } from '../config.js';
import { EngineError } from '../../schemas/errors.js';
import type { TopicSpec } from '../log/event-log.js';
import type { Environment } from './environment.js';
import type { Table } from './table.js';

export interface PartitionPlace {
  readonly end: number;
  readonly cleanedTo: number;
}

/** Raise it with the layout of tables, keys, batches or journal entries. */
const FORMAT = '2';
/** Has no journal; everything else is the same. */
const FORMAT_BEFORE = '1';
const TOPIC_PREFIX = 'topic:';

const topicSchema = z.strictObject({
  name: z.string(),
  partitions: z.int().min(1),
  class: z.enum(['event', 'table', 'hint']),
  retentionMs: z.number().optional(),
  exact: z.boolean().optional(),
});
const placeSchema = z.strictObject({ end: z.int(), cleanedTo: z.int() });

export class LogCatalogue {
  private readonly table: Table;

  constructor(private readonly environment: Environment) {
    [this.table] = environment.openTables(['log']) as [Table];
  }

  /** The log's identity, made from `fresh` when the directory is new. Throws DATA_DIRECTORY_INVALID. */
  async identity(fresh: () => string): Promise<string> {
    const format = this.text('format');
    const identity = this.text('identity');
    if (format === FORMAT && identity !== undefined) return identity;
    if (format === FORMAT_BEFORE && identity !== undefined) {
      await this.environment.transact(() => this.put('format', FORMAT));
      return identity;
    }
    if (format !== undefined) {
      throw new EngineError(
        'DATA_DIRECTORY_INVALID',
        `The data directory has format ${format}; this build reads format ${FORMAT}. Use the build that wrote it.`,
      );
    }
    const made = fresh();
    await this.environment.transact(() => {
      this.put('format', FORMAT);
      this.put('identity', made);
    });
    return made;
  }

  topics(): TopicSpec[] {
    const specs: TopicSpec[] = [];
    for (const { key, value } of this.table.range({ from: Buffer.from(TOPIC_PREFIX) })) {
      if (!key.toString().startsWith(TOPIC_PREFIX)) break;
      specs.push(topicSchema.parse(JSON.parse(value.toString())));
    }
    return specs;
  }

  async writeTopics(specs: readonly TopicSpec[]): Promise<void> {
    await this.environment.transact(() => {
      for (const spec of specs) this.put(TOPIC_PREFIX + spec.name, JSON.stringify(spec));
    });
  }

  place(partitionName: string): PartitionPlace {
    const text = this.text(`place:${partitionName}`);
    return text === undefined ? { end: 0, cleanedTo: 0 } : placeSchema.parse(JSON.parse(text));
  }

  /** Only within a transaction. */
  putPlace(partitionName: string, place: PartitionPlace): void {
    this.put(`place:${partitionName}`, JSON.stringify(place));
  }

  private text(name: string): string | undefined {
    return this.table.get(Buffer.from(name))?.toString();
  }

  private put(name: string, text: string): void {
    this.table.put(Buffer.from(name), Buffer.from(text));
  }
}
