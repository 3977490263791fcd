/**
 * Popularity: the baseline every other model has to beat, and what they fall back to.
 *
 * score(i) = Σ over interactions with i of 2^(−age / halfLife) (1 each without a half-life or without times), the same for
 * everybody. `score` is divided by the greatest, so the best item has 1.
 */
import { defineSection, setting } from '../../../streams/config.js';
import type { SectionValues } from '../../../streams/config.js';
import { requireMemory, scoreRows, spaceIdOf, throwIfCancelled, topOf } from '../fitting.js';
import type { Algorithm, Model, ModelFiles, ModelQuery, ModelReason, RankedItems } from '../model.js';
import { bytesOf, readFloats } from '../model-files.js';
import { requireInteractions } from '../training-set.js';
import type { TrainingSet } from '../training-set.js';

const popularitySettings = defineSection(
  'popularity',
  {
    halfLifeDays: setting.number({
      default: 0,
      min: 0,
      max: 36_500,
      unit: 'days',
      description: 'Age at which an interaction counts half; 0 counts all alike.',
    }),
  },
  { description: 'Counts of interactions, optionally fading.' },
);

type PopularitySettings = SectionValues<typeof popularitySettings>;

const NAME = 'popularity';
const DAY_MS = 86_400_000;
const FILE = 'scores.f32';

export const popularity: Algorithm<typeof popularitySettings> = {
  name: NAME,
  settings: popularitySettings,
  fit: async (set, settings, context) => {
    requireInteractions(set);
    throwIfCancelled(context);
    requireMemory(context, set.itemIds.length * Float64Array.BYTES_PER_ELEMENT, 'Popularity by item');
    const model = new PopularityModel(countsOf(set, settings), set.userIds.length);
    context.progress({ epoch: 1, epochs: 1, fraction: 1 });
    return model;
  },
  load: async (artefact) => new PopularityModel(readFloats(artefact, FILE, artefact.itemCount), artefact.userCount),
};

/** Item scores divided by the greatest. */
function countsOf(set: TrainingSet, settings: PopularitySettings): Float32Array {
  const { halfLifeDays } = settings;
  const sums = new Float64Array(set.itemIds.length);
  const isFading = halfLifeDays > 0 && set.hasTimes;
  const latest = isFading ? set.times.reduce((left, right) => Math.max(left, right), -Infinity) : 0;
  for (let p = 0; p < set.items.length; p++) {
    sums[set.items[p]!]! += isFading ? 2 ** ((set.times[p]! - latest) / (halfLifeDays * DAY_MS)) : 1;
  }
  const greatest = sums.reduce((left, right) => Math.max(left, right), 0);
  return Float32Array.from(sums, (sum) => sum / greatest);
}

class PopularityModel implements Model {
  readonly algorithm = NAME;
  readonly spaceId: string;

  constructor(
    private readonly scores: Float32Array,
    readonly userCount: number,
  ) {
    this.spaceId = spaceIdOf(NAME, scores);
  }

  get itemCount(): number {
    return this.scores.length;
  }

  save(): ModelFiles {
    return { [FILE]: bytesOf(this.scores) };
  }

  retrieve(query: ModelQuery, k: number): RankedItems {
    return topOf(this.scores, k, query.excluded, 'popular');
  }

  score(_query: ModelQuery, items: Int32Array): Float32Array {
    return Float32Array.from(items, (item) => this.scores[item]!);
  }

  async scoreAll(queries: readonly ModelQuery[], into: Float32Array): Promise<void> {
    scoreRows(queries, this.itemCount, into, (_query, row) => row.set(this.scores));
  }

  /** The popular are shown to people nobody knows anything of: how sure one can be is how much of the best they have. */
  confidence(query: ModelQuery, items: Int32Array): Float32Array {
    return this.score(query, items).map((score) => score * CONFIDENCE_MAX);
  }

  explain(_query: ModelQuery, item: number): readonly ModelReason[] {
    return [{ kind: 'popular', strength: this.scores[item]! }];
  }

  foldInUser(): undefined {
    return undefined;
  }

  /** A new item has not been met by anybody: only counting again makes it popular. */
  foldInItem(): number {
    return -1;
  }

  itemVectors(): undefined {
    return undefined;
  }

  async close(): Promise<void> {}
}

/** Confidence of a cold start, the same for all models. */
const CONFIDENCE_MAX = 0.3;
