/**
 * The network of Mult-VAE in TensorFlow.js: a dense model over whole rows of items, where a library pays.
 *
 *     x̂ = dropout(x / |x|)      e = tanh(x̂·W_e + b_e)      μ = e·W_μ + b_μ      log σ² = e·W_σ + b_σ
 *     z = μ + σ ∘ ε              h = tanh(z·W_h + b_h)      logits = h·W_o + b_o
 *
 * Liang et al., "Variational Autoencoders for Collaborative Filtering" (WWW 2018). Without noise z = μ. Products keep to
 * the form without transposition, by explicit transposes in their gradients: the wasm backend does the others at a tenth
 * of the speed.
 *
 * Shapes: x [n × items], W_e [items × hidden], W_μ and W_σ [hidden × latent], W_h [latent × hidden], W_o [hidden × items].
 */
import type { Random } from '../../../streams/random.js';
import type { ModelArtefact, ModelFiles } from '../model.js';
import { bytesOf, readFloats } from '../model-files.js';
import type { HistoryScorer } from '../sequential/scorer.js';
import type { Tensor, Tensor2D, TensorLibrary, TensorVariable } from '../tensors/tensor-library.js';

export interface AutoencoderShape {
  readonly items: number;
  readonly hidden: number;
  readonly latent: number;
  readonly length: number;
}

/** Rows scored at once. */
const BATCH = 128;

export interface Encoded {
  readonly logits: Tensor2D;
  readonly mean: Tensor;
  readonly logVariance: Tensor;
}

export class AutoencoderNetwork implements HistoryScorer {
  readonly batch = BATCH;
  readonly names: readonly string[];
  readonly variables: readonly TensorVariable[];
  private readonly product: (left: Tensor, right: Tensor) => Tensor;

  constructor(
    readonly tf: TensorLibrary['tf'],
    readonly shape: AutoencoderShape,
  ) {
    const { items, hidden, latent } = shape;
    const shapes: readonly (readonly [string, number, number])[] = [
      ['encoder', items, hidden],
      ['mean', hidden, latent],
      ['variance', hidden, latent],
      ['decoder', latent, hidden],
      ['output', hidden, items],
    ];
    const zeros = (rows: number, columns: number): TensorVariable =>
      tf.tidy<TensorVariable>(() => tf.variable(tf.zeros([rows, columns])));
    this.names = shapes.flatMap(([name]) => [`${name}-weight`, `${name}-bias`]);
    this.variables = shapes.flatMap(([, rows, columns]) => [zeros(rows, columns), zeros(1, columns)]);
    const product = tf.customGrad((...inputs) => {
      const [left, right, save] = inputs as unknown as [Tensor2D, Tensor2D, (tensors: Tensor[]) => void];
      save([left, right]);
      return {
        value: tf.matMul(left, right),
        gradFunc: (given, saved) => {
          const [a, b] = saved as [Tensor2D, Tensor2D];
          return [tf.matMul(given, tf.transpose(b)), tf.matMul(tf.transpose(a), given)];
        },
      };
    });
    this.product = (left, right) => product(left, right);
  }

  get itemCount(): number {
    return this.shape.items;
  }

  /** Weights from N(0, 2 / (rows + columns)) (Glorot), the variance's an order smaller. */
  initialise(random: Random): void {
    this.variables.forEach((variable, i) => {
      const [rows, columns] = variable.shape as [number, number];
      const name = this.names[i]!;
      if (name.endsWith('bias')) return;
      const stream = random.stream(name);
      const deviation = Math.sqrt(2 / (rows + columns)) * (name.startsWith('variance') ? 0.1 : 1);
      this.assign(
        i,
        Float32Array.from({ length: rows * columns }, () => deviation * stream.gaussian()),
      );
    });
  }

  /** [n × items] logits of normalised rows; `noise` [n × latent] is ε. Within the caller's tidy. */
  forward(rows: Tensor2D, noise: Tensor | undefined): Encoded {
    const { tf } = this;
    const dense = (x: Tensor, layer: number): Tensor =>
      tf.add(this.product(x, this.variables[2 * layer]!), this.variables[2 * layer + 1]!);
    const encoded = tf.tanh(dense(rows, 0));
    const mean = dense(encoded, 1);
    const logVariance = dense(encoded, 2);
    const latent = noise === undefined ? mean : tf.add(mean, tf.mul(noise, tf.exp(tf.mul(logVariance, 0.5))));
    const logits = dense(tf.tanh(dense(latent, 3)), 4) as Tensor2D;
    return { logits, mean, logVariance };
  }

  /** Rows of length one over the histories' newest items; `isKept` decides about each item. */
  rowsOf(histories: readonly Int32Array[], isKept: () => boolean = () => true): Float32Array {
    const { items, length } = this.shape;
    const rows = new Float32Array(histories.length * items);
    histories.forEach((history, h) => {
      const row = rows.subarray(h * items, (h + 1) * items);
      const distinct = new Set(history.length > length ? history.subarray(history.length - length) : history);
      const value = 1 / Math.sqrt(distinct.size);
      for (const item of distinct) if (isKept()) row[item] = value;
    });
    return rows;
  }

  scoreHistories(histories: readonly Int32Array[], into: Float32Array): void {
    const { tf } = this;
    tf.tidy(() => {
      const rows = tf.tensor2d(this.rowsOf(histories), [histories.length, this.shape.items]);
      into.set(this.forward(rows, undefined).logits.dataSync());
    });
  }

  save(): ModelFiles {
    return Object.fromEntries(
      this.names.map((name, i) => [`${name}.f32`, bytesOf(this.variables[i]!.dataSync() as Float32Array)]),
    );
  }

  restore(artefact: ModelArtefact): void {
    this.names.forEach((name, i) => this.assign(i, readFloats(artefact, `${name}.f32`, this.variables[i]!.size)));
  }

  close(): void {
    for (const variable of this.variables) variable.dispose();
  }

  private assign(i: number, values: Float32Array): void {
    const variable = this.variables[i]!;
    this.tf.tidy(() => variable.assign(this.tf.tensor(values, variable.shape)));
  }
}
