/**
 * Implicit alternating least squares: a vector for each person and item, fitted to all pairs, met or not.
 *
 * minimises Σ over all pairs (u, i) of c_ui (p_ui − x_u·y_i)² + Σ λ_u |x_u|² + Σ λ_i |y_i|², with p = 1 and c = 1 + α·w for
 * pairs that were met, p = 0 and c = 1 for all others; λ_u = λ (1 + α Σ w)^ν. Each half-sweep improves every row of
 * one side by a few steps of conjugate gradients (half-sweep.ts), rows shared out over threads, or over machines.
 *
 * Hu, Koren, Volinsky (2008); Takács, Pilászy, Tikk (2011) for the steps; Zhou and others (2008) for the regularization by
 * frequency, whose good values hardly depend on the size of the catalogue.
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
import { candidateSettings, coldStartBelow, factorsSetting, pairValue } from '../collaborative/settings.js';
import { requireMemory, throwIfCancelled } from '../fitting.js';
import { gramOf, solvePositive } from '../kernels/dense.js';
import { KernelTeam, type SparseMatrix } from '../kernels/kernel-team.js';
import { interactionsOf, transposeOf } from '../kernels/sparse.js';
import { bytesOf } from '../model-files.js';
import type { Algorithm, FitContext, PublishedModel } from '../model.js';
import type { Matrix } from '../tensors/kernels.js';
import { requireInteractions, type TrainingSet } from '../training-set.js';
import { type RowSolver, solveRows } from './half-sweep.js';

const ialsSettings = defineSection(
  'ials',
  {
    factors: factorsSetting(64),
    alpha: setting.number({
      default: 10,
      min: 0,
      max: 1e6,
      description: 'Weight of a pair that was met, beside 1 of one that was not.',
    }),
    regularization: setting.number({
      default: 0.1,
      min: 1e-9,
      max: 1e6,
      description: 'λ; larger values draw vectors towards zero.',
    }),
    regularizationExponent: setting.number({
      default: 1,
      min: 0,
      max: 2,
      description: 'ν: 0 regularizes all rows alike, 1 in proportion to the weight of what was met.',
    }),
    epochs: setting.integer({ default: 16, min: 1, max: 1000, description: 'Sweeps over both sides.' }),
    steps: setting.integer({
      default: 3,
      min: 1,
      max: 64,
      description: 'Steps of conjugate gradients for a row and sweep.',
    }),
    value: pairValue,
    coldStartBelow,
    ...candidateSettings('all'),
  },
  { description: 'Matrix factorisation of implicit feedback by alternating least squares.' },
);

type IalsSettings = SectionValues<typeof ialsSettings>;
const NAME = 'ials';

export const ials: Algorithm<typeof ialsSettings> = {
  name: NAME,
  settings: ialsSettings,
  userFiles: USER_FILES,
  goesOn: true,
  fit: async (set, settings, context) => {
    requireInteractions(set);
    throwIfCancelled(context);
    const rows = set.userIds.length + set.itemIds.length;
    requireMemory(context, 8 * rows * (settings.factors + 16) + 32 * set.items.length, 'Vectors of ials');
    const team = new KernelTeam(context);
    try {
      const factors = await sweep(team, set, settings, context);
      return await aroundScorer(set, context, scorerOf(factors, settings, context.threads), settings.coldStartBelow);
    } finally {
      await team.close();
    }
  },
  load: async (artefact, { threads }) => {
    const settings = artefact.settings as unknown as IalsSettings;
    return aroundLoaded(artefact, scorerOf(readFactors(artefact, settings.factors), settings, threads));
  },
};

function scorerOf(factors: Factors, settings: IalsSettings, threads: number): FactorScorer {
  return new FactorScorer(factors, {
    algorithm: NAME,
    foldIn: new RidgeFoldIn(factors, settings),
    value: settings.value,
    threads,
  });
}

/** One side of the factorisation: its rows in kernel memory. */
interface Side {
  readonly matrix: SparseMatrix;
  readonly rows: Matrix;
  readonly ridges: Float32Array;
}

async function sweep(
  team: KernelTeam,
  set: TrainingSet,
  settings: IalsSettings,
  context: FitContext,
): Promise<Factors> {
  const met = interactionsOf(set, settings.value);
  const users = sideOf(team, met, settings);
  const items = sideOf(team, transposeOf(met), settings);
  const how = { steps: settings.steps, solver: context.rowSolver };
  const started = await startFrom({ users, items }, set, settings, context);
  for (let epoch = started + 1; epoch <= settings.epochs; epoch++) {
    throwIfCancelled(context);
    await halfSweep(team, users, items.rows, how);
    await halfSweep(team, items, users.rows, how);
    if (epoch < settings.epochs && context.checkpoints.isDue()) {
      await context.checkpoints.save({
        'users.f32': bytesOf(users.rows.values),
        'items.f32': bytesOf(items.rows.values),
        'epoch.i32': bytesOf(Int32Array.of(epoch)),
      });
    }
    context.progress({ epoch, epochs: settings.epochs, fraction: epoch / settings.epochs });
  }
  keepUntouched(items, set.itemIds, context.warmStart, settings.factors);
  const { factors } = settings;
  const vectorsOf = ({ rows }: Side): Float32Array => unpadded(rows.values, rows.stride, factors);
  return { users: vectorsOf(users), items: vectorsOf(items), factors };
}

