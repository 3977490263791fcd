/**
 * The stored form of a row, little-endian: u8 format, f64 version (input offset that last changed it), u8 cell count,
 * then per cell u32 operator-name hash, u16 state version, u32 length; then the cells' bytes in the same order.
 *
 * Invariant: cells stand by rising hash, whatever changed and in which order, so equal states give equal bytes.
 */
import { EngineError } from '../../schemas/errors.js';
import { hash32 } from '../../schemas/ids.js';
import type { StateReader } from './operator.js';

export const ROW_FORMAT = 1;
export const ROW_HEADER_BYTES = 10;
/** Of one cell, before the bodies. */
export const ROW_ENTRY_BYTES = 10;

/** One cell as it stands in a stored row. */
export interface StoredCell {
  readonly hash: number;
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** The stored form of a row; `cells` by rising hash, at least one. */
export function encodeRow(version: number, cells: readonly StoredCell[]): Buffer {
  let total = ROW_HEADER_BYTES + ROW_ENTRY_BYTES * cells.length;
  for (const cell of cells) total += cell.bytes.length;
  const row = Buffer.allocUnsafe(total);
  row[0] = ROW_FORMAT;
  row.writeDoubleLE(version, 1);
  row[9] = cells.length;
  let entry = ROW_HEADER_BYTES;
  let body = ROW_HEADER_BYTES + ROW_ENTRY_BYTES * cells.length;
  for (const cell of cells) {
    row.writeUInt32LE(cell.hash, entry);
    row.writeUInt16LE(cell.version, entry + 4);
    row.writeUInt32LE(cell.bytes.length, entry + 6);
    row.set(cell.bytes, body);
    entry += ROW_ENTRY_BYTES;
    body += cell.bytes.length;
  }
  return row;
}

/** Decodes one operator's cell of a stored row, for queries; undefined when it has none. */
export function readCell<S>(operator: { name: string; state: StateReader<S> }, stored: Buffer): S | undefined {
  const found = findCell(stored, hash32(operator.name) >>> 0);
  return found === undefined ? undefined : decodeCell(operator, found.bytes, found.version, '?');
}

/** Input offset that last changed a stored row. */
export function rowVersion(stored: Buffer): number {
  requireHeader(stored, '?');
  return stored.readDoubleLE(1);
}

/** Calls back for each cell of a stored row with its operator-name hash. */
export function forEachCell(stored: Buffer, visit: (hash: number, version: number, bytes: Buffer) => void): void {
  const count = stored[9]!;
  let entry = ROW_HEADER_BYTES;
  let body = ROW_HEADER_BYTES + ROW_ENTRY_BYTES * count;
  for (let i = 0; i < count; i++) {
    const length = stored.readUInt32LE(entry + 6);
    visit(stored.readUInt32LE(entry), stored.readUInt16LE(entry + 4), stored.subarray(body, body + length));
    entry += ROW_ENTRY_BYTES;
    body += length;
  }
}

export function findCell(stored: Buffer, wanted: number): { version: number; bytes: Buffer } | undefined {
  const count = stored[9]!;
  let entry = ROW_HEADER_BYTES;
  let body = ROW_HEADER_BYTES + ROW_ENTRY_BYTES * count;
  for (let i = 0; i < count; i++) {
    const length = stored.readUInt32LE(entry + 6);
    if (stored.readUInt32LE(entry) === wanted) {
      return { version: stored.readUInt16LE(entry + 4), bytes: stored.subarray(body, body + length) };
    }
    entry += ROW_ENTRY_BYTES;
    body += length;
  }
  return undefined;
}

export function decodeCell<S>(
  operator: { name: string; state: StateReader<S> },
  bytes: Buffer,
  version: number,
  key: string,
): S {
  if (version > operator.state.version) {
    throw new EngineError(
      'STATE_VERSION_UNKNOWN',
      `State of operator '${operator.name}' under key '${key}' has version ${version}; this build reads up to ${operator.state.version}. Run the newer build.`,
      { context: { operator: operator.name, key, version } },
    );
  }
  const { state } = operator;
  return state.decode(state.decodesByCopy === true ? bytes : Buffer.from(bytes), version);
}

export function requireHeader(stored: Buffer, key: string): void {
  if (stored.length >= ROW_HEADER_BYTES && stored[0] === ROW_FORMAT) return;
  throw new EngineError(
    'STATE_CORRUPT',
    `The stored row of key '${key}' has no valid header (${stored.length} bytes).`,
    { context: { key } },
  );
}
