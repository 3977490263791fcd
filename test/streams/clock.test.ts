/** The clock: what callers of both clocks rely on, and the ordering that simulation relies on. */
import { describe, expect, it } from 'vitest';
import { type Clock, ManualClock, systemClock } from '../../streams/clock.js';

describe('ManualClock', () => {
  it('fires timers in order of time, then in the order they were set', async () => {
    const clock = new ManualClock();
    const fired: string[] = [];
    clock.setTimer(20, () => fired.push('late'));
    clock.setTimer(10, () => fired.push('first'));
    clock.setTimer(10, () => fired.push('second'));
    await clock.advance(19);
    expect(fired).toEqual(['first', 'second']);
    await clock.advance(1);
    expect(fired).toEqual(['first', 'second', 'late']);
  });

  it('shows each timer the time it was due at, not the target of the advance', async () => {
    const clock = new ManualClock(1_000);
    const seen: number[] = [];
    clock.setTimer(5, () => seen.push(clock.now()));
    clock.setInterval(10, () => seen.push(clock.now()));
    await clock.advance(25);
    expect(seen).toEqual([1_005, 1_010, 1_020]);
    expect(clock.now()).toBe(1_025);
    expect(clock.monotonic()).toBe(25);
  });

  it('runs the awaits of a sleeping loop before it fires the next timer', async () => {
    const clock = new ManualClock(0);
    const seen: number[] = [];
    const loop = (async () => {
      for (let i = 0; i < 3; i++) {
        await clock.sleep(10);
        seen.push(clock.now());
      }
    })();
    await clock.advance(30);
    await loop;
    expect(seen).toEqual([10, 20, 30]);
  });

  it('never fires a cancelled timer, not even one cancelled by a timer of the same moment', async () => {
    const clock = new ManualClock();
    let fired = false;
    clock.setTimer(10, () => victim.cancel());
    const victim = clock.setTimer(10, () => (fired = true));
    await clock.advance(10);
    victim.cancel();
    expect(fired).toBe(false);
    expect(clock.pendingTimers).toBe(0);
  });

  it('stops an interval that cancels itself', async () => {
    const clock = new ManualClock();
    let count = 0;
    const interval = clock.setInterval(1, () => {
      count++;
      if (count === 3) interval.cancel();
    });
    await clock.advance(100);
    expect(count).toBe(3);
    expect(clock.nextTimerInMs).toBeUndefined();
  });

  it('says how long until the next timer', () => {
    const clock = new ManualClock();
    clock.setTimer(7, () => undefined);
    expect(clock.nextTimerInMs).toBe(7);
  });
});

describe.each<[string, () => Clock]>([
  ['ManualClock', () => new ManualClock()],
  ['SystemClock', () => systemClock],
])('%s', (_name, create) => {
  it('rejects a sleep at once when the signal is aborted already', async () => {
    await expect(create().sleep(60_000, AbortSignal.abort(new Error('closing')))).rejects.toThrow('closing');
  });

  it('rejects a running sleep with the reason of the abort', async () => {
    const controller = new AbortController();
    const slept = create().sleep(60_000, controller.signal);
    controller.abort(new Error('closing'));
    await expect(slept).rejects.toThrow('closing');
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses a delay of %s ms', (ms) => {
    expect(() => create().setTimer(ms, () => undefined)).toThrow(/delay/);
  });

  it.each([0, 2 ** 31])('refuses an interval of %s ms, which would be a busy loop', (ms) => {
    expect(() => create().setInterval(ms, () => undefined)).toThrow(/delay/);
  });
});

describe('SystemClock', () => {
  it('waits at least as long as asked and never runs backwards', async () => {
    const before = systemClock.monotonic();
    await systemClock.sleep(5);
    await systemClock.nextTurn();
    expect(systemClock.monotonic() - before).toBeGreaterThanOrEqual(4);
  });

  it('does not fire a timer of more than 24 days at once', async () => {
    let fired = false;
    const timer = systemClock.setTimer(2 ** 31 + 5, () => (fired = true));
    await systemClock.sleep(10);
    timer.cancel();
    expect(fired).toBe(false);
  });
});
