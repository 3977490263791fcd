import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram } from '../../../jobs/bench/histogram.js';
import { medianOf } from '../../../jobs/bench/load-report.js';

describe('histogram', () => {
  it('gives the nearest rank, which is a sample, however many there are and in whatever order they came', () => {
    const samples = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 9_000 });
    fc.assert(
      fc.property(samples, fc.double({ min: 0.001, max: 1, noNaN: true }), (times, q) => {
        const histogram = new Histogram();
        for (const time of times) histogram.add(time);
        const sorted = Float64Array.from(times).sort();
        expect(histogram.quantile(q)).toBe(sorted[Math.ceil(q * times.length) - 1]);
      }),
      { numRuns: 50 },
    );
  });

  it('takes samples after it was asked', () => {
    const histogram = new Histogram();
    for (const time of [3, 1]) histogram.add(time);
    expect(histogram.quantile(1)).toBe(3);
    histogram.add(2);
    expect(histogram.quantiles()).toEqual({ p50Ms: 2, p99Ms: 3, maxMs: 3 });
  });

  it('has no quantiles before the first sample', () => {
    expect(new Histogram().quantile(0.5)).toBeNaN();
  });
});

describe('median of runs', () => {
  it('is taken for each number by itself; of two runs it is the greater', () => {
    const runs = [
      { p99Ms: 3, events: 10 },
      { p99Ms: 1, events: 30 },
      { p99Ms: 2, events: 20 },
    ];
    expect(medianOf(runs)).toEqual({ p99Ms: 2, events: 20 });
    expect(medianOf(runs.slice(0, 2))).toEqual({ p99Ms: 3, events: 30 });
  });
});
