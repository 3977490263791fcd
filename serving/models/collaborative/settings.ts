/** Settings that collaborative models share: one description and one set of bounds each. */
import { setting } from '../../../streams/config.js';

export const coldStartBelow = setting.integer({
  default: 5,
  min: 0,
  max: 1000,
  unit: 'interactions',
  description: 'With fewer than these a person gets the cold start: traits, popular and trending items.',
});

export const pairValue = setting.choice(['binary', 'sum', 'last'], {
  default: 'binary',
  description:
    'What several interactions of a person with an item count: 1, the sum of their weights, or the last weight.',
});

/** Which items serving has the model rank; evaluation ranks all unless its file says otherwise. */
export const candidateSettings = (defaultCandidates: 'all' | 'generated') => ({
  candidates: setting.choice(['all', 'generated'], {
    default: defaultCandidates,
    description:
      'What is ranked in serving: all items, or at most 1,000 of similar people, similar items and own categories.',
  }),
  confidenceMin: setting.number({
    default: 0.5,
    min: 0,
    max: 1,
    description: 'Generated candidates the model is less sure of are not offered.',
  }),
});

export const factorsSetting = (defaultFactors: number) =>
  setting.integer({
    default: defaultFactors,
    min: 1,
    max: 1024,
    description: 'Length of the vectors; time and memory grow with it.',
  });
