import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Encoder } from '../../../../serving/models/sequential/encoder.js';
import { LiveStates } from '../../../../serving/models/sequential/live-states.js';
import { packHistories } from '../../../../serving/models/sequential/packed-batch.js';
import { ITEMS, smallRnn, smallTransformer } from './encoders.js';

function statesOf(encoder: Encoder, users: number): LiveStates {
  const options = { length: encoder.length, dimensions: encoder.parameters.dimensions };
  const { bytesPerUser } = new LiveStates(encoder.createSteps(), { ...options, bytesMax: 2 ** 30 });
  return new LiveStates(encoder.createSteps(), { ...options, bytesMax: users * bytesPerUser });
}

/** The encoder's last hidden row over the whole window, recomputed. */
function recomputed(encoder: Encoder, window: Int32Array): Float32Array {
  const { kernels, dimensions } = encoder.parameters;
  const mark = kernels.mark();
  const hidden = encoder.forward(packHistories([window], encoder.length)).values;
  const last = hidden.slice((window.length - 1) * dimensions, window.length * dimensions);
  kernels.release(mark);
  return last;
}

describe('live states', () => {
  for (const [name, create] of [
    ['transformer', () => smallTransformer({ length: 6 })],
    ['rnn', smallRnn],
  ] as const) {
    it(`of the ${name} equal full recomputation over their window within 1e-4, however people alternate`, () => {
      const encoder = create();
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: ITEMS - 1 })), { maxLength: 60 }),
          (events) => {
            const states = statesOf(encoder, 2);
            const histories = new Map<string, number[]>();
            for (const [user, item] of events) {
              const history = [...(histories.get(`u${user}`) ?? []), item];
              histories.set(`u${user}`, history);
              const hidden = states.advance(`u${user}`, Int32Array.from(history)).slice();
              const window = states.windowOf(`u${user}`)!;
              expect([...window]).toEqual(history.slice(-window.length));
              expect(window.length).toBeGreaterThanOrEqual(Math.min(history.length, Math.floor(encoder.length / 2)));
              const wanted = recomputed(encoder, window);
              const furthest = wanted.reduce((worst, value, i) => Math.max(worst, Math.abs(value - hidden[i]!)), 0);
              expect(furthest).toBeLessThan(1e-4);
            }
            const { users, bytes, bytesPerUser, hits, misses } = states.usage();
            expect(bytes).toBe(users * bytesPerUser);
            expect(users).toBeLessThanOrEqual(2);
            expect(hits + misses).toBe(events.length);
          },
        ),
        { numRuns: 30, seed: 7 },
      );
    });
  }

  it('take one position for one more event, and build again only what was dropped', () => {
    const states = statesOf(smallTransformer(), 2);
    states.advance('ada', Int32Array.of(1));
    states.advance('ada', Int32Array.of(1, 2));
    states.advance('bob', Int32Array.of(3));
    states.advance('cleo', Int32Array.of(4));
    expect(states.windowOf('ada')).toBeUndefined();
    states.advance('ada', Int32Array.of(1, 2, 5));
    expect(states.usage()).toMatchObject({ hits: 1, misses: 4, hitRate: 0.2, users: 2 });
  });

  it('refuse a bound that no state fits into', () => {
    expect(() => new LiveStates(smallRnn().createSteps(), { length: 12, dimensions: 16, bytesMax: 8 })).toThrow(
      /allowed for all are 8/,
    );
  });
});
