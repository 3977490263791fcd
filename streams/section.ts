/** The `streams` section of the configuration: log, state and batches. */
import { NAMESPACE_PATTERN } from '../schemas/topics.js';
import { defineSection, setting, z } from './config.js';
import type { SectionValues } from './config.js';
import type { TaskOptions } from './runtime/task-options.js';
import { DEFAULT_TASK_OPTIONS } from './runtime/task-options.js';

export const streamsSection = defineSection(
  'streams',
  {
    namespace: setting.of(z.string().regex(NAMESPACE_PATTERN).default('default'), {
      description: 'Prefix of topics, databases, metrics and tokens; several engines can share servers.',
    }),
    storage: setting.choice(['embedded', 'distributed'], {
      default: 'embedded',
      description: 'Log and state in the data directory of one process, or on Kafka and Redis shared by several.',
    }),
    partitions: setting.integer({
      default: 4,
      min: 1,
      max: 256,
      description: 'Partitions of each topic. Once data exist, `freshet repartition` moves them to another number.',
    }),
    sync: setting.choice(['always', 'interval', 'none'], {
      default: 'always',
      description:
        'When appended events are durable: before the answer, at an interval, or whenever the system writes them. All survive kill -9; only `always` survives a power cut without loss.',
    }),
    syncIntervalMs: setting.integer({
      default: 200,
      min: 1,
      max: 60_000,
      unit: 'ms',
      description: 'Time between syncs under sync: interval.',
    }),
    batchRecords: setting.integer({
      default: DEFAULT_TASK_OPTIONS.batchRecordsMax,
      min: 1,
      max: 100_000,
      description: 'Most records of a micro-batch.',
    }),
    batchMs: setting.integer({
      default: DEFAULT_TASK_OPTIONS.batchMsMax,
      min: 1,
      max: 60_000,
      unit: 'ms',
      description:
        'A micro-batch takes no more records after this long: where there is a backlog, how long its state is not seen.',
    }),
    cacheBytes: setting.optionalInteger({
      min: 0,
      max: 8 * 2 ** 30,
      unit: 'bytes',
      description:
        'Approximate memory of each task’s cache of live rows; 4 MiB where state is in files of this machine, 16 MiB where it is on servers.',
    }),
    idleTickMs: setting.integer({
      default: 1_000,
      min: 10,
      max: 3_600_000,
      unit: 'ms',
      description: 'How overdue a timer of an idle partition is before its owner moves time forward.',
    }),
    cleanIntervalMs: setting.integer({
      default: 60_000,
      min: 100,
      max: 86_400_000,
      unit: 'ms',
      description: 'Time between two rounds of retention and compaction.',
    }),
  },
  { description: 'Log, state and micro-batches.' },
);

export type StreamsConfig = SectionValues<typeof streamsSection>;

/**
 * Reading a row again costs a look into mapped memory, or a round trip. Rows that are kept for long are what full
 * collections have to walk, and give back only by them.
 */
const CACHE_BYTES = { embedded: 4 << 20, distributed: DEFAULT_TASK_OPTIONS.cacheBytesMax } as const;

/** The part of the section that tasks are made with. */
export function taskOptionsOf(config: StreamsConfig): TaskOptions {
  const { batchRecords, batchMs, storage } = config;
  const cacheBytes = config.cacheBytes ?? CACHE_BYTES[storage];
  return { ...DEFAULT_TASK_OPTIONS, batchRecordsMax: batchRecords, batchMsMax: batchMs, cacheBytesMax: cacheBytes };
}
