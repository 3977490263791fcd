/**
 * Graph filter: a history smoothed over the graph of people and items, without any training but an eigendecomposition.
 *
 * R̃ = D_U^−a · R · D_I^−b scaled so that its largest singular value is 1; P = R̃ᵀR̃ = V Λ Vᵀ. A history r gives
 *
 *     x = r · D_I^−b
 *     score = (x·P + x·V·h(Λ)·Vᵀ) · D_I^c        h(λ) = ideal − sharpening · λ²
 *
 * x·P is the linear part: co-visitation, normalised, which the stream keeps up to date as well. `ideal` adds the ideal
 * low-pass filter over the strongest `rank` frequencies; `sharpening` takes off what every history has in common, which
 * the low frequencies exaggerate (the second-order term of a sharpening process).
 *
 * Shen and others: "How Powerful is Graph Convolution for Recommendation?" (2021), GF-CF, is a = b = ½, c = 0 or ½ and
 * sharpening 0; Choi and others: "Blurring-Sharpening Process Models for Collaborative Filtering" (2023); Fu and others:
 * "Revisiting Neighborhood-based Link Prediction for Collaborative Filtering" (2022) for exponents of their own.
 */
import { systemClock } from '../../../streams/clock.js';
import { defineSection, setting } from '../../../streams/config.js';
import type { SectionValues } from '../../../streams/config.js';
import { aroundLoaded, aroundScorer, type Scorer } from '../collaborative/collaborative-model.js';
import { type History, historyOf } from '../collaborative/history.js';
import { coldStartBelow, pairValue } from '../collaborative/settings.js';
import { requireMemory, throwIfCancelled } from '../fitting.js';
import { rightSingularVectors } from '../kernels/block-svd.js';
import { KernelTeam, paddedWidth, type SparseMatrix } from '../kernels/kernel-team.js';
import { interactionsOf, normalised, rowSumsOf, scaleOf, transposeOf } from '../kernels/sparse.js';
import { bytesOf, readFloats, readInts } from '../model-files.js';
import type { Algorithm, FitContext, ItemVectors, ModelArtefact, ModelFiles, ModelQuery } from '../model.js';
import { requireInteractions, type TrainingSet } from '../training-set.js';

const exponent = (value: number, description: string) =>
  setting.number({ default: value, min: 0, max: 1, description });

const graphFilterSettings = defineSection(
  'graphFilter',
  {
    userExponent: exponent(0.35, 'a: how much less a person with a long history counts.'),
    itemExponent: exponent(0.35, 'b: how much less a popular item of the history counts.'),
    outputExponent: exponent(0.2, 'c: how much popular items are preferred in the end.'),
    rank: setting.integer({ default: 256, min: 1, max: 2048, description: 'Frequencies of the low-pass filter.' }),
    rankShare: setting.number({
      default: 0.0625,
      min: 0.0001,
      max: 1,
      description:
        'Frequencies at most, as a share of people or items, whichever are fewer; the higher ones are noise.',
    }),
    ideal: setting.number({ default: 0.15, min: 0, max: 100, description: 'Weight of the ideal low-pass filter.' }),
    sharpening: setting.number({
      default: 0.8,
      min: 0,
      max: 1,
      description: 'Weight of what is taken off low frequencies.',
    }),
    iterations: setting.integer({
      default: 10,
      min: 1,
      max: 200,
      description: 'Block iterations for the frequencies.',
    }),
    value: pairValue,
    coldStartBelow,
  },
  { description: 'Linear and low-pass graph filters over people and items; nothing is trained.' },
);

type GraphFilterSettings = SectionValues<typeof graphFilterSettings>;
const NAME = 'graph_filter';

export const graphFilter: Algorithm<typeof graphFilterSettings> = {
  name: NAME,
  settings: graphFilterSettings,
  fit: async (set, settings, context) => {
    requireInteractions(set);
    throwIfCancelled(context);
    const rows = set.userIds.length + 3 * set.itemIds.length;
    requireMemory(context, 4 * rows * (settings.rank + 32) + 64 * set.items.length, 'Frequencies of the graph filter');
    const team = new KernelTeam(context);
    try {
      const parts = await partsOf(team, set, settings, context);
      return await aroundScorer(set, context, new GraphScorer(parts), settings.coldStartBelow);
    } finally {
      await team.close();
    }
  },
  load: async (artefact, { threads }) => aroundLoaded(artefact, new GraphScorer(readParts(artefact, threads))),
};

