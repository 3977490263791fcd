/**
 * The content algorithm: encodes the catalogue, learns its spaces, and calibrates scores on what people met.
 *
 * Interactions decide popularity and calibration only; everything else is learnt from what items are, so that an item
 * nobody met is as good as any other.
 */
import { EngineError } from '../../../schemas/errors.js';
import { Calibration } from '../collaborative/calibration.js';
import type { CalibrationExample } from '../collaborative/calibration.js';
import { requireMemory, spaceIdOf, throwIfCancelled } from '../fitting.js';
import type { Algorithm, FitContext, LoadContext, ModelArtefact, ModelQuery } from '../model.js';
import { jsonBytes, readFloats, readJson } from '../model-files.js';
import { requireInteractions } from '../training-set.js';
import type { ItemContent, TrainingSet } from '../training-set.js';
import { CONTENT, ContentModel, MANIFEST_FILE, POPULARITY_FILE, weightOf } from './content-model.js';
import type { ContentParts } from './content-model.js';
import { contentSettings } from './content-settings.js';
import type { ContentSettings } from './content-settings.js';
import type { ImageEncoder, TextEncoder } from './encoders/encoder.js';
import { descriptors } from './encoders/image-descriptors.js';
import { openImageNetwork } from './encoders/image-network.js';
import { LsaTextEncoder } from './encoders/lsa-text.js';
import { openSentenceTransformer } from './encoders/sentence-transformer.js';
import { LabelModality } from './label-modality.js';
import type { Modality } from './modality.js';
import { NumberModality } from './number-modality.js';
import { ImageModality, textOf, TextModality } from './vector-modality.js';
import { VectorTable } from './vector-table.js';

const BUILT_IN_TEXT = 'lsa';
const BUILT_IN_IMAGE = 'descriptors';
/** Shares of the fit: for progress only. */
const [TEXT_SHARE, IMAGE_SHARE] = [0.6, 0.35];
const TEXT_BATCH = 32;
/** People calibration asks; more would not make it better. */
const CALIBRATION_USERS_MAX = 2_000;
const EPOCHS = 1;

export const content: Algorithm<typeof contentSettings> = {
  name: CONTENT,
  settings: contentSettings,
  fit: async (set, settings, context) => {
    requireInteractions(set);
    const items = requireContent(set);
    throwIfCancelled(context);
    const fitting: Fitting = { items, settings, context, count: set.itemIds.length };
    const modalities = [
      await fitText(fitting),
      await fitImages(fitting),
      weightOf(settings, 'categorical') > 0 ? fitLabels(fitting) : undefined,
      weightOf(settings, 'numerical') > 0 ? NumberModality.fit(items.numbers, fitting.count) : undefined,
    ].filter((modality) => modality !== undefined);
    if (modalities.length === 0) throw nothingToCompare();
    const model = calibrated(set, settings, { modalities, context });
    context.progress({ epoch: EPOCHS, epochs: EPOCHS, fraction: 1 });
    return model;
  },
  load: async (artefact, context) => {
    const settings = artefact.settings as ContentSettings;
    const { names, dimensions } = requireManifest(readJson(artefact, MANIFEST_FILE));
    const loading = { artefact, settings, context, dimensions };
    const modalities: Modality[] = [];
    if (names.includes('text')) modalities.push(await loadText(loading));
    if (names.includes('image')) {
      const table = VectorTable.load(artefact, 'image', dimensions['image']!);
      modalities.push(new ImageModality(table, settings.metric, await imageEncoderOf(settings, context)));
    }
    if (names.includes('categorical')) modalities.push(LabelModality.load(artefact, settings.categorySimilarity));
    if (names.includes('numerical')) modalities.push(NumberModality.load(artefact));
    return new ContentModel({
      settings,
      modalities,
      spaceId: artefact.spaceId,
      userCount: artefact.userCount,
      popularity: readFloats(artefact, POPULARITY_FILE, artefact.itemCount),
      calibration: Calibration.load(artefact),
      manifest: manifestOf(modalities),
    });
  },
};

interface Fitting {
  readonly items: ItemContent;
  readonly settings: ContentSettings;
  readonly context: FitContext;
  readonly count: number;
}

function requireContent({ itemContent }: TrainingSet): ItemContent {
  if (itemContent !== undefined) return itemContent;
  throw new EngineError(
    'TRAINING_SET_INVALID',
    'The training set says nothing of its items; content needs titles, texts, pictures, categories or numbers.',
  );
}

