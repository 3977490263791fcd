/** Long work in slices, so that other work of the process gets its turn in between. */
import type { Clock } from './clock.js';

/** Steps between two looks at the clock. */
const STEPS_PER_LOOK = 32;

export class Slices {
  private startedMs = 0;
  private steps = 0;

  /** @param sliceMs Infinity: one slice. */
  constructor(
    private readonly clock: Clock,
    private readonly sliceMs: number,
  ) {}

  begin(): void {
    this.startedMs = this.clock.monotonic();
    this.steps = 0;
  }

  /** To be asked after each step of the work. */
  isOver(): boolean {
    if (++this.steps % STEPS_PER_LOOK !== 0) return false;
    return this.clock.monotonic() - this.startedMs > this.sliceMs;
  }

  /** Gives others a turn and begins the next slice. */
  async next(): Promise<void> {
    await this.clock.nextTurn();
    this.begin();
  }
}
