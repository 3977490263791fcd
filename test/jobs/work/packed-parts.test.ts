import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { doublesOf, floatsOf, intsOf, packParts, unpackParts } from '../../../jobs/work/packed-parts.js';
import { shardsOf } from '../../../jobs/work/half-sweep-work.js';
import { packTrainingSet, unpackTrainingSet } from '../../../jobs/work/trial-work.js';
import { smallWorld } from '../../serving/models/small-world.js';

describe('packed parts', () => {
  it('come out as they went in, aligned, from wherever the bytes lie', () => {
    const part = fc.tuple(fc.string({ maxLength: 12 }), fc.uint8Array({ maxLength: 50 }));
    fc.assert(
      fc.property(
        fc.uniqueArray(part, { selector: ([name]) => `k${name}` }),
        fc.integer({ min: 0, max: 9 }),
        (all, at) => {
          const parts = Object.fromEntries(all.map(([name, bytes]) => [`k${name}`, bytes]));
          const packed = packParts(parts);
          const moved = new Uint8Array(packed.length + at).subarray(at);
          moved.set(packed);
          const read = unpackParts(moved);
          expect(read).toEqual(parts);
          for (const { byteOffset } of Object.values(read)) expect(byteOffset % 8).toBe(0);
        },
      ),
    );
  });

  it('hold numbers of every width behind each other', () => {
    const [ints, floats, doubles] = [Int32Array.of(1, -2, 3), Float32Array.of(0.5), Float64Array.of(Math.PI, NaN)];
    const parts = unpackParts(packParts({ ints, floats, doubles }));
    expect([intsOf(parts['ints']!), floatsOf(parts['floats']!), doublesOf(parts['doubles']!)]).toEqual([
      ints,
      floats,
      doubles,
    ]);
  });

  it('that were cut short are refused', () => {
    const packed = packParts({ a: Int32Array.of(1, 2, 3) });
    for (const length of [0, 3, 10, packed.length - 8]) {
      expect(() => unpackParts(packed.slice(0, length))).toThrow(expect.objectContaining({ code: 'MODEL_INVALID' }));
    }
  });
});

describe('a training set that is sent', () => {
  const set = smallWorld({ users: 20 });

  it('arrives as it was, contents and traits too', () => {
    const count = set.itemIds.length;
    const words = (text: string): string[] => set.itemIds.map((id) => `${text} ${id}`);
    const whole = {
      ...set,
      itemContent: {
        ...{ titles: words('title'), texts: words('text'), brands: words('brand') },
        ...{ categories: words('a').map((word) => [word]), tags: words('b').map((word) => [word, word]) },
        numbers: { price: Float64Array.from({ length: count }, (_, i) => (i % 3 === 0 ? NaN : i / 3)) },
      },
      userTraits: { gender: set.userIds.map((_, u) => (u % 2 === 0 ? 'F' : '')) },
      validation: { users: Int32Array.of(0, 3), items: Int32Array.of(5, 6) },
    };
    expect(unpackTrainingSet(unpackParts(packTrainingSet(whole)))).toEqual(whole);
    const { itemContent, userTraits, validation } = unpackTrainingSet(unpackParts(packTrainingSet(set)));
    expect([itemContent, userTraits, validation]).toEqual([undefined, undefined, undefined]);
  });

  it('has no pictures', () => {
    const empty: string[] = [];
    const itemContent = {
      ...{ titles: empty, texts: empty, brands: empty, categories: [], tags: [], numbers: {} },
      image: () => Promise.resolve(undefined),
    };
    expect(() => packTrainingSet({ ...set, itemContent })).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }));
  });
});

describe('shards of rows', () => {
  it('cover every row once, in at most 16 runs, none much heavier than a sixteenth and a row', () => {
    const lengths = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(lengths, (rows) => {
        const rowStart = new Int32Array(rows.length + 1);
        rows.forEach((length, row) => (rowStart[row + 1] = rowStart[row]! + length));
        const shards = shardsOf(rowStart);
        expect(shards.length).toBeLessThanOrEqual(16);
        expect(shards.flatMap(([first, last]) => rows.slice(first, last))).toEqual(rows);
        const cost = ([first, last]: [number, number]): number =>
          rowStart[last]! - rowStart[first]! + 2 * (last - first);
        const all = cost([0, rows.length]);
        for (const shard of shards) expect(cost(shard)).toBeLessThanOrEqual(all / 16 + 32);
      }),
    );
  });
});
