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

export const factorsSetting = (defaultFactors: number) =>
  setting.integer({
    default: defaultFactors,
    min: 1,
    max: 1024,
    description: 'Length of the vectors; time and memory grow with it.',
  });
