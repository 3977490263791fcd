/**
 * A row: the cells of all operators of a stage under one key, as stored and as live objects.
 *
 * One row is one read and one write however many operators there are; cells are decoded when an operator first asks
 * and encoded only when it changed them, straight into the row that is written. Cells of operators this build does not
 * know are carried along untouched. The stored form is row-bytes.ts.
 */
import { invariant } from '../../schemas/errors.js';
import type { BlockMemory } from '../block-memory.js';
import type { CellLayout } from './cell-layout.js';
import type { Cell, ExportedCell } from './operator.js';
import { decodeCell, findCell, forEachCell, requireHeader } from './row-bytes.js';
import { RowDraft } from './row-draft.js';
import type { RowContent } from './row-draft.js';

/** Encoding is synchronous, so one draft does. */
const draft = new RowDraft();

/**
 * Most keys are met in a few batches and then not for long: their states as objects, eight times the size of their
 * bytes, would be copied and marked by the garbage collector for nothing. Keys that are met often stay live.
 */
const COMMITS_TO_STAY_LIVE = 4;

/** Never written to. */
const NO_STATES: unknown[] = [];

/** One key's cells. Not safe for concurrent use; owned by one task. */
export class Row implements RowContent {
  readonly key: string;
  /** Input offset that last changed the row. */
  version: number;
  /** Set by every change; cleared by whoever has taken note of it. */
  isChanged = false;
  /** The running batch has it on its list of rows to store. */
  isTouched = false;
  stored: Buffer | undefined;
  /** What holds `stored`, or held it before the row was cleared. */
  private block: Buffer | undefined;
  // Bits by ordinal, since rows are many: cells that are there, those of them that are states, those yet to be stored.
  held = 0;
  private live = 0;
  changed = 0;
  /** Of the operators that asked to publish this row's values at the commit. */
  private publications = 0;
  /** Commits that stored the row since it was loaded. */
  private commits = 0;
  /** By ordinal; none while no cell is live. */
  states: unknown[] = NO_STATES;

  constructor(
    readonly layout: CellLayout,
    key: string,
    stored: Buffer | undefined,
  ) {
    this.key = key;
    this.stored = stored;
    this.block = stored;
    this.version = -1;
    if (stored !== undefined) this.readHeader(stored);
  }

  private readHeader(stored: Buffer): void {
    requireHeader(stored, this.key);
    this.version = stored.readDoubleLE(1);
    forEachCell(stored, (hash) => {
      const ordinal = this.layout.ordinalOf(hash);
      if (ordinal !== undefined) this.held |= 1 << ordinal;
    });
  }

  get(ordinal: number): unknown {
    if ((this.held & ~this.live & (1 << ordinal)) !== 0) this.load(ordinal);
    return this.states[ordinal];
  }

  set(ordinal: number, state: unknown): void {
    this.keep(ordinal, state);
    this.held |= 1 << ordinal;
    this.changed |= 1 << ordinal;
    this.isChanged = true;
  }

  markChanged(ordinal: number): void {
    invariant((this.live & (1 << ordinal)) !== 0, 'changed() was called on a cell that holds no live state');
    this.changed |= 1 << ordinal;
    this.isChanged = true;
  }

  remove(ordinal: number): void {
    const others = ~(1 << ordinal);
    this.publications &= others;
    if ((this.held & (1 << ordinal)) === 0) return;
    if ((this.live & (1 << ordinal)) !== 0) this.states[ordinal] = undefined;
    this.held &= others;
    this.live &= others;
    this.changed &= others;
    this.isChanged = true;
  }

  /** Removes every cell, also those of operators this build does not know. */
  clear(): void {
    for (let ordinal = 0; ordinal < this.layout.operators.length; ordinal++) this.remove(ordinal);
    if (this.stored !== undefined) this.isChanged = true;
    this.stored = undefined;
  }

  /** Notes that the operator is to publish at the commit; counts as a change, so that the commit meets the row. */
  publishLater(ordinal: number): void {
    const bit = this.layout.publishers & (1 << ordinal);
    invariant(bit !== 0, 'publishLater() was called by an operator without publish()');
    this.publications |= bit;
    this.isChanged = true;
  }

  /** Which operators are to publish, as bits; asked for once. */
  takePublications(): number {
    const bits = this.publications;
    this.publications = 0;
    return bits;
  }

  /** Approximate bytes held in memory: the stored form, and as much again for live objects. */
  get weight(): number {
    return 256 + 2 * (this.stored?.length ?? 0);
  }

  private load(ordinal: number): void {
    const operator = this.layout.operators[ordinal]!;
    const found = findCell(this.stored!, this.layout.hashes[ordinal]!);
    invariant(found !== undefined, 'a stored cell vanished from its row', { key: this.key, operator: operator.name });
    this.keep(ordinal, decodeCell(operator, found.bytes, found.version, this.key));
  }

  private keep(ordinal: number, state: unknown): void {
    if (this.states === NO_STATES) this.states = new Array<unknown>(this.layout.operators.length).fill(undefined);
    this.states[ordinal] = state;
    this.live |= 1 << ordinal;
  }

  export(): ExportedCell[] {
    const cells: ExportedCell[] = [];
    this.layout.operators.forEach((operator, ordinal) => {
      const bit = 1 << ordinal;
      if ((this.held & bit) === 0) return;
      if ((this.changed & bit) !== 0) {
        const bytes = toBuffer(operator.state.encode(this.states[ordinal]));
        cells.push({ operator: operator.name, version: operator.state.version, bytes });
        return;
      }
      const found = findCell(this.stored!, this.layout.hashes[ordinal]!)!;
      cells.push({ operator: operator.name, version: found.version, bytes: Buffer.from(found.bytes) });
    });
    return cells;
  }

  /**
   * The stored form, or undefined when nothing is left. States of a row that is seldom met are given up with it. Bytes that it
   * returned before must not be looked at any more: they are given back to `memory`, if they are from there.
   */
  encode(memory: BlockMemory): Buffer | undefined {
    this.isTouched = false;
    this.stored = draft.assemble(this, this.block, memory);
    this.block = this.stored;
    this.changed = 0;
    if (++this.commits < COMMITS_TO_STAY_LIVE) this.dropStates();
    return this.stored;
  }

  /** The row is not used any more. */
  release(memory: BlockMemory): void {
    if (this.block !== undefined) memory.release(this.block);
    this.block = undefined;
    this.stored = undefined;
  }

  private dropStates(): void {
    this.states = NO_STATES;
    this.live = 0;
  }
}

/** The view of one operator's cell in whichever row is current; reused for every record. */
export class RowCell implements Cell<unknown> {
  row: Row | undefined;

  constructor(private readonly ordinal: number) {}

  get(): unknown {
    return this.row!.get(this.ordinal);
  }

  getOr(initial: () => unknown): unknown {
    const present = this.row!.get(this.ordinal);
    if (present !== undefined) return present;
    const state = initial();
    this.row!.set(this.ordinal, state);
    return state;
  }

  set(state: unknown): void {
    this.row!.set(this.ordinal, state);
  }

  changed(): void {
    this.row!.markChanged(this.ordinal);
  }

  remove(): void {
    this.row!.remove(this.ordinal);
  }
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
