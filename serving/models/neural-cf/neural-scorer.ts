/**
 * Scoring with NeuMF: the logit of a person with many items at once.
 *
 * What a layer's input has from the item alone is computed once for all items (items × first layer); for a question only
 * the person's and the context's share of the first layer, and the layers above, are left: about 10,000 products an item.
 *
 * A person the network does not know gets the mean embedding of the 20 people of the training set whose sets of items
 * are closest to the history (cosine), weighted by it; without any such person, the mean of all.
 */
import { Kernels, type Matrix } from '../tensors/kernels.js';
import type { Scorer } from '../collaborative/collaborative-model.js';
import { historyOf } from '../collaborative/history.js';
import { transposeOf } from '../kernels/sparse.js';
import { bytesOf } from '../model-files.js';
import type { ModelFiles, ModelQuery } from '../model.js';
import { CONTEXT_FLOATS, writeContext } from './context.js';
import type { Parameters } from './network.js';

interface NetworkShape {
  readonly embedding: number;
  readonly layers: readonly number[];
}

/** Who met what in training: distinct items by person, ascending. */
export interface MetRows {
  readonly rowStart: Int32Array;
  readonly items: Int32Array;
}

/** Items that go through the layers together: what they need stays in the caches. */
const CHUNK = 256;
const NEIGHBOURS = 20;

export class NeuralScorer implements Scorer {
  readonly algorithm = 'neural_cf';
  readonly itemCount: number;
  readonly userCount: number;
  private readonly kernels = new Kernels();
  /** [items × first layer] */
  private readonly itemShares: Float32Array;
  private readonly layers: readonly { readonly weights: Matrix; readonly output: Matrix }[];
  /** By item, who met it. */
  private readonly columns: MetRows;
  private readonly average: Float32Array;

  constructor(
    private readonly parameters: Parameters,
    private readonly shape: NetworkShape,
    private readonly met: MetRows,
  ) {
    const { embedding, layers } = shape;
    this.itemCount = parameters['items']!.length / (2 * embedding);
    this.userCount = parameters['users']!.length / (2 * embedding);
    this.itemShares = this.firstLayerOfItems();
    this.layers = layers.map((width, l) => {
      const output = this.kernels.matrix(CHUNK, width);
      // The first layer's weights are only needed for what is computed here and by `personShare`.
      if (l === 0) return { weights: this.kernels.matrix(0, width), output };
      const weights = this.kernels.matrix(layers[l - 1]!, width);
      weights.values.set(parameters[`weights-${l}`]!);
      return { weights, output };
    });
    const transposed = transposeOf({
      rows: this.userCount,
      columns: this.itemCount,
      rowStart: met.rowStart,
      indexes: met.items,
      values: new Float32Array(met.items.length),
    });
    this.columns = { rowStart: transposed.rowStart, items: transposed.indexes };
    this.average = this.meanOf(new Map(Array.from({ length: this.userCount }, (_, user) => [user, 1])));
  }

  scoreInto(query: ModelQuery, row: Float32Array): void {
    row.set(this.scoreItems(query, Int32Array.from(row.keys())));
  }

