/**
 * Tasks of one process working one after another instead of side by side.
 *
 * On embedded storage nothing that a batch waits for takes time, so batches that are worked on in turns of a few
 * milliseconds gain nothing by it, and all of them are in memory at once: they outlive the young generation, and the
 * garbage collector copies them. Commits are not part of a turn: while one task waits for the disk another one works.
 *
 * Those who follow one another share their slices, or many small batches would have the event loop to themselves for
 * the time of all.
 */
import { Slices } from '../slices.js';

export class Turn {
  readonly slices: Slices;
  private last: Promise<unknown> = Promise.resolve();

  constructor(sliceMs: number) {
    this.slices = new Slices(sliceMs);
  }

  /** Runs `work` once everybody who asked before is done, whether well or not. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work);
    this.last = result.catch(() => undefined);
    return result;
  }
}
