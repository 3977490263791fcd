/** How a sequence model scores items after histories, whatever network it is; and that for encoders with item vectors. */
import type { Kernels, Matrix, PackedMatrix } from '../tensors/kernels.js';
import type { Encoder } from './encoder.js';
import type { LossSettings } from './item-loss.js';
import { packHistories } from './packed-batch.js';

export interface HistoryScorer {
  readonly itemCount: number;
  /** Largest number of histories worth scoring in one call. */
  readonly batch: number;
  /**
   * Logits of all items after each history, row by row into `into` [histories × itemCount]; their softmax is the chance
   * to be next. No history may be empty.
   */
  scoreHistories(histories: readonly Int32Array[], into: Float32Array): void;
}

/** Histories scored at once: enough rows for the product to run at speed, few enough for the cache. */
const BATCH = 128;

/** Scores by the encoder's last hidden row and the item vectors. Item vectors are prepared when first asked. */
export class EncoderScorer implements HistoryScorer {
  readonly batch = BATCH;
  private readonly table: Matrix;
  /** The same as the right side of products; made anew by `refresh`. */
  private readonly panels: PackedMatrix;
  private isFresh = false;

  constructor(
    readonly encoder: Encoder,
    private readonly settings: Pick<LossSettings, 'similarity' | 'cosineScale'>,
  ) {
    const { items, kernels } = encoder.parameters;
    this.table = { ...items, values: kernels.floats(items.values.length) };
    this.panels = kernels.packed(this.table, true);
  }

  get itemCount(): number {
    return this.encoder.parameters.itemCount;
  }

  private get kernels(): Kernels {
    return this.encoder.parameters.kernels;
  }

  /** Parameters changed: item vectors are prepared again. */
  refresh(): void {
    const { items, itemCount, dimensions } = this.encoder.parameters;
    const { similarity, cosineScale } = this.settings;
    this.isFresh = true;
    const { values } = this.table;
    values.set(items.values);
    for (let item = 0; similarity === 'cosine' && item < itemCount; item++) {
      scaleToLength(values.subarray(item * dimensions, (item + 1) * dimensions), cosineScale);
    }
    this.kernels.packed(this.table, true, this.panels);
  }

  /** Item vectors as they are compared: logit = ⟨query, vector⟩. */
  get vectors(): Float32Array {
    if (!this.isFresh) this.refresh();
    return this.table.values.subarray(0, this.itemCount * this.encoder.parameters.dimensions);
  }

  scoreHistories(histories: readonly Int32Array[], into: Float32Array): void {
    const mark = this.kernels.mark();
    const queries = this.queriesOf(histories);
    this.scoreQueries(queries, into);
    this.kernels.release(mark);
  }

  /** Logits [itemCount] of a hidden row of the live path. */
  scoreHidden(hidden: Float32Array, into: Float32Array): void {
    if (!this.isFresh) this.refresh();
    const mark = this.kernels.mark();
    const query = this.kernels.matrix(1, hidden.length);
    query.values.set(hidden);
    if (this.settings.similarity === 'cosine') scaleToLength(query.values, 1);
    this.scoreQueries(query, into);
    this.kernels.release(mark);
  }

  /** One row a history, as it is compared. In the kernels' memory: the caller releases. */
  queriesOf(histories: readonly Int32Array[]): Matrix {
    if (!this.isFresh) this.refresh();
    const { encoder } = this;
    const width = encoder.parameters.dimensions;
    const queries = this.kernels.matrix(histories.length, width);
    const mark = this.kernels.mark();
    const batch = packHistories(histories, encoder.length);
    const hidden = encoder.forward(batch);
    for (let h = 0; h < histories.length; h++) {
      const last = (batch.starts[h + 1]! - 1) * width;
      const row = queries.values.subarray(h * width, (h + 1) * width);
      row.set(hidden.values.subarray(last, last + width));
      if (this.settings.similarity === 'cosine') scaleToLength(row, 1);
    }
    this.kernels.release(mark);
    return queries;
  }

  private scoreQueries(queries: Matrix, into: Float32Array): void {
    const { itemCount, table } = this;
    const logits = this.kernels.matrix(queries.rows, table.rows);
    this.kernels.productPacked(queries, this.panels, logits);
    for (let q = 0; q < queries.rows; q++) {
      into.set(logits.values.subarray(q * table.rows, q * table.rows + itemCount), q * itemCount);
    }
  }
}

/** In place; a row of zeros stays one. */
function scaleToLength(row: Float32Array, length: number): void {
  let square = 1e-12;
  for (const value of row) square += value * value;
  const scale = length / Math.sqrt(square);
  for (let i = 0; i < row.length; i++) row[i]! *= scale;
}
