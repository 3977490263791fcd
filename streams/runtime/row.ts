/**
 * A row: the cells of all operators of a stage under one key, as stored and as live objects.
 *
 * Stored layout, little-endian: u8 format, f64 version (input offset that last changed it), u8 cell count, then per
 * cell u32 operator-name hash, u16 state version, u32 length; then the cells' bytes in the same order. One row is one
 * read and one write however many operators there are; cells are decoded when an operator first asks and encoded
 * only when it changed them. Cells of operators this build does not know are carried along untouched.
 */
import { EngineError, invariant } from '../../schemas/errors.js';
import { hash32 } from '../../schemas/ids.js';
import type { AnyOperator, Cell, ExportedCell } from './operator.js';

const FORMAT = 1;
const HEADER_BYTES = 10;
const ENTRY_BYTES = 10;
/** u8 count. */
const CELLS_MAX = 255;

/** Operators of one stage in order, with what rows need to know about them. */
export class CellLayout {
  readonly operators: readonly AnyOperator<unknown>[];
  readonly hashes: readonly number[];
  private readonly ordinals = new Map<number, number>();

  constructor(operators: readonly AnyOperator<unknown>[]) {
    invariant(operators.length <= CELLS_MAX, 'a stage has more operators than a row can hold');
    this.operators = operators;
    this.hashes = operators.map((operator) => hash32(operator.name) >>> 0);
    this.hashes.forEach((hash, ordinal) => this.ordinals.set(hash, ordinal));
  }

  ordinalOf(hash: number): number | undefined {
    return this.ordinals.get(hash);
  }

  ordinalOfName(name: string): number | undefined {
    return this.ordinals.get(hash32(name) >>> 0);
  }
}

const ABSENT = 0;
const STORED = 1;
const LIVE = 2;
const CHANGED = 3;

/** One key's cells. Not safe for concurrent use; owned by one task. */
export class Row {
  readonly key: string;
  /** Input offset that last changed the row. */
  version: number;
  /** Set by every change; cleared by whoever has taken note of it. */
  changed = false;
  private stored: Buffer | undefined;
  private readonly states: unknown[];
  private readonly status: number[];

  constructor(
    private readonly layout: CellLayout,
    key: string,
    stored: Buffer | undefined,
  ) {
    this.key = key;
    this.stored = stored;
    this.version = -1;
    const count = layout.operators.length;
    this.states = new Array<unknown>(count).fill(undefined);
    this.status = new Array<number>(count).fill(ABSENT);
    if (stored !== undefined) this.readHeader(stored);
  }

  private readHeader(stored: Buffer): void {
    requireHeader(stored, this.key);
    this.version = stored.readDoubleLE(1);
    forEachCell(stored, (hash) => {
      const ordinal = this.layout.ordinalOf(hash);
      if (ordinal !== undefined) this.status[ordinal] = STORED;
    });
  }

  get(ordinal: number): unknown {
    if (this.status[ordinal] === STORED) this.load(ordinal);
    return this.states[ordinal];
  }

  set(ordinal: number, state: unknown): void {
    this.states[ordinal] = state;
    this.status[ordinal] = CHANGED;
    this.changed = true;
  }

  markChanged(ordinal: number): void {
    this.changed = true;
    if (this.status[ordinal] === CHANGED) return;
    invariant(this.status[ordinal] === LIVE, 'changed() was called on a cell that holds no live state');
    this.status[ordinal] = CHANGED;
  }

  remove(ordinal: number): void {
    if (this.status[ordinal] === ABSENT) return;
    this.states[ordinal] = undefined;
    this.status[ordinal] = ABSENT;
    this.changed = true;
  }

  /** Removes every cell, also those of operators this build does not know. */
  clear(): void {
    for (let ordinal = 0; ordinal < this.status.length; ordinal++) this.remove(ordinal);
    if (this.stored !== undefined) this.changed = true;
    this.stored = undefined;
  }

  /** Approximate bytes held in memory: the stored form, and as much again for live objects. */
  get weight(): number {
    return 256 + 2 * (this.stored?.length ?? 0);
  }

  private load(ordinal: number): void {
    const operator = this.layout.operators[ordinal]!;
    const found = findCell(this.stored!, this.layout.hashes[ordinal]!);
    invariant(found !== undefined, 'a stored cell vanished from its row', { key: this.key, operator: operator.name });
    this.states[ordinal] = decodeCell(operator, found.bytes, found.version, this.key);
    this.status[ordinal] = LIVE;
  }

  export(): ExportedCell[] {
    const cells: ExportedCell[] = [];
    this.layout.operators.forEach((operator, ordinal) => {
      const status = this.status[ordinal];
      if (status === ABSENT) return;
      if (status === CHANGED) {
        const bytes = toBuffer(operator.state.encode(this.states[ordinal]));
        cells.push({ operator: operator.name, version: operator.state.version, bytes });
        return;
      }
      const found = findCell(this.stored!, this.layout.hashes[ordinal]!)!;
      cells.push({ operator: operator.name, version: found.version, bytes: Buffer.from(found.bytes) });
    });
    return cells;
  }

