/**
 * Text and pictures: a table of vectors and the encoder that makes more of them.
 *
 * A profile is the weighted sum of the history's vectors, of length 1. Reasons are the directions in which profile and
 * item agree most: for text each is a topic with a name, for pictures they are a style.
 */
import type { ModelFiles, ModelReason, NewItem } from '../model.js';
import type { ImageEncoder, TextEncoder } from './encoders/encoder.js';
import { normalize } from './encoders/encoder.js';
import type { Modality, ModalityName, ModalityProfile, WeightedHistory } from './modality.js';
import { nearestOf } from './modality.js';
import type { Metric, VectorTable } from './vector-table.js';

/** What title and text of an item come to; a title is never cut off, because it comes first. */
export function textOf(item: { readonly title?: string | undefined; readonly text?: string | undefined }): string {
  return [item.title, item.text].filter((part) => part !== undefined && part !== '').join('. ');
}

abstract class VectorModality implements Modality {
  abstract readonly name: ModalityName;

  constructor(
    protected readonly table: VectorTable,
    private readonly metric: Metric,
  ) {}

  get dimensions(): number {
    return this.table.dimensions;
  }

  has(item: number): boolean {
    return this.table.has(item);
  }

  profileOf(history: WeightedHistory): ModalityProfile | undefined {
    const vector = new Float32Array(this.dimensions);
    for (let h = 0; h < history.items.length; h++) {
      const row = this.table.vectorOf(history.items[h]!);
      const weight = history.weights[h]!;
      for (let d = 0; d < row.length; d++) vector[d]! += weight * row[d]!;
    }
    if (vector.every((value) => value === 0)) return undefined;
    normalize(vector);
    return {
      vector,
      similarity: (item) => this.table.similarity(vector, item, this.metric),
      reasons: (item) => (this.has(item) ? this.reasonsFor({ item, vector, history }) : []),
    };
  }

  vectorInto(item: number, row: Float32Array): void {
    row.set(this.table.vectorOf(item));
  }

  save(): ModelFiles {
    return this.table.save(this.name);
  }

  abstract add(item: number, content: NewItem): Promise<void> | undefined;
  abstract close(): Promise<void>;
  protected abstract reasonsFor(match: Match): readonly ModelReason[];

  /** Items of the history that are like this one in the same way. */
  protected nearest({ item, history }: Match): readonly number[] {
    const vector = this.table.vectorOf(item).slice();
    return nearestOf(history, (other) => this.table.similarity(vector, other, 'cosine') - UNRELATED);
  }
}

/** Cosine 0 as a similarity. */
const UNRELATED = 0.5;

interface Match {
  readonly item: number;
  readonly vector: Float32Array;
  readonly history: WeightedHistory;
}

const TOPICS_MAX = 2;

export class TextModality extends VectorModality {
  readonly name = 'text';

  constructor(
    table: VectorTable,
    metric: Metric,
    private readonly encoder: TextEncoder,
    private readonly savedEncoder: () => ModelFiles,
  ) {
    super(table, metric);
  }

  add(item: number, content: NewItem): Promise<void> | undefined {
    this.table.add(item, undefined);
    const text = textOf(content);
    if (text === '') return undefined;
    const vector = this.encoder.encode([text]);
    if (!(vector instanceof Promise)) return void this.table.add(item, vector);
    return vector.then((row) => this.table.add(item, row));
  }

  override save(): ModelFiles {
    return { ...super.save(), ...this.savedEncoder() };
  }

  close(): Promise<void> {
    return this.encoder.close();
  }

  /** The directions both lie far out in, the same way: each is a topic, named by its words where they are known. */
  protected reasonsFor(match: Match): readonly ModelReason[] {
    const row = this.table.vectorOf(match.item);
    const shared = Array.from(
      row,
      (value, d) => ({ d, value: value * match.vector[d]!, sign: value > 0 ? 1 : -1 }) as const,
    )
      .filter(({ value }) => value > 0)
      .sort((left, right) => right.value - left.value || left.d - right.d);
    if (shared.length === 0) return [];
    const items = this.nearest(match);
    const named = shared
      .map(({ d, value, sign }) => ({ value, detail: this.encoder.topicTerms?.(d, sign).join(', ') ?? '' }))
      .filter(({ detail }) => detail !== '')
      .slice(0, TOPICS_MAX);
    if (named.length === 0) return [{ kind: 'related-topic', strength: 1, items }];
    return named.map(({ value, detail }) => ({
      kind: 'related-topic',
      strength: value / named[0]!.value,
      items,
      detail,
    }));
  }
}

export class ImageModality extends VectorModality {
  readonly name = 'image';

  constructor(
    table: VectorTable,
    metric: Metric,
    private readonly encoder: ImageEncoder,
  ) {
    super(table, metric);
  }

  add(item: number, content: NewItem): Promise<void> | undefined {
    this.table.add(item, undefined);
    if (content.image === undefined) return undefined;
    return this.encoder.encode(content.image).then((vector) => this.table.add(item, vector));
  }

  close(): Promise<void> {
    return this.encoder.close();
  }

  protected reasonsFor(match: Match): readonly ModelReason[] {
    const items = this.nearest(match);
    return items.length === 0 ? [] : [{ kind: 'similar-style', strength: 1, items }];
  }
}
