import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../streams/random.js';
import { indexOf, recallOf } from '../../../../serving/models/vectors/choose-index.js';
import { ExactIndex } from '../../../../serving/models/vectors/exact-index.js';
import { GraphIndex } from '../../../../serving/models/vectors/graph-index.js';
import { PrincipalAxes } from '../../../../serving/models/vectors/principal-axes.js';
import { ProductQuantisedIndex } from '../../../../serving/models/vectors/product-quantisation.js';
import type { VectorIndex } from '../../../../serving/models/vectors/vector-index.js';

const DIMENSIONS = 32;

/** Vectors of low effective dimension, as trained ones are. */
function vectors(count: number, seed: string): Float32Array {
  const random = seededRandom(seed);
  const basis = seededRandom('basis');
  const axes = Array.from({ length: 6 }, () => Array.from({ length: DIMENSIONS }, () => basis.gaussian()));
  const values = new Float32Array(count * DIMENSIONS);
  for (let row = 0; row < count; row++) {
    const weights = axes.map(() => random.gaussian());
    for (let d = 0; d < DIMENSIONS; d++) {
      values[row * DIMENSIONS + d] = axes.reduce(
        (sum, axis, a) => sum + weights[a]! * axis[d]!,
        0.1 * random.gaussian(),
      );
    }
  }
  return values;
}

const COUNT = 800;
const data = vectors(COUNT, 'data');
const queries = vectors(50, 'queries');
const row = (r: number): Float32Array => data.slice(r * DIMENSIONS, (r + 1) * DIMENSIONS);
const exact = indexOf(data, { dimensions: DIMENSIONS, similarity: 'cosine' });

describe('choice of an index', () => {
  it('is exact for few vectors and a graph for many', () => {
    expect(exact).toBeInstanceOf(ExactIndex);
    const few = { dimensions: DIMENSIONS, similarity: 'cosine', exactBelow: 100 } as const;
    expect(indexOf(data, few)).toBeInstanceOf(GraphIndex);
  });
});

const makers: Readonly<Record<string, () => VectorIndex>> = {
  exact: () => new ExactIndex(DIMENSIONS, 'cosine'),
  graph: () => new GraphIndex(DIMENSIONS, 'cosine'),
  quantised: () =>
    new ProductQuantisedIndex(data, {
      dimensions: DIMENSIONS,
      similarity: 'cosine',
      parts: 8,
      random: seededRandom('pq'),
    }),
};

for (const [name, make] of Object.entries(makers)) {
  describe(`an ${name} index`, () => {
    it('finds, replaces and removes by key', () => {
      const index = make();
      const size = index.size;
      index.put(5000, row(1));
      index.put(5000, row(2));
      expect(index.size).toBe(size + 1);
      // Vectors with the same code are as similar to a quantised index as one and the same.
      expect([...index.search(row(2), 10).keys]).toContain(5000);
      expect(index.search(row(2), 1).similarities[0]).toBeGreaterThan(0.95);
      expect(index.remove(5000)).toBe(true);
      expect(index.remove(5000)).toBe(false);
      expect([...index.search(row(2), 10).keys]).not.toContain(5000);
      expect(index.size).toBe(size);
    });

    it('refuses what is not finite or of another length', () => {
      const index = make();
      expect(() => index.put(1, new Float32Array(DIMENSIONS).fill(NaN))).toThrow(/finite/);
      expect(() => index.put(1, new Float32Array(3))).toThrow(/32 finite/);
      expect(() => index.search(new Float32Array(DIMENSIONS).fill(Infinity), 1)).toThrow(/finite/);
    });
  });
}

describe('exact neighbours', () => {
  it('are those with the largest similarity, in order', () => {
    const query = queries.subarray(0, DIMENSIONS);
    const dot = (r: number): number => row(r).reduce((sum, value, d) => sum + value * query[d]!, 0);
    const naive = Array.from({ length: COUNT }, (_, r) => r).sort((left, right) => dot(right) - dot(left));
    const index = indexOf(data, { dimensions: DIMENSIONS, similarity: 'dot' });
    const found = index.search(query, 5);
    expect([...found.keys]).toEqual(naive.slice(0, 5));
    expect(found.similarities[0]).toBeCloseTo(dot(naive[0]!), 4);
  });
});

describe('approximations', () => {
  it('have a recall at 10 that is told: graph above .95, eight bytes a vector above .5, half the axes above .9', () => {
    const graph = indexOf(data, { dimensions: DIMENSIONS, similarity: 'cosine', exactBelow: 1 });
    expect(recallOf(graph, exact, queries, 10)).toBeGreaterThan(0.95);
    expect(recallOf(makers['quantised']!(), exact, queries, 10)).toBeGreaterThan(0.5);
    const axes = PrincipalAxes.learn(data, DIMENSIONS, 16);
    expect(axes.kept).toBeGreaterThan(0.99);
    const reduced = indexOf(axes.reduce(data), { dimensions: 16, similarity: 'cosine' });
    const seen: VectorIndex = {
      dimensions: DIMENSIONS,
      size: reduced.size,
      put: () => undefined,
      remove: () => false,
      search: (query, k) => reduced.search(axes.reduce(query), k),
    };
    expect(recallOf(seen, exact, queries, 10)).toBeGreaterThan(0.9);
  });

  it('refuse shapes that do not fit', () => {
    expect(() => PrincipalAxes.learn(data, DIMENSIONS, 33)).toThrow(/cannot be reduced/);
    const options = { dimensions: DIMENSIONS, similarity: 'dot', parts: 5, random: seededRandom('x') } as const;
    expect(() => new ProductQuantisedIndex(data, options)).toThrow(/equal parts/);
  });
});
