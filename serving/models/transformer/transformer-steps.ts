/**
 * The transformer one position at a time: a person's keys and values are kept, so that a click costs one position and
 * not the whole window.
 *
 * State: per layer keys and values of up to `length` positions, [layers × 2 × length × d] floats. Positions are learned
 * and count from the start of the window, so a full window cannot slide: it is cut to its newest half and recomputed in
 * one batch, which costs length/2 positions every length/2 events: amortised, an event costs two positions.
 *
 * Invariant: after any run of `take`, the hidden row equals the encoder's over the same window within 1e-4 (sums in
 * another order differ in the last bits).
 */
import type { EncoderSteps } from '../sequential/encoder.js';
import { addInto, type Dense, normaliseRows, rectify } from '../sequential/layers.js';
import type { Matrix, PackedMatrix } from '../tensors/kernels.js';
import type { TransformerLayer, TransformerParts } from './transformer-parts.js';

interface PackedLayer {
  readonly layer: TransformerLayer;
  readonly projection: PackedMatrix;
  readonly output: PackedMatrix;
  readonly widen: PackedMatrix;
  readonly narrow: PackedMatrix;
}

export class TransformerSteps implements EncoderSteps {
  readonly stateFloats: number;
  readonly keptItems: number;
  private readonly layers: readonly PackedLayer[];
  private readonly scores: Float64Array;

  constructor(private readonly encoder: TransformerParts) {
    const { layers, length, dimensions } = encoder.shape;
    this.stateFloats = layers * 2 * length * dimensions;
    this.keptItems = Math.floor(length / 2);
    this.scores = new Float64Array(length);
    const { kernels } = encoder.parameters;
    this.layers = encoder.layers.map((layer) => ({
      layer,
      projection: kernels.packed(layer.projection.weights),
      output: kernels.packed(layer.output.weights),
      widen: kernels.packed(layer.widen.weights),
      narrow: kernels.packed(layer.narrow.weights),
    }));
  }

  isFull(count: number): boolean {
    return count >= this.encoder.shape.length;
  }

  take(state: Float32Array, count: number, items: Int32Array, hidden: Float32Array): void {
    const { kernels, items: vectors, dimensions } = this.encoder.parameters;
    const mark = kernels.mark();
    const rows = items.length;
    const x = kernels.matrix(rows, dimensions);
    const scale = Math.sqrt(dimensions);
    const positions = this.encoder.positions.value.values;
    for (let r = 0; r < rows; r++) {
      const from = items[r]! * dimensions;
      const at = (count + r) * dimensions;
      for (let i = 0; i < dimensions; i++) {
        x.values[r * dimensions + i] = scale * vectors.values[from + i]! + positions[at + i]!;
      }
    }
    const perLayer = this.stateFloats / this.layers.length;
    this.layers.forEach((layer, i) => {
      this.takeLayer(layer, x, state.subarray(i * perLayer, (i + 1) * perLayer), count);
    });
    const { gain, bias } = this.encoder.lastNorm;
    const last = x.values.subarray((rows - 1) * dimensions);
    normaliseRows(last, hidden, 1, gain.value.values, bias.value.values);
    kernels.release(mark);
  }

  /** In place: x [rows × d] becomes the layer's output; keys and values go to `state` at rows `count` …. */
  private takeLayer(packed: PackedLayer, x: Matrix, state: Float32Array, count: number): void {
    const { kernels } = this.encoder.parameters;
    const { layer } = packed;
    const width = x.columns;
    const normalised = kernels.matrix(x.rows, width);
    const norm = (part: TransformerLayer['attentionNorm']): void =>
      normaliseRows(x.values, normalised.values, x.rows, part.gain.value.values, part.bias.value.values);
    norm(layer.attentionNorm);
    const qkv = this.dense(layer.projection, packed.projection, normalised);
    const values = this.encoder.shape.length * width;
    for (let r = 0; r < x.rows; r++) {
      const at = r * 3 * width;
      state.set(qkv.values.subarray(at + width, at + 2 * width), (count + r) * width);
      state.set(qkv.values.subarray(at + 2 * width, at + 3 * width), values + (count + r) * width);
    }
    for (let r = 0; r < x.rows; r++)
      this.attendRow(qkv.values.subarray(r * 3 * width), state, count + r + 1, normalised.values.subarray(r * width));
    addInto(x.values, this.dense(layer.output, packed.output, normalised).values);
    norm(layer.forwardNorm);
    const wide = this.dense(layer.widen, packed.widen, normalised);
    rectify(wide.values);
    addInto(x.values, this.dense(layer.narrow, packed.narrow, wide).values);
  }

  private dense(dense: Dense, packed: PackedMatrix, input: Matrix): Matrix {
    const { kernels } = this.encoder.parameters;
    const output = kernels.matrix(input.rows, dense.shape.outputs);
    for (let r = 0; r < input.rows; r++) output.values.set(dense.biases, r * output.columns);
    kernels.productPacked(input, packed, output, { accumulate: true });
    return output;
  }

  /** One query over the first `seen` keys and values of a layer's state. */
  private attendRow(query: Float32Array, state: Float32Array, seen: number, into: Float32Array): void {
    const { dimensions, heads, length } = this.encoder.shape;
    const width = dimensions / heads;
    const scale = 1 / Math.sqrt(width);
    const { scores } = this;
    const values = length * dimensions;
    for (let head = 0; head < heads; head++) {
      const start = head * width;
      let most = -Infinity;
      for (let p = 0; p < seen; p++) {
        let score = 0;
        const key = p * dimensions + start;
        for (let i = 0; i < width; i++) score += query[start + i]! * state[key + i]!;
        scores[p] = score * scale;
        if (scores[p]! > most) most = scores[p]!;
      }
      let sum = 0;
      for (let p = 0; p < seen; p++) sum += scores[p] = Math.exp(scores[p]! - most);
      into.fill(0, start, start + width);
      for (let p = 0; p < seen; p++) {
        const share = scores[p]! / sum;
        const value = values + p * dimensions + start;
        for (let i = 0; i < width; i++) into[start + i]! += share * state[value + i]!;
      }
    }
  }
}