  scoreItems(query: ModelQuery, items: Int32Array): Float32Array {
    const person = this.personOf(query);
    const share = this.personShare(person, query.now);
    const scores = new Float32Array(items.length);
    for (let start = 0; start < items.length; start += CHUNK) {
      this.scoreChunk(items.subarray(start, start + CHUNK), { person, share, into: scores.subarray(start) });
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

  files(): ModelFiles {
    const parameters = Object.entries(this.parameters).map(([name, values]) => [`${name}.f32`, bytesOf(values)]);
    return {
      ...(Object.fromEntries(parameters) as ModelFiles),
      'row-start.i32': bytesOf(this.met.rowStart),
      'met.i32': bytesOf(this.met.items),
    };
  }

  async close(): Promise<void> {}

  /** Both halves of the person's embedding. */
  private personOf(query: ModelQuery): Float32Array {
    const width = 2 * this.shape.embedding;
    const isKnown = query.user >= 0 && this.met.rowStart[query.user + 1]! > this.met.rowStart[query.user]!;
    if (isKnown) return this.parameters['users']!.subarray(query.user * width, (query.user + 1) * width);
    const { items } = historyOf(query, this.itemCount);
    const common = new Map<number, number>();
    for (const item of items) {
      for (let p = this.columns.rowStart[item]!; p < this.columns.rowStart[item + 1]!; p++) {
        const user = this.columns.items[p]!;
        common.set(user, (common.get(user) ?? 0) + 1);
      }
    }
    const closeness = (user: number): number =>
      common.get(user)! / Math.sqrt(items.length * (this.met.rowStart[user + 1]! - this.met.rowStart[user]!));
    const closest = [...common.keys()]
      .map((user) => [user, closeness(user)] as const)
      .sort((left, right) => right[1] - left[1] || left[0] - right[0])
      .slice(0, NEIGHBOURS);
    return closest.length === 0 ? this.average : this.meanOf(new Map(closest));
  }

  private meanOf(weights: ReadonlyMap<number, number>): Float32Array {
    const width = 2 * this.shape.embedding;
    const sum = new Float64Array(width);
    let total = 0;
    for (const [user, weight] of weights) {
      total += weight;
      for (let k = 0; k < width; k++) sum[k]! += weight * this.parameters['users']![user * width + k]!;
    }
    return Float32Array.from(sum, (value) => value / (total || 1));
  }

  /** e_u·W_user + context·W_context + b of the first layer. */
  private personShare(person: Float32Array, now: number | undefined): Float32Array {
    const { embedding, layers } = this.shape;
    const width = layers[0]!;
    const weights = this.parameters['weights-0']!;
    const share = this.parameters['biases-0']!.slice();
    const context = new Float32Array(CONTEXT_FLOATS);
    writeContext(context, 0, now);
    const addRow = (row: number, value: number): void => {
      if (value === 0) return;
      for (let k = 0; k < width; k++) share[k]! += value * weights[row * width + k]!;
    };
    for (let k = 0; k < embedding; k++) addRow(k, person[embedding + k]!);
    context.forEach((value, k) => addRow(2 * embedding + k, value));
    return share;
  }

  private scoreChunk(
    items: Int32Array,
    { person, share, into }: { person: Float32Array; share: Float32Array; into: Float32Array },
  ): void {
    const { embedding, layers } = this.shape;
    const [first, ...others] = this.layers;
    const { values } = first!.output;
    const width = layers[0]!;
    items.forEach((item, row) => {
      for (let k = 0; k < width; k++) {
        values[row * width + k] = Math.max(0, this.itemShares[item * width + k]! + share[k]!);
      }
    });
    let below: Matrix = { ...first!.output, rows: items.length };
    others.forEach((layer, l) => {
      const output: Matrix = { ...layer.output, rows: items.length };
      this.kernels.product(below, layer.weights, output);
      const biases = this.parameters[`biases-${l + 1}`]!;
      for (let row = 0; row < items.length; row++) {
        const start = row * output.stride;
        for (let k = 0; k < output.columns; k++) {
          output.values[start + k] = Math.max(0, output.values[start + k]! + biases[k]!);
        }
      }
      below = output;
    });
    const { items: table, output, bias } = this.parameters;
    items.forEach((item, row) => {
      let sum = bias![0]!;
      const start = item * 2 * embedding;
      for (let k = 0; k < embedding; k++) sum += person[k]! * table![start + k]! * output![k]!;
      for (let k = 0; k < below.columns; k++) sum += below.values[row * below.stride + k]! * output![embedding + k]!;
      into[row] = sum;
    });
  }

  private firstLayerOfItems(): Float32Array {
    const { embedding, layers } = this.shape;
    const width = layers[0]!;
    const weights = this.parameters['weights-0']!;
    const table = this.parameters['items']!;
    const mark = this.kernels.mark();
    const [left, right, target] = [
      this.kernels.matrix(this.itemCount, embedding),
      this.kernels.matrix(embedding, width),
      this.kernels.matrix(this.itemCount, width),
    ];
    for (let item = 0; item < this.itemCount; item++) {
      const start = (2 * item + 1) * embedding;
      left.values.set(table.subarray(start, start + embedding), item * embedding);
    }
    right.values.set(weights.subarray(embedding * width, 2 * embedding * width));
    this.kernels.product(left, right, target);
    const shares = target.values.slice();
    this.kernels.release(mark);
    return shares;
  }
}
