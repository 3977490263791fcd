/** The networks written plainly in TensorFlow.js operations, one sequence at a time: what the hand-written ones must equal. */
import type { PackedBatch } from '../../../../serving/models/sequential/packed-batch.js';
import type { Parameters } from '../../../../serving/models/sequential/parameters.js';
import type { Tensor, Tensor2D, TensorLibrary } from '../../../../serving/models/tensors/tensor-library.js';

type Named = ReadonlyMap<string, Tensor>;

function normalised({ tf }: TensorLibrary, x: Tensor, gain: Tensor, bias: Tensor): Tensor {
  const { mean, variance } = tf.moments(x, 1, true);
  return tf.add(tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-5))), gain), bias);
}

function sequencesOf({ tf }: TensorLibrary, named: Named, { starts, inputs }: PackedBatch, width: number): Tensor[] {
  return Array.from({ length: starts.length - 1 }, (_, s) => {
    const ids = tf.tensor1d(inputs.slice(starts[s], starts[s + 1]), 'int32');
    return tf.mul(tf.gather(named.get('items')!, ids), Math.sqrt(width));
  });
}

/** Two layers, two heads, as `smallTransformer` has. */
export function transformerHidden(
  library: TensorLibrary,
  named: Named,
  parameters: Parameters,
  batch: PackedBatch,
): Tensor2D {
  const { tf } = library;
  const width = parameters.dimensions;
  const [layers, heads] = [2, 2];
  const headWidth = width / heads;
  const part = (name: string): Tensor => named.get(name)!;
  const dense = (x: Tensor, name: string): Tensor =>
    tf.add(tf.matMul(x as Tensor2D, part(`${name}-weight`) as Tensor2D), part(`${name}-bias`));
  const norm = (x: Tensor, name: string): Tensor => normalised(library, x, part(`${name}-gain`), part(`${name}-bias`));
  const outputs = sequencesOf(library, named, batch, width).map((embedded) => {
    const n = embedded.shape[0];
    let x: Tensor = tf.add(embedded, tf.slice(part('positions'), [0, 0], [n, width]));
    const future = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, j) => (j > i ? -1e9 : 0)));
    for (let i = 0; i < layers; i++) {
      const qkv = dense(norm(x, `layer-${i}-attention-norm`), `layer-${i}-projection`);
      const slice = (which: number, head: number): Tensor2D =>
        tf.slice(qkv, [0, which * width + head * headWidth], [n, headWidth]) as Tensor2D;
      const attended = Array.from({ length: heads }, (_, head) => {
        const scores = tf.div(tf.matMul(slice(0, head), slice(1, head), false, true), Math.sqrt(headWidth));
        const chances = tf.softmax(tf.add(scores, tf.tensor2d(future)));
        return tf.matMul(chances, slice(2, head));
      });
      x = tf.add(x, dense(tf.concat(attended, 1), `layer-${i}-output`));
      const wide = tf.relu(dense(norm(x, `layer-${i}-forward-norm`), `layer-${i}-widen`));
      x = tf.add(x, dense(wide, `layer-${i}-narrow`));
    }
    return norm(x, 'last-norm');
  });
  return tf.concat<Tensor2D>(outputs as Tensor2D[], 0);
}

export function rnnHidden(library: TensorLibrary, named: Named, parameters: Parameters, batch: PackedBatch): Tensor2D {
  const { tf } = library;
  const width = parameters.dimensions;
  const dense = (x: Tensor, name: string): Tensor =>
    tf.add(tf.matMul(x as Tensor2D, named.get(`${name}-weight`) as Tensor2D), named.get(`${name}-bias`)!);
  const outputs = sequencesOf(library, named, batch, width).flatMap((embedded) => {
    let state: Tensor = tf.zeros([1, width]);
    return Array.from({ length: embedded.shape[0] }, (_, t) => {
      const x = dense(tf.slice(embedded, [t, 0], [1, width]), 'inputs');
      const h = dense(state, 'recurrence');
      const part = (tensor: Tensor, which: number): Tensor => tf.slice(tensor, [0, which * width], [1, width]);
      const z = tf.sigmoid(tf.add(part(x, 0), part(h, 0)));
      const r = tf.sigmoid(tf.add(part(x, 1), part(h, 1)));
      const next = tf.tanh(tf.add(part(x, 2), tf.mul(r, part(h, 2))));
      state = tf.add(tf.mul(tf.sub(1, z), next), tf.mul(z, state));
      return state;
    });
  });
  return normalised(
    library,
    tf.concat(outputs, 0),
    named.get('last-norm-gain')!,
    named.get('last-norm-bias')!,
  ) as Tensor2D;
}
