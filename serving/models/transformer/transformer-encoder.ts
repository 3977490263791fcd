/**
 * The transformer: item vectors plus learned positions, layers of causal attention and feed-forward, normalised first.
 *
 *     x = dropout(√d·E[item] + P[position])
 *     x = x + dropout(attention(norm(x))·W_o)         x = x + dropout(dropout(relu(norm(x)·W_1))·W_2)     per layer
 *     h = norm(x)
 *
 * Kang and McAuley, "Self-Attentive Sequential Recommendation" (SASRec, ICDM 2018), with normalisation before each part
 * (Xiong et al., ICML 2020), which trains without a long warm-up. Positions count from the start of the window, so that
 * a state of keys and values can grow by one without recomputing.
 *
 * Shapes: E [items × d], P [length × d], W_qkv [d × 3d], W_o [d × d], W_1 [d × ff], W_2 [ff × d].
 */
import type { Random } from '../../../streams/random.js';
import type { Encoder, EncoderSteps } from '../sequential/encoder.js';
import { addInto, Dense, Dropout, LayerNorm, rectify, rectifyGradient } from '../sequential/layers.js';
import type { PackedBatch } from '../sequential/packed-batch.js';
import type { Parameter, Parameters } from '../sequential/parameters.js';
import type { Matrix } from '../tensors/kernels.js';
import { attend, attendBackward, type AttentionTrace } from './attention.js';
import type { TransformerLayer, TransformerParts, TransformerShape } from './transformer-parts.js';
import { TransformerSteps } from './transformer-steps.js';

/** What a layer's gradient needs of its forward pass. */
interface LayerTrace {
  readonly input: Matrix;
  readonly inputScale: Float32Array;
  readonly normalised: Matrix;
  readonly qkv: Matrix;
  readonly probabilities: AttentionTrace;
  readonly attended: Matrix;
  readonly keptAttended: Uint8Array | undefined;
  readonly middle: Matrix;
  readonly middleScale: Float32Array;
  readonly forwardNormalised: Matrix;
  readonly wide: Matrix;
  readonly keptWide: Uint8Array | undefined;
  readonly keptNarrow: Uint8Array | undefined;
}

interface Trace {
  readonly batch: PackedBatch;
  readonly keptInput: Uint8Array | undefined;
  readonly layers: readonly LayerTrace[];
  readonly last: Matrix;
  readonly lastScale: Float32Array;
}

export class TransformerEncoder implements Encoder, TransformerParts {
  readonly positions: Parameter;
  readonly layers: readonly TransformerLayer[];
  readonly lastNorm: LayerNorm;
  private readonly dropout: Dropout;
  private trace: Trace | undefined;

  constructor(
    readonly parameters: Parameters,
    readonly shape: TransformerShape,
  ) {
    const { dimensions, feedForward } = shape;
    this.positions = parameters.weight('positions', shape.length, dimensions);
    this.layers = Array.from({ length: shape.layers }, (_, i) => ({
      attentionNorm: new LayerNorm(parameters, `layer-${i}-attention-norm`, dimensions),
      projection: new Dense(parameters, `layer-${i}-projection`, { inputs: dimensions, outputs: 3 * dimensions }),
      output: new Dense(parameters, `layer-${i}-output`, { inputs: dimensions, outputs: dimensions }),
      forwardNorm: new LayerNorm(parameters, `layer-${i}-forward-norm`, dimensions),
      widen: new Dense(parameters, `layer-${i}-widen`, { inputs: dimensions, outputs: feedForward }),
      narrow: new Dense(parameters, `layer-${i}-narrow`, { inputs: feedForward, outputs: dimensions }),
    }));
    this.lastNorm = new LayerNorm(parameters, 'last-norm', dimensions);
    this.dropout = new Dropout(shape.dropout);
  }

  get length(): number {
    return this.shape.length;
  }

  get bytesPerPosition(): number {
    const { dimensions, feedForward, layers, heads, length } = this.shape;
    return 4 * layers * (20 * dimensions + 3 * feedForward + heads * length);
  }

  forward(batch: PackedBatch, random?: Random): Matrix {
    const { kernels } = this.parameters;
    let x = this.embed(batch);
    const keptInput = this.dropout.forward(x.values, random);
    const layers: LayerTrace[] = [];
    for (const layer of this.layers) {
      const mark = kernels.mark();
      const { output, trace } = this.layerForward(layer, x, batch, random);
      if (random === undefined) {
        // Nothing is kept when there will be no gradient: the layer's output moves to where its input was.
        x.values.set(output.values);
        kernels.release(mark);
      } else {
        layers.push(trace);
        x = output;
      }
    }
    const lastScale = kernels.floats(x.rows);
    const hidden = this.lastNorm.forward(x, lastScale);
    this.trace = random === undefined ? undefined : { batch, keptInput, layers, last: x, lastScale };
    return hidden;
  }

