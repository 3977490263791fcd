/**
 * Texts in a latent space learnt from the catalogue: TF-IDF over hashed words and subwords, then the strongest singular
 * directions (latent semantic analysis, Deerwester et al. 1990).
 *
 *     x(f) = ln(1 + count(f)) · idf(f),   idf(f) = ln((1 + N) / (1 + df(f))),   vector = V x / |V x|
 *
 * N texts, df(f) of them with feature f, V the right singular vectors of the N rows x, each of length 1. Features that
 * all or only one of the texts have tell nothing apart and are left out; of the others the ones with the most weight are
 * kept, up to `featuresMax`. A new text needs only V and idf: it is encoded at once, without learning again.
 *
 * Shapes: idf [features], V [features × dimensions]. Cost of a text: its distinct features × dimensions.
 */
import { EngineError } from '../../../../schemas/errors.js';
import type { Random } from '../../../../streams/random.js';
import { spaceIdOf } from '../../fitting.js';
import type { SparseMatrix } from '../../kernels/sparse-matrix.js';
import { svdBytes, truncatedSvd } from '../../kernels/truncated-svd.js';
import type { ModelArtefact, ModelFiles } from '../../model.js';
import { bytesOf, jsonBytes, readFloats, readInts, readJson } from '../../model-files.js';
import type { TextEncoder } from './encoder.js';
import { normalize } from './encoder.js';
import { BUCKET_BITS, countFeatures, wordBucket, wordsOf } from './text-features.js';

export interface LsaOptions {
  readonly dimensionsMax: number;
  readonly featuresMax: number;
  readonly tokensMax: number;
  readonly random: Random;
  readonly onStep: (done: number, of: number) => void;
  readonly requireBytes: (bytes: number, what: string) => void;
}

/** A direction needs this many texts to mean something: small catalogues get fewer dimensions. */
const TEXTS_PER_DIMENSION = 8;
const FEATURE_TEXTS_MIN = 2;
/** Features of more than this share of the texts are stop words of the catalogue's language. */
const FEATURE_SHARE_MAX = 0.5;
const TOPIC_TERMS = 5;
const FILES = {
  features: 'text-features.i32',
  idf: 'text-idf.f32',
  space: 'text-space.f32',
  topics: 'text-topics.json',
};

/** Parts of a fitted encoder; what is saved. */
interface LsaSpace {
  /** Buckets kept, ascending. */
  readonly buckets: Int32Array;
  readonly idf: Float32Array;
  readonly right: Float32Array;
  readonly dimensions: number;
  readonly tokensMax: number;
  /** By dimension: words at its positive end, and at its negative. */
  readonly topics: readonly (readonly [readonly string[], readonly string[]])[];
}

export class LsaTextEncoder implements TextEncoder {
  readonly id: string;
  private readonly places: Int32Array;

  private constructor(private readonly space: LsaSpace) {
    this.id = spaceIdOf('lsa', space.buckets, space.idf, space.right);
    this.places = new Int32Array(1 << BUCKET_BITS).fill(-1);
    space.buckets.forEach((bucket, place) => (this.places[bucket] = place));
  }

  /** Undefined when the texts have nothing to compare: none, or no word in two of them. */
  static fit(texts: readonly string[], options: LsaOptions): LsaTextEncoder | undefined {
    const corpus = countCorpus(texts, options.tokensMax);
    const kept = chooseFeatures(corpus, options.featuresMax);
    if (kept.length === 0) return undefined;
    const idf = Float32Array.from(kept, (bucket) => idfOf(corpus.rows.length, corpus.frequencies[bucket]!));
    const matrix = weightedRows(corpus, kept, idf);
    const { dimensionsMax, random, onStep, requireBytes } = options;
    const rank = Math.max(1, Math.min(dimensionsMax, Math.floor(corpus.rows.length / TEXTS_PER_DIMENSION)));
    requireBytes(svdBytes(matrix, rank), 'Finding the topics of texts');
    const { right, rank: dimensions } = truncatedSvd(matrix, rank, { random: random.stream('lsa'), onStep });
    const topics = topicsOf(right, dimensions, { kept, idf, words: corpus.words });
    return new LsaTextEncoder({ buckets: kept, idf, right, dimensions, tokensMax: options.tokensMax, topics });
  }

  static load(artefact: ModelArtefact, tokensMax: number): LsaTextEncoder {
    const topics = requireTopics(readJson(artefact, FILES.topics));
    const buckets = readInts(artefact, FILES.features);
    const idf = readFloats(artefact, FILES.idf, buckets.length);
    const right = readFloats(artefact, FILES.space, buckets.length * topics.length);
    return new LsaTextEncoder({ buckets, idf, right, dimensions: topics.length, tokensMax, topics });
  }

  get dimensions(): number {
    return this.space.dimensions;
  }

  save(): ModelFiles {
    const { buckets, idf, right, topics } = this.space;
    return {
      [FILES.features]: bytesOf(buckets),
      [FILES.idf]: bytesOf(idf),
      [FILES.space]: bytesOf(right),
      [FILES.topics]: jsonBytes(topics),
    };
  }

  encode(texts: readonly string[]): Float32Array {
    const { dimensions } = this.space;
    const rows = new Float32Array(texts.length * dimensions);
    texts.forEach((text, r) => this.encodeInto(text, rows.subarray(r * dimensions, (r + 1) * dimensions)));
    return rows;
  }

