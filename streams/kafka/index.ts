/**
 * The log on Apache Kafka.
 *
 *   const log = await openKafkaLog({ brokers: ['127.0.0.1:9092'], clock, random, logger, metrics });
 *   … await log.createTopics(specs) …
 *   await log.close();
 */
import { KafkaLog } from './kafka-log.js';
import type { KafkaLogOptions } from './kafka-options.js';

/** Throws LOG_UNAVAILABLE, LOG_REFUSED, CONFIG_INVALID. */
export function openKafkaLog(options: KafkaLogOptions): Promise<KafkaLog> {
  return KafkaLog.open(options);
}

export { kafkaOptionsOf, kafkaSection } from './kafka-section.js';
export type { KafkaLog } from './kafka-log.js';
export type { KafkaLogOptions, KafkaTuning } from './kafka-options.js';
