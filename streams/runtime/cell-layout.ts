/**
 * The operators of one stage in order, with what its rows need to know about them, and what can be said of a cell.
 */
import { invariant } from '../../schemas/errors.js';
import { hash32 } from '../../schemas/ids.js';
import type { AnyOperator } from './operator.js';

/** Bits of a small integer: a row notes in single numbers what it knows of each operator's cell. */
export const OPERATORS_MAX = 30;

export class CellLayout {
  readonly operators: readonly AnyOperator<unknown>[];
  readonly hashes: readonly number[];
  /** Ordinals by rising hash: the order in which cells are stored. */
  readonly stored: readonly number[];
  /** Bits (`1 << ordinal`) of the operators that publish. */
  readonly publishers: number;
  private readonly ordinals = new Map<number, number>();

  constructor(operators: readonly AnyOperator<unknown>[]) {
    invariant(operators.length <= OPERATORS_MAX, 'a stage has more operators than a row can note');
    this.operators = operators;
    this.hashes = operators.map((operator) => hash32(operator.name) >>> 0);
    this.hashes.forEach((hash, ordinal) => this.ordinals.set(hash, ordinal));
    this.stored = operators.map((_, ordinal) => ordinal).sort((a, b) => this.hashes[a]! - this.hashes[b]!);
    this.publishers = operators.reduce((bits, operator, i) => bits | (operator.publish === undefined ? 0 : 1 << i), 0);
  }

  ordinalOf(hash: number): number | undefined {
    return this.ordinals.get(hash);
  }

  ordinalOfName(name: string): number | undefined {
    return this.ordinals.get(hash32(name) >>> 0);
  }
}
