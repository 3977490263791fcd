/**
 * Whether a model may be asked now: one that fails or is slow is left out for a while, then tried again.
 *
 *   asked ──faults in a row, or mean time above the budget──▶ left out ──pauseMs──▶ on trial
 *     ▲                                                          ▲                    │
 *     └───────────────────────── a good answer ──────────────────┼────────────────────┤
 *                                                                └──a fault or a slow one
 *
 * A model answers synchronously, so a slow answer cannot be cut short: the guard looks at the moving mean of what answers
 * took and stops asking. Invariant: a pure function of what it was told; times are the caller's.
 */

export interface GuardLimits {
  /** Mean time of an answer above which the model is left out, ms. */
  readonly budgetMs: number;
  /** How long it is left out, ms. */
  readonly pauseMs: number;
}

export type LeftOutReason = 'failing' | 'slow';

/** One fault may be the request's; this many in a row are the model's. */
const FAULTS_MAX = 3;
/** Weight of the latest answer in the mean. */
const LATEST_SHARE = 0.1;
/** First answers that are not judged: code is compiled, caches are cold. */
const ANSWERS_MIN = 20;

export class ModelGuard {
  private faults = 0;
  private answers = 0;
  private meanMs = 0;
  private until = -Infinity;
  private cause: LeftOutReason = 'failing';
  private onTrial = false;

  constructor(private readonly limits: GuardLimits) {}

  /** Why the model must not be asked at this time; undefined when it may. */
  leftOut(now: number): LeftOutReason | undefined {
    return now < this.until ? this.cause : undefined;
  }

  /** True when this answer has the model left out. */
  answered(elapsedMs: number, now: number): boolean {
    this.faults = 0;
    this.answers++;
    this.meanMs = this.answers === 1 ? elapsedMs : this.meanMs + LATEST_SHARE * (elapsedMs - this.meanMs);
    const isJudged = this.onTrial || this.answers >= ANSWERS_MIN;
    const judged = this.onTrial ? elapsedMs : this.meanMs;
    this.onTrial = false;
    return isJudged && judged > this.limits.budgetMs && this.leave('slow', now);
  }

  /** True when this fault has the model left out. */
  failed(now: number): boolean {
    this.faults++;
    return (this.onTrial || this.faults >= FAULTS_MAX) && this.leave('failing', now);
  }

  private leave(cause: LeftOutReason, now: number): true {
    this.cause = cause;
    this.until = now + this.limits.pauseMs;
    this.faults = 0;
    this.answers = 0;
    this.onTrial = true;
    return true;
  }
}
