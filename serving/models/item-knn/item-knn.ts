/**
 * Item-based nearest neighbours: what the people who met an item met besides, weighed by how unlikely that is by chance.
 *
 * Similarity (Sarwar, Karypis, Konstan, Riedl 2001, on who met what; shrinkage after Bell & Koren 2007):
 *   s(i, j) = |U_i ∩ U_j| / (√(|U_i| · |U_j|) + shrink)
 * Each item keeps its `neighbours` most similar. Score of item i for a history H: Σ_{j ∈ H} s(j, i), latest counted
 * `historyDecay`^0, the one before ^1 …
 *
 * Worked example: i met by {a, b}, j by {b, c}, shrink 0: s = 1 / √4 = ½.
 */
import { EngineError } from '../../../schemas/errors.js';
import { defineSection, setting } from '../../../streams/config.js';
import type { SectionValues } from '../../../streams/config.js';
import { TopN } from '../../tables/top-n.js';
import { requireMemory, scoreRows, spaceIdOf, throwIfCancelled, topOf } from '../fitting.js';
import type { Algorithm, FitContext, Model, ModelFiles, ModelQuery, ModelReason, RankedItems } from '../model.js';
import { bytesOf, jsonBytes, readFloats, readInts, readJson } from '../model-files.js';
import { columnsOf, requireInteractions } from '../training-set.js';
import type { TrainingSet } from '../training-set.js';

const itemKnnSettings = defineSection(
  'itemKnn',
  {
    neighbours: setting.integer({
      default: 100,
      min: 1,
      max: 10_000,
      unit: 'items',
      description: 'Most similar items kept for each item; memory is 8 bytes for each.',
    }),
    shrink: setting.number({
      default: 10,
      min: 0,
      max: 100_000,
      description: 'Added to the denominator: how many people must agree before a similarity counts.',
    }),
    historyDecay: setting.number({
      default: 1,
      min: 0.01,
      max: 1,
      description: 'What each step back in a history multiplies; 1 counts all alike.',
    }),
  },
  { description: 'Nearest neighbours of items by who met them.' },
);

type ItemKnnSettings = SectionValues<typeof itemKnnSettings>;

const NAME = 'item_knn';
const START_FILE = 'neighbour-start.i32';
const NEIGHBOUR_FILE = 'neighbours.i32';
const SIMILARITY_FILE = 'similarities.f32';
const SHAPE_FILE = 'shape.json';

export const itemKnn: Algorithm<typeof itemKnnSettings> = {
  name: NAME,
  settings: itemKnnSettings,
  fit: async (set, settings, context) => {
    requireInteractions(set);
    throwIfCancelled(context);
    const neighbourhood = await findNeighbours(set, settings, context);
    return new ItemKnnModel(neighbourhood, set.userIds.length, settings.historyDecay);
  },
  load: async (artefact) => {
    const shape = readJson(artefact, SHAPE_FILE) as { historyDecay?: unknown };
    const start = readInts(artefact, START_FILE, artefact.itemCount + 1);
    const length = start[artefact.itemCount]!;
    if (typeof shape.historyDecay !== 'number' || start.some((from, i) => from < 0 || from > (start[i + 1] ?? from))) {
      throw new EngineError('MODEL_INVALID', `The saved ${NAME} model has rows that are out of order.`);
    }
    const items = readInts(artefact, NEIGHBOUR_FILE, length);
    if (items.some((item) => item < 0 || item >= artefact.itemCount)) {
      throw new EngineError('MODEL_INVALID', `The saved ${NAME} model names items it does not have.`);
    }
    const similarities = readFloats(artefact, SIMILARITY_FILE, length);
    return new ItemKnnModel({ start, items, similarities }, artefact.userCount, shape.historyDecay);
  },
};

/** Row i: the neighbours of item i, most similar first. */
interface Neighbourhood {
  readonly start: Int32Array;
  readonly items: Int32Array;
  readonly similarities: Float32Array;
}

const LOWER_INDEX_FIRST = { precedes: (left: number, right: number): boolean => left < right };
/** Items between two looks at the signal and a turn for whoever waits. */
const ITEMS_PER_TURN = 256;

async function findNeighbours(
  set: TrainingSet,
  settings: ItemKnnSettings,
  context: FitContext,
): Promise<Neighbourhood> {
  const itemCount = set.itemIds.length;
  const { neighbours, shrink } = settings;
  requireMemory(
    context,
    8 * itemCount * Math.min(neighbours, itemCount) + 16 * set.items.length,
    'Neighbours of items',
  );
  const distinct = distinctRows(set);
  const { columnStart, users } = columnsOf({ ...distinct, itemIds: set.itemIds });
  const together = new Float64Array(itemCount);
  const touched: number[] = [];
  const best = new TopN(Math.min(neighbours, itemCount), LOWER_INDEX_FIRST);
  const start = new Int32Array(itemCount + 1);
  const found: { items: Int32Array; similarities: Float64Array }[] = [];
  for (let i = 0; i < itemCount; i++) {
    const own = columnStart[i + 1]! - columnStart[i]!;
    for (let c = columnStart[i]!; c < columnStart[i + 1]!; c++) {
      const user = users[c]!;
      for (let p = distinct.rowStart[user]!; p < distinct.rowStart[user + 1]!; p++) {
        const j = distinct.items[p]!;
        if (together[j]!++ === 0) touched.push(j);
      }
    }
    best.clear();
    for (const j of touched) {
      const other = columnStart[j + 1]! - columnStart[j]!;
      if (j !== i) best.offer(j, together[j]! / (Math.sqrt(own * other) + shrink));
      together[j] = 0;
    }
    touched.length = 0;
    best.sort();
    found.push({ items: best.items.slice(0, best.length), similarities: best.scores.slice(0, best.length) });
    start[i + 1] = start[i]! + best.length;
    if (i % ITEMS_PER_TURN === ITEMS_PER_TURN - 1) {
      throwIfCancelled(context);
      context.progress({ epoch: 1, epochs: 1, fraction: (i + 1) / itemCount });
      await context.clock.nextTurn();
    }
  }
  context.progress({ epoch: 1, epochs: 1, fraction: 1 });
  const items = new Int32Array(start[itemCount]!);
  const similarities = new Float32Array(items.length);
  found.forEach((row, i) => {
    items.set(row.items, start[i]);
    similarities.set(row.similarities, start[i]);
  });
  return { start, items, similarities };
}

