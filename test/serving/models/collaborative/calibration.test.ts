import { describe, expect, it } from 'vitest';
import { Calibration } from '../../../../serving/models/collaborative/calibration.js';
import { seededRandom } from '../../../../streams/random.js';

describe('calibration', () => {
  it('tells the chance that examples of such a score had', () => {
    const random = seededRandom('examples');
    const chanceOf = (score: number): number => 1 / (1 + Math.exp(-3 * score));
    const examples = Array.from({ length: 20_000 }, () => {
      const score = random.gaussian();
      return { score, isPositive: random.float() < chanceOf(score) };
    });
    const calibration = Calibration.learn(examples);
    for (const score of [-1, -0.3, 0, 0.5, 1]) {
      expect(Math.abs(calibration.chance(score) - chanceOf(score))).toBeLessThan(0.05);
    }
    expect(calibration.chance(-100)).toBeLessThan(0.05);
    expect(calibration.chance(100)).toBeGreaterThan(0.95);
    expect(calibration.chance(-Infinity)).toBe(0);
  });

  it('never falls with the score', () => {
    const random = seededRandom('noise');
    const calibration = Calibration.learn(
      Array.from({ length: 500 }, () => ({ score: random.float(), isPositive: random.float() < 0.5 })),
    );
    const chances = Array.from({ length: 100 }, (_, i) => calibration.chance(i / 100));
    expect(chances).toEqual(chances.toSorted((left, right) => left - right));
  });

  it('without examples is one half', () => {
    expect(Calibration.learn([]).chance(3)).toBe(0.5);
  });
});
