/**
 * Interactions on their way into a training set: columns that grow, ids interned in order of first sight.
 *
 * Sources (files, warehouse) add rows in any order; `trainingSet` sorts them by user, within a user by time, equal times
 * in order of arrival. Two sources filled into one table share their ids, so that a test file speaks of the same items.
 *
 * Invariant: the same rows in the same order give the same training set.
 */
import { INTERACTION_TYPES } from '../../schemas/records.js';
import { EngineError } from '../../schemas/errors.js';
import { DEFAULT_INTEREST_WEIGHTS, typeAt } from '../../operators/user/event-weights.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import { grown } from '../../streams/typed-growth.js';

/** Ids to indexes, in order of first sight. */
export class IdIndex {
  readonly ids: string[] = [];
  private readonly indexes = new Map<string, number>();

  constructor(ids: readonly string[] = []) {
    for (const id of ids) this.add(id);
  }

  add(id: string): number {
    const found = this.indexes.get(id);
    if (found !== undefined) return found;
    this.indexes.set(id, this.ids.length);
    return this.ids.push(id) - 1;
  }

  /** −1 for an id never added. */
  indexOf(id: string): number {
    return this.indexes.get(id) ?? -1;
  }
}

/** Arrays of a training set count up to here: positions are int32. */
const INTERACTIONS_MAX = 2 ** 31 - 1;
const ROWS_AT_START = 1 << 16;

const RATE = INTERACTION_TYPES.indexOf('rate');

export class InteractionTable {
  readonly users: IdIndex;
  readonly items: IdIndex;
  count = 0;
  private userColumn = new Int32Array(ROWS_AT_START);
  private itemColumn = new Int32Array(ROWS_AT_START);
  private timeColumn = new Float64Array(ROWS_AT_START);
  private valueColumn = new Float32Array(ROWS_AT_START);
  private typeColumn = new Uint8Array(ROWS_AT_START);

  /** @param items the index to share with another table; its own by default. */
  constructor(
    private readonly options: { readonly hasTimes: boolean; readonly isSessions: boolean },
    shared: { readonly users?: IdIndex | undefined; readonly items?: IdIndex | undefined } = {},
  ) {
    this.users = shared.users ?? new IdIndex();
    this.items = shared.items ?? new IdIndex();
  }

  /** @param value the rating of a `rate`; ignored for other types, whose value is a price. */
  add(userId: string, itemId: string, at: { timeMs: number; type: number; value: number | null }): void {
    const row = this.count;
    if (row >= INTERACTIONS_MAX) {
      throw new EngineError('MODEL_TOO_LARGE', `A training set holds ${INTERACTIONS_MAX} interactions at most.`);
    }
    if (row >= this.userColumn.length) this.grow();
    this.userColumn[row] = this.users.add(userId);
    this.itemColumn[row] = this.items.add(itemId);
    this.timeColumn[row] = at.timeMs;
    this.typeColumn[row] = at.type;
    this.valueColumn[row] = at.type === RATE ? (at.value ?? NaN) : NaN;
    this.count++;
  }

  /** The rows so far. Users and items of a shared index that this table never met have empty rows. */
  trainingSet(): TrainingSet {
    const { order, rowStart } = this.orderByUserAndTime();
    const pick = <A extends Int32Array | Float64Array | Uint8Array>(column: A, into: A): A => {
      for (let p = 0; p < order.length; p++) into[p] = column[order[p]!]!;
      return into;
    };
    const types = pick(this.typeColumn, new Uint8Array(this.count));
    const { weights, hasWeights } = this.weightsOf(order, types);
    return {
      userIds: this.users.ids,
      itemIds: this.items.ids,
      rowStart,
      items: pick(this.itemColumn, new Int32Array(this.count)),
      times: pick(this.timeColumn, new Float64Array(this.count)),
      types,
      weights,
      hasWeights,
      ...this.options,
    };
  }

  /**
   * A rating counts as it was given; other types by the engine's table of interest. Where all interactions are of one
   * type without a value they tell nothing apart: 1 each.
   */
  private weightsOf(order: Int32Array, types: Uint8Array): { weights: Float32Array; hasWeights: boolean } {
    const weights = new Float32Array(order.length);
    for (let p = 0; p < order.length; p++) {
      const value = this.valueColumn[order[p]!]!;
      weights[p] = Number.isNaN(value) ? DEFAULT_INTEREST_WEIGHTS[typeAt(types[p]!)] : value;
    }
    const hasWeights = weights.some((weight) => weight !== weights[0]);
    return { weights: hasWeights ? weights : weights.fill(1), hasWeights };
  }

  private orderByUserAndTime(): { order: Int32Array; rowStart: Int32Array } {
    const rowStart = new Int32Array(this.users.ids.length + 1);
    for (let row = 0; row < this.count; row++) rowStart[this.userColumn[row]! + 1]!++;
    for (let u = 0; u + 1 < rowStart.length; u++) rowStart[u + 1]! += rowStart[u]!;
    const next = rowStart.slice(0, -1);
    const order = new Int32Array(this.count);
    for (let row = 0; row < this.count; row++) order[next[this.userColumn[row]!]!++] = row;
    const times = this.timeColumn;
    for (let u = 0; u + 1 < rowStart.length; u++) sortRow(order.subarray(rowStart[u], rowStart[u + 1]), times);
    return { order, rowStart };
  }

  private grow(): void {
    const length = this.count + 1;
    this.userColumn = grown(this.userColumn, length);
    this.itemColumn = grown(this.itemColumn, length);
    this.timeColumn = grown(this.timeColumn, length);
    this.valueColumn = grown(this.valueColumn, length);
    this.typeColumn = grown(this.typeColumn, length);
  }
}

/** Most sources are in time order already; only rows that are not get sorted. Typed-array sort is stable by row number. */
function sortRow(row: Int32Array, times: Float64Array): void {
  for (let p = 1; p < row.length; p++) {
    if (times[row[p]!]! < times[row[p - 1]!]!) {
      row.sort((left, right) => times[left]! - times[right]! || left - right);
      return;
    }
  }
}