  topicTerms(dimension: number, sign: 1 | -1): readonly string[] {
    return this.space.topics[dimension]?.[sign === 1 ? 0 : 1] ?? [];
  }

  async close(): Promise<void> {}

  private encodeInto(text: string, vector: Float32Array): void {
    const { idf, right, dimensions, tokensMax } = this.space;
    for (const [bucket, count] of countFeatures(wordsOf(text, tokensMax))) {
      const place = this.places[bucket]!;
      if (place < 0) continue;
      const value = Math.log1p(count) * idf[place]!;
      const row = place * dimensions;
      for (let d = 0; d < dimensions; d++) vector[d]! += value * right[row + d]!;
    }
    normalize(vector);
  }
}

interface Corpus {
  /** Texts with at least one word, as bucket -> count. */
  readonly rows: readonly Map<number, number>[];
  /** Texts by bucket. */
  readonly frequencies: Int32Array;
  /** Bucket -> the first word that fell into it, to name topics by. */
  readonly words: ReadonlyMap<number, string>;
}

function countCorpus(texts: readonly string[], tokensMax: number): Corpus {
  const frequencies = new Int32Array(1 << BUCKET_BITS);
  const words = new Map<number, string>();
  const rows: Map<number, number>[] = [];
  for (const text of texts) {
    const found = wordsOf(text, tokensMax);
    if (found.length === 0) continue;
    for (const word of found) if (!words.has(wordBucket(word))) words.set(wordBucket(word), word);
    const counts = countFeatures(found);
    for (const bucket of counts.keys()) frequencies[bucket]!++;
    rows.push(counts);
  }
  return { rows, frequencies, words };
}

function idfOf(texts: number, frequency: number): number {
  return Math.log((1 + texts) / (1 + frequency));
}

/** Buckets with the greatest sum of squared weights, ascending. */
function chooseFeatures({ rows, frequencies }: Corpus, featuresMax: number): Int32Array {
  const energies = new Float64Array(frequencies.length);
  const most = rows.length * FEATURE_SHARE_MAX;
  for (const counts of rows) {
    for (const [bucket, count] of counts) {
      const frequency = frequencies[bucket]!;
      if (frequency < FEATURE_TEXTS_MIN || frequency > most) continue;
      energies[bucket]! += (Math.log1p(count) * idfOf(rows.length, frequency)) ** 2;
    }
  }
  const candidates: number[] = [];
  for (let bucket = 0; bucket < energies.length; bucket++) if (energies[bucket]! > 0) candidates.push(bucket);
  candidates.sort((left, right) => energies[right]! - energies[left]! || left - right);
  return Int32Array.from(candidates.slice(0, featuresMax)).sort();
}

function weightedRows({ rows, frequencies }: Corpus, kept: Int32Array, idf: Float32Array): SparseMatrix {
  const places = new Int32Array(frequencies.length).fill(-1);
  kept.forEach((bucket, place) => (places[bucket] = place));
  const rowStart = new Int32Array(rows.length + 1);
  const columns: number[] = [];
  const values: number[] = [];
  rows.forEach((counts, r) => {
    const start = columns.length;
    let squares = 0;
    for (const [bucket, count] of counts) {
      const place = places[bucket]!;
      if (place < 0) continue;
      const value = Math.log1p(count) * idf[place]!;
      columns.push(place);
      values.push(value);
      squares += value * value;
    }
    for (let p = start; p < values.length; p++) values[p]! /= Math.sqrt(squares);
    rowStart[r + 1] = columns.length;
  });
  return {
    rowCount: rows.length,
    columnCount: kept.length,
    rowStart,
    columns: Int32Array.from(columns),
    values: Float32Array.from(values),
  };
}

/** A word that names something; years and numbers do not say what a topic is about. */
const TOPIC_WORD = /^\p{L}{3,}$/u;

/** The words furthest out at each end of each direction, rare ones before those most texts have. */
function topicsOf(
  right: Float32Array,
  dimensions: number,
  { kept, idf, words }: { kept: Int32Array; idf: Float32Array; words: ReadonlyMap<number, string> },
): LsaSpace['topics'] {
  const named = Array.from(kept.keys()).filter((place) => TOPIC_WORD.test(words.get(kept[place]!) ?? ''));
  return Array.from({ length: dimensions }, (_, d) => {
    const at = (place: number): number => right[place * dimensions + d]! * idf[place]!;
    const sorted = named.toSorted((left, other) => at(other) - at(left) || left - other);
    const terms = (places: readonly number[]): string[] => places.map((place) => words.get(kept[place]!)!);
    return [
      terms(sorted.slice(0, TOPIC_TERMS).filter((place) => at(place) > 0)),
      terms(
        sorted
          .slice(-TOPIC_TERMS)
          .toReversed()
          .filter((place) => at(place) < 0),
      ),
    ] as const;
  });
}

function requireTopics(value: unknown): LsaSpace['topics'] {
  if (isTopics(value)) return value;
  throw new EngineError('MODEL_INVALID', `File '${FILES.topics}' does not name the topics of a text space.`);
}

function isTopics(value: unknown): value is LsaSpace['topics'] {
  const isTerms = (terms: unknown): boolean => Array.isArray(terms) && terms.every((term) => typeof term === 'string');
  const isPair = (pair: unknown): boolean => Array.isArray(pair) && pair.length === 2 && pair.every(isTerms);
  return Array.isArray(value) && value.length > 0 && value.every(isPair);
}
