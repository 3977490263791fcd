/**
 * Whether a model has become worse than it was: hits on live interactions, fast against slow.
 *
 * Each live interaction with something new is a trial: did the model have the item among its best before it happened? Two
 * moving means are kept, of about the last `recent` trials and of about `baseline` of them before. Drift is
 *
 *   recentMean + Z · √(p(1 − p) / (2 · recent)) < (1 − drop) · baselineMean,   p = baselineMean
 *
 * so that both count: the fall must be large, and larger than chance makes it. A mean that weighs `recent` trials
 * exponentially has the variance of one over twice as many. Z = 3.
 *
 * Worked example: level .30, recent .22 of 500 trials, drop .2: .22 + 3 · .0145 = .263 > .24, no drift; .19: .233 < .24.
 *
 * Invariant: a function of the trials alone, in order. Nothing is decided before `baseline` trials were seen since the
 * version changed: a model is compared with its own level, not with another's.
 */

export interface DriftLimits {
  /** Trials that the recent mean weighs. */
  readonly recent: number;
  /** Trials that the level is measured on, and that must have been seen before drift is told; more than `recent`. */
  readonly baseline: number;
  /** Share of its own level a model may lose. */
  readonly drop: number;
}

export interface DriftState {
  readonly version: string;
  readonly trials: number;
  readonly recentMean: number;
  readonly baselineMean: number;
}

const Z = 3;

export class DriftWatch {
  private state: DriftState | undefined;

  constructor(private readonly limits: DriftLimits) {}

  get current(): DriftState | undefined {
    return this.state;
  }

  /** A trial of a version: another one starts anew. */
  observe(version: string, isHit: boolean): void {
    const { recent, baseline } = this.limits;
    const before =
      this.state?.version === version ? this.state : { version, trials: 0, recentMean: 0, baselineMean: 0 };
    const trials = before.trials + 1;
    const hit = isHit ? 1 : 0;
    // Plain means while there are few: the first trials weigh no more than the others.
    const towards = (mean: number, length: number): number => mean + (hit - mean) / Math.min(trials, length);
    this.state = {
      version,
      trials,
      recentMean: towards(before.recentMean, recent),
      baselineMean: towards(before.baselineMean, baseline),
    };
  }

  /** Whether the model is worse than its own level by more than allowed and more than chance. */
  hasDrifted(): boolean {
    const { recent, baseline, drop } = this.limits;
    if (this.state === undefined || this.state.trials < baseline) return false;
    const { recentMean, baselineMean: level } = this.state;
    return recentMean + Z * Math.sqrt((level * (1 - level)) / (2 * recent)) < (1 - drop) * level;
  }
}