function sideOf(team: KernelTeam, met: SparseMatrix, settings: IalsSettings): Side {
  const { alpha, regularization, regularizationExponent } = settings;
  const matrix = team.sparse({ ...met, values: met.values.map((weight) => alpha * weight) });
  const ridges = team.floats(matrix.rows);
  for (let row = 0; row < matrix.rows; row++) {
    let weight = 1;
    for (let p = matrix.rowStart[row]!; p < matrix.rowStart[row + 1]!; p++) weight += matrix.values[p]!;
    ridges[row] = regularization * weight ** regularizationExponent;
  }
  return { matrix, ridges, rows: team.rows(matrix.rows, settings.factors) };
}

/** From the checkpoint, the published model, or small random vectors; returns the epochs already done. */
async function startFrom(
  { users, items }: { users: Side; items: Side },
  set: TrainingSet,
  { factors }: IalsSettings,
  context: FitContext,
): Promise<number> {
  const checkpoint = await context.checkpoints.load();
  if (checkpoint !== undefined) {
    const floats = (file: string): Float32Array => new Float32Array(checkpoint[file]!.slice().buffer);
    users.rows.values.set(floats('users.f32'));
    items.rows.values.set(floats('items.f32'));
    return new Int32Array(checkpoint['epoch.i32']!.slice().buffer)[0]!;
  }
  for (const [name, { rows }] of Object.entries({ users, items })) {
    const random = context.random.stream(name);
    for (let row = 0; row < rows.rows; row++) {
      for (let k = 0; k < factors; k++) rows.values[row * rows.stride + k] = START_SIZE * random.gaussian();
    }
  }
  if (context.warmStart !== undefined) {
    takeOver(items.rows, set.itemIds, { published: context.warmStart, side: 'item', factors });
    takeOver(users.rows, set.userIds, { published: context.warmStart, side: 'user', factors });
  }
  return 0;
}

/** Items nobody of the new data met have no equations: they keep the vectors they were published with. */
function keepUntouched(
  { matrix, rows }: Side,
  itemIds: readonly string[],
  published: PublishedModel | undefined,
  factors: number,
): void {
  if (published === undefined) return;
  const untouched = itemIds.map((id, row) => (matrix.rowStart[row] === matrix.rowStart[row + 1] ? id : ''));
  takeOver(rows, untouched, { published, side: 'item', factors });
}

/** Rows of a published model of the same length of vectors, by id. */
function takeOver(
  rows: Matrix,
  ids: readonly string[],
  { published, side, factors }: { published: PublishedModel; side: 'item' | 'user'; factors: number },
): void {
  const bytes = published.files[`${side}s.f32`];
  const known = side === 'item' ? published.itemIds : published.userIds;
  if (bytes?.byteLength !== known.length * factors * 4) return;
  const values = new Float32Array(bytes.slice().buffer);
  const places = new Map(known.map((id, place) => [id, place]));
  ids.forEach((id, row) => {
    const place = places.get(id);
    if (place !== undefined)
      rows.values.set(values.subarray(place * factors, (place + 1) * factors), row * rows.stride);
  });
}

/** Size of the first random numbers: small, so that the first half-sweep decides. */
const START_SIZE = 0.01;

interface SweepOptions {
  readonly steps: number;
  readonly solver: RowSolver | undefined;
}

async function halfSweep(team: KernelTeam, side: Side, others: Matrix, options: SweepOptions): Promise<void> {
  const { solver, steps } = options;
  const mark = team.mark();
  const gram = team.rows(others.stride, others.stride);
  gram.values.set(await gramOf(team, others));
  const equations = { ...side, gram, others, steps };
  await (solver === undefined ? solveRows(team, equations) : solver.solve(equations));
  team.release(mark);
}

/** The exact solution of a row's equations, for histories of the moment. */
class RidgeFoldIn implements FoldIn {
  private readonly grams: { user?: Float64Array; item?: Float64Array } = {};

  constructor(
    private readonly start: Factors,
    private readonly settings: IalsSettings,
  ) {}

  user(history: { items: Int32Array; weights: Float32Array }, { items, factors }: Factors): Float32Array {
    this.grams.user ??= gramOfVectors(this.start.items, factors);
    return this.solve(history, items, this.grams.user);
  }

  item(history: { items: Int32Array; weights: Float32Array }, { users, factors }: Factors): Float32Array {
    this.grams.item ??= gramOfVectors(users, factors);
    return this.solve(history, users, this.grams.item);
  }

  private solve(
    { items, weights }: { items: Int32Array; weights: Float32Array },
    vectors: Float32Array,
    gram: Float64Array,
  ): Float32Array {
    const { factors, alpha, regularization, regularizationExponent } = this.settings;
    const a = gram.slice();
    const b = new Float64Array(factors);
    const ridge = regularization * (1 + alpha * weights.reduce((sum, w) => sum + w, 0)) ** regularizationExponent;
    items.forEach((item, place) => {
      const strength = alpha * weights[place]!;
      const vector = vectors.subarray(item * factors, (item + 1) * factors);
      for (let i = 0; i < factors; i++) {
        b[i]! += (1 + strength) * vector[i]!;
        const scaled = strength * vector[i]!;
        for (let k = 0; k <= i; k++) a[i * factors + k]! += scaled * vector[k]!;
      }
    });
    for (let i = 0; i < factors; i++) a[i * factors + i]! += ridge;
    return Float32Array.from(solvePositive(a, b));
  }
}
