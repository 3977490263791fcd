/**
 * Scoring with NeuMF: the logit of a person with many items at once.
 *
 *     a₁ = relu(f_i·W_item + (e_u·W_user + context·W_context + b₁))      logit = q_i·(p_u ∘ w_g) + a₃·w_m + b
 *
 * What the first layer has from the item alone is computed once for all items and kept in kernel memory beside the item's
 * factors: a row an item, 768 bytes at the default sizes, without which a candidate would cost 18,432 products instead of
 * 10,240. The person's and the context's part of the first layer, and the person's factors times the output's weights,
 * are computed once a question. Candidates go through the layers in blocks that stay in the caches.
 *
 * A person the network does not know gets the mean embedding of the 20 people of the training set (of 20,000 drawn ones)
 * whose sets of items are closest to the history (cosine), weighted by it; without any such person, the mean of all. So a
 * model that is only asked about strangers needs no table of people.
 */
import type { Matrix, PackedMatrix } from '../tensors/kernels.js';
import type { Scorer } from '../collaborative/collaborative-model.js';
import { historyOf } from '../collaborative/history.js';
import { bytesOf } from '../model-files.js';
import type { Likeness, ModelFiles, ModelQuery } from '../model.js';
import { type KnownPeople, knownPeopleFiles, type MetRows, PeopleByItem } from './close-people.js';
import { CONTEXT_FLOATS, writeContext } from './context.js';
import type { Parameters } from './network.js';
import { type Meeting, NeuralKernels } from './neural-kernels.js';

interface NetworkShape {
  readonly embedding: number;
  readonly layers: readonly number[];
}

/** Items that go through the layers together: what they need stays in the caches. */
const CHUNK = 64;
const NEIGHBOURS = 20;
/** Floats of a vector: rows in kernel memory are padded to whole ones. */
const LANES = 4;

/** A layer above the first. */
interface UpperLayer {
  readonly weights: PackedMatrix;
  readonly biases: Float32Array;
  readonly output: Matrix;
}

export class NeuralScorer implements Scorer {
  readonly algorithm = 'neural_cf';
  readonly itemCount: number;
  readonly userCount: number;
  private readonly kernels = new NeuralKernels();
  /** The candidates of a chunk and the person, in kernel memory. */
  private readonly meeting: Meeting;
  private readonly first: Matrix;
  private readonly upper: readonly UpperLayer[];
  private readonly outputWeights: Float32Array;
  private readonly sums: Float32Array;
  private readonly people: PeopleByItem;

  constructor(
    private readonly parameters: Parameters,
    private readonly shape: NetworkShape,
    private readonly met: MetRows,
    private readonly known: KnownPeople,
  ) {
    const { embedding, layers } = shape;
    const { kernels } = this;
    this.itemCount = parameters['items']!.length / (2 * embedding);
    this.userCount = parameters['users']!.length / (2 * embedding);
    const [width, taste] = [layers[0]!, Math.ceil(embedding / LANES) * LANES];
    this.meeting = {
      ...{ width, taste, items: kernels.integers(CHUNK) },
      table: this.rowsOfItems(width, taste),
      person: kernels.floats(width + taste),
    };
    this.first = kernels.matrix(CHUNK, width);
    this.upper = layers.slice(1).map((columns, l) => {
      const weights = kernels.packed(this.inKernel(parameters[`weights-${l + 1}`]!, layers[l]!, columns));
      const biases = this.inKernel(parameters[`biases-${l + 1}`]!, 1, columns).values;
      return { weights, biases, output: kernels.matrix(CHUNK, columns) };
    });
    this.outputWeights = this.inKernel(parameters['output']!.subarray(embedding), 1, layers.at(-1)!).values;
    this.sums = kernels.floats(CHUNK);
    this.people = new PeopleByItem(known.met, this.itemCount, NEIGHBOURS);
  }

  scoreInto(query: ModelQuery, row: Float32Array): void {
    this.meetPerson(query);
    const { items } = this.meeting;
    for (let start = 0; start < row.length; start += CHUNK) {
      const count = Math.min(CHUNK, row.length - start);
      for (let c = 0; c < count; c++) items[c] = start + c;
      this.scoreChunk(count, row, start);
    }
  }

  scoreItems(query: ModelQuery, items: Int32Array): Float32Array {
    this.meetPerson(query);
    const scores = new Float32Array(items.length);
    for (let start = 0; start < items.length; start += CHUNK) {
      const chunk = items.subarray(start, start + CHUNK);
      this.meeting.items.set(chunk);
      this.scoreChunk(chunk.length, scores, start);
    }
    return scores;
  }

  /** Closeness of the item to each item of the history, in both halves of its embedding. */
  contributions(query: ModelQuery, item: number): Float64Array {
    const width = 2 * this.shape.embedding;
    const table = this.parameters['items']!;
    return Float64Array.from(query.items, (other) => {
      if (other >= this.itemCount) return 0;
      let [product, left, right] = [0, 0, 0];
      for (let k = 0; k < width; k++) {
        const [a, b] = [table[item * width + k]!, table[other * width + k]!];
        product += a * b;
        left += a * a;
        right += b * b;
      }
      return product / (Math.sqrt(left * right) || 1);
    });
  }

