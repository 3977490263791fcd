import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { content } from '../../../../../serving/models/content/content.js';
import type { ContentModel } from '../../../../../serving/models/content/content-model.js';
import { openImageNetwork } from '../../../../../serving/models/content/encoders/image-network.js';
import { openSentenceTransformer } from '../../../../../serving/models/content/encoders/sentence-transformer.js';
import { parseSettings } from '../../../../../serving/models/fitting.js';
import { fitContext } from '../../fit-context.js';
import { describedWorld, plainPicture } from '../described-world.js';
import { onnxBytes } from './onnx-bytes.js';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folderOf(files: Readonly<Record<string, Uint8Array | object>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-encoder-'));
  folders.push(folder);
  for (const [name, value] of Object.entries(files)) {
    writeFileSync(join(folder, name), value instanceof Uint8Array ? value : JSON.stringify(value));
  }
  return folder;
}

/** The mean of each channel: what was prepared can be read off the vector. */
const CHANNEL_MEANS = onnxBytes({
  inputs: [{ name: 'picture', type: 'float', shape: [1, 3, 16, 16] }],
  outputs: [{ name: 'vector', type: 'float', shape: [1, 3] }],
  nodes: [
    { operation: 'GlobalAveragePool', inputs: ['picture'], outputs: ['means'] },
    { operation: 'Flatten', inputs: ['means'], outputs: ['vector'] },
  ],
});
const PREPARATION = { width: 16, height: 16, mean: [0.5, 0.25, 0], deviation: [0.5, 0.25, 2] };

