/**
 * How sure a recommendation is, in [0, 1]: an estimate of the chance that the item is the next one met, read off the
 * fused score.
 *
 *   confidence = 1 / (1 + exp(−(a + b × ln(score))))
 *
 * with the score of fusion, which is relative to the best possible. a and b were fitted by logistic regression on the first 300,000 clicks
 * of a public news data set, so the number is calibrated there and an ordering everywhere else: it is monotone in the score and
 * comparable between requests of one pipeline, not a promise for another domain. Recalibrate with `fit` from logged
 * impressions.
 */

export interface ConfidenceFit {
  readonly intercept: number;
  readonly slope: number;
}

export const CONFIDENCE_FIT: ConfidenceFit = { intercept: -1.35, slope: 1.49 };

export function confidenceOf(score: number, fit: ConfidenceFit = CONFIDENCE_FIT): number {
  if (!(score > 0)) return 0;
  return 1 / (1 + Math.exp(-(fit.intercept + fit.slope * Math.log(score))));
}
