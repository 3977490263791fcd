/**
 * encoder.json in a model folder: what a network in ONNX expects of its input and which output is the vector.
 *
 * A sentence transformer needs none when it keeps to the usual layout; a network for pictures must say how pictures are
 * prepared, because nothing in ONNX says it and a wrong guess gives vectors that look right.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { EngineError } from '../../../../schemas/errors.js';

const textEncoderSchema = z.strictObject({
  model: z
    .string()
    .min(1)
    .default('model.onnx')
    .describe('File of the network; onnx/model.onnx is looked for as well.'),
  pooling: z.enum(['mean', 'first']).default('mean').describe('mean of the tokens, or the first token ([CLS]).'),
  tokensMax: z.int().min(2).max(8_192).default(512).describe('Tokens the network was made for.'),
  output: z.string().min(1).optional().describe('Output with a vector by token, or by text; the first by default.'),
  prefix: z.string().default('').describe('Put in front of each text, as some networks want.'),
});

const three = z.tuple([z.number(), z.number(), z.number()]);

const imageEncoderSchema = z.strictObject({
  model: z.string().min(1).default('model.onnx'),
  width: z.int().min(8).max(2_048).default(224),
  height: z.int().min(8).max(2_048).default(224),
  fit: z
    .enum(['fill', 'crop'])
    .default('crop')
    .describe('crop: scaled to shorterSide, then the middle; fill: stretched.'),
  shorterSide: z.int().min(8).max(4_096).default(256),
  channels: z.enum(['rgb', 'bgr']).default('rgb'),
  layout: z.enum(['channels-first', 'channels-last']).default('channels-first'),
  scale: z
    .number()
    .positive()
    .default(1 / 255)
    .describe('Factor of the bytes, before mean and deviation.'),
  mean: three.describe('Taken away from each channel, in order of `channels`.'),
  deviation: three.describe('Each channel is divided by it.'),
  output: z.string().min(1).optional(),
});

export type TextEncoderFile = z.infer<typeof textEncoderSchema>;
export type ImageEncoderFile = z.infer<typeof imageEncoderSchema>;

const FILE = 'encoder.json';

/** Defaults where the folder has no encoder.json. Throws MODEL_INVALID with every fault. */
export async function readTextEncoderFile(folder: string): Promise<TextEncoderFile> {
  return parse(folder, textEncoderSchema, (await readJsonFile(join(folder, FILE))) ?? {});
}

export async function readImageEncoderFile(folder: string): Promise<ImageEncoderFile> {
  const raw = await readJsonFile(join(folder, FILE));
  if (raw !== undefined) return parse(folder, imageEncoderSchema, raw);
  throw new EngineError(
    'MODEL_INVALID',
    `Folder '${folder}' has no ${FILE}: declare how pictures are prepared for its network, at least mean and deviation.`,
  );
}

function parse<S extends z.ZodType>(folder: string, schema: S, raw: unknown): z.output<S> {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'file'}: ${issue.message}`);
  throw new EngineError('MODEL_INVALID', `'${join(folder, FILE)}' has faults: ${faults.join('; ')}.`);
}

/** Undefined when there is no such file. */
export async function readJsonFile(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new EngineError('MODEL_INVALID', `'${path}' cannot be read as JSON.`, { cause });
  }
}
