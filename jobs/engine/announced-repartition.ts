/**
 * A repartition of an engine that several processes share, while they run.
 *
 *   announce ──▶ everybody lets go ──▶ what waits is processed here ──▶ built, put in force ──▶ everybody has gone over ──▶ old
 *      │                 │                       ▲                │                                          state dropped
 *      │                 └ somebody does not     └── something ───┘
 *      └◀── withdrawn ◀────┘ (ENGINE_RUNNING)       came late
 *
 * Nothing here rests on how fast the others are. A serving node reads the layout after each append and tells nobody of success
 * when it says `closing`; a worker that acquires a task reads it likewise; whoever had a task before is fenced by its being
 * taken. What is waited for only keeps records that nobody acknowledged from ending up in the old topics, and readers from
 * looking for state that is gone.
 */
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import { LayoutChange } from '../../streams/generations/layout-change.js';
import type { Random } from '../../streams/random.js';
import { groupOf } from '../../streams/runtime/worker.js';
import { repartition } from '../../streams/transfer/repartition.js';
import type { RepartitionOptions, RepartitionResult } from '../../streams/transfer/repartition.js';
import { BEAT_MS } from './generation-watch.js';
import { viewOfGeneration } from './storage.js';
import type { PhysicalStorage } from './storage.js';

export interface AnnouncedOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** How long the others get to let their partitions go. */
  readonly patienceMs: number;
  /** Runs the stages until nothing waits, as one that knows of the announcement. */
  readonly processWaiting: (token: string) => Promise<void>;
}

const MEMBERS_LOOK_MS = 200;
/** What edges had under way when they heard of the announcement arrives late, once. */
const TRIES_MAX = 3;
/** Serving nodes that hold still look ten times a second: by then they read the new state. */
const CHANGE_OVER_MS = 1_000;

/** Throws ENGINE_RUNNING and whatever `repartition` throws; the engine goes on with the partitions it had then. */
export async function repartitionAnnounced(
  physical: PhysicalStorage,
  plan: RepartitionOptions,
  options: AnnouncedOptions,
): Promise<RepartitionResult | undefined> {
  const { clock } = options;
  const change = await LayoutChange.open(physical);
  const token = options.random.hex(16);
  await change.announce(token);
  // One that fails is told by the next write that matters.
  const beating = clock.setInterval(BEAT_MS, () => void change.beat().catch(() => undefined));
  try {
    await letGo(physical, plan, { ...options, change });
    const onInForce = (): Promise<void> => clock.sleep(CHANGE_OVER_MS);
    for (let tries = 1; ; tries++) {
      await options.processWaiting(token);
      try {
        return await repartition(physical, { ...plan, change, onInForce });
      } catch (error) {
        if (tries === TRIES_MAX || !isEngineError(error, 'ENGINE_RUNNING') || change.isLost) throw error;
      }
    }
  } finally {
    beating.cancel();
    // Somebody else has it, or nobody can be told: then it is found to stand still.
    await change.withdraw().catch(() => undefined);
  }
}

/** Resolves when nobody is in the groups of the stages. Throws ENGINE_RUNNING, naming who is. */
async function letGo(
  physical: PhysicalStorage,
  { topology }: RepartitionOptions,
  { clock, patienceMs, change }: AnnouncedOptions & { readonly change: LayoutChange },
): Promise<void> {
  const { log } = viewOfGeneration(physical, change.layout);
  const untilMs = clock.monotonic() + patienceMs;
  for (;;) {
    const members = await Promise.all(
      topology.stages.map(async (stage) => (await log.members?.(groupOf(topology, stage))) ?? []),
    );
    const left = [...new Set(members.flat())];
    if (left.length === 0) return;
    if (clock.monotonic() >= untilMs) {
      throw new EngineError(
        'ENGINE_RUNNING',
        `These did not let their partitions go: ${left.join(', ')}. End them (a job such as an import must come to its end), and try again.`,
      );
    }
    await clock.sleep(MEMBERS_LOOK_MS);
  }
}
