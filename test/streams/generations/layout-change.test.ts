/** Of two who change the layout at once one fails, and knows. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../streams/clock.js';
import { LayoutChange } from '../../../streams/generations/layout-change.js';
import { partitionsOf, readLayout, requireOpen } from '../../../streams/generations/layout.js';
import type { Layout } from '../../../streams/generations/layout.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';

const flip = ({ format, generations }: Layout): Layout => ({
  format,
  inForce: 2,
  generations: [
    ...generations,
    { number: 2, identity: 'next', topics: ['clicks'], partitions: { clicks: 6 }, hasServed: true },
  ],
});

describe('a change of the layout', () => {
  let physical: { log: MemoryLog; store: MemoryStore };

  beforeEach(() => {
    const log = new MemoryLog({ clock: new ManualClock(), identity: 'first' });
    physical = { log, store: new MemoryStore({ delivery: 'outbox' }) };
  });

  it('is announced, kept alive, and closes the generation for everybody else', async () => {
    const change = await LayoutChange.open(physical);
    await change.announce('mine');
    await change.beat();
    const layout = await readLayout(physical);
    expect(layout.closing).toEqual({ token: 'mine', beat: 1 });
    expect(() => requireOpen(layout, 1)).toThrowError(expect.objectContaining({ code: 'REPARTITIONING' }) as Error);
    requireOpen(layout, 1, 'mine');
    expect(() => requireOpen(layout, 2, 'mine')).toThrow();
    await change.update(flip);
    const after = await readLayout(physical);
    requireOpen(after, 2);
    expect(() => requireOpen(after, 1)).toThrow();
    expect([partitionsOf(after, 2, 'clicks'), partitionsOf(after, 1, 'clicks')]).toEqual([6, undefined]);
    // There is no announcement any more: neither call changes anything.
    await change.beat();
    await change.withdraw();
    expect(await readLayout(physical)).toEqual(after);
  });

  it('fails where somebody else took over, whatever it wants to write', async () => {
    const early = await LayoutChange.open(physical);
    await early.announce('early');
    const late = await LayoutChange.open(physical);
    await late.announce('late');
    for (const step of [() => early.beat(), () => early.update(flip), () => early.withdraw()]) {
      await expect(step()).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    }
    expect([early.isLost, late.isLost]).toEqual([true, false]);
    await late.update(flip);
    expect((await readLayout(physical)).inForce).toBe(2);
  });

  it('fails when its announcement was taken back', async () => {
    const sleeper = await LayoutChange.open(physical);
    await sleeper.announce('sleeper');
    await (await LayoutChange.open(physical)).withdraw();
    await expect(sleeper.update(flip)).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    expect((await readLayout(physical)).inForce).toBe(1);
  });

  it('makes its own writes one after another', async () => {
    const change = await LayoutChange.open(physical);
    await Promise.all([change.announce('mine'), change.beat(), change.beat(), change.update(flip), change.beat()]);
    expect(await readLayout(physical)).toMatchObject({ inForce: 2 });
    expect(change.layout.closing).toBeUndefined();
  });
});
