import { ManualClock } from '../../streams/clock.js';

/** Monotonic time passes by working, and by nothing else. */
export class WorkedClock extends ManualClock {
  private workedMs = 0;

  override monotonic(): number {
    return this.workedMs;
  }

  work(ms: number): void {
    this.workedMs += ms;
  }
}
