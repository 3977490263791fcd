/**
 * Long work in slices, so that other work of the process gets its turn in between.
 *
 *   begin ─▶ step, step … isOver? ─▶ next ─▶ step … ─▶ end
 *
 * What a stretch of work left of a slice belongs to the next stretch: short ones, however many follow one another, are
 * sliced like a long one. Workers that work one after another may share one. A stretch waits for nothing but `next`.
 */
import type { Clock } from './clock.js';

/** Steps between two looks at the clock. */
const STEPS_PER_LOOK = 8;

export class Slices {
  /** By stretches that have ended, since others had their turn. */
  private usedMs = 0;
  private startedMs = 0;
  private steps = 0;

  /** @param sliceMs Infinity: one slice. */
  constructor(private readonly sliceMs: number) {}

  /** Gives others their turn first, on the clock of who begins, if what went before has used the slice up. */
  async begin(clock: Clock): Promise<void> {
    if (this.usedMs > this.sliceMs) await this.giveTurn(clock);
    this.startedMs = clock.monotonic();
  }

  /** To be asked after each step of the work. */
  isOver(clock: Clock): boolean {
    if (++this.steps % STEPS_PER_LOOK !== 0) return false;
    return this.usedMs + clock.monotonic() - this.startedMs > this.sliceMs;
  }

  /** Gives others a turn and begins the next slice. */
  async next(clock: Clock): Promise<void> {
    this.end(clock);
    await this.giveTurn(clock);
    this.startedMs = clock.monotonic();
  }

  /** A stretch that is given up need not end. */
  end(clock: Clock): void {
    this.usedMs += clock.monotonic() - this.startedMs;
  }

  private giveTurn(clock: Clock): Promise<void> {
    const { usedMs } = this;
    this.usedMs = 0;
    return clock.nextTurn(usedMs);
  }
}
