/**
 * The training loop of encoders: epochs of shuffled windows, early stopping on NDCG@10, checkpoints.
 *
 * Everything an epoch draws comes from a stream named after it, and a checkpoint holds parameters, moments, the best
 * parameters so far and the count of epochs; a fit that was killed and resumed gives the same bytes.
 *
 * Invariant: on return the encoder holds the parameters of the best validated epoch (the last one without validation).
 */
import { EngineError } from '../../../schemas/errors.js';
import { throwIfCancelled } from '../fitting.js';
import type { FitContext, ModelArtefact, ModelFiles } from '../model.js';
import { jsonBytes, readFloats, readJson } from '../model-files.js';
import type { TrainingSet } from '../training-set.js';
import type { Encoder } from './encoder.js';
import { ItemLoss, type LossSettings } from './item-loss.js';
import { AdamW } from './optimizer.js';
import { packWindows, type Window, windowsOf } from './packed-batch.js';
import type { EncoderScorer } from './scorer.js';
import type { PresetNumbers } from './settings.js';
import { type HeldOut, validate } from './validation.js';

export interface TrainingJob {
  readonly encoder: Encoder;
  readonly scorer: EncoderScorer;
  readonly set: TrainingSet;
  readonly heldOut: HeldOut;
  readonly loss: LossSettings;
  readonly plan: PresetNumbers;
  readonly weightDecay: number;
  readonly stepsMax: number;
  readonly patience: number;
  readonly context: FitContext;
}

interface LoopState {
  epoch: number;
  step: number;
  bestValue: number;
  bestEpoch: number;
  isDone: boolean;
}

/** Steps between two looks at whether to stop and whether the event loop waits. */
const STEPS_A_TURN = 4;

export async function train(job: TrainingJob): Promise<void> {
  await new Training(job).run();
}

class Training {
  private readonly loss: ItemLoss;
  private readonly optimizer: AdamW;
  private readonly epochs: number;
  private readonly stepsPerEpoch: number;
  private readonly state: LoopState = { epoch: 0, step: 0, bestValue: -1, bestEpoch: 0, isDone: false };
  private best: ModelFiles | undefined;

  constructor(private readonly job: TrainingJob) {
    const { encoder, set, heldOut, plan, stepsMax } = job;
    const counts = new Float64Array(set.itemIds.length);
    for (let row = 0; row < heldOut.ends.length; row++) {
      for (let p = set.rowStart[row]!; p < heldOut.ends[row]!; p++) counts[set.items[p]!]!++;
    }
    this.loss = new ItemLoss(encoder.parameters, job.loss, counts);
    const windows = this.windowsOf(1).length;
    if (windows === 0) {
      throw new EngineError(
        'TRAINING_SET_INVALID',
        'A sequence model learns from what follows what: no row of the training set has two interactions.',
      );
    }
    this.stepsPerEpoch = Math.ceil(windows / plan.batchSize);
    this.epochs = Math.max(1, Math.min(plan.epochsMax, Math.ceil(stepsMax / this.stepsPerEpoch)));
    const steps = Math.min(stepsMax, this.epochs * this.stepsPerEpoch);
    const warmupSteps = plan.warmupSteps > 0 ? plan.warmupSteps : Math.ceil(steps / WARMUP_PART);
    this.optimizer = new AdamW(encoder.parameters, {
      learningRate: plan.learningRate,
      weightDecay: job.weightDecay,
      warmupSteps,
      steps,
    });
  }

  async run(): Promise<void> {
    const { context, encoder } = this.job;
    encoder.parameters.initialise(context.random.stream('initial'));
    await this.restore();
    const { state } = this;
    while (!state.isDone) {
      throwIfCancelled(context);
      const loss = await this.runEpoch(++state.epoch);
      this.finishEpoch(loss);
      if (context.checkpoints.isDue()) await context.checkpoints.save(this.checkpoint());
    }
    if (this.best !== undefined) this.restoreParameters(this.best);
    this.job.scorer.refresh();
  }

