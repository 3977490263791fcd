/**
 * Categories, brand and tags: labels of items, and a vector for each label learnt from which labels go together.
 *
 * Similarity is Jaccard's, Σ min / Σ max over labels, between the item's labels (1 each) and the share of the history
 * that has each label. Label vectors are the strongest directions of positive pointwise mutual information
 * (Levy & Goldberg 2014): PPMI(a, b) = max(0, ln(n(a, b) · N / (n(a) · n(b)))) of N items, n(a, b) of them with both;
 * a label alone stands for itself (its own diagonal). An item's vector is the mean of its labels', of length 1.
 *
 * Labels first met on an item that arrives later count in Jaccard at once and get a vector when the model is fitted again.
 */
import { EngineError } from '../../../schemas/errors.js';
import type { Random } from '../../../streams/random.js';
import type { SparseMatrix } from '../kernels/sparse-matrix.js';
import { truncatedSvd } from '../kernels/truncated-svd.js';
import type { ModelArtefact, ModelFiles, ModelReason, NewItem } from '../model.js';
import { bytesOf, jsonBytes, readFloats, readInts, readJson } from '../model-files.js';
import { normalize } from './encoders/encoder.js';
import type { Modality, ModalityProfile, WeightedHistory } from './modality.js';
import { nearestOf } from './modality.js';

export type LabelKind = 'category' | 'brand' | 'tag';
export type CategorySimilarity = 'jaccard' | 'vector';

/** What of an item makes its labels. */
export type Labelled = Pick<NewItem, 'categories' | 'brand' | 'tags'>;

const FILES = { names: 'labels.json', starts: 'label-starts.i32', ids: 'label-ids.i32', vectors: 'label-vectors.f32' };
const REASONS_MAX = 3;
const REASON_KINDS: Readonly<Record<LabelKind, string>> = {
  category: 'same-category',
  brand: 'same-brand',
  tag: 'same-tag',
};

interface LabelState {
  /** `kind:label`. */
  readonly names: string[];
  /** By item, without repetition. */
  readonly byItem: (readonly number[])[];
  /** labels known at the fit × dimensions. */
  readonly vectors: Float32Array;
  readonly dimensions: number;
  readonly similarity: CategorySimilarity;
}

export interface LabelOptions {
  readonly dimensionsMax: number;
  readonly similarity: CategorySimilarity;
  readonly random: Random;
}

export class LabelModality implements Modality {
  readonly name = 'categorical';
  private readonly ids: Map<string, number>;

  private constructor(private readonly state: LabelState) {
    this.ids = new Map(state.names.map((name, id) => [name, id]));
  }

  /** Undefined when no item has a label. */
  static fit(
    items: readonly Labelled[],
    { dimensionsMax, similarity, random }: LabelOptions,
  ): LabelModality | undefined {
    const ids = new Map<string, number>();
    const byItem = items.map((item) => idsOf(item, ids));
    if (ids.size === 0) return undefined;
    const { left, rank, singularValues } = truncatedSvd(mutualInformation(byItem, ids.size), dimensionsMax, {
      random: random.stream('labels'),
    });
    const vectors = left.map((value, i) => value * Math.sqrt(singularValues[i % rank]!));
    return new LabelModality({ names: [...ids.keys()], byItem, vectors, dimensions: rank, similarity });
  }

  static load(artefact: ModelArtefact, similarity: CategorySimilarity): LabelModality {
    const raw = readJson(artefact, FILES.names) as { names?: unknown; dimensions?: unknown; fitted?: unknown };
    const { names, dimensions, fitted } = raw;
    if (!Array.isArray(names) || typeof dimensions !== 'number' || typeof fitted !== 'number') {
      throw new EngineError('MODEL_INVALID', `File '${FILES.names}' does not name labels.`);
    }
    const starts = readInts(artefact, FILES.starts, artefact.itemCount + 1);
    const flat = readInts(artefact, FILES.ids, starts[artefact.itemCount]);
    const byItem = Array.from({ length: artefact.itemCount }, (_, item) => [
      ...flat.subarray(starts[item], starts[item + 1]),
    ]);
    const vectors = readFloats(artefact, FILES.vectors, fitted * dimensions);
    return new LabelModality({ names: names.map(String), byItem, vectors, dimensions, similarity });
  }

  get dimensions(): number {
    return this.state.dimensions;
  }

  has(item: number): boolean {
    return (this.state.byItem[item]?.length ?? 0) > 0;
  }

  profileOf(history: WeightedHistory): ModalityProfile | undefined {
    const shares = this.sharesOf(history);
    if (shares.size === 0) return undefined;
    const vector = new Float32Array(this.dimensions);
    for (const [label, share] of shares) this.addVector(label, share, vector);
    normalize(vector);
    const total = [...shares.values()].reduce((sum, share) => sum + share, 0);
    const jaccard = (item: number): number => jaccardOf(this.state.byItem[item]!, shares, total);
    const { similarity } = this.state;
    return {
      vector,
      similarity: (item) =>
        !this.has(item) ? NaN : similarity === 'jaccard' ? jaccard(item) : this.cosine(vector, item),
      reasons: (item) => this.reasonsFor(item, shares, history),
    };
  }