function nothingToCompare(): EngineError {
  return new EngineError(
    'TRAINING_SET_INVALID',
    'No item has a text, picture, category or number of a modality whose weight is above 0.',
  );
}

async function fitText({ items, settings, context, count }: Fitting): Promise<Modality | undefined> {
  if (weightOf(settings, 'text') === 0) return undefined;
  const texts = Array.from({ length: count }, (_, item) =>
    textOf({ title: items.titles[item], text: items.texts[item] }),
  );
  if (texts.every((text) => text === '')) return undefined;
  if (settings.textEncoder !== BUILT_IN_TEXT) {
    const encoder = await openSentenceTransformer(settings.textEncoder, textOptions(settings, context));
    const vectors = await encodeTexts(texts, encoder, context);
    return new TextModality(VectorTable.of(vectors, encoder.dimensions), settings.metric, encoder, () => ({}));
  }
  requireMemory(context, count * settings.textDimensions * Float32Array.BYTES_PER_ELEMENT, 'Vectors of texts');
  const encoder = LsaTextEncoder.fit(texts, {
    dimensionsMax: settings.textDimensions,
    featuresMax: settings.textFeatures,
    tokensMax: settings.textTokens,
    random: context.random,
    onStep: (done, of) => step(context, (TEXT_SHARE * done) / of),
    requireBytes: (bytes, what) => requireMemory(context, bytes, what),
  });
  if (encoder === undefined) return undefined;
  const table = VectorTable.of(encoder.encode(texts), encoder.dimensions);
  return new TextModality(table, settings.metric, encoder, () => encoder.save());
}

/** Said at every step; also where a fit is stopped. */
function step(context: FitContext, fraction: number): void {
  throwIfCancelled(context);
  context.progress({ epoch: EPOCHS, epochs: EPOCHS, fraction });
}

async function encodeTexts(texts: readonly string[], encoder: TextEncoder, context: FitContext): Promise<Float32Array> {
  requireMemory(context, texts.length * encoder.dimensions * Float32Array.BYTES_PER_ELEMENT, 'Vectors of texts');
  const vectors = new Float32Array(texts.length * encoder.dimensions);
  // Texts of like length share a batch: a network computes every text as long as the longest of its batch.
  const order = Array.from(texts.keys()).sort(
    (left, right) => texts[left]!.length - texts[right]!.length || left - right,
  );
  for (let start = 0; start < order.length; start += TEXT_BATCH) {
    const batch = order.slice(start, start + TEXT_BATCH).filter((item) => texts[item] !== '');
    const rows = await encoder.encode(batch.map((item) => texts[item]!));
    batch.forEach((item, r) =>
      vectors.set(rows.subarray(r * encoder.dimensions, (r + 1) * encoder.dimensions), item * encoder.dimensions),
    );
    step(context, (TEXT_SHARE * start) / order.length);
  }
  return vectors;
}

async function fitImages({ items, settings, context, count }: Fitting): Promise<Modality | undefined> {
  if (weightOf(settings, 'image') === 0 || items.image === undefined) return undefined;
  const encoder = await imageEncoderOf(settings, context);
  requireMemory(context, count * encoder.dimensions * Float32Array.BYTES_PER_ELEMENT, 'Vectors of pictures');
  const vectors = new Float32Array(count * encoder.dimensions);
  let unreadable = 0;
  for (let item = 0; item < count; item++) {
    const bytes = await items.image(item);
    const vector = bytes === undefined ? undefined : await encoder.encode(bytes);
    if (vector !== undefined) vectors.set(vector, item * encoder.dimensions);
    else if (bytes !== undefined) unreadable++;
    step(context, TEXT_SHARE + (IMAGE_SHARE * item) / count);
  }
  if (unreadable > 0) context.logger.warn('pictures that could not be read were left out', { unreadable });
  if (vectors.every((value) => value === 0)) return undefined;
  return new ImageModality(VectorTable.of(vectors, encoder.dimensions), settings.metric, encoder);
}

function fitLabels({ items, settings, context, count }: Fitting): LabelModality | undefined {
  const labelled = Array.from({ length: count }, (_, item) => ({
    categories: items.categories[item],
    brand: items.brands[item],
    tags: items.tags[item],
  }));
  return LabelModality.fit(labelled, {
    dimensionsMax: settings.categoryDimensions,
    similarity: settings.categorySimilarity,
    random: context.random,
  });
}

