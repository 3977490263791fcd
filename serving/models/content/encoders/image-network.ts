/**
 * A network for pictures from a local folder (resnet50, vgg16, efficientnet …): model.onnx, and encoder.json with how
 * its pictures are prepared.
 *
 * Each byte b of channel c becomes (b · scale − mean(c)) / deviation(c), in the layout declared. The vector is the
 * output named (the first by default), flattened, of length 1: export the network without its classifier, or name the
 * output before it.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { EngineError } from '../../../../schemas/errors.js';
import type { ImageEncoderFile } from './encoder-schema.js';
import { readImageEncoderFile } from './encoder-schema.js';
import type { ImageEncoder } from './encoder.js';
import { normalize } from './encoder.js';
import type { OnnxArray, OnnxNetwork } from './onnx-session.js';
import { openNetwork } from './onnx-session.js';
import type { Picture } from './picture.js';
import { decodePicture } from './picture.js';

const HASH_DIGITS = 16;
const CHANNELS = 3;

/** Throws MODEL_INVALID when the folder does not hold a network for pictures, or does not say how it wants them. */
export async function openImageNetwork(folder: string, threads: number): Promise<ImageEncoder> {
  const file = await readImageEncoderFile(folder);
  const path = join(folder, file.model);
  const network = await openNetwork(path, threads);
  if (network.inputNames.length !== 1) {
    throw new EngineError(
      'MODEL_INVALID',
      `Network '${path}' has ${network.inputNames.length} inputs, expected one picture.`,
    );
  }
  const hash = createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
    .slice(0, HASH_DIGITS);
  const blank = { width: file.width, height: file.height, pixels: new Uint8Array(file.width * file.height * CHANNELS) };
  const { length: dimensions } = await runOn(network, blank, file);
  return {
    id: `onnx/${basename(folder)}/${hash}`,
    dimensions,
    encode: async (bytes) => {
      const picture = await decodePicture(bytes, file);
      return picture === undefined ? undefined : normalize(await runOn(network, picture, file));
    },
    close: () => network.close(),
  };
}

async function runOn(network: OnnxNetwork, picture: Picture, file: ImageEncoderFile): Promise<Float32Array> {
  const output = file.output ?? network.outputNames[0]!;
  const { values } = await network.run({ [network.inputNames[0]!]: prepared(picture, file) }, output);
  return values.slice();
}

function prepared({ width, height, pixels }: Picture, file: ImageEncoderFile): OnnxArray {
  const { scale, mean, deviation, channels, layout } = file;
  const isFirst = layout === 'channels-first';
  const size = width * height;
  const values = new Float32Array(size * CHANNELS);
  for (let channel = 0; channel < CHANNELS; channel++) {
    const source = channels === 'rgb' ? channel : CHANNELS - 1 - channel;
    for (let p = 0; p < size; p++) {
      const value = (pixels[p * CHANNELS + source]! * scale - mean[channel]!) / deviation[channel]!;
      values[isFirst ? channel * size + p : p * CHANNELS + channel] = value;
    }
  }
  return { values, shape: isFirst ? [1, CHANNELS, height, width] : [1, height, width, CHANNELS] };
}