  backward(gradient: Matrix): void {
    const { kernels, itemGradient, dimensions } = this.parameters;
    const { batch, keptInput, layers, last, lastScale } = this.trace!;
    const rows = last.rows;
    const running = this.zeros(rows);
    this.lastNorm.backward(last, lastScale, gradient, running);
    for (let i = layers.length - 1; i >= 0; i--) {
      const mark = kernels.mark();
      this.layerBackward(this.layers[i]!, layers[i]!, running);
      kernels.release(mark);
    }
    this.dropout.backward(running.values, keptInput);
    const scale = Math.sqrt(dimensions);
    const positionGradient = this.positions.gradient.values;
    for (let s = 0; s + 1 < batch.starts.length; s++) {
      for (let p = batch.starts[s]!, position = 0; p < batch.starts[s + 1]!; p++, position++) {
        const to = itemGradient.offsetOf(batch.inputs[p]!);
        const { values } = itemGradient;
        for (let i = 0; i < dimensions; i++) {
          const given = running.values[p * dimensions + i]!;
          positionGradient[position * dimensions + i]! += given;
          values[to + i]! += scale * given;
        }
      }
    }
    this.trace = undefined;
  }

  createSteps(): EncoderSteps {
    return new TransformerSteps(this);
  }

  private embed({ starts, inputs }: PackedBatch): Matrix {
    const { kernels, items, dimensions } = this.parameters;
    const x = kernels.matrix(inputs.length, dimensions);
    const scale = Math.sqrt(dimensions);
    const positions = this.positions.value.values;
    for (let s = 0; s + 1 < starts.length; s++) {
      for (let p = starts[s]!, at = 0; p < starts[s + 1]!; p++, at += dimensions) {
        const from = inputs[p]! * dimensions;
        const to = p * dimensions;
        for (let i = 0; i < dimensions; i++) x.values[to + i] = scale * items.values[from + i]! + positions[at + i]!;
      }
    }
    return x;
  }

  private layerForward(
    layer: TransformerLayer,
    input: Matrix,
    ...[batch, random]: [PackedBatch, Random | undefined]
  ): { output: Matrix; trace: LayerTrace } {
    const { kernels } = this.parameters;
    const inputScale = kernels.floats(input.rows);
    const normalised = layer.attentionNorm.forward(input, inputScale);
    const qkv = layer.projection.forward(normalised);
    const attended = kernels.matrix(input.rows, this.shape.dimensions);
    const probabilities = attend(kernels, this.shape, batch.starts, qkv, attended);
    const middle = layer.output.forward(attended);
    const keptAttended = this.dropout.forward(middle.values, random);
    addInto(middle.values, input.values);
    const middleScale = kernels.floats(input.rows);
    const forwardNormalised = layer.forwardNorm.forward(middle, middleScale);
    const wide = layer.widen.forward(forwardNormalised);
    rectify(wide.values);
    const keptWide = this.dropout.forward(wide.values, random);
    const output = layer.narrow.forward(wide);
    const keptNarrow = this.dropout.forward(output.values, random);
    addInto(output.values, middle.values);
    return {
      output,
      trace: {
        ...{ input, inputScale, normalised, qkv, probabilities, attended, keptAttended },
        ...{ middle, middleScale, forwardNormalised, wide, keptWide, keptNarrow },
      },
    };
  }

  /** `running` holds the gradient of the layer's output on entry and of its input on return. */
  private layerBackward(layer: TransformerLayer, trace: LayerTrace, running: Matrix): void {
    const { kernels } = this.parameters;
    const branch = kernels.matrix(running.rows, running.columns);
    branch.values.set(running.values);
    this.dropout.backward(branch.values, trace.keptNarrow);
    const wideGradient = layer.narrow.backward(trace.wide, branch);
    this.dropout.backward(wideGradient.values, trace.keptWide);
    rectifyGradient(wideGradient.values, trace.wide.values);
    const forwardGradient = layer.widen.backward(trace.forwardNormalised, wideGradient);
    layer.forwardNorm.backward(trace.middle, trace.middleScale, forwardGradient, running);

    branch.values.set(running.values);
    this.dropout.backward(branch.values, trace.keptAttended);
    const attendedGradient = layer.output.backward(trace.attended, branch);
    const qkvGradient = kernels.matrix(running.rows, 3 * running.columns);
    const { batch } = this.trace!;
    attendBackward(kernels, this.shape, batch.starts, trace.qkv, trace.probabilities, attendedGradient, qkvGradient);
    const normalisedGradient = layer.projection.backward(trace.normalised, qkvGradient);
    layer.attentionNorm.backward(trace.input, trace.inputScale, normalisedGradient, running);
  }

  private zeros(rows: number): Matrix {
    const matrix = this.parameters.kernels.matrix(rows, this.shape.dimensions);
    matrix.values.fill(0);
    return matrix;
  }
}
