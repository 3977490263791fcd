/**
 * Algorithm `transformer`: causal self-attention over a person's items (SASRec with sampled softmax). README.md has the
 * formula, the presets and what was measured.
 */
import { defineSection, type SectionValues, setting } from '../../../streams/config.js';
import type { Algorithm } from '../model.js';
import { fitEncoder, loadEncoder } from '../sequential/encoder-algorithm.js';
import type { Parameters } from '../sequential/parameters.js';
import { lossSettings, planOf, type PresetNumbers, sharedSettings, sizeOf } from '../sequential/settings.js';
import { parseSettings } from '../fitting.js';
import { TransformerEncoder } from './transformer-encoder.js';

const transformerSettings = defineSection(
  'transformer',
  {
    ...sharedSettings,
    ...lossSettings,
    layers: setting.integer({ default: 0, min: 0, max: 48, description: 'Layers; 0: as the preset says.' }),
    heads: setting.integer({
      default: 0,
      min: 0,
      max: 64,
      description:
        'Heads of attention; dimensions are divided among them, a multiple of 8 each. 0: as the preset says.',
    }),
    feedForward: setting.integer({
      default: 0,
      min: 0,
      max: 8_192,
      description: 'Width between the two layers of the feed-forward part, a multiple of 8. 0: as the preset says.',
    }),
  },
  {
    description: 'Self-attention over the newest items of a person.',
    check: ({ dimensions, heads, feedForward }) => [
      ...(dimensions > 0 && heads > 0 && dimensions % (8 * heads) !== 0
        ? [{ path: 'heads', value: heads, expected: `dimensions (${dimensions}) to be a multiple of 8 for each head` }]
        : []),
      ...(feedForward % 8 !== 0 ? [{ path: 'feedForward', value: feedForward, expected: 'a multiple of 8' }] : []),
    ],
  },
);

interface TransformerNumbers extends PresetNumbers {
  readonly layers: number;
  readonly heads: number;
  readonly feedForward: number;
}

const PRESETS: Readonly<Record<'small' | 'full', TransformerNumbers>> = {
  small: {
    ...{ dimensions: 64, layers: 2, heads: 2, feedForward: 256, dropout: 0.4 },
    ...{ batchSize: 128, learningRate: 1e-3, warmupSteps: 0, epochsMax: 40 },
  },
  full: {
    ...{ dimensions: 128, layers: 6, heads: 8, feedForward: 512, dropout: 0.1 },
    ...{ batchSize: 256, learningRate: 1e-4, warmupSteps: 4_000, epochsMax: 100 },
  },
};

const creator =
  ({ length }: SectionValues<typeof transformerSettings>) =>
  (parameters: Parameters, plan: TransformerNumbers): TransformerEncoder =>
    new TransformerEncoder(parameters, { ...plan, length });

export const transformer: Algorithm<typeof transformerSettings> = {
  name: 'transformer',
  settings: transformerSettings,
  fit: (set, settings, context) => {
    const plan = planOf(settings, sizeOf(set), PRESETS);
    return fitEncoder({ algorithm: 'transformer', set, settings, plan, context, create: creator(settings) });
  },
  load: async (artefact) => {
    const settings = parseSettings(transformer, artefact.settings);
    return loadEncoder(artefact, settings, creator(settings));
  },
};
