import { describe, expect, it } from 'vitest';
import { Slices } from '../../streams/slices.js';
import { WorkedClock } from './worked-clock.js';

/** What a turn was charged for is noted. */
class Loop extends WorkedClock {
  readonly charged: number[] = [];

  override nextTurn(usedMs = Infinity): Promise<void> {
    this.charged.push(usedMs);
    return Promise.resolve();
  }
}

async function stretch(slices: Slices, loop: Loop, steps: number, stepMs: number): Promise<void> {
  await slices.begin(loop);
  for (let i = 0; i < steps; i++) {
    loop.work(stepMs);
    if (slices.isOver(loop)) await slices.next(loop);
  }
  slices.end(loop);
}

describe('work in slices', () => {
  it('gives a turn when a slice is over, and says what the slice took', async () => {
    const loop = new Loop();
    await stretch(new Slices(4), loop, 64, 0.25);
    // Looked at every eight steps, of 2 ms: over, and not only full, at the third look.
    expect(loop.charged).toEqual([6, 6]);
  });

  it('slices short stretches that follow one another like a long one', async () => {
    const loop = new Loop();
    const slices = new Slices(4);
    for (let i = 0; i < 20; i++) await stretch(slices, loop, 1, 1);
    expect(loop.charged).toEqual([5, 5, 5]);
  });

  it('leaves out what others did between two stretches', async () => {
    const loop = new Loop();
    const slices = new Slices(4);
    for (let i = 0; i < 4; i++) {
      await stretch(slices, loop, 1, 1);
      loop.work(100);
    }
    expect(loop.charged).toEqual([]);
  });

  it('leaves out a stretch that was given up', async () => {
    const loop = new Loop();
    const slices = new Slices(4);
    await slices.begin(loop);
    loop.work(50);
    await stretch(slices, loop, 1, 3);
    await stretch(slices, loop, 1, 3);
    await slices.begin(loop);
    expect(loop.charged).toEqual([6]);
  });

  it('is one slice where there is no measure', async () => {
    const loop = new Loop();
    await stretch(new Slices(Infinity), loop, 1_000, 1_000);
    expect(loop.charged).toEqual([]);
  });
});
