/**
 * The content model: a person's profile in each modality, and items scored by how near they lie.
 *
 *     score(i) = Σ_m w_m · s_m(i) / Σ_m w_m     over the modalities m that both the history and the item have
 *
 * s_m is 0 to 1 (modality.ts), so scores are too. Short histories get popular content instead. An item nobody ever met
 * is scored like any other; one that arrives later is taken in by `foldInItem` without learning again.
 *
 * Invariant: what is taken in never moves what is there. Concurrency: networks and decoders of items just taken in
 * finish later, in order of arrival; `settled` waits for them.
 */
import { EngineError } from '../../../schemas/errors.js';
import { grown } from '../../../streams/typed-growth.js';
import type { Calibration } from '../collaborative/calibration.js';
import { scoreRows, topOf } from '../fitting.js';
import type { ItemVectors, Model, ModelFiles, ModelQuery, ModelReason, NewItem, RankedItems } from '../model.js';
import { bytesOf } from '../model-files.js';
import type { ContentSettings } from './content-settings.js';
import { weightedHistory } from './history.js';
import type { Modality, ModalityName, ModalityProfile } from './modality.js';

export const CONTENT = 'content';
export const POPULARITY_FILE = 'popularity.f32';

export interface ContentParts {
  readonly spaceId: string;
  readonly userCount: number;
  readonly settings: ContentSettings;
  readonly modalities: readonly Modality[];
  /** By item, the most popular 1. */
  readonly popularity: Float32Array;
  /** Of scores; learnt after the modalities. */
  readonly calibration: Calibration;
  /** Says what of the modalities is in the files beside their own. */
  readonly manifest: Uint8Array;
}

export const MANIFEST_FILE = 'content.json';

/** Items whose picture or text may wait for its encoder at once; more are refused, so that memory is bounded. */
const ENCODINGS_MAX = 10_000;
/** Confidence of a cold start, the same for all models. */
const COLD_CONFIDENCE = 0.3;
/** Reasons weaker than this, beside the strongest, are noise to whoever reads them. */
const REASON_STRENGTH_MIN = 0.05;

interface Weighted {
  readonly modality: Modality;
  readonly weight: number;
}

interface Side {
  readonly profile: ModalityProfile;
  readonly weight: number;
}

export class ContentModel implements Model {
  readonly algorithm = CONTENT;
  readonly spaceId: string;
  readonly userCount: number;
  itemCount: number;
  private readonly weighted: readonly Weighted[];
  private popularity: Float32Array;
  private encoding: Promise<void> = Promise.resolve();
  private waiting = 0;

  constructor(private readonly parts: ContentParts) {
    this.spaceId = parts.spaceId;
    this.userCount = parts.userCount;
    this.popularity = parts.popularity;
    this.itemCount = parts.popularity.length;
    this.weighted = parts.modalities.map((modality) => ({ modality, weight: weightOf(parts.settings, modality.name) }));
  }

  save(): ModelFiles {
    const files = this.parts.modalities.map((modality) => modality.save());
    return Object.assign({}, ...files, {
      [MANIFEST_FILE]: this.parts.manifest,
      [POPULARITY_FILE]: bytesOf(this.popularity.subarray(0, this.itemCount)),
      ...this.parts.calibration.files(),
    }) as ModelFiles;
  }

  /** Candidates above the threshold; popular content where there is none, or nothing known to compare with. */
  retrieve(query: ModelQuery, k: number): RankedItems {
    const { threshold, candidatesMax } = this.parts.settings;
    const sides = this.sidesOf(query);
    const most = Math.min(k, candidatesMax);
    if (sides.length > 0) {
      const scores = new Float32Array(this.itemCount);
      this.scoreInto(sides, scores);
      const found = topOf(scores, most, query.excluded);
      const count = found.scores.findIndex((score) => score < threshold);
      if (count < 0) return found;
      if (count > 0) return { ...found, items: found.items.slice(0, count), scores: found.scores.slice(0, count) };
    }
    return topOf(this.popularity.subarray(0, this.itemCount), most, query.excluded, 'popular');
  }

  score(query: ModelQuery, items: Int32Array): Float32Array {
    const sides = this.sidesOf(query);
    if (sides.length === 0) return Float32Array.from(items, (item) => this.popularity[item] ?? -Infinity);
    return Float32Array.from(items, (item) => scoreOf(sides, item));
  }

  async scoreAll(queries: readonly ModelQuery[], into: Float32Array): Promise<void> {
    scoreRows(queries, this.itemCount, into, (query, row) => {
      const sides = this.sidesOf(query);
      if (sides.length === 0) row.set(this.popularity.subarray(0, this.itemCount));
      else this.scoreInto(sides, row);
    });
  }

  confidence(query: ModelQuery, items: Int32Array): Float32Array {
    if (this.sidesOf(query).length === 0)
      return this.score(query, items).map((score) => Math.max(0, score) * COLD_CONFIDENCE);
    return this.score(query, items).map((score) => this.parts.calibration.chance(score));
  }

