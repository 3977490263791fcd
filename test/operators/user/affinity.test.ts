import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  affinityCodec,
  categoryAffinityReader,
  topAffinities,
  type AffinityState,
  type AffinityTable,
} from '../../../operators/user/affinity.js';
import { T0 } from './records.js';

const HALF_LIFE_MS = 1_000;

const tables = fc
  .uniqueArray(fc.tuple(fc.string({ maxLength: 6 }), fc.constantFrom(-1, 0, 0.5, 1, 1.25, 3)), {
    maxLength: 40,
    selector: ([name]) => name,
  })
  .map((entries): AffinityTable => ({
    names: entries.map(([name]) => name),
    weights: entries.map(([, weight]) => weight),
    packedNames: undefined,
    timesWritten: 0,
  }));

const states = fc
  .record({ categories: tables, brands: tables, tags: tables })
  .map((parts): AffinityState => ({ refTime: T0, ...parts }));

const content = ({ names, weights }: AffinityTable) => ({ names, weights });

describe('affinities', () => {
  it('are told strongest first, equal ones by name, and only those that draw', () => {
    fc.assert(
      fc.property(tables, fc.integer({ min: 1, max: 12 }), (table, max) => {
        const time = T0 + HALF_LIFE_MS;
        const sorted = table.names
          .map((name, i) => ({ name, weight: table.weights[i]! / 2 }))
          .filter(({ weight }) => weight > 0)
          .sort((left, right) => right.weight - left.weight || (left.name < right.name ? -1 : 1));
        expect(topAffinities(table, { refTime: T0, time, halfLifeMs: HALF_LIFE_MS, max })).toEqual(
          sorted.slice(0, max),
        );
      }),
    );
  });

  it('are stored in the same bytes however often they were stored before', () => {
    fc.assert(
      fc.property(states, (state) => {
        const [first, ...others] = Array.from({ length: 6 }, () => Buffer.from(affinityCodec.encode(state)));
        for (const other of others) expect(other).toEqual(first);
        const read = affinityCodec.decode(first!, 1);
        expect(content(read.tags)).toEqual(content(state.tags));
        expect(Buffer.from(affinityCodec.encode(read))).toEqual(first);
      }),
    );
  });

  it('of categories can be read alone', () => {
    fc.assert(
      fc.property(states, (state) => {
        const bytes = Buffer.from(affinityCodec.encode(state));
        const { refTime, categories } = categoryAffinityReader.decode(bytes, 1);
        expect(refTime).toBe(T0);
        expect(content(categories)).toEqual(content(state.categories));
        for (let cut = 0; cut < bytes.length; cut += 7) {
          expect(() => categoryAffinityReader.decode(bytes.subarray(0, cut), 1)).toThrow(
            expect.objectContaining({ code: 'STATE_CORRUPT' }),
          );
        }
      }),
    );
  });
});
