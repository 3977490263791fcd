import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { dequantizeVector, ItemVectorTable, quantizeVector } from '../../operators/item-vectors.js';

const tableOf = (itemsMax = 100): ItemVectorTable => new ItemVectorTable({ space: 's', dimensions: 2, itemsMax });
const vector = (...numbers: number[]): Float32Array => Float32Array.from(numbers);

describe('ItemVectorTable', () => {
  it('keeps the highest version of an item in whatever order versions arrive', () => {
    const operations = fc.array(
      fc.record({
        item: fc.constantFrom('a', 'b', 'c'),
        version: fc.integer({ min: 0, max: 20 }),
        removed: fc.boolean(),
      }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(operations, fc.integer(), (drawn, seed) => {
        const unique = [...new Map(drawn.map((op) => [`${op.item}/${op.version}`, op])).values()];
        const shuffled = unique
          .map((op, i) => [Math.sin(seed + i), op] as const)
          .sort((a, b) => a[0] - b[0])
          .map(([, op]) => op);
        const contents = [unique, shuffled].map((ordered) => {
          const table = tableOf();
          for (const { item, version, removed } of ordered) {
            if (removed) table.remove(item, version);
            else table.upsert(item, version, vector(version, 1));
          }
          return ['a', 'b', 'c'].map((id) =>
            table.indexOf(id) < 0 ? undefined : table.vectors[table.indexOf(id) * 2],
          );
        });
        expect(contents[1]).toEqual(contents[0]);
      }),
    );
  });

  it('moves the last row into the gap of a removed one', () => {
    const table = tableOf();
    for (const [i, id] of ['a', 'b', 'c'].entries()) table.upsert(id, 1, vector(i, i));
    table.remove('a', 2);
    expect(table.count()).toBe(2);
    expect(table.indexOf('c')).toBe(0);
    expect(table.dot(table.indexOf('c'), vector(1, 0))).toBe(2);
  });

  it('refuses vectors with numbers that are not finite, and further items when it is full', () => {
    const table = tableOf(1);
    expect(table.upsert('a', 1, vector(NaN, 0))).toBe(false);
    expect(table.count()).toBe(0);
    expect(table.upsert('a', 1, vector(1, 0))).toBe(true);
    expect(table.upsert('b', 1, vector(1, 0))).toBe(false);
    expect(table.refused).toBe(1);
  });

  it('samples every row', () => {
    const table = tableOf();
    expect(table.sampleIndex(5)).toBe(-1);
    for (const id of ['a', 'b', 'c']) table.upsert(id, 1, vector(1, 1));
    expect(new Set([0, 2 ** 31, 2 ** 32 - 1].map((hash) => table.sampleIndex(hash)))).toEqual(new Set([0, 1, 2]));
  });

  it('quantizes to within half a step', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: 1, maxLength: 64 }), (numbers) => {
        const original = Float32Array.from(numbers);
        const back = new Float32Array(original.length);
        expect(dequantizeVector(quantizeVector(original), back)).toBe(true);
        const step = Math.max(...numbers.map(Math.abs)) / 127;
        for (let k = 0; k < original.length; k++)
          expect(Math.abs(back[k]! - original[k]!)).toBeLessThanOrEqual(step * 0.51 + 1e-9);
      }),
    );
  });
});