  /** Reasons of all modalities, each by its share of the score. */
  explain(query: ModelQuery, item: number): readonly ModelReason[] {
    const sides = this.sidesOf(query);
    if (sides.length === 0) return [{ kind: 'popular', strength: this.popularity[item] ?? 0 }];
    const told = sides.flatMap(({ profile, weight }) => {
      const similarity = profile.similarity(item);
      if (!(similarity > 0)) return [];
      return profile.reasons(item).map((reason) => ({ ...reason, strength: reason.strength * weight * similarity }));
    });
    const strongest = told.reduce((most, { strength }) => Math.max(most, strength), 0);
    return told
      .map((reason) => ({ ...reason, strength: reason.strength / strongest }))
      .filter(({ strength }) => strength >= REASON_STRENGTH_MIN)
      .sort((left, right) => right.strength - left.strength);
  }

  /** All modalities side by side, each times the root of its weight: a dot product is the weighted sum of cosines. */
  foldInUser(query: ModelQuery): Float32Array | undefined {
    const history = weightedHistory(query, this.parts.settings);
    if (history.items.length === 0) return undefined;
    const row = new Float32Array(this.dimensions);
    this.eachPart(row, ({ modality, weight }, part) => {
      const profile = modality.profileOf(history);
      if (profile !== undefined) part.set(profile.vector.map((value) => value * Math.sqrt(weight)));
    });
    return row;
  }

  foldInItem(item: NewItem): number {
    if (this.waiting >= ENCODINGS_MAX) {
      throw new EngineError(
        'OVERLOADED',
        `${this.waiting} items wait for the encoders of the content model; try later.`,
      );
    }
    const index = this.itemCount++;
    this.popularity = grown(this.popularity, this.itemCount);
    const pending = this.parts.modalities
      .map((modality) => modality.add(index, item))
      .filter((later) => later !== undefined);
    if (pending.length > 0) {
      this.waiting++;
      const before = this.encoding;
      this.encoding = Promise.all([before, ...pending]).then(
        () => void this.waiting--,
        (cause: unknown) => {
          this.waiting--;
          throw cause;
        },
      );
      // Whoever asks `settled` hears of it; nobody asking must not end the process.
      this.encoding.catch(() => undefined);
    }
    return index;
  }

  /** Resolves once all items taken in have what their encoders make of them; rejects when an encoder failed. */
  async settled(): Promise<void> {
    const encoding = this.encoding;
    this.encoding = Promise.resolve();
    await encoding;
  }

  itemVectors(): ItemVectors {
    const { dimensions } = this;
    const values = new Float32Array(this.itemCount * dimensions);
    for (let item = 0; item < this.itemCount; item++) {
      this.eachPart(values.subarray(item * dimensions, (item + 1) * dimensions), ({ modality, weight }, part) => {
        modality.vectorInto(item, part);
        for (let d = 0; d < part.length; d++) part[d]! *= Math.sqrt(weight);
      });
    }
    return { dimensions, values, metric: 'dot' };
  }

  async close(): Promise<void> {
    await Promise.all(this.parts.modalities.map((modality) => modality.close()));
  }

  /** Interactions a history needs for a profile. */
  get historyMin(): number {
    return Math.max(1, this.parts.settings.interactionsMin);
  }

  private get dimensions(): number {
    return this.parts.modalities.reduce((sum, modality) => sum + modality.dimensions, 0);
  }

  private eachPart(row: Float32Array, fill: (weighted: Weighted, part: Float32Array) => void): void {
    let at = 0;
    for (const weighted of this.weighted) {
      fill(weighted, row.subarray(at, at + weighted.modality.dimensions));
      at += weighted.modality.dimensions;
    }
  }

  /** Empty when the history is too short, or has nothing to compare with. */
  private sidesOf(query: ModelQuery): readonly Side[] {
    if (query.items.length < this.historyMin) return [];
    const history = weightedHistory(query, this.parts.settings);
    return this.weighted.flatMap(({ modality, weight }) => {
      const profile = modality.profileOf(history);
      return profile === undefined ? [] : [{ profile, weight }];
    });
  }

  private scoreInto(sides: readonly Side[], row: Float32Array): void {
    for (let item = 0; item < this.itemCount; item++) row[item] = scoreOf(sides, item);
  }
}

/** −Infinity for an item that has nothing the history has. */
function scoreOf(sides: readonly Side[], item: number): number {
  let [sum, total] = [0, 0];
  for (const { profile, weight } of sides) {
    const similarity = profile.similarity(item);
    if (Number.isNaN(similarity)) continue;
    sum += weight * similarity;
    total += weight;
  }
  return total === 0 ? -Infinity : sum / total;
}

export function weightOf(settings: ContentSettings, name: ModalityName): number {
  return settings[`${name}Weight`];
}
