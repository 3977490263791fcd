import { describe, expect, it } from 'vitest';
import { rnnHidden, transformerHidden } from './reference-networks.js';
import { ItemLoss, type LossSettings } from '../../../../serving/models/sequential/item-loss.js';
import type { Encoder } from '../../../../serving/models/sequential/encoder.js';
import type { TensorLibrary, Tensor, Tensor2D } from '../../../../serving/models/tensors/tensor-library.js';
import { seededRandom } from '../../../../streams/random.js';
import { COMPARED_BACKENDS, tryOpenBackend } from '../tensors/backends.js';
import { ITEMS, mixedBatch, smallRnn, smallTransformer } from './encoders.js';

/** All items are sampled: the softmax is exact, and its reference is three lines. */
const FULL: LossSettings = { loss: 'softmax', similarity: 'dot', cosineScale: 8, negatives: ITEMS };

type Hidden = (library: TensorLibrary, named: ReadonlyMap<string, Tensor>) => Tensor2D;

/** Loss and gradients by TensorFlow's automatic differentiation, in the order of `names`. */
function reference(
  library: TensorLibrary,
  encoder: Encoder,
  hidden: Hidden,
  settings: LossSettings,
): { loss: number; gradients: Map<string, Float32Array> } {
  const { tf } = library;
  const { dense, itemValues, dimensions } = encoder.parameters;
  const names = ['items', ...dense.map(({ name }) => name)];
  const values = [
    tf.tensor2d(itemValues.slice(), [ITEMS, dimensions]),
    ...dense.map(({ value }) => tf.tensor2d(value.values.slice(), [value.rows, value.columns])),
  ];
  const loss = (...tensors: Tensor[]): Tensor => {
    const named = new Map(names.map((name, i) => [name, tensors[i]!]));
    const unit = (x: Tensor): Tensor => tf.div(x, tf.sqrt(tf.sum(tf.square(x), 1, true)));
    let [queries, items] = [hidden(library, named) as Tensor, named.get('items')!];
    if (settings.similarity === 'cosine') {
      [queries, items] = [unit(queries), tf.mul(unit(items), settings.cosineScale)];
    }
    const logits = tf.matMul(queries, items, false, true);
    const wanted = tf.oneHot(tf.tensor1d(mixedBatch().targets, 'int32'), ITEMS);
    return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), wanted), 1)));
  };
  const { value, grads } = tf.valueAndGrads(loss)(values);
  const gradients = new Map(names.map((name, i) => [name, grads[i]!.dataSync() as Float32Array]));
  return { loss: value.dataSync()[0]!, gradients };
}

/** Loss and gradients by hand, as training does. */
function byHand(encoder: Encoder, settings: LossSettings): { loss: number; gradients: Map<string, Float32Array> } {
  const { parameters } = encoder;
  parameters.clearGradients();
  const batch = mixedBatch();
  const random = seededRandom('none');
  const hidden = encoder.forward(batch, random);
  const gradient = parameters.kernels.matrix(hidden.rows, hidden.columns);
  const loss = new ItemLoss(parameters, settings, new Float64Array(ITEMS)).compute(
    hidden,
    batch.targets,
    gradient,
    random,
  );
  encoder.backward(gradient);
  const items = new Float32Array(parameters.itemValues.length);
  const { rows, count, values, width } = parameters.itemGradient;
  for (let slot = 0; slot < count; slot++)
    items.set(values.subarray(slot * width, (slot + 1) * width), rows[slot]! * width);
  const gradients = new Map<string, Float32Array>([['items', items]]);
  for (const { name, gradient: own } of parameters.dense) gradients.set(name, own.values);
  return { loss, gradients };
}

const NETWORKS = [
  { name: 'transformer', create: smallTransformer, hidden: transformerHidden },
  { name: 'rnn', create: smallRnn, hidden: rnnHidden },
] as const;

describe('gradients by hand', () => {
  for (const backend of COMPARED_BACKENDS) {
    for (const { name, create, hidden } of NETWORKS) {
      for (const similarity of ['dot', 'cosine'] as const) {
        it(`of the ${name} with ${similarity} are those of automatic differentiation on ${backend}`, async (context) => {
          const library = await tryOpenBackend(backend);
          if (typeof library === 'string') return context.skip(library);
          const encoder = create();
          const settings = { ...FULL, similarity };
          const seen = byHand(encoder, settings);
          const wanted = reference(
            library,
            encoder,
            (lib, named) => hidden(lib, named, encoder.parameters, mixedBatch()),
            settings,
          );
          expect(Math.abs(seen.loss - wanted.loss)).toBeLessThan(1e-4);
          for (const [parameter, values] of wanted.gradients) {
            const own = seen.gradients.get(parameter)!;
            const furthest = values.reduce((worst, value, i) => Math.max(worst, Math.abs(value - own[i]!)), 0);
            expect(furthest, parameter).toBeLessThan(1e-4);
          }
        });
      }
    }
  }

  it('of one sampled negative are those of small differences', () => {
    const encoder = smallTransformer();
    const settings: LossSettings = { ...FULL, loss: 'one_negative' };
    const { gradients } = byHand(encoder, settings);
    for (const place of [3, 40, 100, 200]) {
      const step = 1e-2;
      const at = (change: number): number => {
        encoder.parameters.itemValues[place]! += change;
        const { loss } = byHand(encoder, settings);
        encoder.parameters.itemValues[place]! -= change;
        return loss;
      };
      const difference = (at(step) - at(-step)) / (2 * step);
      expect(Math.abs(difference - gradients.get('items')![place]!)).toBeLessThan(2e-3);
    }
  });
});
