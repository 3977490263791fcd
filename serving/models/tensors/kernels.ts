/**
 * Matrices in one shared WebAssembly memory, and the products over them: what the sequence models train and run on.
 *
 * A matrix is a row-major Float32Array view of that memory with a leading dimension, so a head's slice of a projection or
 * a run of rows is a matrix too, without copying. Views stay valid for ever: shared memory grows without moving. Memory is
 * handed out by a pointer that only moves up; `mark` and `release` give back what was taken since, for a batch's
 * activations.
 *
 * Concurrency: one caller at a time; kernels are synchronous. Float32 throughout; a sum's order depends on the shapes
 * alone, so equal inputs give equal bits on every machine.
 */
import { invariant } from '../../../schemas/errors.js';
import { encodeKernels, PANEL_COLUMNS } from './wasm-kernels.js';
import { type KernelFunction, PAGE_BYTES, PAGES_MAX } from './wasm-module.js';

/** Row-major; element (r, c) is `values[r * stride + c]`. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** Floats from one row to the next. */
  readonly stride: number;
  readonly values: Float32Array;
}

export interface ProductOptions {
  readonly transposeLeft?: boolean;
  readonly transposeRight?: boolean;
  /** Adds to what the target holds instead of replacing it. */
  readonly accumulate?: boolean;
}

/** A right-hand side copied once into panels, for weights that are used many times before they change. */
export interface PackedMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly address: number;
}

/** A side of a small product: where it starts, and bytes from row to row and from column to column. */
export type Operand = readonly [address: number, rowBytes: number, columnBytes: number];

/** WebAssembly has no type declarations without the browser's library; these are the parts used. */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
  grow(pages: number): number;
}
interface WasmNamespace {
  readonly Memory: new (limits: { initial: number; maximum: number; shared: true }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
}
export interface KernelExports {
  pack(source: number, rowBytes: number, columnBytes: number, rows: number, columns: number, target: number): void;
  product(
    ...operands: [
      ...shape: [rows: number, columns: number, depth: number],
      ...left: [address: number, rowBytes: number, columnBytes: number],
      ...rest: [packed: number, target: number, targetRowBytes: number, accumulate: number],
    ]
  ): void;
  exponentials(matrix: number, rows: number, columns: number, rowBytes: number, maxima: number, sums: number): void;
}

/** Rows of depth handled in one go: with 256 columns they are packed into 256 KiB, half of a second-level cache. */
const DEPTH_BLOCK = 256;
const FLOAT_BYTES = 4;
/** Vectors read and write up to a panel beyond an odd end; every allocation has that much room behind it. */
const SLACK_FLOATS = 16;
/** Memory grows by at least this much. */
const GROW_PAGES = 64;

export class Kernels {
  protected readonly memory: WasmMemory;
  protected readonly module: object;
  protected readonly exports: KernelExports;
  private used = 0;
  private scratch = 0;
  private scratchFloats = 0;

  /** @param additional further kernels of the module, for a class that extends this one. */
  constructor(additional: readonly KernelFunction[] = []) {
    const wasm = (globalThis as unknown as { WebAssembly: WasmNamespace }).WebAssembly;
    this.memory = new wasm.Memory({ initial: 1, maximum: PAGES_MAX, shared: true });
    this.module = new wasm.Module(encodeKernels(additional));
    const instance = new wasm.Instance(this.module, { kernels: { memory: this.memory } });
    this.exports = instance.exports as KernelExports;
  }

  /** Bytes handed out. */
  get usedBytes(): number {
    return this.used;
  }

  /** What `release` returns to: everything allocated afterwards is given back at once. */
  mark(): number {
    return this.used;
  }

  release(mark: number): void {
    invariant(mark <= this.used, 'Memory can only be released to an earlier mark');
    this.used = mark;
    // Scratch taken since then is somebody else's from now on.
    if (this.scratch >= mark) this.scratchFloats = 0;
  }

  /** Zeroed floats, 16-byte aligned. */
  floats(length: number): Float32Array {
    const address = this.take(length + SLACK_FLOATS);
    const array = new Float32Array(this.memory.buffer, address, length);
    array.fill(0);
    return array;
  }

  /** A matrix with undefined contents; `columns` a multiple of 8 where it is to be a product's target. */
  matrix(rows: number, columns: number): Matrix {
    const address = this.take(rows * columns + SLACK_FLOATS);
    return { rows, columns, stride: columns, values: new Float32Array(this.memory.buffer, address, rows * columns) };
  }

  /** target (+)= left · right, each side transposed on request. Target columns: a multiple of 8. */
  product(left: Matrix, right: Matrix, target: Matrix, options: ProductOptions = {}): void {
    const { transposeRight = false } = options;
    const depth = transposeRight ? right.columns : right.rows;
    const columns = transposeRight ? right.rows : right.columns;
    invariant(columns === target.columns, `A product of ${columns} columns cannot go into ${target.columns}`);
    this.useScratch(Math.min(depth, DEPTH_BLOCK) * columns);
    const [rowBytes, columnBytes] = strides(right, transposeRight);
    for (let start = 0; start < depth; start += DEPTH_BLOCK) {
      const length = Math.min(DEPTH_BLOCK, depth - start);
      const source = right.values.byteOffset + start * rowBytes;
      this.exports.pack(source, rowBytes, columnBytes, length, columns, this.scratch);
      this.multiply(left, { address: this.scratch, rows: length, columns }, target, {
        ...options,
        accumulate: options.accumulate === true || start > 0,
        skipDepth: start,
        depth,
      });
    }
  }

