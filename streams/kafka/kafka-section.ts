/** The `kafka` section of the configuration: where the cluster is, how to get in, and how sends and groups behave. */
import { readFileSync } from 'node:fs';
import { EngineError } from '../../schemas/errors.js';
import type { SectionValues } from '../config.js';
import { defineSection, setting } from '../config.js';
import { COMPRESSIONS } from './compression.js';
import type { KafkaLogOptions, KafkaTuning } from './kafka-options.js';
import { DEFAULT_TUNING } from './kafka-options.js';

export const kafkaSection = defineSection(
  'kafka',
  {
    brokers: setting.text({
      default: '',
      address: 'FRESHET_KAFKA_BROKERS',
      description: 'Brokers to start from, host:port, separated by commas. Empty: the log is embedded.',
    }),
    prefix: setting.text({
      default: '',
      description: 'In front of every topic, group and producer id, for clusters that give rights by prefix.',
    }),
    sasl: setting.choice(['none', 'plain', 'scram-sha-256', 'scram-sha-512'], {
      default: 'none',
      description: 'How to log in.',
    }),
    username: setting.text({ default: '', description: 'User to log in as.' }),
    password: setting.text({ default: '', secret: 'FRESHET_KAFKA_PASSWORD', description: 'Its password.' }),
    tls: setting.flag({ default: false, description: 'Encrypt connections and check the brokers’ certificates.' }),
    tlsAuthority: setting.text({
      default: '',
      description: 'File (PEM) of the authority that signed the brokers’ certificates; empty: those of the system.',
    }),
    tlsCertificate: setting.text({ default: '', description: 'File (PEM) of the client’s own certificate, if any.' }),
    tlsKey: setting.text({ default: '', description: 'File (PEM) of its key.' }),
    replicas: setting.integer({
      default: 0,
      min: 0,
      max: 16,
      description: 'Copies of each partition of topics created here; 0: the cluster’s default.',
    }),
    replicasMin: setting.integer({
      default: 0,
      min: 0,
      max: 16,
      description: 'Copies that must have a record before it is acknowledged; 0: the cluster’s default.',
    }),
    compression: setting.choice(COMPRESSIONS, {
      default: DEFAULT_TUNING.compression,
      description: 'Of what is sent; zstd needs Node 22.15. All but lz4 can be read.',
    }),
    batchRecords: setting.integer({
      default: DEFAULT_TUNING.batchRecordsMax,
      min: 1,
      max: 1_000_000,
      description: 'Most records of a batch sent to a partition.',
    }),
    batchBytes: setting.integer({
      default: DEFAULT_TUNING.batchBytesMax,
      min: 1_024,
      max: 64 * 1_048_576,
      unit: 'bytes',
      description: 'Most bytes of a batch; the brokers’ max.message.bytes must allow it.',
    }),
    deliveryMs: setting.integer({
      default: DEFAULT_TUNING.deliveryMs,
      min: 100,
      max: 3_600_000,
      unit: 'ms',
      description: 'An append that was not acknowledged for this long is given up.',
    }),
    sessionMs: setting.integer({
      default: DEFAULT_TUNING.sessionMs,
      min: 1_000,
      max: 1_800_000,
      unit: 'ms',
      description: 'A worker that is silent for this long loses its partitions; brokers allow no less than 6,000.',
    }),
    heartbeatMs: setting.integer({
      default: DEFAULT_TUNING.heartbeatMs,
      min: 100,
      max: 600_000,
      unit: 'ms',
      description: 'Time between heartbeats, by which members notice a rebalance; well below a third of the session.',
    }),
    fetchBytes: setting.integer({
      default: DEFAULT_TUNING.fetchBytes,
      min: 1_024,
      max: 64 * 1_048_576,
      unit: 'bytes',
      description: 'Bytes asked for of each partition at once.',
    }),
    cacheBytes: setting.integer({
      default: DEFAULT_TUNING.cacheBytesMax,
      min: 1_048_576,
      max: 8 * 2 ** 30,
      unit: 'bytes',
      description: 'Memory for what was fetched and not read by everybody yet.',
    }),
    pollMs: setting.integer({
      default: DEFAULT_TUNING.pollMs,
      min: 1,
      max: 30_000,
      unit: 'ms',
      description: 'How long a fetch at the end of the log waits for new records.',
    }),
    registry: setting.text({
      default: '',
      address: 'FRESHET_SCHEMA_REGISTRY',
      description: 'URL of a schema registry, for reading topics that others write in its framing; empty: none.',
    }),
  },
  { description: 'The log on Apache Kafka.' },
);

export type KafkaConfig = SectionValues<typeof kafkaSection>;

/** Where the cluster is and how to get in. Throws CONFIG_INVALID for a file that cannot be read. */
export function kafkaOptionsOf(
  config: KafkaConfig,
): Pick<KafkaLogOptions, 'brokers' | 'prefix' | 'sasl' | 'tls' | 'tuning'> {
  const { sasl: mechanism, username, password } = config;
  return {
    brokers: config.brokers
      .split(',')
      .map((address) => address.trim())
      .filter((address) => address !== ''),
    prefix: config.prefix,
    sasl: mechanism === 'none' ? undefined : { mechanism, username, password },
    tls: config.tls
      ? {
          ca: readPem(config.tlsAuthority, 'tlsAuthority'),
          certificate: readPem(config.tlsCertificate, 'tlsCertificate'),
          key: readPem(config.tlsKey, 'tlsKey'),
        }
      : undefined,
    tuning: tuningOf(config),
  };
}

function tuningOf(config: KafkaConfig): Partial<KafkaTuning> {
  return {
    compression: config.compression,
    batchRecordsMax: config.batchRecords,
    batchBytesMax: config.batchBytes,
    deliveryMs: config.deliveryMs,
    fetchBytes: config.fetchBytes,
    cacheBytesMax: config.cacheBytes,
    pollMs: config.pollMs,
    sessionMs: config.sessionMs,
    heartbeatMs: config.heartbeatMs,
    replicas: config.replicas === 0 ? undefined : config.replicas,
    replicasMin: config.replicasMin === 0 ? undefined : config.replicasMin,
  };
}

function readPem(path: string, key: string): string | undefined {
  if (path === '') return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new EngineError('CONFIG_INVALID', `kafka.${key} is '${path}', which cannot be read.`, { cause: error });
  }
}
