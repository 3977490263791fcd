/**
 * Whose histories in the training set are closest to a given one: cosine of the sets of items.
 *
 *     closeness(u) = |history ∩ met(u)| / √(|history| · |met(u)|)
 *
 * Counts are kept in one array for all questions and cleared by what was touched: a question costs what its items'
 * columns hold, whatever the number of people. Equal closeness: the lower index first.
 */
import { transposeOf } from '../kernels/sparse.js';
import { TopN } from '../../tables/top-n.js';

/** Who met what in training: distinct items by person, ascending. */
export interface MetRows {
  readonly rowStart: Int32Array;
  readonly items: Int32Array;
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
