/**
 * Non-negative matrix factorisation: people and items as mixtures of parts that only add up.
 *
 * minimises ½ |R − X·Yᵀ|² + ½ λ (|X|² + |Y|²) + λ₁ (ΣX + ΣY), X, Y ≥ 0, by coordinate descent over the parts of each row
 * (HALS), rows shared out over threads. R holds 1 (or weights) for pairs that were met and 0 for all others.
 *
 * Lee, Seung: "Learning the parts of objects by non-negative matrix factorization" (1999); Cichocki, Phan (2009), HALS.
 */
import { defineSection, setting } from '../../../streams/config.js';
import type { SectionValues } from '../../../streams/config.js';
import { aroundLoaded, aroundScorer } from '../collaborative/collaborative-model.js';
import {
  type Factors,
  FactorScorer,
  type FoldIn,
  gramOfVectors,
  readFactors,
  USER_FILES,
  unpadded,
} from '../collaborative/factor-scorer.js';
import type { History } from '../collaborative/history.js';
import { candidateSettings, coldStartBelow, factorsSetting, pairValue } from '../collaborative/settings.js';
import { requireMemory, throwIfCancelled } from '../fitting.js';
import { gramOf } from '../kernels/dense.js';
import { blocksOf, type KernelCall, KernelTeam, type SparseMatrix } from '../kernels/kernel-team.js';
import { interactionsOf, transposeOf } from '../kernels/sparse.js';
import { bytesOf } from '../model-files.js';
import type { Algorithm, FitContext } from '../model.js';
import type { Matrix } from '../tensors/kernels.js';
import { requireInteractions, type TrainingSet } from '../training-set.js';

const nmfSettings = defineSection(
  'nmf',
  {
    factors: factorsSetting(64),
    regularization: setting.number({ default: 5, min: 0, max: 1e6, description: 'λ, of squares.' }),
    sparsity: setting.number({
      default: 0,
      min: 0,
      max: 1e6,
      description: 'λ₁, of sums: larger values give fewer parts a row.',
    }),
    epochs: setting.integer({ default: 30, min: 1, max: 1000, description: 'Sweeps over both sides.' }),
    value: pairValue,
    coldStartBelow,
    ...candidateSettings('all'),
  },
  { description: 'Non-negative matrix factorisation.' },
);

type NmfSettings = SectionValues<typeof nmfSettings>;
const NAME = 'nmf';

export const nmf: Algorithm<typeof nmfSettings> = {
  name: NAME,
  settings: nmfSettings,
  userFiles: USER_FILES,
  fit: async (set, settings, context) => {
    requireInteractions(set);
    throwIfCancelled(context);
    const rows = set.userIds.length + set.itemIds.length;
    requireMemory(context, 12 * rows * (settings.factors + 16) + 32 * set.items.length, 'Vectors of nmf');
    const team = new KernelTeam(context);
    try {
      const factors = await sweep(team, set, settings, context);
      return await aroundScorer(set, context, scorerOf(factors, settings, context.threads), settings.coldStartBelow);
    } finally {
      await team.close();
    }
  },
  load: async (artefact, { threads }) => {
    const settings = artefact.settings as unknown as NmfSettings;
    return aroundLoaded(artefact, scorerOf(readFactors(artefact, settings.factors), settings, threads));
  },
};

function scorerOf(factors: Factors, settings: NmfSettings, threads: number): FactorScorer {
  const foldIn = new NonNegativeFoldIn(factors, settings);
  return new FactorScorer(factors, { algorithm: NAME, foldIn, value: settings.value, threads });
}

/** One side: its matrix, its vectors, and room for the right sides of its equations. */
interface Side {
  readonly matrix: SparseMatrix;
  readonly rows: Matrix;
  readonly numerators: Matrix;
}

