import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../streams/clock.js';
import { SyncPace } from '../../../streams/lmdb/sync-pace.js';

/** A disk whose syncs take what the test says, one every so many ms. */
function createDisk(everyMs = 10) {
  let nowMs = 0;
  const clock = Object.assign(new ManualClock(), { monotonic: () => nowMs });
  const pace = new SyncPace(clock);
  /** How many of `count` syncs were done on the spot. */
  const onTheSpot = (count: number, tookMs: number): number => {
    let done = 0;
    for (let i = 0; i < count; i++) {
      nowMs += everyMs;
      if (pace.tryNow(() => (nowMs += tookMs))) done++;
    }
    return done;
  };
  return { pace, onTheSpot };
}

describe('syncs', () => {
  it('are done on the spot while the disk is quick, whatever one of them takes', () => {
    const { onTheSpot } = createDisk();
    expect(onTheSpot(100, 0.4)).toBe(100);
    expect(onTheSpot(1, 8)).toBe(1);
    // But for five: it took 3 ms more than may be taken at once, which come back a twentieth of the time.
    expect(onTheSpot(100, 0.4)).toBe(95);
  });

  it('are handed over soon after the disk became slow, but for one in a second', () => {
    const { onTheSpot } = createDisk();
    onTheSpot(100, 0.4);
    expect(onTheSpot(20, 8)).toBeLessThanOrEqual(3);
    expect(onTheSpot(1_000, 8)).toBe(10);
  });

  it('are done on the spot again when the disk is quick again', () => {
    const { onTheSpot } = createDisk();
    onTheSpot(20, 8);
    expect(onTheSpot(200, 0.4)).toBeGreaterThanOrEqual(99);
    expect(onTheSpot(200, 0.4)).toBe(200);
  });

  it('take a small share of the time on the spot, however quick they are', () => {
    const { onTheSpot } = createDisk(1);
    const done = onTheSpot(10_000, 0.2);
    // A twentieth of some 10 s, at .2 ms each.
    expect(done).toBeGreaterThan(2_000);
    expect(done).toBeLessThan(3_000);
    const seldom = createDisk(10);
    expect(seldom.onTheSpot(1_000, 0.2)).toBe(1_000);
  });

  it('tell of their failure', () => {
    const { pace } = createDisk();
    const failing = (): void => {
      throw new Error('no space');
    };
    expect(() => pace.tryNow(failing)).toThrow('no space');
  });
});
