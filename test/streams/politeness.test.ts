import { describe, expect, it } from 'vitest';
import type { Clock } from '../../streams/clock.js';
import { Politeness } from '../../streams/politeness.js';
import { WorkedClock } from './worked-clock.js';

/** A loop on which others run for so long in each of the coming turns, ms; idle afterwards. */
class Loop extends WorkedClock {
  turns = 0;

  constructor(private readonly others: (() => number)[]) {
    super();
  }

  override nextTurn(): Promise<void> {
    this.turns++;
    this.work(this.others.shift()?.() ?? 0);
    return Promise.resolve();
  }
}

const busy = (turns: number, ms: number): (() => number)[] => Array.from({ length: turns }, () => () => ms);

describe('background work', () => {
  it('has an idle loop to itself', async () => {
    const loop = new Loop([]);
    const clock = new Politeness(loop).backgroundClock();
    for (let slice = 1; slice <= 3; slice++) {
      loop.work(5);
      await clock.nextTurn();
      expect(loop.turns).toBe(slice);
    }
  });

  it('leaves a busy loop to others for six times as long as it used it, and then goes on', async () => {
    const loop = new Loop(busy(100, 4));
    const clock = new Politeness(loop).backgroundClock();
    loop.work(6);
    await clock.nextTurn();
    expect(loop.turns).toBe(9);
    loop.work(1);
    await clock.nextTurn();
    expect(loop.turns).toBe(9 + 2);
  });

  it('leaves others sixty times as long while it keeps up with its input, until it has not been through for 5 s', async () => {
    const loop = new Loop(busy(10_000, 4));
    const clock = new Politeness(loop).backgroundClock();
    clock.caughtUp();
    loop.work(2);
    await clock.nextTurn();
    expect(loop.turns).toBe((2 * 60) / 4);
    loop.work(4_870);
    await clock.nextTurn();
    const patient = (10 * 60) / 4;
    expect(loop.turns).toBe(30 + patient);
    loop.work(2);
    await clock.nextTurn();
    expect(loop.turns).toBe(30 + patient + (2 * 6) / 4);
    clock.caughtUp();
    loop.work(2);
    await clock.nextTurn();
    expect(loop.turns).toBe(30 + patient + 3 + 30);
  });

  it('does not wait in the line of those that keep up once it is behind', async () => {
    const loop = new Loop(busy(10_000, 4));
    const politeness = new Politeness(loop);
    const [patient, behind] = [politeness.backgroundClock(), politeness.backgroundClock()];
    patient.caughtUp();
    const order: string[] = [];
    const [long, short] = [
      patient.nextTurn(2).then(() => order.push('patient')),
      behind.nextTurn(2).then(() => order.push('behind')),
    ];
    await Promise.all([long, short]);
    expect(order).toEqual(['behind', 'patient']);
  });

  it('is charged for what it says it used, where it knows', async () => {
    const loop = new Loop(busy(100, 4));
    const clock = new Politeness(loop).backgroundClock();
    loop.work(9);
    await clock.nextTurn(2);
    expect(loop.turns).toBe((2 * 6) / 4);
  });

  it('goes on at once when the others are done', async () => {
    const loop = new Loop(busy(2, 4));
    const clock = new Politeness(loop).backgroundClock();
    loop.work(9);
    await clock.nextTurn();
    expect(loop.turns).toBe(3);
  });

  it('is not charged for the time in which it waited for a server', async () => {
    const loop = new Loop(busy(100, 4));
    const clock = new Politeness(loop).backgroundClock();
    loop.work(60_000);
    await clock.nextTurn();
    expect(loop.turns).toBe(15);
  });

  it('does not take the work of its like for that of others', async () => {
    const others = busy(100, 1);
    const loop = new Loop(others);
    const politeness = new Politeness(loop);
    const [left, right] = [politeness.backgroundClock(), politeness.backgroundClock()];
    // In the first turn that the left one gives, the right one works for 8 ms.
    let second: Promise<void> | undefined;
    others[0] = () => {
      loop.work(8);
      second = right.nextTurn();
      return 1;
    };
    loop.work(2);
    await left.nextTurn();
    // Owed: 12 ms. None of it in the first turn, 1 in each later one; the right one has begun to give way.
    expect(loop.turns).toBeGreaterThanOrEqual(13);
    await second;
    // The right one is charged for the 10 ms since it was made, and owes 60.
    expect(loop.turns).toBe(13 + 60);
  });

  it('has turns one after another, in the order in which they were asked for', async () => {
    const loop = new Loop(busy(100, 4));
    const politeness = new Politeness(loop);
    const clocks: Clock[] = [1, 2, 3].map(() => politeness.backgroundClock());
    loop.work(2);
    const order: number[] = [];
    await Promise.all(clocks.map((clock, i) => clock.nextTurn().then(() => order.push(i))));
    expect(order).toEqual([0, 1, 2]);
    expect(loop.turns).toBe(3 * 3);
  });
});
