/**
 * Kernels on several threads: calls over shared WebAssembly memory, handed out one after the other to whoever is free.
 *
 * A call names a kernel and its operands; calls of one `run` write to different places, so the result does not depend on
 * who computed what, nor on how many threads there are. How work is cut into calls depends on shapes alone (`blocksOf`).
 *
 * Concurrency: one `run` at a time; the calling thread works too and yields to the event loop in between. Threads sleep
 * between runs and do not keep the process alive; `close` ends them.
 */
import { Worker } from 'node:worker_threads';
import { EngineError, invariant } from '../../../schemas/errors.js';
import type { Clock } from '../../../streams/clock.js';
import { Kernels, type Matrix, type ProductOptions } from '../tensors/kernels.js';
import { rowKernels, ROW_FLOATS } from './row-kernels.js';

export type KernelName = 'pack' | 'product' | 'sparseProduct' | 'confidenceRows' | 'nonNegativeRows';
export type KernelCall = readonly [name: KernelName, ...operands: number[]];

/** A matrix in compressed rows, in the team's memory. */
export interface SparseMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly rowStart: Int32Array;
  readonly indexes: Int32Array;
  readonly values: Float32Array;
}

export interface TeamOptions {
  readonly threads: number;
  readonly clock: Clock;
}

/** Longest the calling thread computes before it lets the event loop have a turn. */
const TURN_MS = 50;
/** Blocks of rows of a product: enough for a balanced share on many threads, each above a tenth of a millisecond. */
const BLOCKS = 64;
/** Rows of a block at least, so that a call costs more than handing it out. */
const BLOCK_ROWS_MIN = 32;

export class KernelTeam extends Kernels {
  private readonly workers: Worker[] = [];
  private readonly clock: Clock;
  private failure: EngineError | undefined;
  /** Over runs: many short ones must not keep the event loop waiting either. */
  private turnEndsMs = -Infinity;

  constructor({ threads, clock }: TeamOptions) {
    super(rowKernels());
    this.clock = clock;
    const entry = new URL('./kernel-worker.js', import.meta.url);
    for (let i = 1; i < threads; i++) {
      const worker = new Worker(entry, { workerData: { module: this.module, memory: this.memory } });
      worker.unref();
      worker.on('error', (cause) => {
        this.failure = new EngineError('INTERNAL', 'A kernel thread ended.', { cause });
      });
      this.workers.push(worker);
    }
  }