interface Parts {
  readonly settings: GraphFilterSettings;
  readonly threads: number;
  /** R̃, people × items. */
  readonly graph: SparseMatrix;
  /** By item: D_I^−b and D_I^c. */
  readonly inputScales: Float32Array;
  readonly outputScales: Float32Array;
  /** [items × rank] */
  readonly vectors: Float32Array;
  /** λ, descending, of which the first is 1. */
  readonly frequencies: Float32Array;
}

async function partsOf(
  team: KernelTeam,
  set: TrainingSet,
  settings: GraphFilterSettings,
  context: FitContext,
): Promise<Parts> {
  const met = interactionsOf(set, settings.value);
  const graph = normalised(met, settings.userExponent, settings.itemExponent);
  const found = await rightSingularVectors(team, graph, {
    rank: Math.max(1, Math.min(settings.rank, Math.floor(settings.rankShare * Math.min(met.rows, met.columns)))),
    iterations: settings.iterations,
    random: context.random.stream('directions'),
    between: (epoch) => {
      throwIfCancelled(context);
      context.progress({ epoch, epochs: settings.iterations, fraction: epoch / settings.iterations });
    },
  });
  const strongest = found.values[0]!;
  const popularity = rowSumsOf(transposeOf(met));
  return {
    settings,
    threads: context.threads,
    graph: { ...graph, values: graph.values.map((value) => value / strongest) },
    inputScales: Float32Array.from(popularity, (sum) => scaleOf(sum, settings.itemExponent)),
    outputScales: Float32Array.from(popularity, (sum) => scaleOf(sum, -settings.outputExponent)),
    vectors: found.vectors,
    frequencies: Float32Array.from(found.values, (value) => (value / strongest) ** 2),
  };
}

function readParts(artefact: ModelArtefact, threads: number): Parts {
  const { itemCount, userCount } = artefact;
  const rowStart = readInts(artefact, 'row-start.i32', userCount + 1);
  const entries = rowStart[userCount]!;
  const frequencies = readFloats(
    artefact,
    'frequencies.f32',
    (artefact.files['frequencies.f32']?.byteLength ?? 0) >> 2,
  );
  return {
    settings: artefact.settings as unknown as GraphFilterSettings,
    threads,
    graph: {
      rows: userCount,
      columns: itemCount,
      rowStart,
      indexes: readInts(artefact, 'items.i32', entries),
      values: readFloats(artefact, 'values.f32', entries),
    },
    inputScales: readFloats(artefact, 'input-scales.f32', itemCount),
    outputScales: readFloats(artefact, 'output-scales.f32', itemCount),
    vectors: readFloats(artefact, 'vectors.f32', itemCount * frequencies.length),
    frequencies,
  };
}

/** Questions whose low frequencies are computed by one matrix product. */
const BATCH = 512;

class GraphScorer implements Scorer {
  readonly algorithm = NAME;
  private readonly backward: SparseMatrix;
  private readonly response: Float32Array;
  /** How much each person was reached; all zero between calls. */
  private readonly reached: Float64Array;
  private team: KernelTeam | undefined;

  constructor(private readonly parts: Parts) {
    this.backward = transposeOf(parts.graph);
    this.reached = new Float64Array(parts.graph.rows);
    const { ideal, sharpening } = parts.settings;
    this.response = parts.frequencies.map((frequency) => ideal - sharpening * frequency ** 2);
  }

  get itemCount(): number {
    return this.parts.graph.columns;
  }

  get userCount(): number {
    return this.parts.graph.rows;
  }

  scoreInto(query: ModelQuery, row: Float32Array): void {
    const input = this.inputOf(query);
    const filtered = this.filtered(input);
    const rank = this.response.length;
    const { vectors } = this.parts;
    for (let item = 0; item < this.itemCount; item++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += filtered[k]! * vectors[item * rank + k]!;
      row[item] = sum;
    }
    this.addLinear(input, row);
  }

  scoreItems(query: ModelQuery, items: Int32Array): Float32Array {
    return this.scoreInput(this.inputOf(query), items);
  }

  async scoreMany(queries: readonly ModelQuery[], into: Float32Array): Promise<void> {
    const { itemCount, response } = this;
    this.team ??= new KernelTeam({ threads: this.parts.threads, clock: systemClock });
    const mark = this.team.mark();
    const rank = response.length;
    const vectors = this.team.rows(paddedWidth(itemCount), rank);
    for (let item = 0; item < itemCount; item++) {
      vectors.values.set(this.parts.vectors.subarray(item * rank, (item + 1) * rank), item * vectors.stride);
    }
    const people = this.team.rows(Math.min(BATCH, queries.length), rank);
    const scores = this.team.matrix(people.rows, vectors.rows);
    for (let start = 0; start < queries.length; start += BATCH) {
      const inputs = queries.slice(start, start + BATCH).map((query) => this.inputOf(query));
      inputs.forEach((input, q) => people.values.set(this.filtered(input), q * people.stride));
      const rows = inputs.length;
      await this.team.teamProduct({ ...people, rows }, vectors, { ...scores, rows }, { transposeRight: true });
      inputs.forEach((input, q) => {
        const row = into.subarray((start + q) * itemCount, (start + q + 1) * itemCount);
        row.set(scores.values.subarray(q * scores.stride, q * scores.stride + itemCount));
        this.addLinear(input, row);
      });
    }
    this.team.release(mark);
  }

