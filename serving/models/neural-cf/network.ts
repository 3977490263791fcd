/**
 * NeuMF's network, differentiated by hand: GMF ⊕ MLP over rows of embedding tables.
 *
 *     gmf = p_u ∘ q_i                         [B × d]
 *     a₀ = e_u ⊕ f_i ⊕ context                [B × (2d + 16)]
 *     a_l = dropout(relu(a_{l−1}·W_l + b_l))  layers 128, 64, 32
 *     logit = gmf·w_g + a₃·w_m + b            loss = mean binary cross-entropy + λ/2 · mean(|p|² + |q|² + |e|² + |f|²)
 *
 * He and others: "Neural Collaborative Filtering" (2017). Matrix products run in kernel memory; tables stay outside of
 * it, their gradients are summed by touched row (`RowGradients`).
 *
 * Invariant: `forward` is followed by at most one `backward`, of the same batch.
 */
import type { Random } from '../../../streams/random.js';
import { Kernels, type Matrix } from '../tensors/kernels.js';
import { CONTEXT_FLOATS } from './context.js';
import { RowGradients } from './row-gradients.js';

export interface Sizes {
  readonly users: number;
  readonly items: number;
  readonly embedding: number;
  readonly layers: readonly number[];
}

/** All that is learnt, by name; tables [rows × 2d] hold the GMF half and then the MLP half of a row. */
export type Parameters = Readonly<Record<string, Float32Array>>;

export function inputWidth({ embedding }: Pick<Sizes, 'embedding'>): number {
  return 2 * embedding + CONTEXT_FLOATS;
}

/** Tables N(0, .01²), dense layers uniform within ±√(6 / (in + out)), biases 0. */
export function initialParameters(sizes: Sizes, random: Random): Record<string, Float32Array> {
  const gaussian = (length: number, name: string): Float32Array => {
    const stream = random.stream(name);
    return new Float32Array(length).map(() => 0.01 * stream.gaussian());
  };
  const uniform = (rows: number, columns: number, name: string): Float32Array => {
    const stream = random.stream(name);
    const bound = Math.sqrt(6 / (rows + columns));
    return new Float32Array(rows * columns).map(() => bound * (2 * stream.float() - 1));
  };
  const widths = [inputWidth(sizes), ...sizes.layers];
  const last = widths.at(-1)!;
  return {
    users: gaussian(sizes.users * 2 * sizes.embedding, 'users'),
    items: gaussian(sizes.items * 2 * sizes.embedding, 'items'),
    ...Object.fromEntries(
      sizes.layers.flatMap((width, l) => [
        [`weights-${l}`, uniform(widths[l]!, width, `weights-${l}`)],
        [`biases-${l}`, new Float32Array(width)],
      ]),
    ),
    output: uniform(sizes.embedding + last, 1, 'output'),
    bias: new Float32Array(1),
  };
}

/** Rows of a batch, parallel arrays; labels are 1 or 0. */
export interface Batch {
  readonly size: number;
  readonly users: Int32Array;
  readonly items: Int32Array;
  /** [size × CONTEXT_FLOATS] */
  readonly context: Float32Array;
  readonly labels: Float32Array;
}

interface Layer {
  readonly weights: Matrix;
  readonly biases: Float32Array;
  readonly output: Matrix;
  readonly delta: Matrix;
  readonly weightGradient: Matrix;
}

export class Network {
  readonly gradients: Record<string, Float32Array>;
  readonly userRows: RowGradients;
  readonly itemRows: RowGradients;
  private readonly kernels = new Kernels();
  private readonly input: Matrix;
  private readonly inputDelta: Matrix;
  private readonly layers: readonly Layer[];
  private readonly logits: Float32Array;

