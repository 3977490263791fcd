/**
 * One side of an item — its text, its picture, its labels, its numbers — and what a person's history says about it.
 *
 * Invariant: similarities lie in [0, 1]; NaN means that the item has nothing of this kind. A profile was made by the
 * modality that reads it.
 */
import type { ModelFiles, ModelReason, NewItem } from '../model.js';

export type ModalityName = 'text' | 'image' | 'categorical' | 'numerical';

/** Items of a history and how much each counts; weights may be negative (disliked). Parallel. */
export interface WeightedHistory {
  readonly items: Int32Array;
  readonly weights: Float64Array;
}

/** What a history comes to in one modality: a function of items, with the vector behind it. */
export interface ModalityProfile {
  /** 0 to 1, NaN for an item without. */
  similarity(item: number): number;
  /** Parts of the similarity with an item, strengths relative to each other; strongest first. */
  reasons(item: number): readonly ModelReason[];
  readonly vector: Float32Array;
}

export interface Modality {
  readonly name: ModalityName;
  /** Length of its vectors. */
  readonly dimensions: number;
  has(item: number): boolean;
  /** Undefined when no item of the history has anything of this kind. */
  profileOf(history: WeightedHistory): ModalityProfile | undefined;
  /** The item's vector into the row; zeros where it has none. */
  vectorInto(item: number, row: Float32Array): void;
  /** Takes in an item under the next index. A promise where a network or decoder needs time: the item lacks it until then. */
  add(item: number, content: NewItem): Promise<void> | undefined;
  save(): ModelFiles;
  close(): Promise<void>;
}

/** Items of the history most similar to this one, for a reason to name. */
export function nearestOf(
  history: WeightedHistory,
  similarity: (item: number) => number,
  most = NEAREST_MAX,
): readonly number[] {
  return Array.from(new Set(history.items))
    .map((item) => ({ item, value: similarity(item) }))
    .filter(({ value }) => value > 0)
    .sort((left, right) => right.value - left.value || left.item - right.item)
    .slice(0, most)
    .map(({ item }) => item);
}

const NEAREST_MAX = 2;
