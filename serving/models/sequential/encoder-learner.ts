/** Trains an encoder: shuffled windows, the loss over items, AdamW. */
import type { Random } from '../../../streams/random.js';
import type { ModelArtefact, ModelFiles } from '../model.js';
import { readFloats } from '../model-files.js';
import type { TrainingSet } from '../training-set.js';
import type { Encoder } from './encoder.js';
import { ItemLoss, type LossSettings } from './item-loss.js';
import { AdamW, type OptimizerSettings } from './optimizer.js';
import { packWindows, type Window, windowsOf } from './packed-batch.js';
import type { EncoderScorer } from './scorer.js';
import type { Learner } from './training.js';
import type { HeldOut } from './validation.js';

export interface EncoderLearnerOptions {
  readonly scorer: EncoderScorer;
  readonly set: TrainingSet;
  readonly heldOut: HeldOut;
  readonly loss: LossSettings;
  readonly batchSize: number;
  readonly optimizer: OptimizerSettings;
}

export class EncoderLearner implements Learner {
  private readonly encoder: Encoder;
  private readonly loss: ItemLoss;
  private readonly optimizer: AdamW;
  private windows: readonly Window[] = [];
  private dropout: Random | undefined;
  private negatives: Random | undefined;

  constructor(private readonly options: EncoderLearnerOptions) {
    const { scorer, set, heldOut } = options;
    this.encoder = scorer.encoder;
    const counts = new Float64Array(set.itemIds.length);
    heldOut.ends.forEach((end, row) => {
      for (let p = set.rowStart[row]!; p < end; p++) counts[set.items[p]!]!++;
    });
    this.loss = new ItemLoss(this.encoder.parameters, options.loss, counts);
    this.optimizer = new AdamW(this.encoder.parameters, options.optimizer);
  }

  beginEpoch(random: Random): number {
    const { set, heldOut, batchSize } = this.options;
    const windows = windowsOf(set, heldOut.ends, this.encoder.length, random.stream('windows'));
    this.windows = random.stream('order').shuffle(windows);
    this.dropout = random.stream('dropout');
    this.negatives = random.stream('negatives');
    return Math.ceil(windows.length / batchSize);
  }

  takeStep(i: number): number {
    const { set, batchSize } = this.options;
    const { parameters } = this.encoder;
    const { kernels } = parameters;
    const mark = kernels.mark();
    const batch = packWindows(set.items, this.windows.slice(i * batchSize, (i + 1) * batchSize));
    parameters.clearGradients();
    const hidden = this.encoder.forward(batch, this.dropout);
    const gradient = kernels.matrix(hidden.rows, hidden.columns);
    const loss = this.loss.compute(hidden, batch.targets, gradient, this.negatives!);
    this.encoder.backward(gradient);
    this.optimizer.apply();
    kernels.release(mark);
    return loss;
  }

  refresh(): void {
    this.options.scorer.refresh();
  }

  saveParameters(): ModelFiles {
    return this.encoder.parameters.save();
  }

  restoreParameters(artefact: ModelArtefact): void {
    this.encoder.parameters.restore(artefact);
  }

  saveOptimizer(): ModelFiles {
    return this.optimizer.save();
  }

  restoreOptimizer(artefact: ModelArtefact, steps: number): void {
    this.optimizer.restore(steps, (file, length) => readFloats(artefact, file, length));
  }
}
