/**
 * Whose histories in the training set are closest to a given one: cosine of the sets of items.
 *
 *     closeness(u) = |history ∩ met(u)| / √(|history| · |met(u)|)
 *
 * Counts are kept in one array for all questions and cleared by what was touched: a question costs what its items'
 * columns hold, whatever the number of people. Equal closeness: the lower index first.
 */
import type { Random } from '../../../streams/random.js';
import { transposeOf } from '../kernels/sparse.js';
import { bytesOf, readFloats, readInts } from '../model-files.js';
import type { ModelArtefact, ModelFiles } from '../model.js';
import { TopN } from '../../tables/top-n.js';

/** Who met what in training: distinct items by person, ascending. */
export interface MetRows {
  readonly rowStart: Int32Array;
  readonly items: Int32Array;
}

/** People that strangers are compared with: rows of both halves of their embeddings, and what each met. */
export interface KnownPeople {
  readonly rows: Float32Array;
  readonly met: MetRows;
  /** The mean row of all people, drawn or not: who met nothing that anybody met. */
  readonly average: Float32Array;
}

/** More hardly move the mean of the closest 20, and serving holds all of them: 10 MB at 128 floats. */
export const PEOPLE_MAX = 20_000;

/** All people where they are few, else drawn ones; those who met nothing are nobody's neighbours. */
export function knownPeople(
  table: Float32Array,
  met: MetRows,
  { width, random, peopleMax = PEOPLE_MAX }: { width: number; random: Random; peopleMax?: number },
): KnownPeople {
  const average = meanRow(table, width);
  const userCount = met.rowStart.length - 1;
  if (userCount <= peopleMax) return { rows: table, met, average };
  const users = random.shuffle(Array.from({ length: userCount }, (_, user) => user)).slice(0, peopleMax);
  const rowStart = new Int32Array(users.length + 1);
  users.forEach((user, row) => (rowStart[row + 1] = rowStart[row]! + met.rowStart[user + 1]! - met.rowStart[user]!));
  const items = new Int32Array(rowStart.at(-1)!);
  const rows = new Float32Array(users.length * width);
  users.forEach((user, row) => {
    items.set(met.items.subarray(met.rowStart[user], met.rowStart[user + 1]), rowStart[row]);
    rows.set(table.subarray(user * width, (user + 1) * width), row * width);
  });
  return { rows, met: { rowStart, items }, average };
}

const FILES = { rows: 'known.f32', start: 'known-start.i32', items: 'known-met.i32', average: 'average.f32' } as const;

export function knownPeopleFiles({ rows, met, average }: KnownPeople): ModelFiles {
  return {
    [FILES.rows]: bytesOf(rows),
    [FILES.start]: bytesOf(met.rowStart),
    [FILES.items]: bytesOf(met.items),
    [FILES.average]: bytesOf(average),
  };
}

/** Throws MODEL_INVALID. */
export function readKnownPeople(artefact: ModelArtefact, width: number): KnownPeople {
  const rowStart = readInts(artefact, FILES.start);
  const items = readInts(artefact, FILES.items, rowStart.at(-1) ?? 0);
  const rows = readFloats(artefact, FILES.rows, Math.max(0, rowStart.length - 1) * width);
  return { rows, met: { rowStart, items }, average: readFloats(artefact, FILES.average, width) };
}

function meanRow(table: Float32Array, width: number): Float32Array {
  const sum = new Float64Array(width);
  for (let start = 0; start < table.length; start += width) {
    for (let k = 0; k < width; k++) sum[k]! += table[start + k]!;
  }
  return Float32Array.from(sum, (value) => (value * width) / (table.length || 1));
}

export interface ClosePeople {
  readonly users: Int32Array;
  /** Closeness of each, greatest first. */
  readonly weights: Float64Array;
}

const LOWER_INDEX_FIRST = { precedes: (left: number, right: number): boolean => left < right };

export class PeopleByItem {
  /** By item, who met it. */
  private readonly columnStart: Int32Array;
  private readonly users: Int32Array;
  /** Common items with the history in question, by person; all 0 between questions. */
  private readonly common: Int32Array;
  private readonly touched: Int32Array;
  private readonly best: TopN;

  constructor(
    private readonly met: MetRows,
    itemCount: number,
    count: number,
  ) {
    const userCount = met.rowStart.length - 1;
    const transposed = transposeOf({
      ...{ rows: userCount, columns: itemCount, rowStart: met.rowStart, indexes: met.items },
      values: new Float32Array(met.items.length),
    });
    this.columnStart = transposed.rowStart;
    this.users = transposed.indexes;
    this.common = new Int32Array(userCount);
    this.touched = new Int32Array(userCount);
    this.best = new TopN(count, LOWER_INDEX_FIRST);
  }

  /** @param items distinct, each one of the model's. */
  closest(items: Int32Array): ClosePeople {
    const { columnStart, users, common, touched, best, met } = this;
    let touchedCount = 0;
    for (const item of items) {
      const end = columnStart[item + 1]!;
      for (let place = columnStart[item]!; place < end; place++) {
        const user = users[place]!;
        if (common[user]!++ === 0) touched[touchedCount++] = user;
      }
    }
    best.clear();
    for (let t = 0; t < touchedCount; t++) {
      const user = touched[t]!;
      const length = met.rowStart[user + 1]! - met.rowStart[user]!;
      best.offer(user, common[user]! / Math.sqrt(items.length * length));
      common[user] = 0;
    }
    best.sort();
    return {
      users: best.items.slice(0, best.length),
      weights: Float64Array.from(best.scores.subarray(0, best.length)),
    };
  }
}
