/**
 * Causal self-attention over packed sequences, several heads, and its gradient.
 *
 * For each sequence and head, with q, k, v [n × w] slices of one projection:
 *     P = softmax(q·kᵀ/√w, position i sees positions ≤ i)        o = P·v
 * Vaswani et al., "Attention Is All You Need" (2017). Gradient: dV = Pᵀ·dO, dP = dO·Vᵀ,
 * dS = P ∘ (dP − rowsum(dP ∘ P)), dQ = dS·K/√w, dK = dSᵀ·Q/√w.
 *
 * Invariant: a row of P sums to 1 over its own and earlier positions and is 0 elsewhere.
 */
import type { Kernels, Matrix } from '../tensors/kernels.js';

/** Rows of scores are padded to this many columns: the products write whole panels. */
const COLUMN_MULTIPLE = 8;
const FLOAT_BYTES = 4;

export interface AttentionShape {
  readonly heads: number;
  readonly dimensions: number;
}

/** Probabilities of all sequences and heads, one [n × padded n] block after the other. */
export type AttentionTrace = Float32Array;

/** qkv [positions × 3d] -> output [positions × d]; returns what the gradient needs. */
export function attend(
  kernels: Kernels,
  { heads, dimensions }: AttentionShape,
  ...[starts, qkv, output]: [starts: Int32Array, qkv: Matrix, output: Matrix]
): AttentionTrace {
  const width = dimensions / heads;
  const scale = 1 / Math.sqrt(width);
  const probabilities = kernels.matrix(1, traceFloats(starts, heads)).values;
  const row = qkv.stride * FLOAT_BYTES;
  let at = 0;
  for (let s = 0; s + 1 < starts.length; s++) {
    const from = starts[s]!;
    const n = starts[s + 1]! - from;
    const padded = Math.ceil(n / COLUMN_MULTIPLE) * COLUMN_MULTIPLE;
    for (let head = 0; head < heads; head++, at += n * padded) {
      const q = qkv.values.byteOffset + from * row + head * width * FLOAT_BYTES;
      const k = q + dimensions * FLOAT_BYTES;
      const v = k + dimensions * FLOAT_BYTES;
      const p = probabilities.byteOffset + at * FLOAT_BYTES;
      const o = output.values.byteOffset + (from * output.stride + head * width) * FLOAT_BYTES;
      kernels.productAt([n, padded, width], [q, row, FLOAT_BYTES], [k, FLOAT_BYTES, row], [p, padded * FLOAT_BYTES]);
      causalSoftmax(probabilities, at, n, padded, scale);
      kernels.productAt(
        [n, width, n],
        [p, padded * FLOAT_BYTES, FLOAT_BYTES],
        [v, row, FLOAT_BYTES],
        [o, output.stride * FLOAT_BYTES],
      );
    }
  }
  return probabilities;
}

/** Gradient of the output -> gradient of qkv, written into `into` [positions × 3d]. */
export function attendBackward(
  kernels: Kernels,
  { heads, dimensions }: AttentionShape,
  ...[starts, qkv, probabilities, gradient, into]: [
    starts: Int32Array,
    qkv: Matrix,
    probabilities: AttentionTrace,
    gradient: Matrix,
    into: Matrix,
  ]
): void {
  const width = dimensions / heads;
  const scale = 1 / Math.sqrt(width);
  const longest = longestOf(starts);
  const scores = kernels.matrix(longest, longest + COLUMN_MULTIPLE).values;
  const s = scores.byteOffset;
  const row = qkv.stride * FLOAT_BYTES;
  const gradientRow = gradient.stride * FLOAT_BYTES;
  let at = 0;
  for (let sequence = 0; sequence + 1 < starts.length; sequence++) {
    const from = starts[sequence]!;
    const n = starts[sequence + 1]! - from;
    const padded = Math.ceil(n / COLUMN_MULTIPLE) * COLUMN_MULTIPLE;
    const paddedRow = padded * FLOAT_BYTES;
    for (let head = 0; head < heads; head++, at += n * padded) {
      const offset = from * row + head * width * FLOAT_BYTES;
      const [q, k, v] = [0, 1, 2].map((part) => qkv.values.byteOffset + offset + part * dimensions * FLOAT_BYTES) as [
        number,
        number,
        number,
      ];
      const [dq, dk, dv] = [0, 1, 2].map(
        (part) => into.values.byteOffset + offset + part * dimensions * FLOAT_BYTES,
      ) as [number, number, number];
      const p = probabilities.byteOffset + at * FLOAT_BYTES;
      const o = gradient.values.byteOffset + from * gradientRow + head * width * FLOAT_BYTES;
      kernels.productAt([n, width, n], [p, FLOAT_BYTES, paddedRow], [o, gradientRow, FLOAT_BYTES], [dv, row]);
      kernels.productAt([n, padded, width], [o, gradientRow, FLOAT_BYTES], [v, FLOAT_BYTES, row], [s, paddedRow]);
      softmaxGradient(scores, probabilities, at, n, padded, scale);
      kernels.productAt([n, width, n], [s, paddedRow, FLOAT_BYTES], [k, row, FLOAT_BYTES], [dq, row]);
      kernels.productAt([n, width, n], [s, FLOAT_BYTES, paddedRow], [q, row, FLOAT_BYTES], [dk, row]);
    }
  }
}

function causalSoftmax(values: Float32Array, ...[at, n, padded, scale]: [number, number, number, number]): void {
  for (let i = 0; i < n; i++) {
    const start = at + i * padded;
    let most = -Infinity;
    for (let j = 0; j <= i; j++) if (values[start + j]! > most) most = values[start + j]!;
    let sum = 0;
    for (let j = 0; j <= i; j++) sum += values[start + j] = Math.exp((values[start + j]! - most) * scale);
    const share = 1 / sum;
    for (let j = 0; j <= i; j++) values[start + j]! *= share;
    values.fill(0, start + i + 1, start + padded);
  }
}

/** scores holds dP on entry and dS·scale on return, zero beyond the diagonal. */
function softmaxGradient(
  scores: Float32Array,
  probabilities: Float32Array,
  ...[at, n, padded, scale]: [number, number, number, number]
): void {
  for (let i = 0; i < n; i++) {
    const p = at + i * padded;
    const s = i * padded;
    let sum = 0;
    for (let j = 0; j <= i; j++) sum += scores[s + j]! * probabilities[p + j]!;
    for (let j = 0; j <= i; j++) scores[s + j] = probabilities[p + j]! * (scores[s + j]! - sum) * scale;
    scores.fill(0, s + i + 1, s + padded);
  }
}

function traceFloats(starts: Int32Array, heads: number): number {
  let floats = 0;
  for (let s = 0; s + 1 < starts.length; s++) {
    const n = starts[s + 1]! - starts[s]!;
    floats += heads * n * Math.ceil(n / COLUMN_MULTIPLE) * COLUMN_MULTIPLE;
  }
  return floats;
}

function longestOf(starts: Int32Array): number {
  let longest = 0;
  for (let s = 0; s + 1 < starts.length; s++) longest = Math.max(longest, starts[s + 1]! - starts[s]!);
  return longest;
}
