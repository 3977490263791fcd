/**
 * The loss of predicting the next item, and its gradient: softmax over sampled items, or one negative each.
 *
 * Softmax: every position of a batch is compared with its target and with the same S sampled items,
 *
 *     loss = −s(t) + log(e^s(t) + Σ_j e^s(j)),   s(i) = τ·⟨h, e_i⟩ − log Q(i)
 *
 * where Q(i) is the expected number of times i is in a sample (logQ correction: Bengio and Senécal 2008; Yi et al.,
 * RecSys 2019), without replacement as in TensorFlow's sampled_softmax_loss; a sampled item that is the target is left
 * out. With S ≥ items it is the full softmax. With `cosine`, h and e are of length one and τ is the temperature's inverse
 * (Gupta et al., "NISER", 2019: popular items cannot win by length); with `dot`, τ = 1.
 *
 * One negative: −log σ(⟨h, e_t⟩) − log σ(−⟨h, e_n⟩), n uniform among all other items, as SASRec was published.
 */
import type { Random } from '../../../streams/random.js';
import type { Kernels, Matrix } from '../tensors/kernels.js';
import type { Parameters } from './parameters.js';

export interface LossSettings {
  readonly loss: 'softmax' | 'one_negative';
  readonly similarity: 'dot' | 'cosine';
  /** Cosines are multiplied by this. */
  readonly cosineScale: number;
  /** Sampled items a batch. */
  readonly negatives: number;
}

/** Positions handled in one go: 128 × 1,024 logits are 512 KiB, a second-level cache. */
const CHUNK = 128;
const LEFT_OUT = -1e30;
/** Items are sampled by count to this power: between uniform (0) and popularity (1). */
const SAMPLE_POWER = 0.75;

export class ItemLoss {
  private readonly kernels: Kernels;
  private readonly sampler: ItemSampler;
  /** Place of an item among the batch's candidates, or −1. */
  private readonly places: Int32Array;

  constructor(
    private readonly parameters: Parameters,
    private readonly settings: LossSettings,
    itemCounts: Float64Array,
  ) {
    this.kernels = parameters.kernels;
    const candidates = Math.min(settings.negatives, parameters.itemCount);
    this.sampler = new ItemSampler(itemCounts, candidates);
    this.places = new Int32Array(parameters.itemCount).fill(-1);
  }

  /**
   * Mean loss over the positions with a target. Writes its gradient by `hidden` [n × d] into `gradient` and adds that
   * by the item vectors to the parameters'.
   */
  compute(hidden: Matrix, targets: Int32Array, gradient: Matrix, random: Random): number {
    let count = 0;
    for (const target of targets) if (target >= 0) count++;
    gradient.values.fill(0);
    if (count === 0) return 0;
    return this.settings.loss === 'softmax'
      ? this.softmax(hidden, targets, gradient, { random, share: 1 / count })
      : this.oneNegative(hidden, targets, gradient, { random, share: 1 / count });
  }

