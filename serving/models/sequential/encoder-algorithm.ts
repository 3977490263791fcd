/**
 * What fitting and loading share between models that are an encoder with item vectors: transformer and rnn.
 *
 * Items are vectors of the softmax and of the input alike (tied), so a fitted model is a table of item vectors, the
 * network's matrices, and what was learnt beside them.
 */
import { EngineError } from '../../../schemas/errors.js';
import { requireMemory, throwIfCancelled } from '../fitting.js';
import type { FitContext, ItemVectors, ModelArtefact } from '../model.js';
import { jsonBytes, readJson } from '../model-files.js';
import { Kernels } from '../tensors/kernels.js';
import { requireInteractions, type TrainingSet } from '../training-set.js';
import type { Encoder } from './encoder.js';
import { EncoderLearner } from './encoder-learner.js';
import type { LossSettings } from './item-loss.js';
import { Parameters } from './parameters.js';
import { EncoderScorer } from './scorer.js';
import { learnKnowledge, loadKnowledge, type Network, SequenceModel } from './sequence-model.js';
import { type PresetNumbers, scheduleOf, type SharedValues } from './settings.js';
import { train } from './training.js';
import { calibrateOn, type HeldOut, holdOut } from './validation.js';

export interface EncoderJob<N extends PresetNumbers> {
  readonly algorithm: string;
  readonly set: TrainingSet;
  readonly settings: SharedValues & LossSettings;
  readonly plan: N;
  readonly context: FitContext;
  create(parameters: Parameters, plan: N): Encoder;
}

export async function fitEncoder<N extends PresetNumbers>(job: EncoderJob<N>): Promise<SequenceModel> {
  const { set, settings, plan, context } = job;
  requireInteractions(set);
  throwIfCancelled(context);
  requireDimensions(plan.dimensions);
  const items = set.itemIds.length;
  const tableBytes = 4 * items * plan.dimensions;
  // Table, prepared table, two moments, the best so far and its file.
  requireMemory(context, TABLES * tableBytes, `A table of ${items} item vectors with its moments`);
  const encoder = job.create(new Parameters(new Kernels(), items, plan.dimensions), plan);
  const positions = plan.batchSize * Math.min(encoder.length, longestRow(set));
  requireMemory(context, TABLES * tableBytes + positions * encoder.bytesPerPosition, 'Training');
  const scorer = new EncoderScorer(encoder, settings);
  const heldOut = holdOut(set, context.random.stream('validation'), {
    share: settings.validationShare,
    most: settings.validationQuestions,
  });
  encoder.parameters.initialise(context.random.stream('initial'));
  const { weightDecay, stepsMax, patience } = settings;
  const { epochs, ...schedule } = scheduleOf(plan, stepsPerEpoch(set, heldOut, plan, encoder.length), stepsMax);
  const optimizer = { ...schedule, learningRate: plan.learningRate, weightDecay };
  const learner = new EncoderLearner({ scorer, set, heldOut, loss: settings, batchSize: plan.batchSize, optimizer });
  await train({ learner, scorer, set, heldOut, epochs, stepsMax, patience, context });
  const calibration = calibrateOn(scorer, heldOut.questions);
  const knowledge = learnKnowledge(set, { calibration, shortSequence: settings.shortSequence });
  return new SequenceModel(job.algorithm, new EncoderNetwork(scorer, plan), knowledge);
}

export function loadEncoder<N extends PresetNumbers>(
  artefact: ModelArtefact,
  settings: SharedValues & LossSettings,
  create: (parameters: Parameters, plan: N) => Encoder,
): SequenceModel {
  const plan = readJson(artefact, PLAN_FILE) as N;
  const parameters = new Parameters(new Kernels(), artefact.itemCount, plan.dimensions);
  const encoder = create(parameters, plan);
  parameters.restore(artefact);
  const scorer = new EncoderScorer(encoder, settings);
  const knowledge = loadKnowledge(artefact, settings.shortSequence);
  return new SequenceModel(artefact.algorithm, new EncoderNetwork(scorer, plan), knowledge);
}

/** What the preset became on the data of the fit. */
const PLAN_FILE = 'plan.json';
/** Copies of the item table that a fit holds at once. */
const TABLES = 6;
/** Rows of panels in the kernels. */
const DIMENSION_STEP = 8;

function requireDimensions(dimensions: number): void {
  if (dimensions % DIMENSION_STEP === 0) return;
  throw new EngineError(
    'CONFIG_INVALID',
    `Setting 'dimensions' is ${dimensions}; expected a multiple of ${DIMENSION_STEP}.`,
  );
}

/** About: where long rows are cut differs from epoch to epoch. */
function stepsPerEpoch(set: TrainingSet, { ends }: HeldOut, plan: PresetNumbers, length: number): number {
  let windows = 0;
  ends.forEach((end, row) => (windows += Math.ceil((end - set.rowStart[row]! - 1) / length)));
  if (windows > 0) return Math.ceil(windows / plan.batchSize);
  throw new EngineError(
    'TRAINING_SET_INVALID',
    'A sequence model learns from what follows what: no row of the training set has two interactions.',
  );
}

function longestRow({ rowStart }: TrainingSet): number {
  let longest = 0;
  for (let row = 0; row + 1 < rowStart.length; row++) longest = Math.max(longest, rowStart[row + 1]! - rowStart[row]!);
  return longest;
}

/** The network of a SequenceModel; `encoder` and `scorer` are there for the live path. */
export class EncoderNetwork implements Network {
  constructor(
    readonly scorer: EncoderScorer,
    private readonly plan: PresetNumbers,
  ) {}

  get encoder(): Encoder {
    return this.scorer.encoder;
  }

  get files(): Network['files'] {
    return { ...this.encoder.parameters.save(), [PLAN_FILE]: jsonBytes(this.plan) };
  }

  queryVector(history: Int32Array): Float32Array {
    const { kernels } = this.encoder.parameters;
    const mark = kernels.mark();
    const vector = this.scorer.queriesOf([history]).values.slice();
    kernels.release(mark);
    return vector;
  }

  itemVectors(): ItemVectors {
    return {
      dimensions: this.encoder.parameters.dimensions,
      values: this.scorer.vectors.slice(),
      metric: 'dot',
    };
  }

  close(): void {
    // Kernel memory goes with the encoder.
  }
}
