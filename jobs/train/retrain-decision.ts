/**
 * Whether a model is to be trained now, and why: a pure function of what is known, so that every case can be tested.
 *
 *   never published, or older than `everyMs`  → schedule
 *   worse than its own level                  → drift
 *   younger than `restMs`, or just tried      → not now, whatever the reason
 *
 * A failed or refused training counts as a try: it is not repeated before `restMs` is over.
 */

export type RetrainReason = 'schedule' | 'drift';

export interface RetrainLimits {
  /** Age of the published version at which it is replaced, ms; 0 never. */
  readonly everyMs: number;
  /** Least time between two trainings of a model, ms. */
  readonly restMs: number;
}

export interface RetrainFacts {
  readonly now: number;
  /** When the version in use was published; undefined without one. */
  readonly publishedAt: number | undefined;
  /** When a training was last started, whatever became of it; undefined for never. */
  readonly triedAt: number | undefined;
  readonly hasDrifted: boolean;
}

export function decideRetrain(facts: RetrainFacts, { everyMs, restMs }: RetrainLimits): RetrainReason | undefined {
  const { now, publishedAt, triedAt, hasDrifted } = facts;
  const latest = Math.max(publishedAt ?? -Infinity, triedAt ?? -Infinity);
  if (now - latest < restMs) return undefined;
  if (hasDrifted && publishedAt !== undefined) return 'drift';
  const isDue = everyMs > 0 && (publishedAt === undefined || now - publishedAt >= everyMs);
  return isDue ? 'schedule' : undefined;
}
