/**
 * A gated recurrent unit over packed sequences, in the way of GRU4Rec.
 *
 *     z = σ(x·W_z + h·U_z + b_z)    r = σ(x·W_r + h·U_r + b_r)    n = tanh(x·W_n + b_n + r ∘ (h·U_n + c_n))
 *     h' = (1 − z) ∘ n + z ∘ h
 *
 * Cho et al. (2014), in the form in which the recurrent product is gated, so that all three products are one; Hidasi et
 * al., "Session-based Recommendations with Recurrent Neural Networks" (ICLR 2016). States are normalised over the row
 * before they are compared with item vectors.
 *
 * Sequences of a batch run side by side, longest first: at step t those take part that are so long, and nothing is padded.
 * Shapes: x, h [n × d], W and U [d × 3d].
 */
import type { Random } from '../../../streams/random.js';
import type { Encoder, EncoderSteps } from '../sequential/encoder.js';
import { Dense, Dropout, LayerNorm } from '../sequential/layers.js';
import type { PackedBatch } from '../sequential/packed-batch.js';
import type { Parameters } from '../sequential/parameters.js';
import type { Matrix } from '../tensors/kernels.js';
import { stepRow, stepRowGradient } from './gated-unit.js';
import { RnnSteps } from './rnn-steps.js';

export interface RnnShape {
  readonly length: number;
  readonly dimensions: number;
  readonly dropout: number;
}

/** Positions of a batch in order of time: step t holds rows from[t] to from[t + 1], sequences in the same order. */
interface TimeOrder {
  readonly from: Int32Array;
  /** Place in the packed batch, by row of this order. */
  readonly places: Int32Array;
}

interface Trace {
  readonly batch: PackedBatch;
  readonly order: TimeOrder;
  readonly kept: Uint8Array | undefined;
  readonly input: Matrix;
  readonly before: Matrix;
  readonly gates: Matrix;
  readonly recurrent: Matrix;
  /** States in the packed order. */
  readonly states: Matrix;
  readonly scale: Float32Array;
  readonly keptHidden: Uint8Array | undefined;
}

export class RnnEncoder implements Encoder {
  readonly inputs: Dense;
  readonly recurrence: Dense;
  readonly lastNorm: LayerNorm;
  private readonly dropout: Dropout;
  private trace: Trace | undefined;

  constructor(
    readonly parameters: Parameters,
    readonly shape: RnnShape,
  ) {
    const { dimensions } = shape;
    this.inputs = new Dense(parameters, 'inputs', { inputs: dimensions, outputs: 3 * dimensions });
    this.recurrence = new Dense(parameters, 'recurrence', { inputs: dimensions, outputs: 3 * dimensions });
    this.lastNorm = new LayerNorm(parameters, 'last-norm', dimensions);
    this.dropout = new Dropout(shape.dropout);
  }

  get length(): number {
    return this.shape.length;
  }

  get bytesPerPosition(): number {
    return 4 * 24 * this.shape.dimensions;
  }

  forward(batch: PackedBatch, random?: Random): Matrix {
    const { kernels, dimensions: width } = this.parameters;
    const order = timeOrderOf(batch);
    const input = this.embed(batch, order);
    const kept = this.dropout.forward(input.values, random);
    const gates = this.inputs.forward(input);
    const recurrent = kernels.matrix(input.rows, 3 * width);
    const before = kernels.matrix(input.rows, width);
    const after = kernels.matrix(input.rows, width);
    for (let t = 0; t + 1 < order.from.length; t++) {
      const [from, to] = [order.from[t]!, order.from[t + 1]!];
      const state = rowsOf(before, from, to);
      if (t === 0) state.values.fill(0);
      else state.values.set(after.values.subarray(order.from[t - 1]! * width).subarray(0, state.values.length));
      this.recur(state, rowsOf(recurrent, from, to));
      const values = { gates: gates.values, recurrent: recurrent.values, before: before.values };
      for (let row = from; row < to; row++) stepRow(values, after.values, row, width);
    }
    const states = kernels.matrix(input.rows, width);
    for (let row = 0; row < input.rows; row++) copyRow(after.values, row, states.values, order.places[row]!, width);
    const scale = kernels.floats(input.rows);
    const hidden = this.lastNorm.forward(states, scale);
    const keptHidden = this.dropout.forward(hidden.values, random);
    const trace = { batch, order, kept, input, before, gates, recurrent, states, scale, keptHidden };
    this.trace = random === undefined ? undefined : trace;
    return hidden;
  }

