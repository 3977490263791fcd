/** Small encoders with random parameters, and batches for them. */
import type { Encoder } from '../../../../serving/models/sequential/encoder.js';
import type { PackedBatch } from '../../../../serving/models/sequential/packed-batch.js';
import { Parameters } from '../../../../serving/models/sequential/parameters.js';
import { RnnEncoder } from '../../../../serving/models/rnn/rnn-encoder.js';
import { Kernels } from '../../../../serving/models/tensors/kernels.js';
import { TransformerEncoder } from '../../../../serving/models/transformer/transformer-encoder.js';
import type { TransformerShape } from '../../../../serving/models/transformer/transformer-parts.js';
import { seededRandom } from '../../../../streams/random.js';

export const ITEMS = 21;

export function smallTransformer(over: Partial<TransformerShape> = {}): TransformerEncoder {
  const shape = { length: 12, dimensions: 16, heads: 2, layers: 2, feedForward: 24, dropout: 0, ...over };
  return randomised(new TransformerEncoder(new Parameters(new Kernels(), ITEMS, shape.dimensions), shape));
}

export function smallRnn(): RnnEncoder {
  const shape = { length: 12, dimensions: 16, dropout: 0 };
  return randomised(new RnnEncoder(new Parameters(new Kernels(), ITEMS, shape.dimensions), shape));
}

/** Gains and biases too, so that no gradient is checked at a special place. */
function randomised<E extends Encoder>(encoder: E): E {
  const random = seededRandom('parameters');
  encoder.parameters.initialise(random);
  for (const { value, decays } of encoder.parameters.dense) {
    if (!decays) for (let i = 0; i < value.values.length; i++) value.values[i]! += 0.3 * random.gaussian();
  }
  return encoder;
}

/** Sequences of lengths 5, 1, 12 and 3 with random items. */
export function mixedBatch(): PackedBatch {
  const random = seededRandom('batch');
  const starts = Int32Array.of(0, 5, 6, 18, 21);
  return {
    starts,
    inputs: Int32Array.from({ length: 21 }, () => random.int(ITEMS)),
    targets: Int32Array.from({ length: 21 }, () => random.int(ITEMS)),
  };
}