/** Rows without repetitions: meeting an item twice makes nobody two people. */
function distinctRows(set: TrainingSet): { rowStart: Int32Array; items: Int32Array } {
  const rowStart = new Int32Array(set.rowStart.length);
  const items = new Int32Array(set.items.length);
  const lastUser = new Int32Array(set.itemIds.length).fill(-1);
  let next = 0;
  for (let u = 0; u + 1 < rowStart.length; u++) {
    for (let p = set.rowStart[u]!; p < set.rowStart[u + 1]!; p++) {
      const item = set.items[p]!;
      if (lastUser[item] === u) continue;
      lastUser[item] = u;
      items[next++] = item;
    }
    rowStart[u + 1] = next;
  }
  return { rowStart, items: items.slice(0, next) };
}

class ItemKnnModel implements Model {
  readonly algorithm = NAME;
  readonly spaceId: string;
  readonly itemCount: number;
  private readonly row: Float32Array;

  constructor(
    private readonly neighbourhood: Neighbourhood,
    readonly userCount: number,
    private readonly historyDecay: number,
  ) {
    const { start, items, similarities } = neighbourhood;
    this.itemCount = start.length - 1;
    this.spaceId = spaceIdOf(NAME, start, items, similarities, jsonBytes(historyDecay));
    this.row = new Float32Array(this.itemCount);
  }

  save(): ModelFiles {
    return {
      [SHAPE_FILE]: jsonBytes({ historyDecay: this.historyDecay }),
      [START_FILE]: bytesOf(this.neighbourhood.start),
      [NEIGHBOUR_FILE]: bytesOf(this.neighbourhood.items),
      [SIMILARITY_FILE]: bytesOf(this.neighbourhood.similarities),
    };
  }

  retrieve(query: ModelQuery, k: number): RankedItems {
    this.scoreInto(query, this.row);
    return topOf(this.row, k, query.excluded);
  }

  score(query: ModelQuery, items: Int32Array): Float32Array {
    this.scoreInto(query, this.row);
    return Float32Array.from(items, (item) => this.row[item]!);
  }

  async scoreAll(queries: readonly ModelQuery[], into: Float32Array): Promise<void> {
    scoreRows(queries, this.itemCount, into, (query, row) => this.scoreInto(query, row));
  }

  private scoreInto({ items: history }: ModelQuery, row: Float32Array): void {
    const { start, items, similarities } = this.neighbourhood;
    row.fill(0);
    let weight = 1;
    for (let place = history.length - 1; place >= 0; place--) {
      const item = history[place]!;
      for (let p = start[item]!; p < start[item + 1]!; p++) row[items[p]!]! += weight * similarities[p]!;
      weight *= this.historyDecay;
    }
  }

  /** 1 − Π (1 − s): sure as soon as one item of the history is nearly always met with it. */
  confidence(query: ModelQuery, items: Int32Array): Float32Array {
    return Float32Array.from(items, (item) => {
      let doubt = 1;
      for (const met of query.items) doubt *= 1 - Math.min(1, this.similarity(met, item));
      return 1 - doubt;
    });
  }

  explain(query: ModelQuery, item: number): readonly ModelReason[] {
    const parts = [...new Set(query.items)]
      .map((met) => ({ met, similarity: this.similarity(met, item) }))
      .filter(({ similarity }) => similarity > 0)
      .sort((left, right) => right.similarity - left.similarity || left.met - right.met);
    const total = parts.reduce((sum, { similarity }) => sum + similarity, 0);
    return parts
      .slice(0, REASONS_MAX)
      .map(({ met, similarity }) => ({ kind: 'similar-item', strength: similarity / total, items: [met] }));
  }

  private similarity(item: number, other: number): number {
    const { start, items, similarities } = this.neighbourhood;
    for (let p = start[item]!; p < start[item + 1]!; p++) if (items[p] === other) return similarities[p]!;
    return 0;
  }

  foldInUser(): undefined {
    return undefined;
  }

  /** Similarities are kept from the side of the items met: a new item would have to enter the rows of all others. */
  foldInItem(): number {
    return -1;
  }

  itemVectors(): undefined {
    return undefined;
  }

  async close(): Promise<void> {}
}

const REASONS_MAX = 3;