async function sweep(team: KernelTeam, set: TrainingSet, settings: NmfSettings, context: FitContext): Promise<Factors> {
  const met = interactionsOf(set, settings.value);
  const sides = [met, transposeOf(met)].map((matrix) => ({
    matrix: team.sparse(matrix),
    rows: team.rows(matrix.rows, settings.factors),
    numerators: team.rows(matrix.rows, settings.factors),
  }));
  const [users, items] = sides as [Side, Side];
  const started = await startFrom([users, items], settings, context);
  for (let epoch = started + 1; epoch <= settings.epochs; epoch++) {
    throwIfCancelled(context);
    await halfSweep(team, users, items.rows, settings);
    await halfSweep(team, items, users.rows, settings);
    if (epoch < settings.epochs && context.checkpoints.isDue()) {
      await context.checkpoints.save({
        'users.f32': bytesOf(users.rows.values),
        'items.f32': bytesOf(items.rows.values),
        'epoch.i32': bytesOf(Int32Array.of(epoch)),
      });
    }
    context.progress({ epoch, epochs: settings.epochs, fraction: epoch / settings.epochs });
  }
  const { factors } = settings;
  const vectorsOf = ({ rows }: Side): Float32Array => unpadded(rows.values, rows.stride, factors);
  return { users: vectorsOf(users), items: vectorsOf(items), factors };
}

async function startFrom(sides: readonly [Side, Side], { factors }: NmfSettings, context: FitContext): Promise<number> {
  const checkpoint = await context.checkpoints.load();
  const names = ['users', 'items'] as const;
  if (checkpoint !== undefined) {
    names.forEach((name, side) => {
      sides[side]!.rows.values.set(new Float32Array(checkpoint[`${name}.f32`]!.slice().buffer));
    });
    return new Int32Array(checkpoint['epoch.i32']!.slice().buffer)[0]!;
  }
  names.forEach((name, side) => {
    const random = context.random.stream(name);
    const { rows } = sides[side]!;
    for (let row = 0; row < rows.rows; row++) {
      for (let k = 0; k < factors; k++) rows.values[row * rows.stride + k] = random.float() / factors;
    }
  });
  return 0;
}

async function halfSweep(team: KernelTeam, side: Side, others: Matrix, settings: NmfSettings): Promise<void> {
  const { factors, regularization, sparsity } = settings;
  const { rows, numerators } = side;
  await team.sparseProduct(side.matrix, others, numerators);
  if (sparsity > 0) for (let i = 0; i < numerators.values.length; i++) numerators.values[i]! -= sparsity;
  const mark = team.mark();
  const gram = team.rows(others.stride, others.stride);
  gram.values.set(await gramOf(team, others));
  for (let k = 0; k < factors; k++) gram.values[k * gram.stride + k]! += regularization + PIVOT_MIN;
  const operands = [numerators, gram, rows].map(({ values }) => values.byteOffset);
  const calls: KernelCall[] = blocksOf(rows.rows).map(([first, last]) => [
    'nonNegativeRows',
    ...[first, last, ...operands, rows.stride * 4, factors],
  ]);
  await team.run(calls);
  team.release(mark);
}

/** A part nobody has would otherwise divide by zero. */
const PIVOT_MIN = 1e-9;
/** Sweeps over one row from zero until its parts stand still to a per cent. */
const FOLD_IN_SWEEPS = 20;

class NonNegativeFoldIn implements FoldIn {
  private readonly grams: { user?: Float64Array; item?: Float64Array } = {};

  constructor(
    private readonly start: Factors,
    private readonly settings: NmfSettings,
  ) {}

  user(history: History, { items, factors }: Factors): Float32Array {
    this.grams.user ??= gramOfVectors(this.start.items, factors);
    return this.solve(history, items, this.grams.user);
  }

  item(history: History, { users, factors }: Factors): Float32Array {
    this.grams.item ??= gramOfVectors(users, factors);
    return this.solve(history, users, this.grams.item);
  }

  private solve({ items, weights }: History, vectors: Float32Array, gram: Float64Array): Float32Array {
    const { factors, regularization, sparsity } = this.settings;
    const b = new Float64Array(factors).fill(-sparsity);
    items.forEach((item, place) => {
      for (let k = 0; k < factors; k++) b[k]! += weights[place]! * vectors[item * factors + k]!;
    });
    const x = new Float32Array(factors);
    for (let sweep = 0; sweep < FOLD_IN_SWEEPS; sweep++) {
      for (let k = 0; k < factors; k++) {
        const pivot = gram[k * factors + k]! + regularization + PIVOT_MIN;
        let rest = b[k]! - (regularization + PIVOT_MIN) * x[k]!;
        for (let j = 0; j < factors; j++) rest -= gram[k * factors + j]! * x[j]!;
        x[k] = Math.max(0, x[k]! + rest / pivot);
      }
    }
    return x;
  }
}
