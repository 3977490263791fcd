/**
 * Layers of a network and their gradients, by hand: dense, layer normalisation, rectifier, dropout.
 *
 * `forward` computes into a matrix it allocates from the kernels' memory (given back by the caller's `release` at the end
 * of the batch); `backward` adds to parameter gradients and writes the gradient of the input. Shapes: rows are positions.
 */
import type { Random } from '../../../streams/random.js';
import type { Kernels, Matrix } from '../tensors/kernels.js';
import type { Parameter, Parameters } from './parameters.js';

/** y = x·W + b, x [n × in], W [in × out]. */
export class Dense {
  private readonly weight: Parameter;
  private readonly bias: Parameter;
  private readonly kernels: Kernels;

  constructor(
    parameters: Parameters,
    name: string,
    readonly shape: { readonly inputs: number; readonly outputs: number },
  ) {
    this.kernels = parameters.kernels;
    this.weight = parameters.weight(`${name}-weight`, shape.inputs, shape.outputs);
    this.bias = parameters.vector(`${name}-bias`, shape.outputs, 0);
  }

  get weights(): Matrix {
    return this.weight.value;
  }

  get biases(): Float32Array {
    return this.bias.value.values;
  }

  forward(input: Matrix): Matrix {
    const output = this.kernels.matrix(input.rows, this.shape.outputs);
    fillRows(output, this.bias.value.values);
    this.kernels.product(input, this.weight.value, output, { accumulate: true });
    return output;
  }

  /** Adds to the gradients of weight and bias. */
  accumulate(input: Matrix, gradient: Matrix): void {
    this.kernels.product(input, gradient, this.weight.gradient, { transposeLeft: true, accumulate: true });
    addColumnSums(gradient, this.bias.gradient.values);
  }

  /** Returns the gradient of the input. */
  backward(input: Matrix, gradient: Matrix): Matrix {
    this.accumulate(input, gradient);
    const result = this.kernels.matrix(input.rows, this.shape.inputs);
    this.kernels.product(gradient, this.weight.value, result, { transposeRight: true });
    return result;
  }
}

/** y = gain · (x − mean) / √(variance + ε) + bias over each row. Ba, Kiros and Hinton (2016). */
export class LayerNorm {
  readonly gain: Parameter;
  readonly bias: Parameter;
  private readonly kernels: Kernels;

  constructor(
    parameters: Parameters,
    name: string,
    private readonly width: number,
  ) {
    this.kernels = parameters.kernels;
    this.gain = parameters.vector(`${name}-gain`, width, 1);
    this.bias = parameters.vector(`${name}-bias`, width, 0);
  }

  /** `inverse[r]` becomes 1/√(variance + ε) of row r. */
  forward(input: Matrix, inverse: Float32Array): Matrix {
    const output = this.kernels.matrix(input.rows, this.width);
    normaliseRows(input.values, output.values, input.rows, this.gain.value.values, this.bias.value.values, inverse);
    return output;
  }

  /**
   * Adds the gradient of the input to `into`. `output` is what `forward` returned: the normalised values are
   * (output − bias) / gain, but a gain may be 0, so they are taken from the input's own mean.
   */
  backward(input: Matrix, inverse: Float32Array, gradient: Matrix, into: Matrix): void {
    const width = this.width;
    const gain = this.gain.value.values;
    const gainGradient = this.gain.gradient.values;
    const biasGradient = this.bias.gradient.values;
    const x = input.values;
    const g = gradient.values;
    for (let r = 0, at = 0; r < input.rows; r++, at += width) {
      const scale = inverse[r]!;
      let mean = 0;
      for (let i = 0; i < width; i++) mean += x[at + i]!;
      mean /= width;
      let sum = 0;
      let product = 0;
      for (let i = 0; i < width; i++) {
        const normalised = (x[at + i]! - mean) * scale;
        const given = g[at + i]!;
        gainGradient[i]! += given * normalised;
        biasGradient[i]! += given;
        sum += given * gain[i]!;
        product += given * gain[i]! * normalised;
      }
      sum /= width;
      product /= width;
      for (let i = 0; i < width; i++) {
        const normalised = (x[at + i]! - mean) * scale;
        into.values[at + i]! += scale * (g[at + i]! * gain[i]! - sum - normalised * product);
      }
    }
  }
}

