/** Randomness: reproducible streams that do not disturb each other, and distributions that are what they say. */
import { describe, expect, it } from 'vitest';
import { type Random, seededRandom, systemRandom } from '../../streams/random.js';

const draw = (random: Random, count: number): number[] => Array.from({ length: count }, () => random.uint32());

describe('seededRandom', () => {
  it('gives the numbers it has always given, so that old seeds stay valid', () => {
    expect(draw(seededRandom('golden'), 4)).toEqual(GOLDEN_ROOT);
    expect(draw(seededRandom('golden').stream('bandit').stream('u1'), 4)).toEqual(GOLDEN_STREAM);
  });

  it('gives the same numbers for the same seed and others for another', () => {
    expect(draw(seededRandom(7), 20)).toEqual(draw(seededRandom('7'), 20));
    expect(draw(seededRandom(7), 20)).not.toEqual(draw(seededRandom(8), 20));
  });

  it('derives a stream from names alone, whoever drew before', () => {
    const untouched = seededRandom(1).stream('a');
    const busy = seededRandom(1);
    draw(busy, 100);
    draw(busy.stream('b'), 100);
    expect(draw(busy.stream('a'), 20)).toEqual(draw(untouched, 20));
  });

  it('keeps paths of names apart', () => {
    const root = seededRandom(1);
    const starts = [
      root.stream('a').stream('bc'),
      root.stream('ab').stream('c'),
      root.stream('abc'),
      root.stream(''),
      root,
    ].map((random) => draw(random, 3).join());
    expect(new Set(starts).size).toBe(starts.length);
  });

  it('spreads int(n) evenly over a range that does not divide 2^32', () => {
    const random = seededRandom('even');
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 70_000; i++) counts[random.int(7)]!++;
    // Chi-square with 6 degrees of freedom: 22.5 is the 99.9 % point.
    const chiSquare = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    expect(chiSquare).toBeLessThan(22.5);
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 32 + 1])('refuses int(%s)', (n) => {
    expect(() => seededRandom(1).int(n)).toThrow(/int\(n\)/);
  });

  it('keeps float in [0, 1) with the mean of a uniform variable', () => {
    const random = seededRandom('floats');
    const values = Array.from({ length: 100_000 }, () => random.float());
    expect(values.filter((value) => value < 0 || value >= 1)).toEqual([]);
    expect(values.reduce((sum, value) => sum + value, 0) / values.length).toBeCloseTo(0.5, 2);
  });

  it('draws gaussians with mean 0, variance 1 and kurtosis 3', () => {
    const random = seededRandom('normal');
    const values = Array.from({ length: 100_000 }, () => random.gaussian());
    const moment = (power: number): number => values.reduce((sum, value) => sum + value ** power, 0) / values.length;
    expect(moment(1)).toBeCloseTo(0, 1);
    expect(moment(2)).toBeCloseTo(1, 1);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.15);
  });

  it('shuffles into a permutation and picks only members', () => {
    const random = seededRandom('cards');
    const cards = Array.from({ length: 52 }, (_, i) => i);
    const shuffled = random.shuffle([...cards]);
    expect(shuffled).not.toEqual(cards);
    expect([...shuffled].sort((left, right) => left - right)).toEqual(cards);
    expect(cards).toContain(random.pick(cards));
    expect(() => random.pick([])).toThrow(/at least one/);
  });

  it('fills byte counts that are not multiples of four', () => {
    expect(seededRandom(3).bytes(5)).toHaveLength(5);
    expect(seededRandom(3).hex(5)).toMatch(/^[0-9a-f]{10}$/);
    expect(seededRandom(3).hex(16)).toBe(seededRandom(3).hex(16));
  });
});

describe('systemRandom', () => {
  it('gives other numbers and tokens each time, also in streams of the same name', () => {
    expect(systemRandom().hex(16)).not.toBe(systemRandom().hex(16));
    expect(draw(systemRandom(), 4)).not.toEqual(draw(systemRandom(), 4));
    const random = systemRandom();
    expect(random.stream('token').hex(16)).not.toBe(random.stream('token').hex(16));
  });
});

const GOLDEN_ROOT = [425268030, 3902169259, 168732608, 957352292];
const GOLDEN_STREAM = [3034550240, 2882358691, 3834927463, 4009211814];
