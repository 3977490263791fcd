/** The `operators` section of the configuration: what users of the engine most often want to change. */
import { defineSection, setting } from '../streams/config.js';
import type { SectionValues } from '../streams/config.js';

const DAY_MS = 86_400_000;

export const operatorsSection = defineSection(
  'operators',
  {
    sessionGapMs: setting.integer({
      default: 30 * 60_000,
      min: 1_000,
      max: DAY_MS,
      unit: 'ms',
      description: 'Longest pause within a session that has no explicit id; also closes explicit ones.',
    }),
    sessionLatenessMs: setting.integer({
      default: 6 * 3_600_000,
      min: 0,
      max: 3_650 * DAY_MS,
      unit: 'ms',
      description:
        'How far behind the partition’s time a record may lie and still change a session. Raise it to import files that are not in time order.',
    }),
    sessionsRetained: setting.integer({
      default: 16,
      min: 1,
      max: 1_024,
      description: 'Sessions kept a person so that late records can correct them.',
    }),
    dedupeEvents: setting.integer({
      default: 64,
      min: 1,
      max: 4_096,
      description: 'Event ids remembered a person; a repeat within them is dropped.',
    }),
    rewardDelayMs: setting.integer({
      default: 5 * 60_000,
      min: 1_000,
      max: 7 * DAY_MS,
      unit: 'ms',
      description: 'How long after a view feedback still counts as an answer to it.',
    }),
    userIdleMs: setting.integer({
      default: 90 * DAY_MS,
      min: 60_000,
      max: 3_650 * DAY_MS,
      unit: 'ms',
      description:
        'A person’s state is removed after this long without an event; at least sessionLatenessMs. Event times decide: raise it for a live engine that continues an older import.',
    }),
    publishEpsilon: setting.number({
      default: 0.02,
      min: 0,
      max: 0.5,
      unit: 'share',
      description: 'Relative change of an item’s counters that serving is told about; 0 tells every change.',
    }),
    clockToleranceMs: setting.integer({
      default: 60_000,
      min: 0,
      max: DAY_MS,
      unit: 'ms',
      description: 'How far event time may run ahead of the time of receipt.',
    }),
  },
  { description: 'Stateful operators: sessions, profiles, rewards, popularity.' },
);

export type OperatorsConfig = SectionValues<typeof operatorsSection>;
