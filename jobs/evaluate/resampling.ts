/**
 * How far figures can be trusted: bootstrap intervals, and a paired test between two models on the same questions.
 *
 * Interval: percentile bootstrap (Efron 1979) over clusters of cases (a user's questions stand or fall together).
 * Test: randomization of signs (Fisher 1935; Smucker, Allan, Carterette 2007, for retrieval): under 'no difference' each
 * cluster's difference is as likely negative; p is the share of sign draws with a mean at least as far from 0 as seen,
 * counting the seen one.
 *
 * Invariant: same values and seed, same interval and p.
 */
import type { Random } from '../../streams/random.js';

export type Interval = readonly [low: number, high: number];

/** Values summed by cluster: a cluster is drawn as a whole. */
export interface Clusters {
  readonly sums: Float64Array;
  readonly counts: Float64Array;
}

/** @param clusterOf cluster of each value, any numbers; NaN values are left out */
export function clusterSums(values: Float64Array, clusterOf: (index: number) => number): Clusters {
  const places = new Map<number, number>();
  const sums: number[] = [];
  const counts: number[] = [];
  values.forEach((value, index) => {
    if (Number.isNaN(value)) return;
    const cluster = clusterOf(index);
    let place = places.get(cluster);
    if (place === undefined) {
      place = sums.push(0) - 1;
      counts.push(0);
      places.set(cluster, place);
    }
    sums[place]! += value;
    counts[place]!++;
  });
  return { sums: Float64Array.from(sums), counts: Float64Array.from(counts) };
}

export interface BootstrapOptions {
  readonly resamples: number;
  /** Such as .95. */
  readonly confidence: number;
  readonly random: Random;
}

/** Interval of the mean over all values. [NaN, NaN] without values. */
export function bootstrapInterval({ sums, counts }: Clusters, options: BootstrapOptions): Interval {
  const n = sums.length;
  if (n === 0) return [NaN, NaN];
  const means = new Float64Array(options.resamples);
  for (let b = 0; b < options.resamples; b++) {
    let sum = 0;
    let count = 0;
    for (let i = 0; i < n; i++) {
      const drawn = options.random.int(n);
      sum += sums[drawn]!;
      count += counts[drawn]!;
    }
    means[b] = sum / count;
  }
  means.sort();
  const tail = (1 - options.confidence) / 2;
  return [quantile(means, tail), quantile(means, 1 - tail)];
}

/** Linear interpolation between order statistics (Hyndman & Fan type 7, as numpy). */
export function quantile(ascending: Float64Array, share: number): number {
  const place = (ascending.length - 1) * share;
  const low = Math.floor(place);
  const high = Math.min(ascending.length - 1, low + 1);
  return ascending[low]! + (place - low) * (ascending[high]! - ascending[low]!);
}

export interface PairedTest {
  /** Mean of first − second. */
  readonly difference: number;
  readonly interval: Interval;
  readonly p: number;
}

/** Draws of signs; p is told to about 1/√draws of itself. */
const SIGN_DRAWS = 9_999;

export function pairedTest(differences: Clusters, options: BootstrapOptions): PairedTest {
  const { sums, counts } = differences;
  const total = counts.reduce((left, right) => left + right, 0);
  const seen = sums.reduce((left, right) => left + right, 0);
  const moved = sums.filter((sum) => sum !== 0);
  // Sums in another order differ in their last bits: what is level with the seen one must not count by luck.
  const bound = Math.abs(seen) - 1e-12 * moved.reduce((left, right) => left + Math.abs(right), 0);
  let asFar = 1;
  for (let draw = 0; draw < SIGN_DRAWS; draw++) {
    if (Math.abs(signedSum(moved, options.random)) >= bound) asFar++;
  }
  return {
    difference: total === 0 ? NaN : seen / total,
    interval: bootstrapInterval(differences, options),
    p: asFar / (SIGN_DRAWS + 1),
  };
}

/** 32 signs a draw. */
function signedSum(values: Float64Array, random: Random): number {
  let sum = 0;
  let bits = 0;
  for (let i = 0; i < values.length; i++) {
    if ((i & 31) === 0) bits = random.uint32();
    sum += (bits & 1) === 1 ? values[i]! : -values[i]!;
    bits >>>= 1;
  }
  return sum;
}