  private softmax(
    hidden: Matrix,
    targets: Int32Array,
    gradient: Matrix,
    { random, share }: { random: Random; share: number },
  ): number {
    const { kernels, places, sampler } = this;
    const mark = kernels.mark();
    const width = hidden.columns;
    const { items } = sampler.draw(random);
    const columns = Math.ceil(items.length / 8) * 8;
    const candidates = kernels.matrix(columns, width);
    candidates.values.fill(0);
    const offsets = kernels.floats(columns).fill(LEFT_OUT);
    for (let j = 0; j < items.length; j++) {
      places[items[j]!] = j;
      this.copyItem(items[j]!, candidates.values, j * width);
      offsets[j] = -sampler.logExpected(items[j]!);
    }
    const candidateGradient = kernels.floats(columns * width);
    const packed = kernels.packed(candidates, true);
    const maxima = kernels.floats(CHUNK);
    const sums = kernels.floats(CHUNK);
    const logits = kernels.matrix(CHUNK, columns);
    const weighted = kernels.matrix(CHUNK, width);
    const target = new Float32Array(width);
    let loss = 0;
    for (let from = 0; from < hidden.rows; from += CHUNK) {
      const rows = Math.min(CHUNK, hidden.rows - from);
      const part = (matrix: Matrix, at: number): Matrix => ({ ...matrix, rows, values: matrix.values.subarray(at) });
      const queries = this.queriesOf(part(hidden, from * width), weighted);
      const chunk = part(logits, 0);
      for (let r = 0; r < rows; r++) {
        chunk.values.set(offsets, r * columns);
      }
      kernels.productPacked(queries, packed, chunk, { accumulate: true });
      for (let r = 0; r < rows; r++) {
        const wanted = targets[from + r]!;
        const place = wanted < 0 ? -1 : places[wanted]!;
        if (place >= 0) chunk.values[r * columns + place] = LEFT_OUT;
      }
      kernels.exponentials(chunk, maxima, sums);
      // dL/dq = Σ_j p_j·c_j + (p_t − 1)·c_t; the unnormalised sum is taken first and scaled by row.
      const queryGradient = part(gradient, from * width);
      kernels.product(chunk, candidates, queryGradient);
      const left = part(weighted, 0);
      for (let r = 0; r < rows; r++) {
        const at = r * width;
        const wanted = targets[from + r]!;
        let scale = 0;
        let pull = 0;
        if (wanted >= 0) {
          this.copyItem(wanted, target, 0);
          let score = -sampler.logExpected(wanted);
          for (let i = 0; i < width; i++) score += queries.values[at + i]! * target[i]!;
          const most = Math.max(maxima[r]!, score);
          const others = sums[r]! * Math.exp(maxima[r]! - most);
          const total = others + Math.exp(score - most);
          loss += Math.log(total) + most - score;
          scale = (share * Math.exp(maxima[r]! - most)) / total;
          pull = -share * (others / total);
          this.addItemGradient(wanted, queries.values, at, pull);
        }
        for (let i = 0; i < width; i++) {
          queryGradient.values[at + i] = queryGradient.values[at + i]! * scale + pull * target[i]!;
          left.values[at + i] = queries.values[at + i]! * scale;
        }
      }
      kernels.product(
        chunk,
        left,
        { ...candidates, values: candidateGradient },
        { transposeLeft: true, accumulate: true },
      );
      this.backThroughQuery(part(hidden, from * width), queryGradient);
    }
    for (let j = 0; j < items.length; j++) {
      places[items[j]!] = -1;
      this.addItemGradient(items[j]!, candidateGradient, j * width, 1);
    }
    kernels.release(mark);
    return loss * share;
  }

  private oneNegative(
    hidden: Matrix,
    targets: Int32Array,
    gradient: Matrix,
    { random, share }: { random: Random; share: number },
  ): number {
    const mark = this.kernels.mark();
    const width = hidden.columns;
    const queries = this.queriesOf(hidden, this.kernels.matrix(hidden.rows, width));
    const item = new Float32Array(width);
    let loss = 0;
    for (let r = 0; r < hidden.rows; r++) {
      const target = targets[r]!;
      if (target < 0) continue;
      const drawn = random.int(Math.max(1, this.parameters.itemCount - 1));
      const negative = drawn >= target ? drawn + 1 : drawn;
      const at = r * width;
      for (const [candidate, sign] of [
        [target, 1],
        [negative, -1],
      ] as const) {
        if (candidate >= this.parameters.itemCount) continue;
        this.copyItem(candidate, item, 0);
        let score = 0;
        for (let i = 0; i < width; i++) score += queries.values[at + i]! * item[i]!;
        const wrong = 1 / (1 + Math.exp(sign * score));
        loss -= Math.log(Math.max(1e-12, 1 - wrong));
        const push = -share * sign * wrong;
        for (let i = 0; i < width; i++) gradient.values[at + i]! += push * item[i]!;
        this.addItemGradient(candidate, queries.values, at, push);
      }
    }
    this.backThroughQuery(hidden, gradient);
    this.kernels.release(mark);
    return loss * share;
  }

  /** Hidden rows as they are compared: copied, and of length one for cosines. */
  private queriesOf(hidden: Matrix, buffer: Matrix): Matrix {
    if (this.settings.similarity === 'dot') return hidden;
    const width = hidden.columns;
    // In place of `weighted`'s upper half there is a buffer of its own: rows are read until the chunk is done.
    const values = this.kernels.floats(hidden.rows * width);
    for (let r = 0; r < hidden.rows; r++) copyUnit(hidden.values, r * width, values, r * width, width, 1);
    return { ...buffer, rows: hidden.rows, values };
  }

  /** Gradient by a row of length one -> by the row: (g − u·⟨g, u⟩) / |h|. */
  private backThroughQuery(hidden: Matrix, gradient: Matrix): void {
    if (this.settings.similarity === 'dot') return;
    const width = hidden.columns;
    for (let r = 0; r < hidden.rows; r++) {
      projectOut(hidden.values, r * width, gradient.values, r * width, width);
    }
  }