  /** The dense parameters are copied into kernel memory before each batch; the tables are read in place. */
  constructor(
    private readonly sizes: Sizes,
    private readonly parameters: Parameters,
    private readonly batchMax: number,
  ) {
    const { kernels } = this;
    this.input = kernels.matrix(batchMax, inputWidth(sizes));
    this.inputDelta = kernels.matrix(batchMax, inputWidth(sizes));
    const widths = [inputWidth(sizes), ...sizes.layers];
    this.layers = sizes.layers.map((width, l) => ({
      weights: kernels.matrix(widths[l]!, width),
      biases: parameters[`biases-${l}`]!,
      output: kernels.matrix(batchMax, width),
      delta: kernels.matrix(batchMax, width),
      weightGradient: kernels.matrix(widths[l]!, width),
    }));
    this.logits = new Float32Array(batchMax);
    this.userRows = new RowGradients(sizes.users, 2 * sizes.embedding);
    this.itemRows = new RowGradients(sizes.items, 2 * sizes.embedding);
    this.gradients = Object.fromEntries(
      Object.entries(parameters)
        .filter(([name]) => name !== 'users' && name !== 'items')
        .map(([name, values]) => [name, new Float32Array(values.length)]),
    );
  }

  /** Logits of the batch; with `dropout`, that share of each layer's outputs is zero and the others are larger. */
  forward(batch: Batch, dropout?: { readonly share: number; readonly random: Random }): Float32Array {
    const { size } = batch;
    this.gather(batch);
    let previous = rowsOf(this.input, size);
    this.layers.forEach((layer, l) => {
      layer.weights.values.set(this.parameters[`weights-${l}`]!);
      const output = rowsOf(layer.output, size);
      this.kernels.product(previous, layer.weights, output);
      activate(output, layer.biases, dropout);
      previous = output;
    });
    this.readOut(batch, previous);
    return this.logits.subarray(0, size);
  }

  /** Fills the gradients of the mean loss of the batch last put `forward`; returns that loss without regularization. */
  backward(batch: Batch, settings: { readonly l2: number; readonly dropout: number }): number {
    const { size } = batch;
    const { embedding } = this.sizes;
    let loss = 0;
    const deltas = new Float32Array(size);
    for (let row = 0; row < size; row++) {
      const logit = this.logits[row]!;
      const label = batch.labels[row]!;
      loss += Math.max(logit, 0) - logit * label + Math.log1p(Math.exp(-Math.abs(logit)));
      deltas[row] = (1 / (1 + Math.exp(-logit)) - label) / size;
    }
    this.backwardOutput(deltas);
    for (let l = this.layers.length - 1; l >= 0; l--) {
      const layer = this.layers[l]!;
      const delta = rowsOf(layer.delta, size);
      const below = rowsOf(l === 0 ? this.input : this.layers[l - 1]!.output, size);
      gateDelta(delta, rowsOf(layer.output, size), settings.dropout);
      sumRows(delta, this.gradients[`biases-${l}`]!);
      this.kernels.product(below, delta, layer.weightGradient, { transposeLeft: true });
      this.gradients[`weights-${l}`]!.set(layer.weightGradient.values);
      const target = rowsOf(l === 0 ? this.inputDelta : this.layers[l - 1]!.delta, size);
      this.kernels.product(delta, layer.weights, target, { transposeRight: true });
    }
    this.scatter(batch, deltas, { l2: settings.l2 / size, embedding });
    return loss / size;
  }

  private gather({ size, users, items, context }: Batch): void {
    const { embedding } = this.sizes;
    const { values, stride } = this.input;
    const { users: userTable, items: itemTable } = this.parameters;
    for (let row = 0; row < size; row++) {
      const [u, i] = [(2 * users[row]! + 1) * embedding, (2 * items[row]! + 1) * embedding];
      const start = row * stride;
      for (let k = 0; k < embedding; k++) values[start + k] = userTable![u + k]!;
      for (let k = 0; k < embedding; k++) values[start + embedding + k] = itemTable![i + k]!;
      for (let k = 0; k < CONTEXT_FLOATS; k++) {
        values[start + 2 * embedding + k] = context[row * CONTEXT_FLOATS + k]!;
      }
    }
  }

