import { describe, expect, it } from 'vitest';
import { openTensors, type TensorLibrary } from '../../../../serving/models/tensors/tensor-library.js';
import { createLogger, silentLogger } from '../../../../streams/logger.js';
import { seededRandom } from '../../../../streams/random.js';
import { COMPARED_BACKENDS, tryOpenBackend } from './backends.js';

const random = seededRandom('tensors');
const VALUES = Float32Array.from({ length: 96 }, () => random.gaussian());

/** What models are made of: products, looked-up rows with their gradient, softmax, normalisation. */
function results({ tf }: TensorLibrary): Record<string, number[]> {
  const a = tf.tensor2d(VALUES, [8, 12]);
  const ids = tf.tensor1d([1, 3, 3, 7], 'int32');
  const values = {
    product: tf.matMul(a, a, false, true),
    lookedUpGradient: tf.grad((x) => tf.gather(x, ids).square().sum())(a),
    softmax: tf.softmax(a),
    logSumExp: tf.logSumExp(a, 1),
    variance: tf.moments(a, 1).variance,
    sigmoidGradient: tf.grad((x) => tf.logSigmoid(x).sum())(a),
    segmentSum: tf.unsortedSegmentSum(a, tf.tensor1d([0, 1, 0, 2, 2, 1, 0, -1], 'int32'), 5),
  };
  return Object.fromEntries(Object.entries(values).map(([name, tensor]) => [name, Array.from(tensor.dataSync())]));
}

describe('tensor library', () => {
  for (const backend of COMPARED_BACKENDS) {
    it(`gives the same results on ${backend} as on the plain one`, async (context) => {
      const library = await tryOpenBackend(backend);
      if (typeof library === 'string') return context.skip(library);
      const seen = results(library);
      const wanted = results(await openTensors({ logger: silentLogger, backend: 'cpu' }));
      for (const [name, values] of Object.entries(wanted)) {
        expect(seen[name], name).toHaveLength(values.length);
        values.forEach((value, i) => expect(Math.abs(seen[name]![i]! - value), name).toBeLessThan(1e-4));
      }
    });
  }

  it('says the chosen backend in the log and shares it afterwards', async () => {
    const lines: string[] = [];
    const logger = createLogger({ write: (line) => lines.push(line) });
    const library = await openTensors({ logger, backend: 'wasm' });
    expect(lines.join('')).toMatch(/"backend":"wasm".*Tensor backend chosen/);
    expect(await openTensors({ logger })).toBe(library);
  });
});