  private copyItem(item: number, into: Float32Array, at: number): void {
    const width = this.parameters.dimensions;
    const { values } = this.parameters.items;
    if (this.settings.similarity === 'cosine') {
      copyUnit(values, item * width, into, at, width, this.settings.cosineScale);
    } else {
      for (let i = 0; i < width; i++) into[at + i] = values[item * width + i]!;
    }
  }

  /** Adds `factor` × the given gradient by the compared item vector to the gradient by the item's own. */
  private addItemGradient(item: number, gradient: Float32Array, from: number, factor: number): void {
    const { dimensions: width, itemGradient, items } = this.parameters;
    const to = itemGradient.offsetOf(item);
    const { values } = itemGradient;
    if (this.settings.similarity === 'dot') {
      for (let i = 0; i < width; i++) values[to + i]! += factor * gradient[from + i]!;
      return;
    }
    const at = item * width;
    let square = 1e-12;
    let along = 0;
    for (let i = 0; i < width; i++) {
      const value = items.values[at + i]!;
      square += value * value;
      along += value * gradient[from + i]!;
    }
    const scale = (factor * this.settings.cosineScale) / Math.sqrt(square);
    for (let i = 0; i < width; i++) {
      values[to + i]! += scale * (gradient[from + i]! - (items.values[at + i]! * along) / square);
    }
  }
}

function copyUnit(
  source: Float32Array,
  from: number,
  ...[into, to, width, length]: [into: Float32Array, to: number, width: number, length: number]
): void {
  let square = 1e-12;
  for (let i = 0; i < width; i++) square += source[from + i]! * source[from + i]!;
  const scale = length / Math.sqrt(square);
  for (let i = 0; i < width; i++) into[to + i] = source[from + i]! * scale;
}

function projectOut(
  vectors: Float32Array,
  from: number,
  ...[gradient, to, width]: [gradient: Float32Array, to: number, width: number]
): void {
  let square = 1e-12;
  let along = 0;
  for (let i = 0; i < width; i++) {
    square += vectors[from + i]! * vectors[from + i]!;
    along += vectors[from + i]! * gradient[to + i]!;
  }
  const scale = 1 / Math.sqrt(square);
  for (let i = 0; i < width; i++)
    gradient[to + i] = scale * (gradient[to + i]! - (vectors[from + i]! * along) / square);
}

/** Distinct items, each with a chance that grows with its count; all of them when the sample is as large. */
class ItemSampler {
  private readonly cumulative: Float64Array;
  private readonly drawn: Int32Array;
  private readonly isDrawn: Uint8Array;
  /** log of the expected number of times in the sample, for the number of tries the last one took. */
  private tries = 0;

  constructor(
    counts: Float64Array,
    private readonly size: number,
  ) {
    this.cumulative = new Float64Array(counts.length);
    let sum = 0;
    for (let i = 0; i < counts.length; i++) this.cumulative[i] = sum += (counts[i]! + 1) ** SAMPLE_POWER;
    this.drawn = new Int32Array(size);
    this.isDrawn = new Uint8Array(counts.length);
    if (size === counts.length) this.drawn.forEach((_, i) => (this.drawn[i] = i));
  }

  draw(random: Random): { readonly items: Int32Array } {
    const { cumulative, drawn, isDrawn, size } = this;
    if (size === cumulative.length) return { items: drawn };
    const total = cumulative.at(-1)!;
    this.tries = 0;
    // Ends: fewer items are drawn than there are, and each has a chance.
    for (let count = 0; count < size;) {
      this.tries++;
      const item = firstAbove(cumulative, random.float() * total);
      if (isDrawn[item] === 1) continue;
      isDrawn[item] = 1;
      drawn[count++] = item;
    }
    for (const item of drawn) isDrawn[item] = 0;
    return { items: drawn };
  }

  /** log(1 − (1 − p)^tries): the chance to be in a sample that took so many tries. 0 for the full set. */
  logExpected(item: number): number {
    const { cumulative } = this;
    if (this.size === cumulative.length) return 0;
    const weight = cumulative[item]! - (item === 0 ? 0 : cumulative[item - 1]!);
    return Math.log(-Math.expm1(this.tries * Math.log1p(-weight / cumulative.at(-1)!)));
  }
}

function firstAbove(ascending: Float64Array, value: number): number {
  let low = 0;
  let high = ascending.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
