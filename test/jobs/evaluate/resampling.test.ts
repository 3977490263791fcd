import { describe, expect, it } from 'vitest';
import { bootstrapInterval, clusterSums, pairedTest, quantile } from '../../../jobs/evaluate/resampling.js';
import { seededRandom } from '../../../streams/random.js';

const options = (seed = 'a') => ({ resamples: 2_000, confidence: 0.95, random: seededRandom(seed) });
const each = (values: number[]) => clusterSums(Float64Array.from(values), (index) => index);

describe('resampling', () => {
  it('takes quantiles as numpy does (.11 and 1.52 of .1 .2 .4 .8 1.6)', () => {
    const values = Float64Array.of(0.1, 0.2, 0.4, 0.8, 1.6);
    expect(quantile(values, 0.025)).toBeCloseTo(0.11, 12);
    expect(quantile(values, 0.975)).toBeCloseTo(1.52, 12);
  });

  it('gives an interval about as wide as the normal approximation: ± 1.96 · √(p(1 − p)/n)', () => {
    const hits = Array.from({ length: 1_000 }, (_, i) => Number(i % 4 === 0));
    const [low, high] = bootstrapInterval(each(hits), options());
    const half = 1.96 * Math.sqrt((0.25 * 0.75) / 1_000);
    expect(low).toBeCloseTo(0.25 - half, 2);
    expect(high).toBeCloseTo(0.25 + half, 2);
  });

  it('draws people whole: questions that repeat each other make nothing more certain', () => {
    const hits = Array.from({ length: 1_000 }, (_, i) => Number(i % 4 === 0));
    const tenfold = Float64Array.from(hits.flatMap((hit) => Array<number>(10).fill(hit)));
    const apart = bootstrapInterval(
      clusterSums(tenfold, (index) => index),
      options(),
    );
    const together = bootstrapInterval(
      clusterSums(tenfold, (index) => Math.floor(index / 10)),
      options(),
    );
    expect(together[1] - together[0]).toBeGreaterThan(2.5 * (apart[1] - apart[0]));
  });

  it('is the same for the same seed, and leaves values that are none out', () => {
    const values = [0.1, NaN, 0.4, 0.9];
    expect(bootstrapInterval(each(values), options())).toEqual(bootstrapInterval(each([0.1, 0.4, 0.9]), options()));
    expect(bootstrapInterval(each([NaN]), options())).toEqual([NaN, NaN]);
  });

  it('tests pairs exactly where all signs can be told: 5 of 5 ahead has p = 2/32', () => {
    const test = pairedTest(each([0.2, 0.2, 0.2, 0.2, 0.2]), options());
    expect(test.difference).toBeCloseTo(0.2, 12);
    expect(test.p).toBeGreaterThan(2 / 32 - 0.01);
    expect(test.p).toBeLessThan(2 / 32 + 0.01);
  });

  it('finds no difference between equal models, and one between different ones', () => {
    const random = seededRandom('noise');
    const noise = Array.from({ length: 400 }, () => random.gaussian());
    expect(pairedTest(each(noise.map((x) => x - noise.reduce((a, b) => a + b, 0) / 400)), options()).p).toBeGreaterThan(
      0.9,
    );
    expect(pairedTest(each(noise.map((x) => x + 0.5)), options()).p).toBeLessThan(0.001);
  });
});
