/**
 * Item vectors of one embedding space in memory: followers of the item-state table fill it, the user stage, retrieval
 * and the item stage's tests read it.
 *
 * Rows are dense (`vectors` holds row i at i × dimensions), so a scan is one pass over one typed array and a uniform
 * sample is one modulo. Removing moves the last row into the gap: an index is valid until the next `upsert` or
 * `remove`, and so is the array behind `vectors`, which growth replaces. Reading allocates nothing.
 *
 * Invariants: only finite vectors of this space and length are kept; of one item the highest version wins, whatever
 * order versions arrive in; memory is bounded by `itemsMax` (further new items are refused and counted).
 */
import { EngineError, invariant } from '../schemas/errors.js';

export interface ItemVectorTableOptions {
  /** Id of the space; vectors of another one are refused. */
  readonly space: string;
  readonly dimensions: number;
  /** Most items kept; default 1,000,000 (at 64 dimensions: 260 MB). */
  readonly itemsMax?: number | undefined;
  /**
   * Where the rows are kept: an array of at least `length` numbers that begins with those of `held`, which is used no
   * more. Absent: in an array of its own.
   */
  readonly allocate?: ((length: number, held: Float32Array) => Float32Array) | undefined;
}

const ITEMS_MAX_DEFAULT = 1_000_000;
const ITEMS_AT_START = 256;
/** Versions of removed items remembered, so that an older upsert which arrives later does not bring them back. */
const REMOVED_VERSIONS_MAX = 100_000;
const BYTES_PER_FLOAT = 4;

export class ItemVectorTable {
  readonly space: string;
  readonly dimensions: number;
  private readonly itemsMax: number;
  private readonly allocate: (length: number, held: Float32Array) => Float32Array;
  private rows: Float32Array;
  private versions: Float64Array;
  private readonly itemIds: string[] = [];
  private readonly indexes = new Map<string, number>();
  private readonly removedVersions = new Map<string, number>();
  private refusedCount = 0;

  constructor(options: ItemVectorTableOptions) {
    invariant(
      Number.isInteger(options.dimensions) && options.dimensions > 0,
      `An item vector table needs a positive number of dimensions, got ${options.dimensions}`,
    );
    this.space = options.space;
    this.dimensions = options.dimensions;
    this.itemsMax = options.itemsMax ?? ITEMS_MAX_DEFAULT;
    const capacity = Math.min(ITEMS_AT_START, this.itemsMax);
    this.allocate = options.allocate ?? ((length, held) => copied(held, new Float32Array(length)));
    this.rows = this.allocate(capacity * this.dimensions, new Float32Array(0));
    this.versions = new Float64Array(capacity);
  }

  /** Row-major vectors; only the first `count() × dimensions` numbers mean anything. */
  get vectors(): Float32Array {
    return this.rows;
  }

  count(): number {
    return this.itemIds.length;
  }

  /** Row of an item, or −1. */
  indexOf(itemId: string): number {
    return this.indexes.get(itemId) ?? -1;
  }

  itemIdAt(index: number): string | undefined {
    return this.itemIds[index];
  }

  /** A row chosen by an unsigned 32-bit hash, uniformly, or −1 when there is none. */
  sampleIndex(hash: number): number {
    return this.itemIds.length === 0 ? -1 : Math.floor(((hash >>> 0) / 2 ** 32) * this.itemIds.length);
  }

  /** Scalar product of a row with a vector of the same space. */
  dot(index: number, vector: Float32Array): number {
    const { dimensions, rows } = this;
    const start = index * dimensions;
    let sum = 0;
    for (let k = 0; k < dimensions; k++) sum += rows[start + k]! * vector[k]!;
    return sum;
  }

  /** Copies a row into `target`, of `dimensions` numbers. */
  copy(index: number, target: Float32Array): void {
    const start = index * this.dimensions;
    for (let k = 0; k < this.dimensions; k++) target[k] = this.rows[start + k]!;
  }

  /**
   * Stores a vector, given as floats or as little-endian f32 bytes. Returns whether the table changed: not when the
   * version is not above the known one, the table is full, or a number is not finite.
   * Throws STATE_CORRUPT for a wrong length.
   */
  upsert(itemId: string, version: number, vector: Float32Array | Buffer): boolean {
    const length = Buffer.isBuffer(vector) ? vector.length / BYTES_PER_FLOAT : vector.length;
    if (length !== this.dimensions) {
      throw new EngineError(
        'STATE_CORRUPT',
        `The vector of item '${itemId}' has ${length} numbers; space '${this.space}' has ${this.dimensions} dimensions.`,
        { context: { itemId, space: this.space } },
      );
    }
    const known = this.indexes.get(itemId);
    const knownVersion = known === undefined ? this.removedVersions.get(itemId) : this.versions[known];
    if (knownVersion !== undefined && version < knownVersion) return false;
    if (known === undefined && this.itemIds.length >= this.itemsMax) {
      this.refusedCount++;
      return false;
    }
    const row = known ?? this.itemIds.length;
    this.ensureCapacity(row + 1);
    if (!isFinite(vector)) return false;
    if (known === undefined) {
      this.itemIds.push(itemId);
      this.indexes.set(itemId, row);
      this.removedVersions.delete(itemId);
    }
    this.write(row, vector);
    this.versions[row] = version;
    return true;
  }

