/**
 * Algorithm `rnn`: a gated recurrent unit over a person's items (GRU4Rec with sampled softmax). README.md has the formula,
 * the presets and what was measured.
 */
import { defineSection, type SectionValues } from '../../../streams/config.js';
import { parseSettings } from '../fitting.js';
import type { Algorithm } from '../model.js';
import { fitEncoder, loadEncoder } from '../sequential/encoder-algorithm.js';
import type { Parameters } from '../sequential/parameters.js';
import { lossSettings, planOf, type PresetNumbers, sharedSettings, sizeOf } from '../sequential/settings.js';
import { RnnEncoder } from './rnn-encoder.js';

const rnnSettings = defineSection(
  'rnn',
  { ...sharedSettings, ...lossSettings },
  { description: 'A recurrent network over the newest items of a person.' },
);

const PRESETS: Readonly<Record<'small' | 'full', PresetNumbers>> = {
  small: { dimensions: 64, dropout: 0.4, batchSize: 128, learningRate: 1e-3, warmupSteps: 0, epochsMax: 40 },
  full: { dimensions: 128, dropout: 0.2, batchSize: 256, learningRate: 5e-4, warmupSteps: 1_000, epochsMax: 100 },
};

const creator =
  ({ length }: SectionValues<typeof rnnSettings>) =>
  (parameters: Parameters, { dimensions, dropout }: PresetNumbers): RnnEncoder =>
    new RnnEncoder(parameters, { length, dimensions, dropout });

export const rnn: Algorithm<typeof rnnSettings> = {
  name: 'rnn',
  settings: rnnSettings,
  fit: (set, settings, context) => {
    const plan = planOf(settings, sizeOf(set), PRESETS);
    return fitEncoder({ algorithm: 'rnn', set, settings, plan, context, create: creator(settings) });
  },
  load: async (artefact) => {
    const settings = parseSettings(rnn, artefact.settings);
    return loadEncoder(artefact, settings, creator(settings));
  },
};