  vectorInto(item: number, row: Float32Array): void {
    row.fill(0);
    for (const label of this.state.byItem[item] ?? []) this.addVector(label, 1, row);
    normalize(row);
  }

  add(item: number, content: NewItem): undefined {
    this.state.byItem[item] = idsOf(content, this.ids);
    this.state.names.push(...[...this.ids.keys()].slice(this.state.names.length));
  }

  save(): ModelFiles {
    const { names, byItem, vectors, dimensions } = this.state;
    const starts = new Int32Array(byItem.length + 1);
    byItem.forEach((labels, item) => (starts[item + 1] = starts[item]! + labels.length));
    return {
      [FILES.names]: jsonBytes({ names, dimensions, fitted: vectors.length / dimensions }),
      [FILES.starts]: bytesOf(starts),
      [FILES.ids]: bytesOf(Int32Array.from(byItem.flat())),
      [FILES.vectors]: bytesOf(vectors),
    };
  }

  async close(): Promise<void> {}

  /** Share of the history, by weight, that has each label; what was disliked takes away. */
  private sharesOf({ items, weights }: WeightedHistory): Map<number, number> {
    const sums = new Map<number, number>();
    let total = 0;
    for (let h = 0; h < items.length; h++) {
      if (!this.has(items[h]!)) continue;
      total += Math.abs(weights[h]!);
      for (const label of this.state.byItem[items[h]!]!) sums.set(label, (sums.get(label) ?? 0) + weights[h]!);
    }
    const shares = new Map<number, number>();
    for (const [label, sum] of sums) if (sum > 0) shares.set(label, sum / total);
    return shares;
  }

  private addVector(label: number, weight: number, into: Float32Array): void {
    const { vectors, dimensions } = this.state;
    // A label younger than the fit has no vector yet.
    if ((label + 1) * dimensions > vectors.length) return;
    for (let d = 0; d < dimensions; d++) into[d]! += weight * vectors[label * dimensions + d]!;
  }

  private cosine(vector: Float32Array, item: number): number {
    const row = new Float32Array(this.dimensions);
    this.vectorInto(item, row);
    return Math.max(0, Math.min(1, (1 + row.reduce((sum, value, d) => sum + value * vector[d]!, 0)) / 2));
  }

  private reasonsFor(item: number, shares: ReadonlyMap<number, number>, history: WeightedHistory): ModelReason[] {
    const shared = (this.state.byItem[item] ?? [])
      .map((label) => ({ label, share: shares.get(label) ?? 0 }))
      .filter(({ share }) => share > 0)
      .sort((left, right) => right.share - left.share || left.label - right.label)
      .slice(0, REASONS_MAX);
    return shared.map(({ label, share }) => {
      const [kind, detail] = splitName(this.state.names[label]!);
      const items = nearestOf(history, (other) => Number(this.state.byItem[other]?.includes(label) === true));
      return { kind: REASON_KINDS[kind], strength: share / shared[0]!.share, items, detail };
    });
  }
}

function idsOf({ categories = [], brand = '', tags = [] }: Labelled, ids: Map<string, number>): number[] {
  const named = (kind: LabelKind, labels: readonly string[]): string[] =>
    labels.filter((label) => label !== '').map((label) => `${kind}:${label}`);
  const names = [...named('category', categories), ...named('brand', [brand]), ...named('tag', tags)];
  return Array.from(new Set(names), (name) => {
    const id = ids.get(name) ?? ids.size;
    ids.set(name, id);
    return id;
  });
}

function splitName(name: string): [LabelKind, string] {
  const colon = name.indexOf(':');
  return [name.slice(0, colon) as LabelKind, name.slice(colon + 1)];
}

function jaccardOf(labels: readonly number[], shares: ReadonlyMap<number, number>, total: number): number {
  let both = 0;
  let either = total;
  for (const label of labels) {
    const share = shares.get(label) ?? 0;
    both += Math.min(1, share);
    either += Math.max(1, share) - share;
  }
  return both / either;
}

/** PPMI of labels over items, as a sparse symmetric matrix. */
function mutualInformation(byItem: readonly (readonly number[])[], labels: number): SparseMatrix {
  const counts = new Float64Array(labels);
  const pairs = Array.from({ length: labels }, () => new Map<number, number>());
  for (const list of byItem) {
    for (const label of list) {
      counts[label]!++;
      for (const other of list) pairs[label]!.set(other, (pairs[label]!.get(other) ?? 0) + 1);
    }
  }
  const rowStart = new Int32Array(labels + 1);
  const columns: number[] = [];
  const values: number[] = [];
  pairs.forEach((row, label) => {
    for (const [other, together] of row) {
      const information = Math.log((together * (byItem.length + 1)) / (counts[label]! * counts[other]!));
      if (information <= 0) continue;
      columns.push(other);
      values.push(information);
    }
    rowStart[label + 1] = columns.length;
  });
  return {
    rowCount: labels,
    columnCount: labels,
    rowStart,
    columns: Int32Array.from(columns),
    values: Float32Array.from(values),
  };
}
