/**
 * Scalar products of one vector with many rows, four numbers at a time: the inner loop of the exact scan.
 *
 * The rows lie in kernel memory, where the table that owns them writes them: `rows` hands out one array and makes it
 * longer. Float32 throughout, summed in four lanes; equal inputs give equal bits on every machine. What is left of a
 * dimension that is no multiple of four is added outside.
 */
import { Kernels } from '../models/tensors/kernels.js';
import * as w from '../models/tensors/wasm-module.js';
import { KernelFunction } from '../models/tensors/wasm-module.js';

interface VectorExports {
  products(count: number, row: number, rowBytes: number, query: number, lanes: number, target: number): void;
}

/** As many as a request can spare the time for: some tens of µs with 64 dimensions. */
const ROWS_MAX = 2048;
const BYTES_PER_FLOAT = 4;
const LANES = 4;

export class VectorKernels extends Kernels {
  private readonly own: VectorExports;
  private readonly query: Float32Array;
  /** The products of the last call, in the order of the rows. */
  readonly products: Float32Array;
  private readonly rowsAt: number;

  constructor(
    private readonly dimensions: number,
    /** Most rows of one call. */
    readonly rowsMax = ROWS_MAX,
  ) {
    super([productsKernel()]);
    this.own = this.exports as unknown as VectorExports;
    this.query = this.floats(dimensions);
    this.products = this.floats(rowsMax);
    this.rowsAt = this.mark();
  }

  /** The one array of rows, as long as asked for; it holds what the last one held, and stands in for it. */
  rows(length: number): Float32Array {
    this.release(this.rowsAt);
    return this.matrix(1, length).values;
  }

  /** Fills `products` with those of `count` rows from `first` on. */
  multiplyRows(query: Float32Array, rows: Float32Array, first: number, count: number): void {
    const { dimensions, products } = this;
    this.query.set(query);
    const whole = dimensions - (dimensions % LANES);
    const rowBytes = dimensions * BYTES_PER_FLOAT;
    const start = rows.byteOffset + first * rowBytes;
    this.own.products(count, start, rowBytes, this.query.byteOffset, whole, products.byteOffset);
    for (let k = whole; k < dimensions; k++) {
      for (let i = 0; i < count; i++) products[i] = products[i]! + rows[(first + i) * dimensions + k]! * query[k]!;
    }
  }
}

function productsKernel(): KernelFunction {
  const kernel = new KernelFunction('products', 6);
  const [count, row, rowBytes, query, lanes, target] = [0, 1, 2, 3, 4, 5];
  const [i, k, left, right] = [kernel.local(w.I32), kernel.local(w.I32), kernel.local(w.I32), kernel.local(w.I32)];
  const sum = kernel.local(w.V128);
  kernel.body = [
    ...w.countUp(i, w.int(0), w.get(count), 1, [
      ...w.set(left, w.get(row)),
      ...w.set(right, w.get(query)),
      ...w.dot4(sum, k, [left, right], lanes),
      ...w.storeLane0(w.get(target), w.get(sum)),
      ...w.set(row, w.add(w.get(row), w.get(rowBytes))),
      ...w.forward(target, w.int(BYTES_PER_FLOAT)),
    ]),
  ];
  return kernel;
}
