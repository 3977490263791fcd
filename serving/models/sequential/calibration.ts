/**
 * From a softmax chance to a confidence: how often items shown with such a chance were the next one in validation.
 *
 * Platt scaling, σ(a·logit(p) + b), fitted by Newton's method on the top items of the validation questions (Platt 1999;
 * a pull towards a = 1, b = 0 keeps it finite where nothing or everything was a hit).
 */
export interface Calibration {
  readonly slope: number;
  readonly offset: number;
}

export const UNCALIBRATED: Calibration = { slope: 1, offset: 0 };

const ITERATIONS = 25;
/** Strength of the pull to the identity, in observations. */
const PRIOR = 1;
const CHANCE_MIN = 1e-7;

export function confidenceOf({ slope, offset }: Calibration, chance: number): number {
  return 1 / (1 + Math.exp(-(slope * logit(chance) + offset)));
}

/** @param chances softmax chances of items that were shown, with whether each was the next one */
export function calibrate(chances: readonly number[], hits: readonly boolean[]): Calibration {
  let { slope, offset } = UNCALIBRATED;
  if (chances.length === 0) return UNCALIBRATED;
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    let [ga, gb, haa, hab, hbb] = [PRIOR * (slope - 1), PRIOR * offset, PRIOR, 0, PRIOR];
    chances.forEach((chance, i) => {
      const x = logit(chance);
      const p = 1 / (1 + Math.exp(-(slope * x + offset)));
      const error = p - (hits[i] === true ? 1 : 0);
      const weight = p * (1 - p);
      ga += error * x;
      gb += error;
      haa += weight * x * x;
      hab += weight * x;
      hbb += weight;
    });
    const determinant = haa * hbb - hab * hab;
    if (!(determinant > 1e-12)) break;
    slope -= (hbb * ga - hab * gb) / determinant;
    offset -= (haa * gb - hab * ga) / determinant;
  }
  // A chance that speaks against itself is noise.
  return Number.isFinite(slope + offset) && slope > 0 ? { slope, offset } : UNCALIBRATED;
}

function logit(chance: number): number {
  const bounded = Math.min(1 - CHANCE_MIN, Math.max(CHANCE_MIN, chance));
  return Math.log(bounded / (1 - bounded));
}
