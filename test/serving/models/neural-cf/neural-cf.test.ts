import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../streams/random.js';
import { CONTEXT_FLOATS, writeContext } from '../../../../serving/models/neural-cf/context.js';
import { initialParameters, Network, type Batch } from '../../../../serving/models/neural-cf/network.js';
import { neuralCf } from '../../../../serving/models/neural-cf/neural-cf.js';
import { NeuralScorer } from '../../../../serving/models/neural-cf/neural-scorer.js';
import { adamDense, adamRows, RowGradients } from '../../../../serving/models/neural-cf/row-gradients.js';
import { describeModel } from '../model-conformance.js';

describeModel(neuralCf, {
  settings: { embedding: 8, layers: [16, 8], learningRate: 0.02, epochs: 30, batch: 120, dropout: 0, patience: 8 },
  tolerance: 1e-5,
});

const sizes = { users: 6, items: 7, embedding: 8, layers: [16, 8] };

function batch(): Batch {
  const random = seededRandom('batch');
  const size = 9;
  const context = new Float32Array(size * CONTEXT_FLOATS);
  for (let row = 0; row < size; row++) writeContext(context, row * CONTEXT_FLOATS, row * 30_000_000);
  return {
    size,
    users: Int32Array.from({ length: size }, () => random.int(sizes.users)),
    items: Int32Array.from({ length: size }, () => random.int(sizes.items)),
    labels: Float32Array.from({ length: size }, (_, row) => row % 2),
    context,
  };
}

/** Parameters large enough that differences stand out of float32's noise. */
function parameters(): Record<string, Float32Array> {
  const values = initialParameters(sizes, seededRandom('network'));
  values['users']!.forEach((_, i, array) => (array[i]! *= 40));
  values['items']!.forEach((_, i, array) => (array[i]! *= 40));
  values['biases-0']!.fill(0.1);
  return values;
}

describe('the network of NeuMF', () => {
  it('has the gradient that differences of its loss have', () => {
    const values = parameters();
    const network = new Network(sizes, values, 16);
    const l2 = 0.05;
    const examples = batch();
    const width = 2 * sizes.embedding;
    const lossOf = (): number => {
      const logits = network.forward(examples);
      let loss = 0;
      for (let row = 0; row < examples.size; row++) {
        loss += Math.log1p(Math.exp(logits[row]!)) - logits[row]! * examples.labels[row]!;
        for (const [table, index] of [
          ['users', examples.users[row]!],
          ['items', examples.items[row]!],
        ] as const) {
          for (let k = 0; k < width; k++) loss += (l2 / 2) * values[table]![index * width + k]! ** 2;
        }
      }
      return loss / examples.size;
    };
    network.forward(examples);
    network.backward(examples, { l2, dropout: 0 });
    const gradients: Record<string, Float32Array> = { ...network.gradients };
    for (const [name, rows] of [
      ['users', network.userRows],
      ['items', network.itemRows],
    ] as const) {
      const whole = new Float32Array(values[name]!.length);
      for (let t = 0; t < rows.length; t++) {
        whole.set(rows.sums.subarray(t * width, (t + 1) * width), rows.touched[t]! * width);
      }
      gradients[name] = whole;
    }
    // Small: relu is not smooth, and a larger step meets its kinks.
    const step = 1e-4;
    for (const [name, array] of Object.entries(values)) {
      for (let i = 0; i < array.length; i += Math.ceil(array.length / 12)) {
        const held = array[i]!;
        array[i] = held + step;
        const above = lossOf();
        array[i] = held - step;
        const below = lossOf();
        array[i] = held;
        expect(Math.abs((above - below) / (2 * step) - gradients[name]![i]!), `${name}[${i}]`).toBeLessThan(4e-4);
      }
    }
  });

  it('leaves out the share that dropout says, and makes up for it', () => {
    const network = new Network(sizes, parameters(), 16);
    const examples = batch();
    const whole = network.forward(examples).slice();
    const sums = new Float64Array(examples.size);
    const random = seededRandom('drops');
    for (let i = 0; i < 3000; i++)
      network.forward(examples, { share: 0.2, random }).forEach((x, r) => (sums[r]! += x / 3000));
    // Beyond one layer the mean is not exactly kept, but close.
    sums.forEach((mean, row) => expect(Math.abs(mean - whole[row]!)).toBeLessThan(0.05));
  });

  it('scores as the scorer does that keeps the items’ share of the first layer', () => {
    const values = parameters();
    const network = new Network(sizes, values, 16);
    const met = { rowStart: Int32Array.from([0, 1, 2, 3, 4, 5, 6]), items: Int32Array.from([0, 1, 2, 3, 4, 5]) };
    const scorer = new NeuralScorer(values, sizes, met);
    const now = Date.UTC(2024, 4, 7, 15);
    const context = new Float32Array(7 * CONTEXT_FLOATS);
    for (let row = 0; row < 7; row++) writeContext(context, row * CONTEXT_FLOATS, now);
    const items = Int32Array.from({ length: 7 }, (_, item) => item);
    const users = new Int32Array(7).fill(3);
    const logits = network.forward({ size: 7, users, items, context, labels: new Float32Array(7) });
    const scores = scorer.scoreItems({ user: 3, items: Int32Array.of(1), now }, items);
    scores.forEach((score, item) => expect(score).toBeCloseTo(logits[item]!, 5));
  });
});

describe('Adam for touched rows', () => {
  it('moves them as Adam over everything does, and no other', () => {
    const width = 4;
    const rows = new RowGradients(5, width);
    const [sparse, dense] = [new Float32Array(20).fill(1), new Float32Array(20).fill(1)];
    const momentsOf = () => ({ mean: new Float32Array(20), square: new Float32Array(20) });
    const [own, whole] = [momentsOf(), momentsOf()];
    for (let step = 1; step <= 3; step++) {
      rows.clear();
      const gradient = new Float32Array(20);
      for (const row of [3, 1, 3]) {
        const start = rows.startOf(row);
        for (let k = 0; k < width; k++) {
          rows.sums[start + k]! += step * (k + row);
          gradient[row * width + k]! += step * (k + row);
        }
      }
      adamRows(sparse, rows, own, { learningRate: 0.1, step });
      adamDense(dense, gradient, whole, { learningRate: 0.1, step });
    }
    expect(sparse).toEqual(dense);
    expect([...sparse.subarray(0, 4)]).toEqual([1, 1, 1, 1]);
    expect(sparse[4]).not.toBe(1);
  });
});