  private readOut({ size, users, items }: Batch, last: Matrix): void {
    const { embedding } = this.sizes;
    const { users: userTable, items: itemTable, output, bias } = this.parameters;
    for (let row = 0; row < size; row++) {
      const [u, i] = [2 * users[row]! * embedding, 2 * items[row]! * embedding];
      let sum = bias![0]!;
      for (let k = 0; k < embedding; k++) sum += userTable![u + k]! * itemTable![i + k]! * output![k]!;
      for (let k = 0; k < last.columns; k++) sum += last.values[row * last.stride + k]! * output![embedding + k]!;
      this.logits[row] = sum;
    }
  }

  private backwardOutput(deltas: Float32Array): void {
    const { embedding } = this.sizes;
    const last = this.layers.at(-1)!;
    const output = this.parameters['output']!;
    const gradient = this.gradients['output']!.fill(0);
    const bias = this.gradients['bias']!.fill(0);
    const width = last.output.columns;
    for (let row = 0; row < deltas.length; row++) {
      const delta = deltas[row]!;
      bias[0]! += delta;
      for (let k = 0; k < width; k++) {
        gradient[embedding + k]! += delta * last.output.values[row * width + k]!;
        last.delta.values[row * width + k] = delta * output[embedding + k]!;
      }
    }
  }

  /** Gradients of the tables' rows, and of the output's GMF part, which needs both rows as well. */
  private scatter(
    { size, users, items }: Batch,
    deltas: Float32Array,
    { l2, embedding }: { l2: number; embedding: number },
  ): void {
    const { users: userTable, items: itemTable, output } = this.parameters;
    const outputGradient = this.gradients['output']!;
    const { values, stride } = this.inputDelta;
    this.userRows.clear();
    this.itemRows.clear();
    for (let row = 0; row < size; row++) {
      const [u, i] = [2 * users[row]! * embedding, 2 * items[row]! * embedding];
      const [toUser, toItem] = [this.userRows.startOf(users[row]!), this.itemRows.startOf(items[row]!)];
      const [userSums, itemSums] = [this.userRows.sums, this.itemRows.sums];
      const delta = deltas[row]!;
      const start = row * stride;
      for (let k = 0; k < embedding; k++) {
        const [p, q] = [userTable![u + k]!, itemTable![i + k]!];
        const [e, f] = [userTable![u + embedding + k]!, itemTable![i + embedding + k]!];
        const weighted = delta * output![k]!;
        outputGradient[k]! += delta * p * q;
        userSums[toUser + k]! += weighted * q + l2 * p;
        itemSums[toItem + k]! += weighted * p + l2 * q;
        userSums[toUser + embedding + k]! += values[start + k]! + l2 * e;
        itemSums[toItem + embedding + k]! += values[start + embedding + k]! + l2 * f;
      }
    }
  }
}

function rowsOf(matrix: Matrix, rows: number): Matrix {
  return { ...matrix, rows };
}

/** output = dropout(relu(output + biases)) */
function activate(
  { rows, columns, values }: Matrix,
  biases: Float32Array,
  dropout?: { readonly share: number; readonly random: Random },
): void {
  const isDropping = dropout !== undefined && dropout.share > 0;
  const scale = isDropping ? 1 / (1 - dropout.share) : 1;
  const threshold = isDropping ? dropout.share * 2 ** 32 : 0;
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < columns; k++) {
      const place = row * columns + k;
      const value = values[place]! + biases[k]!;
      const isKept = value > 0 && (!isDropping || dropout.random.uint32() >= threshold);
      values[place] = isKept ? value * scale : 0;
    }
  }
}

/** What was zero in the output, by relu or dropout, passes nothing back. */
function gateDelta(delta: Matrix, output: Matrix, dropout: number): void {
  const scale = 1 / (1 - dropout);
  const length = delta.rows * delta.columns;
  for (let i = 0; i < length; i++) delta.values[i] = output.values[i]! > 0 ? delta.values[i]! * scale : 0;
}

function sumRows({ rows, columns, values }: Matrix, into: Float32Array): void {
  into.fill(0);
  for (let row = 0; row < rows; row++) for (let k = 0; k < columns; k++) into[k]! += values[row * columns + k]!;
}