  /** The score is no scalar product of vectors. */
  foldInUser(): undefined {
    return undefined;
  }

  foldInItem(): number {
    return -1;
  }

  itemVectors(): undefined {
    return undefined;
  }

  /** Both halves of the embeddings: people among people, items among items. */
  likeness(): Likeness {
    const person = (query: ModelQuery): Float32Array => this.personOf(query);
    return { dimensions: 2 * this.shape.embedding, items: this.parameters['items']!, person };
  }

  files(): ModelFiles {
    const parameters = Object.entries(this.parameters).map(([name, values]) => [`${name}.f32`, bytesOf(values)]);
    return {
      ...(Object.fromEntries(parameters) as ModelFiles),
      'row-start.i32': bytesOf(this.met.rowStart),
      'met.i32': bytesOf(this.met.items),
      ...knownPeopleFiles(this.known),
    };
  }

  async close(): Promise<void> {}

  /** Both halves of the person's embedding. */
  private personOf(query: ModelQuery): Float32Array {
    const width = 2 * this.shape.embedding;
    const isKnown = query.user >= 0 && this.met.rowStart[query.user + 1]! > this.met.rowStart[query.user]!;
    if (isKnown) return this.parameters['users']!.subarray(query.user * width, (query.user + 1) * width);
    const { rows, average } = this.known;
    const { users, weights } = this.people.closest(historyOf(query, this.itemCount).items);
    if (users.length === 0) return average;
    const sum = new Float64Array(width);
    let total = 0;
    users.forEach((user, place) => {
      const weight = weights[place]!;
      total += weight;
      for (let k = 0; k < width; k++) sum[k]! += weight * rows[user * width + k]!;
    });
    return Float32Array.from(sum, (value) => value / total);
  }

  /** The person's row: e_u·W_user + context·W_context + b of the first layer, then p_u ∘ w_g. */
  private meetPerson(query: ModelQuery): void {
    const { embedding } = this.shape;
    const { width, person: row } = this.meeting;
    const { 'weights-0': weights, 'biases-0': biases, output } = this.parameters;
    const person = this.personOf(query);
    const context = new Float32Array(CONTEXT_FLOATS);
    writeContext(context, 0, query.now);
    row.set(biases!);
    const addRow = (from: number, value: number): void => {
      if (value === 0) return;
      for (let k = 0; k < width; k++) row[k]! += value * weights![from * width + k]!;
    };
    for (let k = 0; k < embedding; k++) addRow(k, person[embedding + k]!);
    context.forEach((value, k) => addRow(2 * embedding + k, value));
    for (let k = 0; k < embedding; k++) row[width + k] = person[k]! * output![k]!;
  }

  /** Logits of the `count` candidates in `meeting`, to `into` from `start` on. */
  private scoreChunk(count: number, into: Float32Array, start: number): void {
    const { kernels, sums } = this;
    let below: Matrix = { ...this.first, rows: count };
    kernels.meet(this.meeting, count, below, sums);
    for (const { weights, biases, output } of this.upper) {
      const target = { ...output, rows: count };
      kernels.productPacked(below, weights, target);
      kernels.activate(target, biases);
      below = target;
    }
    kernels.readOut(below, this.outputWeights, sums);
    const bias = this.parameters['bias']![0]!;
    for (let c = 0; c < count; c++) into[start + c] = sums[c]! + bias;
  }

  /** A row an item: f_i·W_item of the first layer, then q_i, padded with zeros. */
  private rowsOfItems(width: number, taste: number): Matrix {
    const { embedding } = this.shape;
    const { kernels } = this;
    const table = this.parameters['items']!;
    const rows = kernels.matrix(this.itemCount, width + taste);
    const mark = kernels.mark();
    const weights = this.parameters['weights-0']!.subarray(embedding * width, 2 * embedding * width);
    const right = kernels.packed(this.inKernel(weights, embedding, width));
    const left = kernels.matrix(Math.min(ITEMS_AT_ONCE, this.itemCount), embedding);
    for (let from = 0; from < this.itemCount; from += ITEMS_AT_ONCE) {
      const count = Math.min(ITEMS_AT_ONCE, this.itemCount - from);
      const values = rows.values.subarray(from * rows.stride);
      for (let item = 0; item < count; item++) {
        const start = 2 * (from + item) * embedding;
        left.values.set(table.subarray(start + embedding, start + 2 * embedding), item * embedding);
        values.fill(0, item * rows.stride + width, (item + 1) * rows.stride);
        values.set(table.subarray(start, start + embedding), item * rows.stride + width);
      }
      kernels.productPacked({ ...left, rows: count }, right, { ...rows, rows: count, columns: width, values });
    }
    kernels.release(mark);
    return rows;
  }

  private inKernel(values: Float32Array, rows: number, columns: number): Matrix {
    const matrix = this.kernels.matrix(rows, columns);
    matrix.values.set(values);
    return matrix;
  }
}

/** Items whose part of the first layer is computed in one product. */
const ITEMS_AT_ONCE = 1024;