  /** Forgets an item unless a higher version is known. Returns whether there was one to forget. */
  remove(itemId: string, version: number): boolean {
    const row = this.indexes.get(itemId);
    if (row === undefined) {
      if (version > (this.removedVersions.get(itemId) ?? -1)) this.rememberRemoved(itemId, version);
      return false;
    }
    if (version < this.versions[row]!) return false;
    const last = this.itemIds.length - 1;
    const lastId = this.itemIds[last]!;
    const { dimensions } = this;
    this.rows.copyWithin(row * dimensions, last * dimensions, (last + 1) * dimensions);
    this.versions[row] = this.versions[last]!;
    this.itemIds[row] = lastId;
    this.indexes.set(lastId, row);
    this.itemIds.pop();
    this.indexes.delete(itemId);
    this.rememberRemoved(itemId, version);
    return true;
  }

  /** New items refused because the table is full. */
  get refused(): number {
    return this.refusedCount;
  }

  /** Bytes held by the typed arrays. */
  get bytes(): number {
    return this.rows.byteLength + this.versions.byteLength;
  }

  private write(row: number, vector: Float32Array | Buffer): void {
    const start = row * this.dimensions;
    if (Buffer.isBuffer(vector)) {
      for (let k = 0; k < this.dimensions; k++) this.rows[start + k] = vector.readFloatLE(k * BYTES_PER_FLOAT);
    } else {
      this.rows.set(vector, start);
    }
  }

  private rememberRemoved(itemId: string, version: number): void {
    this.removedVersions.delete(itemId);
    this.removedVersions.set(itemId, version);
    if (this.removedVersions.size <= REMOVED_VERSIONS_MAX) return;
    for (const oldest of this.removedVersions.keys()) {
      this.removedVersions.delete(oldest);
      return;
    }
  }

  private ensureCapacity(rows: number): void {
    if (rows <= this.versions.length) return;
    const capacity = Math.min(this.itemsMax, Math.max(rows, this.versions.length * 2));
    this.rows = this.allocate(capacity * this.dimensions, this.rows);
    this.versions = copied(this.versions, new Float64Array(capacity));
  }
}

/** Bytes of a quantized vector: an f32 scale, then one signed byte a dimension. */
export function quantizedLength(dimensions: number): number {
  return BYTES_PER_FLOAT + dimensions;
}

/**
 * Packs a vector into an f32 scale and one signed byte a dimension; an error of at most half a step (scale / 2) in
 * each. Worked example: (1, −0.5) → scale 1/127, bytes 127, −64 → (1, −0.504).
 */
export function quantizeVector(
  vector: Float32Array,
  target: Buffer = Buffer.allocUnsafe(quantizedLength(vector.length)),
): Buffer {
  const { length } = vector;
  let largest = 0;
  for (let k = 0; k < length; k++) {
    const size = Math.abs(vector[k]!);
    if (size > largest) largest = size;
  }
  const scale = largest > 0 && Number.isFinite(largest) ? Math.fround(largest / 127) : 0;
  const steps = scale === 0 ? 0 : 1 / scale;
  target.writeFloatLE(scale, 0);
  for (let k = 0; k < length; k++) {
    const step = vector[k]! * steps;
    // Halves away from zero; no step is beyond 127, but for rounding of the scale, which the cut takes off.
    target[BYTES_PER_FLOAT + k] = (step < 0 ? step - 0.5 : step + 0.5) | 0;
  }
  return target;
}

/** Unpacks into `target`. Returns false, leaving it untouched, when the length or the scale is not usable. */
export function dequantizeVector(bytes: Buffer, target: Float32Array): boolean {
  if (bytes.length !== quantizedLength(target.length)) return false;
  const scale = bytes.readFloatLE(0);
  if (!Number.isFinite(scale)) return false;
  for (let k = 0; k < target.length; k++) target[k] = ((bytes[BYTES_PER_FLOAT + k]! << 24) >> 24) * scale;
  return true;
}

function isFinite(vector: Float32Array | Buffer): boolean {
  const floats = !Buffer.isBuffer(vector);
  const length = floats ? vector.length : vector.length / BYTES_PER_FLOAT;
  for (let k = 0; k < length; k++) {
    if (!Number.isFinite(floats ? vector[k]! : vector.readFloatLE(k * BYTES_PER_FLOAT))) return false;
  }
  return true;
}

function copied<A extends Float32Array | Float64Array>(from: A, into: A): A {
  into.set(from);
  return into;
}
