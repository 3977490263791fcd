/**
 * The recurrent network one item at a time: a person's state is one row.
 *
 * The encoder looks at the newest `length` items and starts from nothing; so that live and trained states are of one kind,
 * a state that took as many is started again from its newest half, as the transformer's is.
 */
import type { EncoderSteps } from '../sequential/encoder.js';
import { type Dense, type LayerNorm, normaliseRows } from '../sequential/layers.js';
import type { Parameters } from '../sequential/parameters.js';
import type { PackedMatrix } from '../tensors/kernels.js';
import { stepRow } from './gated-unit.js';

/** What a step reads of the encoder. */
export interface RnnParts {
  readonly parameters: Parameters;
  readonly length: number;
  readonly inputs: Dense;
  readonly recurrence: Dense;
  readonly lastNorm: LayerNorm;
}

export class RnnSteps implements EncoderSteps {
  readonly stateFloats: number;
  readonly keptItems: number;
  private readonly inputs: PackedMatrix;
  private readonly recurrence: PackedMatrix;

  constructor(private readonly encoder: RnnParts) {
    const { kernels, dimensions } = encoder.parameters;
    this.stateFloats = dimensions;
    this.keptItems = Math.floor(encoder.length / 2);
    this.inputs = kernels.packed(encoder.inputs.weights);
    this.recurrence = kernels.packed(encoder.recurrence.weights);
  }

  isFull(count: number): boolean {
    return count >= this.encoder.length;
  }

  take(state: Float32Array, count: number, items: Int32Array, hidden: Float32Array): void {
    const { kernels, items: vectors, dimensions: width } = this.encoder.parameters;
    const mark = kernels.mark();
    const x = kernels.matrix(1, width);
    const before = kernels.matrix(1, width);
    const gates = kernels.matrix(1, 3 * width);
    const recurrent = kernels.matrix(1, 3 * width);
    const values = { gates: gates.values, recurrent: recurrent.values, before: before.values };
    const scale = Math.sqrt(width);
    if (count === 0) state.fill(0);
    for (const item of items) {
      for (let i = 0; i < width; i++) x.values[i] = scale * vectors.values[item * width + i]!;
      before.values.set(state);
      gates.values.set(this.encoder.inputs.biases);
      recurrent.values.set(this.encoder.recurrence.biases);
      kernels.productPacked(x, this.inputs, gates, { accumulate: true });
      kernels.productPacked(before, this.recurrence, recurrent, { accumulate: true });
      stepRow(values, state, 0, width);
    }
    const { gain, bias } = this.encoder.lastNorm;
    normaliseRows(state, hidden, 1, gain.value.values, bias.value.values);
    kernels.release(mark);
  }
}
