/**
 * EASE: the linear item-to-item model with the closed form, for small catalogues.
 *
 * P = (RᵀR + λI)⁻¹, B_ij = −P_ij / P_jj, B_jj = 0; score(u, j) = Σ over the history of w_i · B_ij. Steck: "Embarrassingly
 * Shallow Autoencoders for Sparse Data" (2019). Costs items³ and items² floats: 3,000 items take seconds, 12,000 minutes.
 */
import { defineSection, setting } from '../../../streams/config.js';
import type { SectionValues } from '../../../streams/config.js';
import { aroundLoaded, aroundScorer, type Scorer } from '../collaborative/collaborative-model.js';
import { historyOf } from '../collaborative/history.js';
import { coldStartBelow, pairValue } from '../collaborative/settings.js';
import { requireMemory, throwIfCancelled } from '../fitting.js';
import { invert } from '../kernels/dense.js';
import { KernelTeam } from '../kernels/kernel-team.js';
import { interactionsOf } from '../kernels/sparse.js';
import { bytesOf, readFloats } from '../model-files.js';
import type { Algorithm, FitContext, ModelFiles, ModelQuery } from '../model.js';
import { requireInteractions, type TrainingSet } from '../training-set.js';

const easeSettings = defineSection(
  'ease',
  {
    regularization: setting.number({
      default: 300,
      min: 1e-3,
      max: 1e7,
      description: 'λ; larger values trust pairs of items that were met together more often.',
    }),
    value: pairValue,
    coldStartBelow,
  },
  { description: 'Linear item-to-item model with a closed form, for small catalogues.' },
);

type EaseSettings = SectionValues<typeof easeSettings>;
const NAME = 'ease';
const FILE = 'weights.f32';
/** Rows of the inverse are filled up to a multiple of this. */
const PIVOT = 64;

export const ease: Algorithm<typeof easeSettings> = {
  name: NAME,
  settings: easeSettings,
  fit: async (set, settings, context) => {
    requireInteractions(set);
    throwIfCancelled(context);
    // The matrix in kernel memory and the copy that is kept.
    requireMemory(
      context,
      8 * set.itemIds.length ** 2 + 64 * set.items.length,
      `EASE over ${set.itemIds.length} items`,
    );
    const team = new KernelTeam(context);
    try {
      const weights = await weightsOf(team, set, settings, context);
      const scorer = new EaseScorer(weights, set.itemIds.length, {
        userCount: set.userIds.length,
        value: settings.value,
      });
      return await aroundScorer(set, context, scorer, settings.coldStartBelow);
    } finally {
      await team.close();
    }
  },
  load: async (artefact) => {
    const { itemCount, userCount } = artefact;
    const { value } = artefact.settings as unknown as EaseSettings;
    return aroundLoaded(
      artefact,
      new EaseScorer(readFloats(artefact, FILE, itemCount ** 2), itemCount, { userCount, value }),
    );
  },
};

async function weightsOf(
  team: KernelTeam,
  set: TrainingSet,
  settings: EaseSettings,
  context: FitContext,
): Promise<Float32Array> {
  const items = set.itemIds.length;
  const width = Math.ceil(items / PIVOT) * PIVOT;
  const matrix = team.rows(width, width);
  const { values } = matrix;
  const met = interactionsOf(set, settings.value);
  for (let user = 0; user < met.rows; user++) {
    const [start, end] = [met.rowStart[user]!, met.rowStart[user + 1]!];
    for (let p = start; p < end; p++) {
      const row = met.indexes[p]! * width;
      for (let q = start; q < end; q++) values[row + met.indexes[q]!]! += met.values[p]! * met.values[q]!;
    }
  }
  for (let i = 0; i < width; i++) values[i * width + i]! += i < items ? settings.regularization : 1;
  await invert(team, matrix, (share) => {
    throwIfCancelled(context);
    context.progress({ epoch: 1, epochs: 1, fraction: share });
  });
  const weights = new Float32Array(items * items);
  for (let i = 0; i < items; i++) {
    for (let j = 0; j < items; j++) {
      weights[i * items + j] = i === j ? 0 : -values[i * width + j]! / values[j * width + j]!;
    }
  }
  return weights;
}

class EaseScorer implements Scorer {
  readonly algorithm = NAME;
  readonly userCount: number;

  constructor(
    private readonly weights: Float32Array,
    readonly itemCount: number,
    private readonly options: { readonly userCount: number; readonly value: EaseSettings['value'] },
  ) {
    this.userCount = options.userCount;
  }

  scoreInto(query: ModelQuery, row: Float32Array): void {
    const { items, weights } = historyOf(query, this.itemCount, this.options.value);
    row.fill(0);
    items.forEach((item, place) => {
      const weight = weights[place]!;
      const start = item * this.itemCount;
      for (let j = 0; j < this.itemCount; j++) row[j]! += weight * this.weights[start + j]!;
    });
  }

  scoreItems(query: ModelQuery, wanted: Int32Array): Float32Array {
    const { items, weights } = historyOf(query, this.itemCount, this.options.value);
    return Float32Array.from(wanted, (item) => {
      // In float32 after each addition, as `scoreInto` adds them up.
      let sum = 0;
      items.forEach(
        (met, place) => (sum = Math.fround(sum + weights[place]! * this.weights[met * this.itemCount + item]!)),
      );
      return sum;
    });
  }

  contributions(query: ModelQuery, item: number): Float64Array {
    return Float64Array.from(query.items, (met) =>
      met < this.itemCount ? this.weights[met * this.itemCount + item]! : 0,
    );
  }

  foldInUser(): undefined {
    return undefined;
  }

  /** The inverse would have to be computed again. */
  foldInItem(): number {
    return -1;
  }

  itemVectors(): undefined {
    return undefined;
  }

  files(): ModelFiles {
    return { [FILE]: bytesOf(this.weights) };
  }

  async close(): Promise<void> {}
}