  private windowsOf(epoch: number): Window[] {
    const { set, heldOut, encoder, context } = this.job;
    const random = context.random.stream(`epoch-${epoch}`);
    return random.stream('order').shuffle(windowsOf(set, heldOut.ends, encoder.length, random.stream('windows')));
  }

  private async runEpoch(epoch: number): Promise<number> {
    const { encoder, context, set, plan } = this.job;
    const { kernels } = encoder.parameters;
    const windows = this.windowsOf(epoch);
    const random = context.random.stream(`epoch-${epoch}`);
    const [dropout, negatives] = [random.stream('dropout'), random.stream('negatives')];
    let loss = 0;
    let steps = 0;
    for (let from = 0; from < windows.length; from += plan.batchSize) {
      const mark = kernels.mark();
      const batch = packWindows(set.items, windows.slice(from, from + plan.batchSize));
      encoder.parameters.clearGradients();
      const hidden = encoder.forward(batch, dropout);
      const gradient = kernels.matrix(hidden.rows, hidden.columns);
      loss += this.loss.compute(hidden, batch.targets, gradient, negatives);
      encoder.backward(gradient);
      this.optimizer.apply();
      kernels.release(mark);
      if (++steps % STEPS_A_TURN === 0) {
        await context.clock.nextTurn();
        throwIfCancelled(context);
      }
      if (++this.state.step >= this.job.stepsMax) break;
    }
    return loss / steps;
  }

  private finishEpoch(loss: number): void {
    const { context, scorer, heldOut, set, patience } = this.job;
    const { state, epochs } = this;
    let validation: { name: string; value: number } | undefined;
    if (heldOut.questions.length > 0) {
      scorer.refresh();
      validation = { name: 'ndcg@10', value: validate(scorer, heldOut.questions, set.isSessions) };
      if (validation.value > state.bestValue) {
        state.bestValue = validation.value;
        state.bestEpoch = state.epoch;
        this.best = this.job.encoder.parameters.save();
      }
    }
    const isStale = validation !== undefined && state.epoch - state.bestEpoch >= patience;
    state.isDone = isStale || state.epoch >= epochs || state.step >= this.job.stepsMax;
    const fraction = state.isDone ? 1 : Math.min(0.999, state.epoch / epochs);
    context.progress({ epoch: state.epoch, epochs, fraction, loss, validation });
  }

  private checkpoint(): ModelFiles {
    const files: Record<string, Uint8Array> = { 'state.json': jsonBytes(this.state) };
    const add = (prefix: string, part: ModelFiles): void => {
      for (const [name, bytes] of Object.entries(part)) files[`${prefix}-${name}`] = bytes;
    };
    add('now', this.job.encoder.parameters.save());
    add('adam', this.optimizer.save());
    if (this.best !== undefined) add('best', this.best);
    return files;
  }

  private async restore(): Promise<void> {
    const files = await this.job.context.checkpoints.load();
    if (files === undefined) return;
    const part = (prefix: string): ModelFiles =>
      Object.fromEntries(
        Object.entries(files)
          .filter(([name]) => name.startsWith(`${prefix}-`))
          .map(([name, bytes]) => [name.slice(prefix.length + 1), bytes]),
      );
    Object.assign(this.state, readJson(this.asArtefact(files), 'state.json'));
    this.restoreParameters(part('now'));
    const adam = this.asArtefact(part('adam'));
    this.optimizer.restore(this.state.step, (file, length) => readFloats(adam, file, length));
    const best = part('best');
    this.best = Object.keys(best).length > 0 ? best : undefined;
  }

  private restoreParameters(files: ModelFiles): void {
    this.job.encoder.parameters.restore(this.asArtefact(files));
  }

  private asArtefact(files: ModelFiles): ModelArtefact {
    const { set } = this.job;
    const sizes = { itemCount: set.itemIds.length, userCount: set.userIds.length };
    return { algorithm: 'checkpoint', spaceId: '', settings: {}, ...sizes, files };
  }
}

/** Warm-up is this part of the steps where it is not set. */
const WARMUP_PART = 20;