async function imageEncoderOf(settings: ContentSettings, { threads }: LoadContext | FitContext): Promise<ImageEncoder> {
  if (settings.imageEncoder === BUILT_IN_IMAGE) return descriptors;
  return openImageNetwork(settings.imageEncoder, threads);
}

function textOptions(settings: ContentSettings, { threads }: LoadContext | FitContext) {
  return { tokensMax: settings.textTokens, threads };
}

interface Loading {
  readonly artefact: ModelArtefact;
  readonly settings: ContentSettings;
  readonly context: LoadContext;
  readonly dimensions: Readonly<Record<string, number>>;
}

async function loadText({ artefact, settings, context, dimensions }: Loading): Promise<Modality> {
  const table = VectorTable.load(artefact, 'text', dimensions['text']!);
  if (settings.textEncoder === BUILT_IN_TEXT) {
    const encoder = LsaTextEncoder.load(artefact, settings.textTokens);
    return new TextModality(table, settings.metric, encoder, () => encoder.save());
  }
  const encoder = await openSentenceTransformer(settings.textEncoder, textOptions(settings, context));
  return new TextModality(table, settings.metric, encoder, () => ({}));
}

interface Manifest {
  readonly names: readonly string[];
  readonly dimensions: Readonly<Record<string, number>>;
}

function manifestOf(modalities: readonly Modality[]): Uint8Array {
  const dimensions = Object.fromEntries(modalities.map((modality) => [modality.name, modality.dimensions]));
  return jsonBytes({ names: modalities.map(({ name }) => name), dimensions } satisfies Manifest);
}

function requireManifest(value: unknown): Manifest {
  const manifest = value as Partial<Manifest> | null;
  if (Array.isArray(manifest?.names) && typeof manifest.dimensions === 'object') return manifest as Manifest;
  throw new EngineError('MODEL_INVALID', `File '${MANIFEST_FILE}' does not name modalities.`);
}

/** Twice made: once to ask for scores of what people met and of what they did not, once with what these came to. */
function calibrated(
  set: TrainingSet,
  settings: ContentSettings,
  { modalities, context }: { modalities: readonly Modality[]; context: FitContext },
): ContentModel {
  const vectors = modalities.map((modality) => modality.save()).flatMap((files) => Object.values(files));
  const parts: ContentParts = {
    settings,
    modalities,
    spaceId: spaceIdOf(CONTENT, ...vectors),
    userCount: set.userIds.length,
    popularity: popularityOf(set),
    calibration: Calibration.learn([]),
    manifest: manifestOf(modalities),
  };
  const examples = calibrationExamples(set, new ContentModel(parts), context);
  return new ContentModel({ ...parts, calibration: Calibration.learn(examples) });
}

function popularityOf(set: TrainingSet): Float32Array {
  const counts = new Float64Array(set.itemIds.length);
  for (const item of set.items) counts[item]!++;
  const greatest = counts.reduce((most, count) => Math.max(most, count), 0);
  return Float32Array.from(counts, (count) => count / greatest);
}

/** For each of some people the last they met, after the history before it, and beside it one drawn by popularity. */
function calibrationExamples(set: TrainingSet, model: ContentModel, context: FitContext): CalibrationExample[] {
  const random = context.random.stream('calibration');
  const people = random
    .shuffle(set.userIds.map((_, user) => user).filter((user) => lengthOf(set, user) > model.historyMin))
    .slice(0, CALIBRATION_USERS_MAX);
  return people.flatMap((user) => {
    const [from, last] = [set.rowStart[user]!, set.rowStart[user + 1]! - 1];
    const query: ModelQuery = {
      user,
      items: set.items.subarray(from, last),
      times: set.hasTimes ? set.times.subarray(from, last) : undefined,
      weights: set.hasWeights ? set.weights.subarray(from, last) : undefined,
      types: set.types.subarray(from, last),
    };
    const [met, other] = model.score(query, Int32Array.of(set.items[last]!, set.items[random.int(set.items.length)]!));
    return [
      { score: met!, isPositive: true },
      { score: other!, isPositive: false },
    ];
  });
}

function lengthOf(set: TrainingSet, user: number): number {
  return set.rowStart[user + 1]! - set.rowStart[user]!;
}
