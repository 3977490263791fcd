/**
 * Trains the autoencoder: multinomial likelihood of a person's items plus the divergence of the latent row from N(0, 1),
 * whose weight β rises from 0 (annealing), with Adam.
 *
 *     loss = −Σ_i x_i · log softmax(logits)_i + β · ½ Σ (μ² + σ² − 1 − log σ²)
 *
 * Invariant: dropout and noise come from the epoch's random streams, never from the library's, so that a fit repeats.
 */
import type { Random } from '../../../streams/random.js';
import type { ModelArtefact, ModelFiles } from '../model.js';
import { bytesOf, readFloats } from '../model-files.js';
import type { Learner } from '../sequential/training.js';
import type { HeldOut } from '../sequential/validation.js';
import type { Tensor, TensorVariable } from '../tensors/tensor-library.js';
import type { TrainingSet } from '../training-set.js';
import type { AutoencoderNetwork } from './autoencoder-network.js';

export interface AutoencoderLearnerOptions {
  readonly set: TrainingSet;
  readonly heldOut: HeldOut;
  readonly dropout: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly annealing: number;
  /** Steps that are planned: half of them anneal. */
  readonly steps: number;
}

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

export class AutoencoderLearner implements Learner {
  private readonly moments: readonly { readonly first: TensorVariable; readonly second: TensorVariable }[];
  private step = 0;
  private rows: number[] = [];
  private dropout: Random | undefined;
  private noise: Random | undefined;

  constructor(
    private readonly network: AutoencoderNetwork,
    private readonly options: AutoencoderLearnerOptions,
  ) {
    const { tf } = network;
    const zeros = ({ shape }: TensorVariable): TensorVariable => tf.tidy(() => tf.variable(tf.zeros(shape), false));
    this.moments = network.variables.map((variable) => ({ first: zeros(variable), second: zeros(variable) }));
  }

  beginEpoch(random: Random): number {
    const { set, heldOut, batchSize } = this.options;
    const filled = [...heldOut.ends.keys()].filter((row) => heldOut.ends[row]! > set.rowStart[row]!);
    this.rows = random.stream('order').shuffle(filled);
    this.dropout = random.stream('dropout');
    this.noise = random.stream('noise');
    return Math.ceil(filled.length / batchSize);
  }

  takeStep(i: number): number {
    const { network, options } = this;
    const { tf, shape } = network;
    const { set, heldOut, batchSize, dropout } = options;
    const rows = this.rows.slice(i * batchSize, (i + 1) * batchSize);
    const histories = rows.map((row) => heldOut.items.subarray(set.rowStart[row], heldOut.ends[row]));
    const wanted = network.rowsOf(histories).map((value) => (value > 0 ? 1 : 0));
    const keeps = network
      .rowsOf(histories, () => this.dropout!.float() >= dropout)
      .map((value) => value / (1 - dropout));
    const noise = Float32Array.from({ length: rows.length * shape.latent }, () => this.noise!.gaussian());
    this.step++;
    const weight = options.annealing * Math.min(1, (2 * this.step) / options.steps);
    return tf.tidy(() => {
      const input = tf.tensor2d(keeps, [rows.length, shape.items]);
      const target = tf.tensor2d(wanted, [rows.length, shape.items]);
      const epsilon = tf.tensor2d(noise, [rows.length, shape.latent]);
      const { value, grads } = tf.variableGrads(() => {
        const { logits, mean, logVariance } = network.forward(input, epsilon);
        const likelihood = tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), target), 1)));
        const spread = tf.sub(tf.add(tf.square(mean), tf.exp(logVariance)), tf.add(logVariance, 1));
        return tf.add(likelihood, tf.mul(tf.mean(tf.sum(spread, 1)), weight / 2)).asScalar();
      }, [...network.variables]);
      network.variables.forEach((variable, v) => this.update(v, grads[variable.name]!));
      return value.dataSync()[0]!;
    });
  }

  /** The network scores with its variables as they are. */
  refresh(): void {}

  saveParameters(): ModelFiles {
    return this.network.save();
  }

  restoreParameters(artefact: ModelArtefact): void {
    this.network.restore(artefact);
  }

  saveOptimizer(): ModelFiles {
    const files: Record<string, Uint8Array> = {};
    this.moments.forEach(({ first, second }, i) => {
      files[`first-${i}.f32`] = bytesOf(first.dataSync());
      files[`second-${i}.f32`] = bytesOf(second.dataSync());
    });
    return files;
  }

  restoreOptimizer(artefact: ModelArtefact, steps: number): void {
    const { tf } = this.network;
    this.step = steps;
    const assign = (variable: TensorVariable, file: string): void =>
      tf.tidy(() => variable.assign(tf.tensor(readFloats(artefact, file, variable.size), variable.shape)));
    this.moments.forEach(({ first, second }, i) => {
      assign(first, `first-${i}.f32`);
      assign(second, `second-${i}.f32`);
    });
  }

  close(): void {
    for (const { first, second } of this.moments) {
      first.dispose();
      second.dispose();
    }
  }

  /** Adam, with the powers of β from the step: the library's own keeps them as running products, which cannot be resumed. */
  private update(i: number, gradient: Tensor): void {
    const { tf, variables } = this.network;
    const { first, second } = this.moments[i]!;
    first.assign(tf.add(tf.mul(first, BETA1), tf.mul(gradient, 1 - BETA1)));
    second.assign(tf.add(tf.mul(second, BETA2), tf.mul(tf.square(gradient), 1 - BETA2)));
    const mean = tf.mul(first, 1 / (1 - BETA1 ** this.step));
    const spread = tf.sqrt(tf.mul(second, 1 / (1 - BETA2 ** this.step)));
    const change = tf.mul(tf.div(mean, tf.add(spread, EPSILON)), this.options.learningRate);
    variables[i]!.assign(tf.sub(variables[i]!, change));
  }
}