  /** The stored form, or undefined when nothing is left. */
  encode(): Buffer | undefined {
    const parts = this.encodedCells();
    if (parts.length === 0) {
      this.stored = undefined;
      return undefined;
    }
    this.stored = encodeRow(this.version, parts);
    return this.stored;
  }

  private encodedCells(): StoredCell[] {
    const parts: StoredCell[] = [];
    const { operators, hashes } = this.layout;
    for (let ordinal = 0; ordinal < operators.length; ordinal++) {
      const status = this.status[ordinal]!;
      if (status !== CHANGED) continue;
      const { state } = operators[ordinal]!;
      parts.push({ hash: hashes[ordinal]!, version: state.version, bytes: state.encode(this.states[ordinal]) });
      this.status[ordinal] = LIVE;
    }
    const written = parts.length;
    if (this.stored !== undefined) {
      forEachCell(this.stored, (hash, version, bytes) => {
        const ordinal = this.layout.ordinalOf(hash);
        if (ordinal !== undefined && this.status[ordinal] === ABSENT) return;
        for (let i = 0; i < written; i++) if (parts[i]!.hash === hash) return;
        parts.push({ hash, version, bytes });
      });
    }
    // One order whatever changed: equal states give equal bytes.
    return parts.sort((a, b) => a.hash - b.hash);
  }
}

/** One cell as it stands in a stored row. */
export interface StoredCell {
  readonly hash: number;
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** The stored form of a row; `cells` by rising hash, at least one. */
export function encodeRow(version: number, cells: readonly StoredCell[]): Buffer {
  let total = HEADER_BYTES + ENTRY_BYTES * cells.length;
  for (const cell of cells) total += cell.bytes.length;
  const row = Buffer.allocUnsafe(total);
  row[0] = FORMAT;
  row.writeDoubleLE(version, 1);
  row[9] = cells.length;
  let entry = HEADER_BYTES;
  let body = HEADER_BYTES + ENTRY_BYTES * cells.length;
  for (const cell of cells) {
    row.writeUInt32LE(cell.hash, entry);
    row.writeUInt16LE(cell.version, entry + 4);
    row.writeUInt32LE(cell.bytes.length, entry + 6);
    row.set(cell.bytes, body);
    entry += ENTRY_BYTES;
    body += cell.bytes.length;
  }
  return row;
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

/** Decodes one operator's cell of a stored row, for queries; undefined when it has none. */
export function readCell<S>(
  operator: { name: string; state: AnyOperator<never>['state'] },
  stored: Buffer,
): S | undefined {
  const found = findCell(stored, hash32(operator.name) >>> 0);
  return found === undefined ? undefined : (decodeCell(operator, found.bytes, found.version, '?') as S);
}

/** Input offset that last changed a stored row. */
export function rowVersion(stored: Buffer): number {
  requireHeader(stored, '?');
  return stored.readDoubleLE(1);
}

/** Calls back for each cell of a stored row with its operator-name hash. */
export function forEachCell(stored: Buffer, visit: (hash: number, version: number, bytes: Buffer) => void): void {
  const count = stored[9]!;
  let entry = HEADER_BYTES;
  let body = HEADER_BYTES + ENTRY_BYTES * count;
  for (let i = 0; i < count; i++) {
    const length = stored.readUInt32LE(entry + 6);
    visit(stored.readUInt32LE(entry), stored.readUInt16LE(entry + 4), stored.subarray(body, body + length));
    entry += ENTRY_BYTES;
    body += length;
  }
}

function findCell(stored: Buffer, wanted: number): { version: number; bytes: Buffer } | undefined {
  const count = stored[9]!;
  let entry = HEADER_BYTES;
  let body = HEADER_BYTES + ENTRY_BYTES * count;
  for (let i = 0; i < count; i++) {
    const length = stored.readUInt32LE(entry + 6);
    if (stored.readUInt32LE(entry) === wanted) {
      return { version: stored.readUInt16LE(entry + 4), bytes: stored.subarray(body, body + length) };
    }
    entry += ENTRY_BYTES;
    body += length;
  }
  return undefined;
}

function decodeCell(
  operator: { name: string; state: AnyOperator<never>['state'] },
  bytes: Buffer,
  version: number,
  key: string,
): unknown {
  if (version > operator.state.version) {
    throw new EngineError(
      'STATE_VERSION_UNKNOWN',
      `State of operator '${operator.name}' under key '${key}' has version ${version}; this build reads up to ${operator.state.version}. Run the newer build.`,
      { context: { operator: operator.name, key, version } },
    );
  }
  return operator.state.decode(bytes, version) as unknown;
}

function requireHeader(stored: Buffer, key: string): void {
  if (stored.length >= HEADER_BYTES && stored[0] === FORMAT) return;
  throw new EngineError(
    'STATE_CORRUPT',
    `The stored row of key '${key}' has no valid header (${stored.length} bytes).`,
    { context: { key } },
  );
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
