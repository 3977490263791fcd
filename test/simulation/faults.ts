/**
 * What can go wrong in a run, how often, and how often it did.
 *
 * Every seed draws its own profile: some faults are switched off altogether, others are frequent. Runs that mix
 * everything all the time explore less than runs that are each extreme in another way (swarm testing).
 */
import type { Random } from '../../streams/random.js';

export const FAULT_KINDS = [
  'failedBeforeEffect',
  'replyLost',
  'lateEffect',
  'lateTable',
  'partialAppend',
  'duplicateAppend',
  'shortRead',
  'emptyRead',
  'earlyRead',
  'hintLost',
  'crashBeforeRequest',
  'crashInFlight',
  'crashAfterEffect',
  'requestLostWithSender',
  'pause',
  'stuckTick',
  'ownershipMove',
  'rebalance',
  'sessionEnded',
  'networkCut',
  'twoOwners',
  'fenced',
  'storeRollback',
  'taskRollback',
  'powerLoss',
  'wallClockJump',
  'clockSkew',
  'importResent',
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

export type FaultCounts = Record<FaultKind, number>;

export function noFaults(): FaultCounts {
  return Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as FaultCounts;
}

/** Chance of each fault per opportunity, before the profile of a seed scales it. */
const BASE_RATES: Partial<Record<FaultKind, number>> = {
  failedBeforeEffect: 0.03,
  replyLost: 0.03,
  lateEffect: 0.015,
  lateTable: 0.1,
  partialAppend: 0.03,
  duplicateAppend: 0.05,
  shortRead: 0.3,
  emptyRead: 0.05,
  earlyRead: 0.15,
  hintLost: 0.3,
  crashBeforeRequest: 0.003,
  crashInFlight: 0.003,
  crashAfterEffect: 0.004,
  requestLostWithSender: 0.5,
  clockSkew: 0.8,
  stuckTick: 0.8,
};

/** A kind is off in this share of the seeds. */
const OFF_SHARE = 0.35;

export class FaultPlan {
  readonly counts = noFaults();
  private readonly rates = new Map<FaultKind, number>();
  private quiet = false;

  constructor(private readonly random: Random) {
    for (const kind of FAULT_KINDS) {
      const scale = random.float() < OFF_SHARE ? 0 : 0.3 + 2 * random.float();
      this.rates.set(kind, (BASE_RATES[kind] ?? 1) * scale);
    }
  }

  /** Whether the fault happens now; counted when it does. */
  strikes(kind: FaultKind): boolean {
    if (this.quiet || this.random.float() >= this.rates.get(kind)!) return false;
    this.counts[kind]++;
    return true;
  }

  /** For faults that the run schedules itself: how frequent the profile of this seed wants them, about 0 to 2. */
  intensity(kind: FaultKind): number {
    return this.quiet ? 0 : this.rates.get(kind)! / (BASE_RATES[kind] ?? 1);
  }

  note(kind: FaultKind): void {
    this.counts[kind]++;
  }

  /** No fault from now on: the run heals and drains. */
  stop(): void {
    this.quiet = true;
  }
}
