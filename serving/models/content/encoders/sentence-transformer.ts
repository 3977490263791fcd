/**
 * A sentence transformer from a local folder: tokenizer.json (the tokenizer of Hugging Face) and model.onnx.
 *
 * Tokens beyond the limit are cut off, but the closing token stays, as the network learnt it. The vector is the mean of
 * the token vectors over the mask (or the first token's), of length 1; a network that already gives one vector by text
 * is taken as it is. Dimensions are found by encoding once.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import * as tokenizers from '@huggingface/tokenizers';
import { EngineError } from '../../../../schemas/errors.js';
import type { TextEncoderFile } from './encoder-schema.js';
import { readJsonFile, readTextEncoderFile } from './encoder-schema.js';
import type { TextEncoder } from './encoder.js';
import { normalize } from './encoder.js';
import type { FloatArray, OnnxArray, OnnxNetwork } from './onnx-session.js';
import { openNetwork } from './onnx-session.js';

export interface SentenceTransformerOptions {
  readonly tokensMax: number;
  readonly threads: number;
}

/** The library's own declarations do not resolve; this is what is used of it. */
interface Tokenizer {
  encode(text: string): { readonly ids: readonly (number | undefined)[] };
}
const { Tokenizer: HuggingFaceTokenizer } = tokenizers as unknown as {
  readonly Tokenizer: new (json: unknown, config: unknown) => Tokenizer;
};

const PROBE = 'a';
const HASH_DIGITS = 16;

/** Throws MODEL_INVALID when the folder does not hold a sentence transformer. */
export async function openSentenceTransformer(
  folder: string,
  { tokensMax, threads }: SentenceTransformerOptions,
): Promise<TextEncoder> {
  const file = await readTextEncoderFile(folder);
  const tokenizer = await openTokenizer(folder);
  const path = [join(folder, file.model), join(folder, 'onnx', file.model)].find(existsSync);
  if (path === undefined) throw new EngineError('MODEL_INVALID', `Folder '${folder}' has no '${file.model}'.`);
  const network = await openNetwork(path, threads);
  const hash = createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
    .slice(0, HASH_DIGITS);
  const run = runnerOf(network, tokenizer, { ...file, tokensMax: Math.min(tokensMax, file.tokensMax) });
  const { length: dimensions } = await run([PROBE]);
  return {
    id: `onnx/${basename(folder)}/${hash}`,
    dimensions,
    encode: (texts) => run(texts),
    close: () => network.close(),
  };
}

async function openTokenizer(folder: string): Promise<Tokenizer> {
  const path = join(folder, 'tokenizer.json');
  const [json, config] = await Promise.all([readJsonFile(path), readJsonFile(join(folder, 'tokenizer_config.json'))]);
  if (json === undefined) throw new EngineError('MODEL_INVALID', `Folder '${folder}' has no tokenizer.json.`);
  try {
    return new HuggingFaceTokenizer(json, config ?? {});
  } catch (cause) {
    throw new EngineError('MODEL_INVALID', `'${path}' is not a tokenizer that can be used.`, { cause });
  }
}

function runnerOf(
  network: OnnxNetwork,
  tokenizer: Tokenizer,
  file: TextEncoderFile,
): (texts: readonly string[]) => Promise<Float32Array> {
  const output = file.output ?? network.outputNames[0]!;
  return async (texts) => {
    const rows = texts.map((text) => cut(idsOf(tokenizer, file.prefix + text), file.tokensMax));
    const length = rows.reduce((most, row) => Math.max(most, row.length), 1);
    const inputs = inputsOf(rows, length, network.inputNames);
    return pool(await network.run(inputs, output), rows, file.pooling);
  };
}

/** The library leaves holes where a vocabulary lacks a token and names no other for the unknown. */
function idsOf(tokenizer: Tokenizer, text: string): readonly number[] {
  const { ids } = tokenizer.encode(text);
  if (ids.every((id) => id !== undefined)) return ids;
  throw new EngineError('MODEL_INVALID', `The tokenizer has no token for something in '${text.slice(0, TEXT_TOLD)}'.`);
}

const TEXT_TOLD = 60;

/** The closing token is kept: a network never saw a text without. */
function cut(ids: readonly number[], tokensMax: number): readonly number[] {
  return ids.length <= tokensMax ? ids : [...ids.slice(0, tokensMax - 1), ids.at(-1)!];
}

function inputsOf(
  rows: readonly (readonly number[])[],
  length: number,
  names: readonly string[],
): Record<string, OnnxArray> {
  const shape = [rows.length, length];
  const ids = new BigInt64Array(rows.length * length);
  const mask = new BigInt64Array(rows.length * length);
  rows.forEach((row, r) => {
    row.forEach((id, t) => {
      ids[r * length + t] = BigInt(id);
      mask[r * length + t] = 1n;
    });
  });
  const known: Record<string, BigInt64Array> = {
    input_ids: ids,
    attention_mask: mask,
    token_type_ids: new BigInt64Array(ids.length),
  };
  return Object.fromEntries(
    names.map((name) => {
      const values = known[name];
      if (values === undefined) {
        throw new EngineError(
          'MODEL_INVALID',
          `The network wants '${name}'; known are ${Object.keys(known).join(', ')}.`,
        );
      }
      return [name, { values, shape }];
    }),
  );
}

/** Output by token [texts, tokens, d] or by text [texts, d] -> vectors of length 1. */
function pool(
  { values, shape }: FloatArray,
  rows: readonly (readonly number[])[],
  how: 'mean' | 'first',
): Float32Array {
  const dimensions = shape.at(-1)!;
  const pooled = new Float32Array(rows.length * dimensions);
  const tokens = shape.length === 3 ? shape[1]! : 1;
  rows.forEach((row, r) => {
    const target = pooled.subarray(r * dimensions, (r + 1) * dimensions);
    const used = shape.length === 3 && how === 'mean' ? row.length : 1;
    for (let t = 0; t < used; t++) {
      const start = (r * tokens + t) * dimensions;
      for (let d = 0; d < dimensions; d++) target[d]! += values[start + d]!;
    }
    normalize(target);
  });
  return pooled;
}
