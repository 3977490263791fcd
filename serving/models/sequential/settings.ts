/**
 * Settings that all sequence models share, and what a preset makes of those left open.
 *
 * `auto` looks at how many interactions there are to learn from and at nothing else. What a person sets is taken as it
 * is; 0 leaves a number to the preset.
 */
import { setting, z } from '../../../streams/config.js';
import type { TrainingSet } from '../training-set.js';

export const sharedSettings = {
  preset: setting.choice(['auto', 'small', 'full'], {
    default: 'auto',
    description:
      'What numbers left at 0 become: full as published, small for little data, auto by the number of interactions.',
  }),
  length: setting.integer({
    default: 50,
    min: 2,
    max: 512,
    unit: 'items',
    description: 'Newest items a person is known by; memory and time of the live path grow with it.',
  }),
  dimensions: setting.integer({
    default: 0,
    min: 0,
    max: 1_024,
    description: 'Width of item vectors and hidden rows, a multiple of 8; time and memory grow with it.',
  }),
  dropout: setting.of(z.number().min(0).max(0.9).optional(), {
    description: 'Share of activations dropped while training; absent: as the preset says.',
  }),
  batchSize: setting.integer({
    default: 0,
    min: 0,
    max: 8_192,
    unit: 'sequences',
    description: 'Sequences in a step; they are packed, without padding.',
  }),
  learningRate: setting.number({ default: 0, min: 0, max: 1, description: 'Largest learning rate.' }),
  warmupSteps: setting.integer({
    default: 0,
    min: 0,
    max: 1_000_000,
    unit: 'steps',
    description: 'Steps in which the learning rate rises.',
  }),
  weightDecay: setting.number({ default: 0.01, min: 0, max: 1, description: 'Decoupled weight decay.' }),
  stepsMax: setting.integer({
    default: 100_000,
    min: 1,
    max: 10_000_000,
    unit: 'steps',
    description: 'Steps at most; training time grows with it.',
  }),
  epochsMax: setting.integer({
    default: 0,
    min: 0,
    max: 10_000,
    unit: 'epochs',
    description: 'Passes over the data at most.',
  }),
  validationShare: setting.number({
    default: 0.1,
    min: 0,
    max: 0.5,
    description: 'Share of rows whose last item is kept back for early stopping where the data bring no validation.',
  }),
  validationQuestions: setting.integer({
    default: 4_000,
    min: 1,
    max: 1_000_000,
    unit: 'rows',
    description: 'Validation questions at most, drawn.',
  }),
  patience: setting.integer({
    default: 5,
    min: 1,
    max: 1_000,
    unit: 'epochs',
    description: 'Validations without a better NDCG@10 before training stops.',
  }),
  shortSequence: setting.integer({
    default: 3,
    min: 1,
    max: 50,
    unit: 'items',
    description: 'With fewer items than this a person gets, half and half, what usually follows the last item.',
  }),
};

/** Settings of models whose loss is over items one by one (transformer, rnn). */
export const lossSettings = {
  loss: setting.choice(['softmax', 'one_negative'], {
    default: 'softmax',
    description: 'softmax over sampled items with logQ correction, or binary against one random item.',
  }),
  negatives: setting.integer({
    default: 1_024,
    min: 8,
    max: 65_536,
    unit: 'items',
    description: 'Items sampled for a batch of the softmax; as many as there are makes it exact. Time grows with it.',
  }),
  similarity: setting.choice(['cosine', 'dot'], {
    default: 'cosine',
    description: 'How a hidden row is compared with item vectors.',
  }),
  cosineScale: setting.number({
    default: 16,
    min: 1,
    max: 100,
    description: 'Cosines are multiplied by this before the softmax.',
  }),
};

/** What the shared keys hold once loaded. */
export interface SharedValues {
  readonly preset: 'auto' | 'small' | 'full';
  readonly length: number;
  readonly dimensions: number;
  readonly dropout?: number | undefined;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly weightDecay: number;
  readonly stepsMax: number;
  readonly epochsMax: number;
  readonly validationShare: number;
  readonly validationQuestions: number;
  readonly patience: number;
  readonly shortSequence: number;
}

/** The numbers a preset decides. `warmupSteps` 0: a twentieth of the steps that will be taken. */
export interface PresetNumbers {
  readonly dimensions: number;
  readonly dropout: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly epochsMax: number;
}

/** Fewer interactions than this get the small preset: the full one takes a thousand times the work of an epoch of it. */
export const SMALL_INTERACTIONS = 50_000_000;

/** How much there is to learn from; nothing else decides what `auto` becomes. */
export interface DataSize {
  readonly interactions: number;
  readonly rows: number;
}

export function sizeOf({ items, userIds }: Pick<TrainingSet, 'items' | 'userIds'>): DataSize {
  return { interactions: items.length, rows: userIds.length };
}

/** The preset's numbers with what was set put in their place: a setting that is 0 or absent is left open. */
export function planOf<N extends PresetNumbers>(
  values: SharedValues,
  size: DataSize,
  presets: Readonly<Record<'small' | 'full', N>>,
): N {
  const auto = size.interactions < SMALL_INTERACTIONS ? 'small' : 'full';
  const preset = values.preset === 'auto' ? auto : values.preset;
  const numbers = preset === 'full' ? presets.full : { ...presets.small, ...smallNumbers(presets.small, size) };
  const set = values as unknown as Readonly<Record<string, number | undefined>>;
  const chosen = Object.keys(numbers).flatMap((key) => {
    const value = set[key];
    // Dropout is left open by leaving it out: none at all is a choice.
    return value === undefined || (value === 0 && key !== 'dropout') ? [] : [[key, value]];
  });
  return { ...numbers, ...Object.fromEntries(chosen) } as N;
}

/** Interactions little data are gone through in all: the fewer there are, the more often. A quarter of an hour of one core. */
const SMALL_BUDGET = 8_000_000;
const SMALL_EPOCHS = { least: 2, most: 40 } as const;
/** Steps an epoch should have: a hundred people in one batch would get a step an epoch, and forty teach nothing. */
const EPOCH_STEPS = 32;
const BATCH_LEAST = 4;

function smallNumbers({ batchSize }: PresetNumbers, { interactions, rows }: DataSize): Partial<PresetNumbers> {
  const epochs = Math.round(SMALL_BUDGET / Math.max(1, interactions));
  return {
    epochsMax: Math.min(SMALL_EPOCHS.most, Math.max(SMALL_EPOCHS.least, epochs)),
    batchSize: Math.min(batchSize, Math.max(BATCH_LEAST, Math.floor(rows / EPOCH_STEPS))),
  };
}

/** Steps and warm-up that follow from a plan and the number of steps in an epoch. */
export function scheduleOf(
  plan: PresetNumbers,
  stepsPerEpoch: number,
  stepsMax: number,
): { epochs: number; steps: number; warmupSteps: number } {
  const epochs = Math.max(1, Math.min(plan.epochsMax, Math.ceil(stepsMax / stepsPerEpoch)));
  const steps = Math.min(stepsMax, epochs * stepsPerEpoch);
  const warmupSteps = plan.warmupSteps > 0 ? plan.warmupSteps : Math.ceil(steps / WARMUP_PART);
  return { epochs, steps, warmupSteps };
}

/** Warm-up is this part of the steps where it is not set. */
const WARMUP_PART = 20;
