/**
 * The operators of one stage in order, with what its rows need to know about them, and what can be said of a cell.
 */
import { invariant } from '../../schemas/errors.js';
import { hash32 } from '../../schemas/ids.js';
import type { AnyOperator } from './operator.js';
import { ROW_CELLS_MAX } from './row-bytes.js';

/** Bits of a small integer: a row notes in one number which operators are to publish. */
const PUBLISHERS_MAX = 30;

export class CellLayout {
  readonly operators: readonly AnyOperator<unknown>[];
  readonly hashes: readonly number[];
  /** Ordinals by rising hash: the order in which cells are stored. */
  readonly stored: readonly number[];
  /** By ordinal: the operator's bit in `Row.takePublications`; 0 for one that has no `publish`. */
  readonly publisherBits: readonly number[];
  private readonly ordinals = new Map<number, number>();

  constructor(operators: readonly AnyOperator<unknown>[]) {
    invariant(operators.length <= ROW_CELLS_MAX, 'a stage has more operators than a row can hold');
    this.operators = operators;
    this.hashes = operators.map((operator) => hash32(operator.name) >>> 0);
    this.hashes.forEach((hash, ordinal) => this.ordinals.set(hash, ordinal));
    this.stored = operators.map((_, ordinal) => ordinal).sort((a, b) => this.hashes[a]! - this.hashes[b]!);
    let publishers = 0;
    this.publisherBits = operators.map((operator) => (operator.publish === undefined ? 0 : 1 << publishers++));
    invariant(publishers <= PUBLISHERS_MAX, 'a stage has more publishing operators than a row can note');
  }

  ordinalOf(hash: number): number | undefined {
    return this.ordinals.get(hash);
  }

  ordinalOfName(name: string): number | undefined {
    return this.ordinals.get(hash32(name) >>> 0);
  }
}

/** What a row knows of a cell: nothing, its bytes, bytes and state, a state that is yet to be stored. */
export const ABSENT = 0;
export const STORED = 1;
export const LIVE = 2;
export const CHANGED = 3;
