/**
 * AdamW with a linear warm-up and a linear descent to a tenth, and lazy moments for the item table.
 *
 *     m ← β1·m + (1 − β1)·g      v ← β2·v + (1 − β2)·g²      θ ← θ − lr·(m̂ / (√v̂ + ε) + decay·θ)
 *
 * Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019). Rows of the item table that a step did not
 * touch keep their moments and are not decayed: dense moments over all items would cost more than the step itself.
 * Gradients are scaled down to a norm of at most 5 before.
 */
import type { ModelFiles } from '../model.js';
import { bytesOf } from '../model-files.js';
import type { Parameters } from './parameters.js';

export interface OptimizerSettings {
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly warmupSteps: number;
  /** Steps the descent is planned for. */
  readonly steps: number;
}

const BETA1 = 0.9;
const BETA2 = 0.98;
const EPSILON = 1e-8;
const NORM_MAX = 5;
/** Share of the learning rate that is left at the end. */
const LAST_SHARE = 0.1;

interface Moments {
  readonly first: Float32Array;
  readonly second: Float32Array;
}

export class AdamW {
  step = 0;
  private readonly dense: readonly Moments[];
  private readonly items: Moments;

  constructor(
    private readonly parameters: Parameters,
    private readonly settings: OptimizerSettings,
  ) {
    const moments = (length: number): Moments => ({
      first: new Float32Array(length),
      second: new Float32Array(length),
    });
    this.dense = parameters.dense.map(({ value }) => moments(value.values.length));
    this.items = moments(parameters.itemValues.length);
  }

  /** Learning rate of a step, counted from 1. */
  rateAt(step: number): number {
    const { learningRate, warmupSteps, steps } = this.settings;
    if (step <= warmupSteps) return (learningRate * step) / warmupSteps;
    const done = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps));
    return learningRate * (1 - (1 - LAST_SHARE) * done);
  }

  /** Applies the gradients that stand in the parameters. */
  apply(): void {
    this.step++;
    const scale = this.clipScale();
    const rate = this.rateAt(this.step);
    const { dense, itemGradient, items } = this.parameters;
    dense.forEach(({ value, gradient, decays }, i) =>
      this.update(value.values, gradient.values, this.dense[i]!, {
        at: 0,
        from: 0,
        length: value.values.length,
        scale,
        rate,
        decay: decays ? this.settings.weightDecay : 0,
      }),
    );
    const { width } = itemGradient;
    for (let slot = 0; slot < itemGradient.count; slot++) {
      this.update(items.values, itemGradient.values, this.items, {
        at: itemGradient.rows[slot]! * width,
        from: slot * width,
        length: width,
        scale,
        rate,
        decay: this.settings.weightDecay,
      });
    }
  }

  save(): ModelFiles {
    const files: Record<string, Uint8Array> = {};
    [...this.dense, this.items].forEach(({ first, second }, i) => {
      files[`moments-${i}-first.f32`] = bytesOf(first);
      files[`moments-${i}-second.f32`] = bytesOf(second);
    });
    return files;
  }

  /** @param floats reads a file as floats of the given number */
  restore(step: number, floats: (file: string, length: number) => Float32Array): void {
    this.step = step;
    [...this.dense, this.items].forEach(({ first, second }, i) => {
      first.set(floats(`moments-${i}-first.f32`, first.length));
      second.set(floats(`moments-${i}-second.f32`, second.length));
    });
  }

  private clipScale(): number {
    const { dense, itemGradient } = this.parameters;
    let square = 0;
    for (const { gradient } of dense) square += sumOfSquares(gradient.values, gradient.values.length);
    square += sumOfSquares(itemGradient.values, itemGradient.count * itemGradient.width);
    const norm = Math.sqrt(square);
    return norm > NORM_MAX ? NORM_MAX / norm : 1;
  }

  private update(
    values: Float32Array,
    gradients: Float32Array,
    { first, second }: Moments,
    part: { at: number; from: number; length: number; scale: number; rate: number; decay: number },
  ): void {
    const { at, from, length, scale, rate, decay } = part;
    const correction1 = 1 / (1 - BETA1 ** this.step);
    const correction2 = 1 / (1 - BETA2 ** this.step);
    for (let i = 0; i < length; i++) {
      const gradient = gradients[from + i]! * scale;
      const m = BETA1 * first[at + i]! + (1 - BETA1) * gradient;
      const v = BETA2 * second[at + i]! + (1 - BETA2) * gradient * gradient;
      first[at + i] = m;
      second[at + i] = v;
      const value = values[at + i]!;
      values[at + i] = value - rate * ((m * correction1) / (Math.sqrt(v * correction2) + EPSILON) + decay * value);
    }
  }
}

function sumOfSquares(values: Float32Array, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += values[i]! * values[i]!;
  return sum;
}
