/** What a process does when the layout that it shares with others changes. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GenerationWatch } from '../../../jobs/engine/generation-watch.js';
import { EngineError } from '../../../schemas/errors.js';
import { ManualClock } from '../../../streams/clock.js';
import { LayoutChange } from '../../../streams/generations/layout-change.js';
import { readLayout } from '../../../streams/generations/layout.js';
import type { Layout } from '../../../streams/generations/layout.js';
import { silentLogger } from '../../../streams/logger.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';

const SECOND = 1_000;

describe('a process that shares its engine', () => {
  let clock: ManualClock;
  let physical: { log: MemoryLog; store: MemoryStore };
  let steps: string[];
  let stopped: unknown[];
  let failing: EngineError | undefined;
  let watch: GenerationWatch;

  beforeEach(async () => {
    clock = new ManualClock();
    physical = {
      log: new MemoryLog({ clock, identity: 'first' }),
      store: new MemoryStore({ delivery: 'outbox' }),
    };
    [steps, stopped, failing] = [[], [], undefined];
    const storage = { physical: { ...physical, flushed: never, stats: () => undefined, close: never } };
    const engine = {
      storage,
      generation: 1,
      hold: () => step('hold'),
      goOn: () => step('go on'),
      switchTo: async (layout: Layout) => {
        await step(`switch to ${layout.inForce}`);
        engine.generation = layout.inForce;
      },
    };
    const onStopped = (error: unknown): void => void stopped.push(error);
    watch = new GenerationWatch({ engine, clock, logger: silentLogger, onStopped });
  });

  afterEach(async () => {
    await watch.close();
    expect(clock.pendingTimers).toBe(0);
  });

  const never = (): Promise<never> => Promise.reject(new Error('not called'));

  function step(name: string): Promise<void> {
    steps.push(name);
    return failing === undefined ? Promise.resolve() : Promise.reject(failing);
  }

  async function flip(change: LayoutChange): Promise<void> {
    await change.update(({ format, generations }) => {
      const number = generations.length + 1;
      const next = { number, identity: `g${number}`, topics: [], hasServed: true };
      return { format, inForce: number, generations: [...generations, next] };
    });
  }

  it('holds while another generation is built, and goes over to it', async () => {
    await watch.open();
    await clock.advance(5 * SECOND);
    expect(steps).toEqual([]);
    const change = await LayoutChange.open(physical);
    await change.announce('a');
    await clock.advance(SECOND);
    expect(steps).toEqual(['hold']);
    await clock.advance(10 * SECOND);
    await flip(change);
    await clock.advance(SECOND / 10);
    expect(steps).toEqual(['hold', 'switch to 2', 'go on']);
  });

  it('is held from the start where it starts meanwhile, and goes on when the change is given up', async () => {
    const change = await LayoutChange.open(physical);
    await change.announce('a');
    await watch.open();
    expect(steps).toEqual(['hold']);
    await change.withdraw();
    await clock.advance(SECOND / 10);
    expect(steps).toEqual(['hold', 'go on']);
  });

  it('goes over though it slept through all of it, and through two', async () => {
    await watch.open();
    const change = await LayoutChange.open(physical);
    await flip(change);
    await flip(change);
    await clock.advance(SECOND);
    expect(steps).toEqual(['hold', 'switch to 3', 'go on']);
  });

  it('takes back an announcement that stands still, and no other', async () => {
    await watch.open();
    const change = await LayoutChange.open(physical);
    await change.announce('a');
    for (let i = 0; i < 60; i++) {
      await change.beat();
      await clock.advance(SECOND);
    }
    expect(steps).toEqual(['hold']);
    // Now its author is dead.
    await clock.advance(29 * SECOND);
    expect((await readLayout(physical)).closing).toBeDefined();
    await clock.advance(3 * SECOND);
    expect((await readLayout(physical)).closing).toBeUndefined();
    expect(steps).toEqual(['hold', 'go on']);
    // It was not dead: what it does is in vain.
    await expect(flip(change)).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
  });

  it('goes over again when it came half the way', async () => {
    await watch.open();
    const change = await LayoutChange.open(physical);
    await change.announce('a');
    await clock.advance(SECOND);
    failing = new EngineError('STORE_UNAVAILABLE', 'away');
    await flip(change);
    await clock.advance(SECOND / 10);
    failing = undefined;
    await clock.advance(SECOND / 10);
    expect(steps).toEqual(['hold', 'switch to 2', 'switch to 2', 'go on']);
  });

  it('tries again what may pass, and ends by what does not', async () => {
    await watch.open();
    failing = new EngineError('LOG_UNAVAILABLE', 'away');
    const change = await LayoutChange.open(physical);
    await flip(change);
    await clock.advance(2 * SECOND);
    expect(steps.length).toBeGreaterThan(1);
    expect(new Set(steps)).toEqual(new Set(['hold']));
    failing = new EngineError('TOPIC_MISMATCH', 'other');
    await clock.advance(SECOND);
    expect(stopped).toEqual([failing]);
    const { length } = steps;
    await clock.advance(10 * SECOND);
    expect(steps).toHaveLength(length);
  });
});