  /**
   * target = left · right for small matrices inside others, named by byte addresses and strides so that a loop over
   * heads and sequences makes no objects. Nothing is checked. `columns` is a multiple of 8, depth at most 512; rows of
   * the right side beyond its end are read when they were rounded up.
   */
  productAt(
    [rows, columns, depth]: readonly [rows: number, columns: number, depth: number],
    [left, leftRow, leftColumn]: Operand,
    [right, rightRow, rightColumn]: Operand,
    [target, targetRow]: readonly [address: number, rowBytes: number],
  ): void {
    this.useScratch(depth * columns);
    this.exports.pack(right, rightRow, rightColumn, depth, columns, this.scratch);
    this.exports.product(rows, columns, depth, left, leftRow, leftColumn, this.scratch, target, targetRow, 0);
  }

  /**
   * Copies a right-hand side into panels, into those of `again` when its source changed; valid until `release` goes below
   * them.
   */
  packed(right: Matrix, transpose = false, again?: PackedMatrix): PackedMatrix {
    const rows = transpose ? right.columns : right.rows;
    const columns = transpose ? right.rows : right.columns;
    invariant(again === undefined || (again.rows === rows && again.columns === columns), 'Panels of another shape');
    invariant(columns % PANEL_COLUMNS === 0, `Packing needs a multiple of ${PANEL_COLUMNS} columns, got ${columns}`);
    const address = again?.address ?? this.take(rows * columns + SLACK_FLOATS);
    const [rowBytes, columnBytes] = strides(right, transpose);
    this.exports.pack(right.values.byteOffset, rowBytes, columnBytes, rows, columns, address);
    return { rows, columns, address };
  }

  /** target (+)= left · right with the right side packed before. */
  productPacked(left: Matrix, right: PackedMatrix, target: Matrix, options: ProductOptions = {}): void {
    invariant(
      right.columns === target.columns,
      `A product of ${right.columns} columns cannot go into ${target.columns}`,
    );
    this.multiply(left, right, target, { ...options, skipDepth: 0, depth: right.rows });
  }

  /**
   * Each row becomes exp(x − its maximum); `maxima` and `sums` are taken from this memory and hold a value a row.
   * Columns: a multiple of 4; pad with −1e30.
   */
  exponentials(matrix: Matrix, maxima: Float32Array, sums: Float32Array): void {
    invariant(matrix.columns % 4 === 0, `Exponentials need a multiple of 4 columns, got ${matrix.columns}`);
    this.requireInside(matrix.values);
    this.exports.exponentials(
      matrix.values.byteOffset,
      matrix.rows,
      matrix.columns,
      matrix.stride * FLOAT_BYTES,
      maxima.byteOffset,
      sums.byteOffset,
    );
  }

  private multiply(
    left: Matrix,
    right: PackedMatrix,
    target: Matrix,
    options: ProductOptions & { skipDepth: number; depth: number },
  ): void {
    const { transposeLeft = false, accumulate = false, skipDepth, depth } = options;
    const rows = transposeLeft ? left.columns : left.rows;
    const leftDepth = transposeLeft ? left.rows : left.columns;
    invariant(leftDepth === depth, `A product of depth ${leftDepth} with depth ${depth}`);
    invariant(rows === target.rows, `A product of ${rows} rows cannot go into ${target.rows}`);
    invariant(right.columns % PANEL_COLUMNS === 0, `A product needs a multiple of ${PANEL_COLUMNS} columns`);
    this.requireInside(left.values);
    this.requireInside(target.values);
    const [rowBytes, columnBytes] = strides(left, transposeLeft);
    const from = left.values.byteOffset + skipDepth * columnBytes;
    const result = target.values.byteOffset;
    const resultRow = target.stride * FLOAT_BYTES;
    const flag = accumulate ? 1 : 0;
    const [columns, length] = [right.columns, right.rows];
    if (transposeLeft && rows % PANEL_COLUMNS === 0) {
      // Down a column, rows of a power of two bytes fall on one another in the cache: eight columns are copied out first.
      const mark = this.used;
      const panel = this.take(length * PANEL_COLUMNS + SLACK_FLOATS);
      for (let row = 0; row < rows; row += PANEL_COLUMNS) {
        this.exports.pack(from + row * rowBytes, columnBytes, rowBytes, length, PANEL_COLUMNS, panel);
        const place = result + row * resultRow;
        const operand = [panel, FLOAT_BYTES, PANEL_COLUMNS * FLOAT_BYTES] as const;
        this.exports.product(PANEL_COLUMNS, columns, length, ...operand, right.address, place, resultRow, flag);
      }
      this.used = mark;
      return;
    }
    this.exports.product(
      ...[rows, columns, length, from, rowBytes, columnBytes, right.address, result, resultRow, flag],
    );
  }

  private requireInside(values: Float32Array): void {
    // A view made before memory grew has a buffer object of its own over the same bytes.
    invariant(values.buffer instanceof SharedArrayBuffer, 'A matrix must lie in kernel memory');
  }

  private useScratch(floats: number): void {
    if (floats <= this.scratchFloats) return;
    // Grown to twice the need: scratch that was outgrown is lost until the memory is.
    this.scratchFloats = 2 * floats;
    this.scratch = this.take(this.scratchFloats + SLACK_FLOATS);
  }

  /** Address of `floats` floats. Growing shared memory moves nothing: earlier views stay good. */
  protected take(floats: number): number {
    const address = this.used;
    this.used += Math.ceil((floats * FLOAT_BYTES) / 64) * 64;
    const missing = this.used - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.max(GROW_PAGES, Math.ceil(missing / PAGE_BYTES)));
    return address;
  }
}

/** Bytes from row to row and from column to column, as seen after transposing. */
function strides(matrix: Matrix, transpose: boolean): [rowBytes: number, columnBytes: number] {
  const bytes = matrix.stride * FLOAT_BYTES;
  return transpose ? [FLOAT_BYTES, bytes] : [bytes, FLOAT_BYTES];
}
