/** What a Kafka log is made with, and the defaults. */
import type { Clock } from '../clock.js';
import type { HintBus } from '../log/hint-bus.js';
import type { Logger } from '../logger.js';
import type { Metrics } from '../metrics.js';
import type { Random } from '../random.js';
import type { Compression } from './compression.js';
import type { KafkaSasl, KafkaTls } from './kafka-client.js';

export interface KafkaTuning {
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Most records and bytes of a batch sent to a partition. */
  readonly batchRecordsMax: number;
  readonly batchBytesMax: number;
  readonly compression: Compression;
  /** An append that was not acknowledged for this long is given up. */
  readonly deliveryMs: number;
  /** Bytes of appends that may wait for an acknowledgement. */
  readonly waitingBytesMax: number;
  /** Bytes asked for of each partition at once. */
  readonly fetchBytes: number;
  readonly cacheBytesMax: number;
  readonly pollMs: number;
  /** Long polls at once: partitions that go quiet at different times do not wait for each other. */
  readonly pollLanes: number;
  readonly sessionMs: number;
  readonly heartbeatMs: number;
  readonly rebalanceMs: number;
  readonly replicas: number | undefined;
  readonly replicasMin: number | undefined;
}

export const DEFAULT_TUNING: KafkaTuning = {
  connectTimeoutMs: 3_000,
  requestTimeoutMs: 10_000,
  batchRecordsMax: 10_000,
  batchBytesMax: 900_000,
  compression: 'none',
  deliveryMs: 60_000,
  waitingBytesMax: 64 * 1_048_576,
  fetchBytes: 1_048_576,
  cacheBytesMax: 64 * 1_048_576,
  pollMs: 100,
  pollLanes: 3,
  sessionMs: 6_000,
  heartbeatMs: 500,
  rebalanceMs: 30_000,
  replicas: undefined,
  replicasMin: undefined,
};

export interface KafkaLogOptions {
  readonly brokers: readonly string[];
  readonly clientId?: string;
  /** In front of every topic, group and producer id: several engines on one cluster, or rights by prefix. */
  readonly prefix?: string;
  /** Of a log that goes on here: what a cluster without an identity is given. Drawn when left out. */
  readonly identity?: string | undefined;
  readonly sasl?: KafkaSasl | undefined;
  readonly tls?: KafkaTls | undefined;
  /** Carries hints between processes; without one they stay within this process. */
  readonly hints?: HintBus | undefined;
  readonly tuning?: Partial<KafkaTuning>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}