  backward(gradient: Matrix): void {
    const { kernels, dimensions: width } = this.parameters;
    const { order, input, before, gates, recurrent, kept } = this.trace!;
    const values = { gates: gates.values, recurrent: recurrent.values, before: before.values };
    const afterGradient = this.stateGradient(gradient);
    const gateGradient = kernels.matrix(input.rows, 3 * width);
    const recurrentGradient = kernels.matrix(input.rows, 3 * width);
    const gradients = {
      after: afterGradient.values,
      gates: gateGradient.values,
      recurrent: recurrentGradient.values,
    };
    for (let t = order.from.length - 2; t >= 0; t--) {
      const [from, to] = [order.from[t]!, order.from[t + 1]!];
      for (let row = from; row < to; row++) stepRowGradient(values, gradients, row, width);
      if (t === 0) continue;
      // Into the states before: through the recurrent product, and directly through z ∘ h.
      const mark = kernels.mark();
      const through = kernels.matrix(to - from, width);
      kernels.product(rowsOf(recurrentGradient, from, to), this.recurrence.weights, through, { transposeRight: true });
      const earlier = afterGradient.values.subarray(order.from[t - 1]! * width);
      for (let row = from, at = 0; row < to; row++) {
        for (let i = 0; i < width; i++, at++) {
          const kept = gates.values[row * 3 * width + i]!;
          earlier[at]! += through.values[at]! + kept * afterGradient.values[row * width + i]!;
        }
      }
      kernels.release(mark);
    }
    this.recurrence.accumulate(before, recurrentGradient);
    const inputGradient = this.inputs.backward(input, gateGradient);
    this.dropout.backward(inputGradient.values, kept);
    this.scatter(inputGradient);
    this.trace = undefined;
  }

  createSteps(): EncoderSteps {
    return new RnnSteps(this);
  }

  /** Gradient by the states after each position, in order of time. */
  private stateGradient(gradient: Matrix): Matrix {
    const { kernels, dimensions: width } = this.parameters;
    const { order, states, scale, keptHidden } = this.trace!;
    this.dropout.backward(gradient.values, keptHidden);
    const packed = kernels.matrix(gradient.rows, width);
    packed.values.fill(0);
    this.lastNorm.backward(states, scale, gradient, packed);
    const result = kernels.matrix(gradient.rows, width);
    for (let row = 0; row < gradient.rows; row++) copyRow(packed.values, order.places[row]!, result.values, row, width);
    return result;
  }

  private embed({ inputs }: PackedBatch, { places }: TimeOrder): Matrix {
    const { kernels, items, dimensions: width } = this.parameters;
    const x = kernels.matrix(inputs.length, width);
    const scale = Math.sqrt(width);
    for (let row = 0; row < inputs.length; row++) {
      const from = inputs[places[row]!]! * width;
      for (let i = 0; i < width; i++) x.values[row * width + i] = scale * items.values[from + i]!;
    }
    return x;
  }

  private scatter(gradient: Matrix): void {
    const { itemGradient, dimensions: width } = this.parameters;
    const { batch, order } = this.trace!;
    const scale = Math.sqrt(width);
    for (let row = 0; row < gradient.rows; row++) {
      const to = itemGradient.offsetOf(batch.inputs[order.places[row]!]!);
      const { values } = itemGradient;
      for (let i = 0; i < width; i++) values[to + i]! += scale * gradient.values[row * width + i]!;
    }
  }

  /** recurrent = before·U + c. */
  private recur(before: Matrix, recurrent: Matrix): void {
    for (let r = 0; r < recurrent.rows; r++) recurrent.values.set(this.recurrence.biases, r * recurrent.stride);
    this.parameters.kernels.product(before, this.recurrence.weights, recurrent, { accumulate: true });
  }
}

function timeOrderOf({ starts, inputs }: PackedBatch): TimeOrder {
  const lengthOf = (s: number): number => starts[s + 1]! - starts[s]!;
  const sequences = Array.from({ length: starts.length - 1 }, (_, s) => s);
  sequences.sort((left, right) => lengthOf(right) - lengthOf(left) || left - right);
  const longest = sequences.length === 0 ? 0 : lengthOf(sequences[0]!);
  const from = new Int32Array(longest + 1);
  const places = new Int32Array(inputs.length);
  let row = 0;
  for (let t = 0; t < longest; t++) {
    for (const s of sequences) {
      if (lengthOf(s) <= t) break;
      places[row++] = starts[s]! + t;
    }
    from[t + 1] = row;
  }
  return { from, places };
}

function rowsOf(matrix: Matrix, from: number, to: number): Matrix {
  const { stride } = matrix;
  return { ...matrix, rows: to - from, values: matrix.values.subarray(from * stride, to * stride) };
}

function copyRow(
  source: Float32Array,
  from: number,
  ...[target, to, width]: [target: Float32Array, to: number, width: number]
): void {
  for (let i = 0; i < width; i++) target[to * width + i] = source[from * width + i]!;
}