  /** Resolves when all calls are done, in whatever order. */
  async run(calls: readonly KernelCall[]): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    const counter = new Int32Array(new SharedArrayBuffer(4));
    // Fewer calls than threads: the others would be woken for nothing.
    const helpers = this.workers.slice(0, Math.max(0, calls.length - 1));
    const done = Promise.all(helpers.map((worker) => answerOf(worker)));
    for (const worker of helpers) worker.postMessage({ calls, counter });
    const exports = this.exports as unknown as Record<KernelName, (...operands: number[]) => void>;
    try {
      for (let i = Atomics.add(counter, 0, 1); i < calls.length; i = Atomics.add(counter, 0, 1)) {
        const [name, ...operands] = calls[i]!;
        exports[name](...operands);
        if (this.clock.monotonic() < this.turnEndsMs) continue;
        await this.clock.nextTurn();
        this.turnEndsMs = this.clock.monotonic() + TURN_MS;
      }
    } finally {
      await done;
    }
  }

  /** Integers in kernel memory, zeroed. */
  integers(length: number): Int32Array {
    const floats = this.floats(length);
    return new Int32Array(floats.buffer, floats.byteOffset, length);
  }

  /** A copy in kernel memory. */
  sparse(matrix: SparseMatrix): SparseMatrix {
    const [rowStart, indexes, values] = [
      this.integers(matrix.rowStart.length),
      this.integers(matrix.indexes.length),
      this.floats(matrix.values.length),
    ];
    rowStart.set(matrix.rowStart);
    indexes.set(matrix.indexes);
    values.set(matrix.values);
    return { rows: matrix.rows, columns: matrix.columns, rowStart, indexes, values };
  }

  /** A zeroed matrix whose rows are as wide as row kernels need. */
  rows(rows: number, columns: number): Matrix {
    const matrix = this.matrix(rows, paddedWidth(columns));
    matrix.values.fill(0);
    return matrix;
  }

  /** As `product`, over blocks of rows of the target. */
  async teamProduct(left: Matrix, right: Matrix, target: Matrix, options: ProductOptions = {}): Promise<void> {
    const { transposeLeft = false, transposeRight = false, accumulate = false } = options;
    const depth = transposeLeft ? left.rows : left.columns;
    const rows = transposeLeft ? left.columns : left.rows;
    const columns = transposeRight ? right.rows : right.columns;
    invariant(rows === target.rows && columns === target.columns, 'A product does not fit its target');
    const mark = this.mark();
    const packed = this.matrix(Math.min(depth, DEPTH_BLOCK), columns);
    const [rightRow, rightColumn] = strides(right, transposeRight);
    const [leftRow, leftColumn] = strides(left, transposeLeft);
    const blocks = blocksOf(rows);
    for (let start = 0; start < depth; start += DEPTH_BLOCK) {
      const length = Math.min(DEPTH_BLOCK, depth - start);
      const from = right.values.byteOffset + start * rightRow;
      const packing: KernelCall[] = packBlocks(columns).map(([first, last]) => [
        'pack',
        ...[from + first * rightColumn, rightRow, rightColumn, length, last - first],
        packed.values.byteOffset + first * length * FLOAT_BYTES,
      ]);
      await this.run(packing);
      const products: KernelCall[] = blocks.map(([first, last]) => [
        'product',
        ...[last - first, columns, length],
        ...[left.values.byteOffset + first * leftRow + start * leftColumn, leftRow, leftColumn],
        packed.values.byteOffset,
        ...[target.values.byteOffset + first * target.stride * FLOAT_BYTES, target.stride * FLOAT_BYTES],
        accumulate || start > 0 ? 1 : 0,
      ]);
      await this.run(products);
    }
    this.release(mark);
  }

  /** target = matrix · dense; both dense sides made by `rows`, of equal width. */
  async sparseProduct(matrix: SparseMatrix, dense: Matrix, target: Matrix): Promise<void> {
    invariant(dense.rows === matrix.columns && target.rows === matrix.rows, 'A sparse product does not fit its sides');
    invariant(dense.columns === target.columns && dense.columns % ROW_FLOATS === 0, 'Rows of another width');
    const { rowStart, indexes, values } = matrix;
    await this.run(
      balancedBlocksOf(rowStart).map(([first, last]) => [
        'sparseProduct',
        ...[first, last, rowStart.byteOffset, indexes.byteOffset, values.byteOffset],
        ...[dense.values.byteOffset, target.values.byteOffset, dense.columns * FLOAT_BYTES],
      ]),
    );
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await Promise.all(this.workers.splice(0).map((worker) => worker.terminate()));
  }
}

const FLOAT_BYTES = 4;
const DEPTH_BLOCK = 512;
/** Columns packed by one call, a multiple of a panel. */
const PACK_COLUMNS = 2048;

export function paddedWidth(columns: number): number {
  return Math.ceil(columns / ROW_FLOATS) * ROW_FLOATS;
}

export type Block = readonly [first: number, last: number];

/** `rows` in blocks of equal size, a multiple of 4 rows as products like them. Depends on `rows` alone. */
export function blocksOf(rows: number): Block[] {
  const size = Math.max(BLOCK_ROWS_MIN, Math.ceil(rows / BLOCKS / 4) * 4);
  return stepsOf(rows, size);
}

/** Rows in blocks of about equal numbers of entries. */
export function balancedBlocksOf(rowStart: Int32Array): Block[] {
  const rows = rowStart.length - 1;
  // A row costs about as much as two entries even when it is empty.
  const cost = (row: number): number => rowStart[row]! + 2 * row;
  const size = Math.max(BLOCK_ROWS_MIN, Math.ceil(cost(rows) / BLOCKS));
  const blocks: Block[] = [];
  for (let first = 0, last = 1; last <= rows; last++) {
    if (last < rows && cost(last) - cost(first) < size) continue;
    blocks.push([first, last]);
    first = last;
  }
  return blocks;
}

function packBlocks(columns: number): Block[] {
  return stepsOf(columns, PACK_COLUMNS);
}

function stepsOf(length: number, size: number): Block[] {
  return Array.from({ length: Math.ceil(length / size) }, (_, i) => [i * size, Math.min(length, (i + 1) * size)]);
}

function strides(matrix: Matrix, transpose: boolean): [rowBytes: number, columnBytes: number] {
  const bytes = matrix.stride * FLOAT_BYTES;
  return transpose ? [FLOAT_BYTES, bytes] : [bytes, FLOAT_BYTES];
}

function answerOf(worker: Worker): Promise<void> {
  worker.ref();
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => () => {
      worker.off('message', onMessage).off('exit', onExit).unref();
      act();
    };
    const onMessage = settle(resolve);
    const onExit = settle(() => reject(new EngineError('INTERNAL', 'A kernel thread ended while it was needed.')));
    worker.once('message', onMessage).once('exit', onExit);
  });
}
