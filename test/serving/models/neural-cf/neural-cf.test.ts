import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../streams/random.js';
import { type KnownPeople, knownPeople, type MetRows } from '../../../../serving/models/neural-cf/close-people.js';
import { CONTEXT_FLOATS, writeContext } from '../../../../serving/models/neural-cf/context.js';
import { initialParameters, Network, type Batch } from '../../../../serving/models/neural-cf/network.js';
import { neuralCf } from '../../../../serving/models/neural-cf/neural-cf.js';
import { NeuralScorer } from '../../../../serving/models/neural-cf/neural-scorer.js';
import { adamDense, adamRows, RowGradients } from '../../../../serving/models/neural-cf/row-gradients.js';
import { ManualClock } from '../../../../streams/clock.js';
import { silentLogger } from '../../../../streams/logger.js';
import { parseSettings } from '../../../../serving/models/fitting.js';
import { fitContext } from '../fit-context.js';
import { describeModel } from '../model-conformance.js';
import { queryOf, smallWorld } from '../small-world.js';

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

function peopleOf(values: Record<string, Float32Array>, met: MetRows, width: number): KnownPeople {
  return knownPeople(values['users']!, met, { width, random: seededRandom('people') });
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

  it.each([
    { name: 'small layers', embedding: 8, layers: [16, 8] },
    { name: 'the published size', embedding: 64, layers: [128, 64, 32] },
    { name: 'an embedding of no whole vectors and one layer', embedding: 5, layers: [24] },
  ])('scores as the scorer does that keeps the items’ share of the first layer: $name', ({ embedding, layers }) => {
    const shape = { users: 6, items: 150, embedding, layers };
    const values = initialParameters(shape, seededRandom('network'));
    // Logits of size 1 and biases that matter, as after training.
    values['users']!.forEach((_, i, array) => (array[i]! *= 40));
    values['items']!.forEach((_, i, array) => (array[i]! *= 40));
    layers.forEach((_, l) => values[`biases-${l}`]!.forEach((__, i, array) => (array[i] = 0.2 * Math.sin(i))));
    values['bias']!.fill(0.3);
    const network = new Network(shape, values, shape.items);
    const met = { rowStart: Int32Array.from([0, 1, 2, 3, 4, 5, 6]), items: Int32Array.from([0, 1, 2, 3, 4, 5]) };
    const scorer = new NeuralScorer(values, shape, met, peopleOf(values, met, 2 * embedding));
    const now = Date.UTC(2024, 4, 7, 15);
    const context = new Float32Array(shape.items * CONTEXT_FLOATS);
    for (let row = 0; row < shape.items; row++) writeContext(context, row * CONTEXT_FLOATS, now);
    const items = Int32Array.from({ length: shape.items }, (_, item) => item);
    const labels = new Float32Array(shape.items);
    for (const user of [3, 0]) {
      const users = new Int32Array(shape.items).fill(user);
      const logits = network.forward({ size: shape.items, users, items, context, labels });
      const query = { user, items: Int32Array.of(1), now };
      const all = new Float32Array(shape.items);
      scorer.scoreInto(query, all);
      all.forEach((score, item) => expect(Math.abs(score - logits[item]!)).toBeLessThan(1e-5));
      const some = items.filter((item) => item % 2 === 0).reverse();
      expect([...scorer.scoreItems(query, some)]).toEqual([...some].map((item) => all[item]));
    }
  });

  it('gives a stranger the mean embedding of the people who met the same, weighted by closeness', () => {
    const values = parameters();
    const met = { rowStart: Int32Array.from([0, 2, 3, 5, 6, 6, 7]), items: Int32Array.from([0, 1, 1, 2, 3, 4, 5]) };
    const weights = new Map([
      [0, 2 / Math.sqrt(2 * 2)],
      [1, 1 / Math.sqrt(2 * 1)],
    ]);
    const width = 2 * sizes.embedding;
    const total = [...weights.values()].reduce((left, right) => left + right);
    for (let k = 0; k < width; k++) {
      let sum = 0;
      for (const [user, weight] of weights) sum += (weight / total) * values['users']![user * width + k]!;
      values['users']![5 * width + k] = sum;
    }
    const scorer = new NeuralScorer(values, sizes, met, peopleOf(values, met, width));
    const all = Int32Array.from({ length: 7 }, (_, item) => item);
    const stranger = scorer.scoreItems({ user: -1, items: Int32Array.of(1, 0, 1) }, all);
    const known = scorer.scoreItems({ user: 5, items: Int32Array.of(5) }, all);
    stranger.forEach((score, item) => expect(Math.abs(score - known[item]!)).toBeLessThan(1e-5));
    // Asked again: what one question counted is no part of the next.
    expect(scorer.scoreItems({ user: -1, items: Int32Array.of(0, 1) }, all)).toEqual(stranger);
  });
});

describe('people that strangers are compared with', () => {
  const world = smallWorld();
  const settings = parseSettings(neuralCf, { embedding: 8, layers: [16, 8], epochs: 2, batch: 120 });

  it('are all a model needs that is loaded without its users', async () => {
    const model = await neuralCf.fit(world, settings, fitContext());
    const files = Object.fromEntries(
      Object.entries(model.save()).filter(([name]) => !neuralCf.userFiles!.includes(name)),
    );
    const artefact = { algorithm: 'neural_cf', spaceId: '', settings, itemCount: model.itemCount, userCount: 0, files };
    const clock = new ManualClock();
    const served = await neuralCf.load(artefact, { clock, logger: silentLogger, threads: 1 });
    const stranger = { ...queryOf(world, 3), user: -1 };
    const items = Int32Array.from(world.itemIds.keys());
    expect(served.score(stranger, items)).toEqual(model.score(stranger, items));
    expect(served.retrieve({ user: -1, items: new Int32Array(0) }, 3).items).toHaveLength(3);
  });

  it('are drawn where there are many, each with the own row and what that person met', () => {
    const met = { rowStart: Int32Array.of(0, 1, 3, 3, 6), items: Int32Array.of(7, 1, 2, 3, 4, 5) };
    const table = Float32Array.of(0, 0, 1, 1, 2, 2, 3, 3);
    const { rows, met: kept, average } = knownPeople(table, met, { width: 2, random: seededRandom(1), peopleMax: 3 });
    expect([...average]).toEqual([1.5, 1.5]);
    const drawn = Array.from({ length: 3 }, (_, p) => rows[2 * p]!);
    expect(new Set(drawn).size).toBe(3);
    drawn.forEach((user, p) => {
      expect(kept.items.subarray(kept.rowStart[p], kept.rowStart[p + 1])).toEqual(
        met.items.subarray(met.rowStart[user], met.rowStart[user + 1]),
      );
    });
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
