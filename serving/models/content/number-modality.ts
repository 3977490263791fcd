/**
 * Numbers of items, such as price and year: how far an item lies from what the history usually has.
 *
 * Each number is measured in standard deviations from the catalogue's mean, cut at ±3; one that spreads over orders of
 * magnitude (all above 0, greatest more than ten times the median) by its logarithm. Similarity is 1 / (1 + d), d the
 * mean distance over the numbers both have.
 */
import { EngineError } from '../../../schemas/errors.js';
import type { ModelArtefact, ModelFiles, ModelReason, NewItem } from '../model.js';
import { bytesOf, jsonBytes, readFloats, readJson } from '../model-files.js';
import { grown } from '../../../streams/typed-growth.js';
import type { Modality, ModalityProfile, WeightedHistory } from './modality.js';

interface Scale {
  readonly name: string;
  readonly isLogarithmic: boolean;
  readonly mean: number;
  readonly deviation: number;
}

const FILES = { scales: 'number-scales.json', values: 'numbers.f32' };
const REACH = 3;
const SKEW = 10;
/** Nearer than this, in deviations, a number is a reason. */
const NEAR = 0.5;

export class NumberModality implements Modality {
  readonly name = 'numerical';

  private constructor(
    private readonly scales: readonly Scale[],
    /** Item × scale, in deviations; NaN where unknown. */
    private values: Float32Array,
    private itemCount: number,
  ) {}

  /** Undefined when no number tells items apart. */
  static fit(numbers: Readonly<Record<string, Float64Array>>, itemCount: number): NumberModality | undefined {
    const scales = Object.entries(numbers).flatMap(([name, values]) => scaleOf(name, values) ?? []);
    if (scales.length === 0) return undefined;
    const values = new Float32Array(itemCount * scales.length);
    for (let i = 0; i < values.length; i++) {
      const scale = scales[i % scales.length]!;
      values[i] = measured(scale, numbers[scale.name]![Math.floor(i / scales.length)]!);
    }
    return new NumberModality(scales, values, itemCount);
  }

  static load(artefact: ModelArtefact): NumberModality {
    const scales = readJson(artefact, FILES.scales) as readonly Scale[];
    if (!Array.isArray(scales) || scales.length === 0 || !scales.every(isScale)) {
      throw new EngineError('MODEL_INVALID', `File '${FILES.scales}' does not describe numbers.`);
    }
    const values = readFloats(artefact, FILES.values, artefact.itemCount * scales.length);
    return new NumberModality(scales, values, artefact.itemCount);
  }

  get dimensions(): number {
    return this.scales.length;
  }

  has(item: number): boolean {
    return item < this.itemCount && this.scales.some((_, s) => !Number.isNaN(this.at(item, s)));
  }

  profileOf({ items, weights }: WeightedHistory): ModalityProfile | undefined {
    const usual = new Float32Array(this.dimensions).map((_, s) => {
      let [sum, total] = [0, 0];
      for (let h = 0; h < items.length; h++) {
        const value = items[h]! < this.itemCount ? this.at(items[h]!, s) : NaN;
        // A price disliked says nothing of the price that would be liked.
        if (Number.isNaN(value) || weights[h]! <= 0) continue;
        sum += weights[h]! * value;
        total += weights[h]!;
      }
      return total === 0 ? NaN : sum / total;
    });
    if (usual.every(Number.isNaN)) return undefined;
    return {
      vector: usual.map((value) => (Number.isNaN(value) ? 0 : value / REACH)),
      similarity: (item) => this.similarityTo(usual, item),
      reasons: (item) => this.reasonsFor(usual, item),
    };
  }

  vectorInto(item: number, row: Float32Array): void {
    for (let s = 0; s < row.length; s++) {
      const value = item < this.itemCount ? this.at(item, s) : NaN;
      row[s] = Number.isNaN(value) ? 0 : value / REACH;
    }
  }

  add(item: number, { numbers = {} }: NewItem): undefined {
    const { dimensions } = this;
    this.values = grown(this.values, (item + 1) * dimensions);
    this.itemCount = item + 1;
    this.scales.forEach(
      (scale, s) => (this.values[item * dimensions + s] = measured(scale, numbers[scale.name] ?? NaN)),
    );
  }

  save(): ModelFiles {
    return {
      [FILES.scales]: jsonBytes(this.scales),
      [FILES.values]: bytesOf(this.values.subarray(0, this.itemCount * this.dimensions)),
    };
  }

  async close(): Promise<void> {}

  private at(item: number, scale: number): number {
    return this.values[item * this.scales.length + scale]!;
  }

  private similarityTo(usual: Float32Array, item: number): number {
    if (item >= this.itemCount) return NaN;
    let [sum, count] = [0, 0];
    for (let s = 0; s < usual.length; s++) {
      const distance = Math.abs(this.at(item, s) - usual[s]!);
      if (Number.isNaN(distance)) continue;
      sum += distance;
      count++;
    }
    return count === 0 ? NaN : 1 / (1 + sum / count);
  }

  private reasonsFor(usual: Float32Array, item: number): ModelReason[] {
    return this.scales.flatMap(({ name }, s) => {
      const distance = item < this.itemCount ? Math.abs(this.at(item, s) - usual[s]!) : NaN;
      return distance < NEAR ? [{ kind: 'similar-number', strength: 1 - distance / NEAR, detail: name }] : [];
    });
  }
}

function scaleOf(name: string, values: Float64Array): Scale | undefined {
  const known = values.filter((value) => Number.isFinite(value)).sort();
  if (known.length === 0) return undefined;
  const isLogarithmic = known[0]! > 0 && known.at(-1)! > SKEW * known[known.length >> 1]!;
  const used = isLogarithmic ? known.map(Math.log) : known;
  const mean = used.reduce((sum, value) => sum + value, 0) / used.length;
  const deviation = Math.sqrt(used.reduce((sum, value) => sum + (value - mean) ** 2, 0) / used.length);
  return deviation === 0 ? undefined : { name, isLogarithmic, mean, deviation };
}

function measured({ isLogarithmic, mean, deviation }: Scale, value: number): number {
  if (!Number.isFinite(value) || (isLogarithmic && value <= 0)) return NaN;
  const deviations = ((isLogarithmic ? Math.log(value) : value) - mean) / deviation;
  return Math.max(-REACH, Math.min(REACH, deviations));
}

function isScale(value: unknown): boolean {
  const scale = value as Partial<Scale> | null;
  return typeof scale?.name === 'string' && typeof scale.mean === 'number' && typeof scale.deviation === 'number';
}