const NORM_EPSILON = 1e-5;

/** Layer normalisation of `rows` rows of gain.length each. */
export function normaliseRows(
  x: Float32Array,
  y: Float32Array,
  ...[rows, gain, bias, inverse]: [rows: number, gain: Float32Array, bias: Float32Array, inverse?: Float32Array]
): void {
  const width = gain.length;
  for (let r = 0, at = 0; r < rows; r++, at += width) {
    let mean = 0;
    for (let i = 0; i < width; i++) mean += x[at + i]!;
    mean /= width;
    let variance = 0;
    for (let i = 0; i < width; i++) {
      const deviation = x[at + i]! - mean;
      variance += deviation * deviation;
    }
    const scale = Math.fround(1 / Math.sqrt(variance / width + NORM_EPSILON));
    if (inverse !== undefined) inverse[r] = scale;
    for (let i = 0; i < width; i++) y[at + i] = (x[at + i]! - mean) * scale * gain[i]! + bias[i]!;
  }
}

/** Copies a row into every row. */
export function fillRows(matrix: Matrix, row: Float32Array): void {
  for (let r = 0; r < matrix.rows; r++) matrix.values.set(row, r * matrix.stride);
}

function addColumnSums({ values, rows, columns }: Matrix, sums: Float32Array): void {
  for (let r = 0, at = 0; r < rows; r++, at += columns) {
    for (let i = 0; i < columns; i++) sums[i]! += values[at + i]!;
  }
}

export function addInto(target: Float32Array, values: Float32Array): void {
  for (let i = 0; i < values.length; i++) target[i]! += values[i]!;
}

/** In place max(0, x). Without a branch: signs are as good as random, and every second guess of the processor wrong. */
export function rectify(values: Float32Array): void {
  const bits = bitsOf(values);
  for (let i = 0; i < bits.length; i++) bits[i] = bits[i]! & ~(bits[i]! >> 31);
}

/** Zeroes the gradient where the rectified output was 0. */
export function rectifyGradient(gradient: Float32Array, output: Float32Array): void {
  const bits = bitsOf(gradient);
  const outputs = bitsOf(output);
  // An output is +0 or above: its bits as an integer are 0 or positive, and the negative of those has its sign set.
  for (let i = 0; i < bits.length; i++) bits[i] = bits[i]! & (-outputs[i]! >> 31);
}

function bitsOf({ buffer, byteOffset, length }: Float32Array): Int32Array {
  return new Int32Array(buffer, byteOffset, length);
}

/**
 * Inverted dropout: each element is zeroed with the given chance, the rest divided by the chance to stay. The chance is
 * rounded to 1/256: one draw of 32 bits decides four elements.
 */
export class Dropout {
  private readonly threshold: number;
  /** What a byte drawn does to an element: 0 or 1 / the chance to stay. A look-up, since a branch would be guessed wrong. */
  private readonly factors: Float32Array;

  constructor(chance: number) {
    this.threshold = Math.round(chance * 256);
    this.factors = Float32Array.from({ length: 256 }, (_, byte) =>
      byte >= this.threshold ? 256 / (256 - this.threshold) : 0,
    );
  }

  /** Applies it in place and returns what was drawn, for `backward`; undefined when nothing is dropped. */
  forward(values: Float32Array, random: Random | undefined): Uint8Array | undefined {
    if (random === undefined || this.threshold === 0) return undefined;
    // Whole draws: the last may reach beyond the values.
    const words = new Uint32Array(Math.ceil(values.length / 4));
    for (let i = 0; i < words.length; i++) words[i] = random.uint32();
    const drawn = new Uint8Array(words.buffer, 0, values.length);
    this.apply(values, drawn);
    return drawn;
  }

  backward(gradient: Float32Array, drawn: Uint8Array | undefined): void {
    if (drawn !== undefined) this.apply(gradient, drawn);
  }

  private apply(values: Float32Array, drawn: Uint8Array): void {
    const { factors } = this;
    for (let i = 0; i < values.length; i++) values[i] = values[i]! * factors[drawn[i]!]!;
  }
}