  scaleOf(query: ModelQuery): number {
    return this.inputOf(query).weights.reduce((sum, weight) => sum + weight, 0) || 1;
  }

  contributions(query: ModelQuery, item: number): Float64Array {
    return Float64Array.from(query.items, (met) => {
      if (met >= this.itemCount) return 0;
      return this.scoreInput(this.inputOf({ user: -1, items: Int32Array.of(met) }), Int32Array.of(item))[0]!;
    });
  }

  /** The history's low frequencies. */
  foldInUser(query: ModelQuery): Float32Array {
    return this.spectrumOf(this.inputOf(query));
  }

  /** An item nobody of the graph is joined to has no place in it. */
  foldInItem(): number {
    return -1;
  }

  itemVectors(): ItemVectors {
    return { dimensions: this.response.length, values: this.parts.vectors, metric: 'dot' };
  }

  files(): ModelFiles {
    const { graph, inputScales, outputScales, vectors, frequencies } = this.parts;
    return {
      'row-start.i32': bytesOf(graph.rowStart),
      'items.i32': bytesOf(graph.indexes),
      'values.f32': bytesOf(graph.values),
      'input-scales.f32': bytesOf(inputScales),
      'output-scales.f32': bytesOf(outputScales),
      'vectors.f32': bytesOf(vectors),
      'frequencies.f32': bytesOf(frequencies),
    };
  }

  async close(): Promise<void> {
    await this.team?.close();
    this.team = undefined;
  }

  private inputOf(query: ModelQuery): History {
    const { items, weights } = historyOf(query, this.itemCount, this.parts.settings.value);
    return { items, weights: weights.map((weight, place) => weight * this.parts.inputScales[items[place]!]!) };
  }

  private spectrumOf({ items, weights }: History): Float32Array {
    const rank = this.response.length;
    const sums = new Float32Array(rank);
    items.forEach((item, place) => {
      for (let k = 0; k < rank; k++) sums[k]! += weights[place]! * this.parts.vectors[item * rank + k]!;
    });
    return sums;
  }

  private filtered(input: History): Float32Array {
    return this.spectrumOf(input).map((value, k) => value * this.response[k]!);
  }

  /** Few items: their low frequencies alone, and the columns of R̃ they are in. */
  private scoreInput(input: History, items: Int32Array): Float32Array {
    const { backward, reached, response } = this;
    const { vectors, outputScales } = this.parts;
    const filtered = this.filtered(input);
    const people = this.reach(input);
    const scores = Float32Array.from(items, (item) => {
      let sum = 0;
      for (let k = 0; k < response.length; k++) sum += filtered[k]! * vectors[item * response.length + k]!;
      for (let p = backward.rowStart[item]!; p < backward.rowStart[item + 1]!; p++) {
        sum += reached[backward.indexes[p]!]! * backward.values[p]!;
      }
      return sum * outputScales[item]!;
    });
    for (const user of people) reached[user] = 0;
    return scores;
  }

  /** row = (row + x·R̃ᵀ·R̃)·D_I^c, by way of the people who met something of the history. */
  private addLinear(input: History, row: Float32Array): void {
    const { graph, outputScales } = this.parts;
    const { reached } = this;
    for (const user of this.reach(input)) {
      const weight = reached[user]!;
      reached[user] = 0;
      for (let p = graph.rowStart[user]!; p < graph.rowStart[user + 1]!; p++) {
        row[graph.indexes[p]!]! += weight * graph.values[p]!;
      }
    }
    for (let item = 0; item < this.itemCount; item++) row[item]! *= outputScales[item]!;
  }

  /** x·R̃ᵀ into `reached`; returns whom it reached, for the caller to set back to zero. */
  private reach({ items, weights }: History): number[] {
    const { backward, reached } = this;
    const people: number[] = [];
    items.forEach((item, place) => {
      for (let p = backward.rowStart[item]!; p < backward.rowStart[item + 1]!; p++) {
        const user = backward.indexes[p]!;
        if (reached[user] === 0) people.push(user);
        reached[user]! += weights[place]! * backward.values[p]!;
      }
    });
    return people;
  }
}