const VOCABULARY = ['[CLS]', '[SEP]', '[UNK]', 'crime', 'space', 'food'];
const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
const TOKENIZER = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [0, 1, 2].map((id) => ({
    id,
    content: VOCABULARY[id],
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  })),
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [special('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, special('[SEP]')],
    pair: [special('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, special('[SEP]')],
    special_tokens: Object.fromEntries(
      ['[CLS]', '[SEP]'].map((token, id) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  },
  decoder: null,
  model: {
    type: 'WordPiece',
    vocab: Object.fromEntries(VOCABULARY.map((word, id) => [word, id])),
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
  },
};
/** Each token its own direction: a text's vector is the counts of its tokens. */
const TOKEN_COUNTS = onnxBytes({
  inputs: ['input_ids', 'attention_mask'].map((name) => ({ name, type: 'int64', shape: ['texts', 'tokens'] })),
  outputs: [{ name: 'last_hidden_state', type: 'float', shape: ['texts', 'tokens', 6] }],
  nodes: [{ operation: 'Gather', inputs: ['directions', 'input_ids'], outputs: ['last_hidden_state'] }],
  weights: [
    { name: 'directions', shape: [6, 6], values: Float32Array.from({ length: 36 }, (_, i) => Number(i % 7 === 0)) },
  ],
});
const SENTENCES = { 'tokenizer.json': TOKENIZER, 'model.onnx': TOKEN_COUNTS };
const OPTIONS = { tokensMax: 512, threads: 1 };

describe('a network for pictures from a folder', () => {
  it('gets pictures prepared as declared', async () => {
    const encoder = await openImageNetwork(folderOf({ 'model.onnx': CHANNEL_MEANS, 'encoder.json': PREPARATION }), 1);
    // Red 1, green 0.2, blue 0: (1 − ½) / ½ = 1, (0.2 − ¼) / ¼ = −0.2, 0 / 2 = 0; then of length 1.
    const vector = (await encoder.encode(await plainPicture('#ff3300')))!;
    const length = Math.hypot(1, -0.2);
    expect([...vector]).toEqual([1 / length, -0.2 / length, 0].map((value) => expect.closeTo(value, 5) as unknown));
    expect(encoder.dimensions).toBe(3);
    expect(await encoder.encode(Buffer.from('no picture'))).toBeUndefined();
    await encoder.close();
  });

  it('gets blue first where that is declared', async () => {
    const folder = folderOf({
      'model.onnx': CHANNEL_MEANS,
      'encoder.json': { ...PREPARATION, channels: 'bgr', mean: [0, 0, 0], deviation: [1, 1, 1] },
    });
    const encoder = await openImageNetwork(folder, 1);
    expect([...(await encoder.encode(await plainPicture('#ff0000')))!]).toEqual([0, 0, 1]);
    await encoder.close();
  });

  it('is refused without a declaration, with a wrong one, or when it is damaged', async () => {
    const invalid = { code: 'MODEL_INVALID' };
    await expect(openImageNetwork(folderOf({ 'model.onnx': CHANNEL_MEANS }), 1)).rejects.toMatchObject(invalid);
    for (const wrong of [{ mean: [0] }, { ...PREPARATION, width: 17 }, { ...PREPARATION, size: 3 }]) {
      const folder = folderOf({ 'model.onnx': CHANNEL_MEANS, 'encoder.json': wrong });
      await expect(openImageNetwork(folder, 1)).rejects.toMatchObject(invalid);
    }
    const damaged = folderOf({ 'model.onnx': CHANNEL_MEANS.subarray(0, 40), 'encoder.json': PREPARATION });
    await expect(openImageNetwork(damaged, 1)).rejects.toMatchObject(invalid);
  });
});

describe('a sentence transformer from a folder', () => {
  it('gives the mean of its tokens, each text by itself whatever shares its batch', async () => {
    const encoder = await openSentenceTransformer(folderOf(SENTENCES), OPTIONS);
    expect(encoder.dimensions).toBe(6);
    const rows = await encoder.encode(['Crime crime', 'food']);
    const [double, single] = [Math.hypot(1, 1, 2), Math.hypot(1, 1, 1)];
    const expected = [1, 1, 0, 2, 0, 0].map((x) => x / double).concat([1, 1, 0, 0, 0, 1].map((x) => x / single));
    expect([...rows]).toEqual(expected.map((value) => expect.closeTo(value, 5) as unknown));
    expect((await encoder.encode(['food'])).slice()).toEqual(rows.slice(6));
    await encoder.close();
  });

  it('cuts long texts but keeps the closing token', async () => {
    const encoder = await openSentenceTransformer(folderOf(SENTENCES), { ...OPTIONS, tokensMax: 4 });
    const rows = await encoder.encode(['crime space food food food']);
    expect([...rows].map((value) => Math.round(value * 2))).toEqual([1, 1, 0, 1, 1, 0]);
    await encoder.close();
  });

  it('takes the first token where that is declared', async () => {
    const encoder = await openSentenceTransformer(
      folderOf({ ...SENTENCES, 'encoder.json': { pooling: 'first' } }),
      OPTIONS,
    );
    expect([...(await encoder.encode(['food']))]).toEqual([1, 0, 0, 0, 0, 0]);
    await encoder.close();
  });

  it('is refused without a tokenizer or network, or with inputs nobody knows', async () => {
    const stranger = onnxBytes({
      inputs: [{ name: 'pixels', type: 'float', shape: [1] }],
      outputs: [{ name: 'out', type: 'float', shape: [1] }],
      nodes: [{ operation: 'Identity', inputs: ['pixels'], outputs: ['out'] }],
    });
    for (const files of [
      { 'model.onnx': TOKEN_COUNTS },
      { 'tokenizer.json': TOKENIZER },
      { ...SENTENCES, 'model.onnx': stranger },
    ]) {
      await expect(openSentenceTransformer(folderOf(files), OPTIONS)).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    }
  });
});

describe('content with networks from folders', () => {
  it('learns, loads and takes in items with them', async () => {
    const textEncoder = folderOf(SENTENCES);
    const imageEncoder = folderOf({ 'model.onnx': CHANNEL_MEANS, 'encoder.json': PREPARATION });
    const settings = parseSettings(content, { textEncoder, imageEncoder });
    const model = (await content.fit(describedWorld(), settings, fitContext())) as ContentModel;
    const loaded = await content.load(
      {
        algorithm: model.algorithm,
        spaceId: model.spaceId,
        settings,
        itemCount: 40,
        userCount: 60,
        files: model.save(),
      },
      fitContext(),
    );
    const query = { user: -1, items: Int32Array.of(1, 13, 17) };
    const all = Int32Array.from({ length: 40 }, (_, item) => item);
    expect(loaded.score(query, all)).toEqual(model.score(query, all));
    const item = model.foldInItem({ itemId: 'new', text: 'space', image: await plainPicture('#2060ff') });
    expect(model.score(query, Int32Array.of(item))[0]).toBe(-Infinity);
    await model.settled();
    expect(model.score(query, Int32Array.of(item))[0]).toBeGreaterThan(0.5);
    await Promise.all([model.close(), loaded.close()]);
  });
});
