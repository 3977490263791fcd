/**
 * neural_cf: NeuMF, a generalised factorisation and a perceptron over embeddings of person and item, with context.
 *
 * The network and its formula are in network.ts, training in training.ts, scoring in neural-scorer.ts. He and others:
 * "Neural Collaborative Filtering" (2017).
 */
import { defineSection, setting, z } from '../../../streams/config.js';
import type { SectionValues } from '../../../streams/config.js';
import { aroundLoaded, aroundScorer } from '../collaborative/collaborative-model.js';
import { candidateSettings, coldStartBelow } from '../collaborative/settings.js';
import { requireMemory, throwIfCancelled } from '../fitting.js';
import { interactionsOf } from '../kernels/sparse.js';
import { readFloats, readInts } from '../model-files.js';
import type { Algorithm, ModelArtefact } from '../model.js';
import { requireInteractions } from '../training-set.js';
import { knownPeople, readKnownPeople } from './close-people.js';
import { inputWidth, type Parameters } from './network.js';
import { NeuralScorer } from './neural-scorer.js';
import { train } from './training.js';

const number = (value: number, min: number, max: number, description: string) =>
  setting.number({ default: value, min, max, description });
const integer = (value: number, min: number, max: number, description: string) =>
  setting.integer({ default: value, min, max, description });

const neuralCfSettings = defineSection(
  'neuralCf',
  {
    embedding: integer(64, 1, 512, 'Length of each of the four embeddings.'),
    layers: setting.of(z.array(z.int().min(8).max(1024).multipleOf(8)).min(1).max(6).default([128, 64, 32]), {
      description: 'Widths of the perceptron’s layers; multiples of 8.',
    }),
    dropout: number(0.2, 0, 0.9, 'Share of each layer’s outputs that a training step leaves out.'),
    l2: number(0.001, 0, 10, 'Regularization of the embeddings that a batch touches.'),
    batch: integer(1024, 2, 65_536, 'Pairs of a training step, met and sampled ones together.'),
    epochs: integer(100, 1, 10_000, 'Epochs at most.'),
    learningRate: number(0.001, 1e-6, 1, 'Of Adam.'),
    validation: number(0.2, 0.001, 0.9, 'Share held out for early stopping, when none is given.'),
    patience: integer(3, 1, 1000, 'Epochs without a better validation before training stops.'),
    negatives: integer(5, 1, 1000, 'Sampled items for each that was met.'),
    coldStartBelow,
    ...candidateSettings('generated'),
  },
  { description: 'NeuMF: generalised matrix factorisation and a perceptron, with context.' },
);

type NeuralCfSettings = SectionValues<typeof neuralCfSettings>;
const NAME = 'neural_cf';

export const neuralCf: Algorithm<typeof neuralCfSettings> = {
  name: NAME,
  settings: neuralCfSettings,
  userFiles: ['users.f32', 'row-start.i32', 'met.i32', 'user-groups.i32'],
  fit: async (set, settings, context) => {
    requireInteractions(set);
    throwIfCancelled(context);
    // Parameters, two moments and the best so far.
    const rows = set.userIds.length + set.itemIds.length;
    requireMemory(context, 16 * rows * 2 * settings.embedding + 16 * set.items.length, 'Embeddings of neural_cf');
    const parameters = await train(set, settings, context);
    const graph = interactionsOf(set);
    const met = { rowStart: graph.rowStart, items: graph.indexes };
    const width = 2 * settings.embedding;
    const known = knownPeople(parameters['users']!, met, { width, random: context.random.stream('known-people') });
    const scorer = new NeuralScorer(parameters, settings, met, known);
    return aroundScorer(set, context, scorer, settings.coldStartBelow);
  },
  load: async (artefact) => {
    const settings = artefact.settings as unknown as NeuralCfSettings;
    const { userCount } = artefact;
    const rowStart = userCount === 0 ? new Int32Array(1) : readInts(artefact, 'row-start.i32', userCount + 1);
    const met = { rowStart, items: readInts(artefact, 'met.i32', rowStart[userCount]) };
    const known = readKnownPeople(artefact, 2 * settings.embedding);
    return aroundLoaded(artefact, new NeuralScorer(readParameters(artefact, settings), settings, met, known));
  },
};

function readParameters(artefact: ModelArtefact, settings: NeuralCfSettings): Parameters {
  const { embedding, layers } = settings;
  const widths = [inputWidth(settings), ...layers];
  const read = (name: string, length: number): [string, Float32Array] => [
    name,
    readFloats(artefact, `${name}.f32`, length),
  ];
  return Object.fromEntries([
    read('users', artefact.userCount * 2 * embedding),
    read('items', artefact.itemCount * 2 * embedding),
    ...layers.flatMap((width, l) => [read(`weights-${l}`, widths[l]! * width), read(`biases-${l}`, width)]),
    read('output', embedding + widths.at(-1)!),
    read('bias', 1),
  ]);
}
