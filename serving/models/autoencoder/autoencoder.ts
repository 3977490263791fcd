/**
 * Algorithm `autoencoder`: Mult-VAE, a variational autoencoder over the set of a person's items. README.md has the
 * formula, the presets and what was measured.
 */
import { defineSection, type SectionValues, setting } from '../../../streams/config.js';
import { parseSettings, requireMemory, throwIfCancelled } from '../fitting.js';
import type { Algorithm, LoadContext, Model, ModelArtefact, ModelFiles } from '../model.js';
import { jsonBytes, readJson } from '../model-files.js';
import { learnKnowledge, loadKnowledge, type Network, SequenceModel } from '../sequential/sequence-model.js';
import { planOf, type PresetNumbers, scheduleOf, sharedSettings, sizeOf } from '../sequential/settings.js';
import { train } from '../sequential/training.js';
import { calibrateOn, holdOut } from '../sequential/validation.js';
import { openTensors } from '../tensors/tensor-library.js';
import { requireInteractions } from '../training-set.js';
import { AutoencoderLearner } from './autoencoder-learner.js';
import { AutoencoderNetwork } from './autoencoder-network.js';

const autoencoderSettings = defineSection(
  'autoencoder',
  {
    ...sharedSettings,
    length: setting.integer({
      default: 512,
      min: 2,
      max: 4_096,
      unit: 'items',
      description: 'Newest items a person is known by; their order does not matter.',
    }),
    patience: setting.integer({
      default: 8,
      min: 1,
      max: 1_000,
      unit: 'epochs',
      description: 'Validations without a better NDCG@10 before training stops.',
    }),
    hidden: setting.integer({
      default: 0,
      min: 0,
      max: 4_096,
      description: 'Width of the hidden layers; 0: as the preset says.',
    }),
    annealing: setting.number({
      default: 0.2,
      min: 0,
      max: 1,
      description: 'What the weight of the divergence rises to, over half of the steps.',
    }),
  },
  { description: 'A variational autoencoder over the items of a person.' },
);

interface AutoencoderNumbers extends PresetNumbers {
  readonly hidden: number;
}

const PRESETS: Readonly<Record<'small' | 'full', AutoencoderNumbers>> = {
  small: {
    ...{ dimensions: 64, hidden: 200, dropout: 0.7 },
    ...{ batchSize: 256, learningRate: 1e-3, warmupSteps: 0, epochsMax: 40 },
  },
  full: {
    ...{ dimensions: 200, hidden: 600, dropout: 0.5 },
    ...{ batchSize: 500, learningRate: 1e-3, warmupSteps: 0, epochsMax: 100 },
  },
};

const NAME = 'autoencoder';
/** Of the rows that early stopping looks at. */
const HELD_OUT_OF_A_ROW = 0.2;
const PLAN_FILE = 'plan.json';

type Values = SectionValues<typeof autoencoderSettings>;

export const autoencoder: Algorithm<typeof autoencoderSettings> = {
  name: NAME,
  settings: autoencoderSettings,
  fit: async (set, settings, context) => {
    requireInteractions(set);
    throwIfCancelled(context);
    const plan = planOf(settings, sizeOf(set), PRESETS);
    const items = set.itemIds.length;
    const parameterBytes = 4 * plan.hidden * (2 * items + 3 * plan.dimensions);
    requireMemory(
      context,
      COPIES * parameterBytes + ROWS * 4 * plan.batchSize * items,
      `An autoencoder of ${items} items`,
    );
    const heldOut = holdOut(set, context.random.stream('validation'), {
      share: settings.validationShare,
      most: settings.validationQuestions,
      itemsShare: HELD_OUT_OF_A_ROW,
    });
    const { tf } = await openTensors(context);
    const shape = { items, hidden: plan.hidden, latent: plan.dimensions, length: settings.length };
    const network = new AutoencoderNetwork(tf, shape);
    network.initialise(context.random.stream('initial'));
    const stepsPerEpoch = Math.ceil(set.userIds.length / plan.batchSize);
    const { epochs, steps } = scheduleOf(plan, stepsPerEpoch, settings.stepsMax);
    const { dropout, batchSize, learningRate } = plan;
    const { annealing, stepsMax, patience } = settings;
    const learner = new AutoencoderLearner(network, {
      set,
      heldOut,
      dropout,
      batchSize,
      learningRate,
      annealing,
      steps,
    });
    await train({ learner, scorer: network, set, heldOut, epochs, stepsMax, patience, context });
    learner.close();
    const calibration = calibrateOn(network, heldOut.questions);
    const knowledge = learnKnowledge(set, { calibration, shortSequence: settings.shortSequence });
    return new SequenceModel(NAME, asNetwork(network, plan), knowledge);
  },
  load: (artefact, context) => load(artefact, parseSettings(autoencoder, artefact.settings), context),
};

async function load(artefact: ModelArtefact, settings: Values, context: LoadContext): Promise<Model> {
  const plan = readJson(artefact, PLAN_FILE) as AutoencoderNumbers;
  const { tf } = await openTensors(context);
  const shape = { items: artefact.itemCount, hidden: plan.hidden, latent: plan.dimensions, length: settings.length };
  const network = new AutoencoderNetwork(tf, shape);
  network.restore(artefact);
  return new SequenceModel(NAME, asNetwork(network, plan), loadKnowledge(artefact, settings.shortSequence));
}

/** Parameters, two moments, gradients and the best so far. */
const COPIES = 6;
/** Matrices of a row an item that a step holds: inputs, logits, their softmax and gradients. */
const ROWS = 6;

/** Persons have a latent row, but items none in its space: there are no vectors to compare. */
function asNetwork(network: AutoencoderNetwork, plan: AutoencoderNumbers): Network {
  return {
    scorer: network,
    get files(): ModelFiles {
      return { ...network.save(), [PLAN_FILE]: jsonBytes(plan) };
    },
    queryVector: () => undefined,
    itemVectors: () => undefined,
    close: () => network.close(),
  };
}
