/** The `training` section of the configuration: which models a running engine keeps trained. */
import { ALGORITHM_NAMES } from '../../serving/models/algorithms.js';
import { defineSection, setting, z } from '../../streams/config.js';
import type { SectionValues } from '../../streams/config.js';

const trainedModel = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9_-]{0,63}$/, 'lower-case letters, digits, - and _'),
  algorithm: z.string().refine((name) => ALGORITHM_NAMES.includes(name), `one of ${ALGORITHM_NAMES.join(', ')}`),
  options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
  warm: z.boolean().default(true),
});

export const trainingSection = defineSection(
  'training',
  {
    models: setting.of(z.array(trainedModel).max(8).default([]), {
      description:
        'Models that `up` keeps trained from the warehouse, by a process of their own: name, algorithm, options of the algorithm, warm: go on from the published version. Needs the roles serve and warehouse.',
    }),
    everyHours: setting.number({
      default: 24,
      min: 0,
      max: 8_760,
      unit: 'hours',
      description: 'Age of a published version at which it is trained again; 0 leaves it to drift.',
    }),
    restMinutes: setting.number({
      default: 60,
      min: 0.01,
      max: 525_600,
      unit: 'minutes',
      description: 'Least time between two trainings of a model, whatever became of the one before.',
    }),
    driftDrop: setting.number({
      default: 0.2,
      min: 0.01,
      max: 0.99,
      unit: 'share',
      description: 'Fall of a model’s hit rate on live interactions below its own level at which it is trained again.',
    }),
    driftRecent: setting.integer({
      default: 500,
      min: 10,
      max: 1_000_000,
      unit: 'interactions',
      description: 'Live interactions that the recent hit rate weighs.',
    }),
    driftBaseline: setting.integer({
      default: 5_000,
      min: 10,
      max: 10_000_000,
      unit: 'interactions',
      description: 'Live interactions that a model’s own level is measured on.',
    }),
    trialsPerSecond: setting.integer({
      default: 5,
      min: 1,
      max: 1_000,
      unit: 'interactions',
      description: 'Live interactions a second on which models are tried: more know earlier and cost more.',
    }),
    margin: setting.number({
      default: 0.05,
      min: 0,
      max: 1,
      unit: 'share',
      description: 'How much worse than the published one a new version may be and still be published.',
    }),
    memoryMiB: setting.integer({
      default: 2_048,
      min: 64,
      max: 1 << 20,
      unit: 'MiB',
      description: 'Memory a training may use.',
    }),
    threads: setting.integer({
      default: 1,
      min: 1,
      max: 256,
      description: 'Threads of a training: the other cores belong to the engine.',
    }),
    workerLockMs: setting.integer({
      default: 60_000,
      min: 1_000,
      max: 3_600_000,
      unit: 'ms',
      description:
        'A worker (`--roles train`) that was silent for this long is taken for dead, and its shard is given to another. Equal on all workers.',
    }),
    workersWaitMs: setting.integer({
      default: 120_000,
      min: 100,
      max: 86_400_000,
      unit: 'ms',
      description: 'With `--workers`: how long to go on without a connected worker before giving up.',
    }),
    niceness: setting.integer({
      default: 19,
      min: 0,
      max: 19,
      description:
        'How far a training stands back for other processes, as for `nice`: at 19 it gets what nobody wants, and may take long on a machine that is busy.',
    }),
  },
  {
    description: 'Training beside a running engine: on schedule, and when a model has become worse.',
    check: ({ driftRecent, driftBaseline }) =>
      driftBaseline > driftRecent
        ? []
        : [{ path: 'driftBaseline', value: driftBaseline, expected: `more than driftRecent, ${driftRecent}` }],
  },
);

export type TrainingConfig = SectionValues<typeof trainingSection>;
