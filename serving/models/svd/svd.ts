/**
 * Truncated singular value decomposition of the interactions: people are their histories seen in the strongest directions.
 *
 * R' = R·D^−e with D the items' popularity, R' ≈ U·Σ·Vᵀ by block iteration; score(u, i) = (r'_u · V) · V_i. Cremonesi,
 * Koren, Turrin: "Performance of Recommender Algorithms on Top-N Recommendation Tasks" (2010), PureSVD; Nikolakopoulos and
 * others, "EigenRec" (2019) for the scaling by popularity.
 */
import { defineSection, setting } from '../../../streams/config.js';
import type { SectionValues } from '../../../streams/config.js';
import { aroundLoaded, aroundScorer } from '../collaborative/collaborative-model.js';
import { type Factors, FactorScorer, type FoldIn, readFactors, USER_FILES } from '../collaborative/factor-scorer.js';
import type { History } from '../collaborative/history.js';
import { candidateSettings, coldStartBelow, factorsSetting, pairValue } from '../collaborative/settings.js';
import { requireMemory, throwIfCancelled } from '../fitting.js';
import { rightSingularVectors } from '../kernels/block-svd.js';
import { KernelTeam } from '../kernels/kernel-team.js';
import { interactionsOf, rowSumsOf, scaleOf, transposeOf } from '../kernels/sparse.js';
import { bytesOf, readFloats } from '../model-files.js';
import type { Algorithm, FitContext } from '../model.js';
import { requireInteractions, type TrainingSet } from '../training-set.js';

const svdSettings = defineSection(
  'svd',
  {
    factors: factorsSetting(64),
    popularityExponent: setting.number({
      default: 0.2,
      min: 0,
      max: 1,
      description: 'e: entries are divided by their item’s popularity to this power; 0 leaves them as they are.',
    }),
    iterations: setting.integer({
      default: 12,
      min: 1,
      max: 200,
      description: 'Block iterations; more separate directions of nearly equal strength.',
    }),
    value: pairValue,
    coldStartBelow,
    ...candidateSettings('all'),
  },
  { description: 'Truncated singular value decomposition of people × items.' },
);

type SvdSettings = SectionValues<typeof svdSettings>;
const NAME = 'svd';

export const svd: Algorithm<typeof svdSettings> = {
  name: NAME,
  settings: svdSettings,
  userFiles: USER_FILES,
  fit: async (set, settings, context) => {
    requireInteractions(set);
    throwIfCancelled(context);
    const rows = set.userIds.length + 2 * set.itemIds.length;
    requireMemory(context, 8 * rows * (settings.factors + 32) + 32 * set.items.length, 'Vectors of svd');
    const team = new KernelTeam(context);
    try {
      return await fitWith(team, { set, settings, context });
    } finally {
      await team.close();
    }
  },
  load: async (artefact, { threads }) => {
    const settings = artefact.settings as unknown as SvdSettings;
    const scales = readFloats(artefact, 'scales.f32', artefact.itemCount);
    const spectrum = readFloats(artefact, 'spectrum.f32', settings.factors);
    const factors = readFactors(artefact, settings.factors);
    return aroundLoaded(artefact, new SvdScorer(factors, { scales, spectrum, settings, threads }));
  },
};

async function fitWith(
  team: KernelTeam,
  { set, settings, context }: { set: TrainingSet; settings: SvdSettings; context: FitContext },
) {
  const met = interactionsOf(set, settings.value);
  const popularity = rowSumsOf(transposeOf(met));
  const scales = Float32Array.from(popularity, (sum) => scaleOf(sum, settings.popularityExponent));
  const values = met.values.map((value, p) => value * scales[met.indexes[p]!]!);
  const found = await rightSingularVectors(
    team,
    { ...met, values },
    {
      rank: settings.factors,
      iterations: settings.iterations,
      random: context.random.stream('directions'),
      between: (epoch) => {
        throwIfCancelled(context);
        context.progress({ epoch, epochs: settings.iterations, fraction: epoch / settings.iterations });
      },
    },
  );
  const { factors } = settings;
  const items = new Float32Array(met.columns * factors);
  for (let item = 0; item < met.columns; item++) {
    items.set(found.vectors.subarray(item * found.rank, (item + 1) * found.rank), item * factors);
  }
  const spectrum = new Float32Array(factors);
  spectrum.set(found.values);
  const users = new Float32Array(met.rows * factors);
  for (let user = 0; user < met.rows; user++) {
    for (let p = met.rowStart[user]!; p < met.rowStart[user + 1]!; p++) {
      const item = met.indexes[p]!;
      for (let k = 0; k < factors; k++) users[user * factors + k]! += values[p]! * items[item * factors + k]!;
    }
  }
  const scorer = new SvdScorer({ users, items, factors }, { scales, spectrum, settings, threads: context.threads });
  return aroundScorer(set, context, scorer, settings.coldStartBelow);
}

interface SvdParts {
  readonly scales: Float32Array;
  readonly spectrum: Float32Array;
  readonly settings: SvdSettings;
  readonly threads: number;
}

class SvdScorer extends FactorScorer {
  constructor(
    factors: Factors,
    private readonly svdParts: SvdParts,
  ) {
    const { settings, threads } = svdParts;
    super(factors, { algorithm: NAME, foldIn: new Projection(svdParts), value: settings.value, threads });
  }

  override files() {
    const { scales, spectrum } = this.svdParts;
    return { ...super.files(), 'scales.f32': bytesOf(scales), 'spectrum.f32': bytesOf(spectrum) };
  }
}

/** A person is Σ r'·V over the history; a new item Σ x_u / σ² over who met it, as it would have come out of U·Σ·Vᵀ. */
class Projection implements FoldIn {
  constructor(private readonly parts: SvdParts) {}

  user({ items, weights }: History, { items: vectors, factors }: Factors): Float32Array {
    const sum = new Float32Array(factors);
    items.forEach((item, place) => {
      // An item that was folded in has the popularity of its own first people, which is not kept: it counts in full.
      const scale = weights[place]! * (this.parts.scales[item] ?? 1);
      for (let k = 0; k < factors; k++) sum[k]! += scale * vectors[item * factors + k]!;
    });
    return sum;
  }

  item({ items: people, weights }: History, { users, factors }: Factors): Float32Array {
    const { spectrum, settings } = this.parts;
    const scale = scaleOf(
      weights.reduce((sum, weight) => sum + weight, 0),
      settings.popularityExponent,
    );
    const sum = new Float32Array(factors);
    people.forEach((user, place) => {
      for (let k = 0; k < factors; k++) sum[k]! += scale * weights[place]! * users[user * factors + k]!;
    });
    return sum.map((value, k) => (spectrum[k]! > SPECTRUM_MIN * spectrum[0]! ? value / spectrum[k]! ** 2 : 0));
  }
}

/** Directions weaker than this part of the strongest are noise. */
const SPECTRUM_MIN = 1e-4;
