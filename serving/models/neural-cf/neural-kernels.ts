/**
 * Kernels of NeuMF's scoring: what a candidate and a person make of the first layer and of the factorisation, biases and
 * relu of a layer, and the last layer's share of the logit. Matrix products between layers are those of tensors/.
 *
 * Addresses are in bytes, counts in elements and multiples of 4; nothing is checked here: neural-scorer.ts is the only
 * caller and pads its rows.
 */
import { Kernels, type Matrix } from '../tensors/kernels.js';
import * as w from '../tensors/wasm-module.js';
import { type Code, KernelFunction, type Local } from '../tensors/wasm-module.js';

interface NeuralExports {
  meet(
    ...operands: [
      ...candidates: [count: number, items: number],
      ...table: [address: number, rowBytes: number],
      ...person: [address: number, width: number, taste: number],
      ...results: [target: number, sums: number],
    ]
  ): void;
  activate(rows: number, columns: number, matrix: number, biases: number): void;
  readOut(rows: number, columns: number, matrix: number, weights: number, sums: number): void;
}

/** Rows of items and one of the person, of one layout: `width` floats of the first layer, then `taste` of the factors. */
export interface Meeting {
  /** In kernel memory. */
  readonly items: Int32Array;
  readonly table: Matrix;
  readonly person: Float32Array;
  readonly width: number;
  readonly taste: number;
}

export class NeuralKernels extends Kernels {
  private readonly own: NeuralExports;

  constructor() {
    super([meetKernel(), activateKernel(), readOutKernel()]);
    this.own = this.exports as unknown as NeuralExports;
  }

  /** Integers in kernel memory. */
  integers(length: number): Int32Array {
    const floats = this.floats(length);
    return new Int32Array(this.memory.buffer, floats.byteOffset, length);
  }

  /** Row c of `target` = relu(item's layer + person's layer), sums[c] = item's factors · person's factors. */
  meet({ items, table, person, width, taste }: Meeting, count: number, target: Matrix, sums: Float32Array): void {
    const { byteOffset, BYTES_PER_ELEMENT } = table.values;
    const people = [person.byteOffset, width, taste] as const;
    const results = [target.values.byteOffset, sums.byteOffset] as const;
    this.own.meet(count, items.byteOffset, byteOffset, table.stride * BYTES_PER_ELEMENT, ...people, ...results);
  }

  /** matrix = relu(matrix + biases), row by row. */
  activate({ rows, columns, values }: Matrix, biases: Float32Array): void {
    this.own.activate(rows, columns, values.byteOffset, biases.byteOffset);
  }

  /** sums += matrix · weights */
  readOut({ rows, columns, values }: Matrix, weights: Float32Array, sums: Float32Array): void {
    this.own.readOut(rows, columns, values.byteOffset, weights.byteOffset, sums.byteOffset);
  }
}

const FLOAT_BYTES = w.int(4);
const placeOf = (array: Local, index: Local): Code => w.add(w.get(array), w.multiply(w.get(index), FLOAT_BYTES));
const relu = (value: Code): Code => w.most4(value, w.floats4(0));

function meetKernel(): KernelFunction {
  const kernel = new KernelFunction('meet', 9);
  const [count, items, table, rowBytes, person, width, taste, target, sums] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const [c, k, left, right, to] = [
    kernel.local(w.I32),
    kernel.local(w.I32),
    kernel.local(w.I32),
    kernel.local(w.I32),
    kernel.local(w.I32),
  ];
  const sum = kernel.local(w.V128);
  kernel.body = [
    ...w.set(to, w.get(target)),
    ...w.countUp(c, w.int(0), w.get(count), 1, [
      ...w.set(left, w.add(w.get(table), w.multiply(w.loadInt(placeOf(items, c)), w.get(rowBytes)))),
      ...w.set(right, w.get(person)),
      ...w.countUp(k, w.int(0), w.get(width), 4, [
        ...w.store4(w.get(to), relu(w.add4(w.load4(w.get(left)), w.load4(w.get(right))))),
        ...w.forward(to, w.VECTOR_BYTES),
        ...w.forward(left, w.VECTOR_BYTES),
        ...w.forward(right, w.VECTOR_BYTES),
      ]),
      ...w.dot4(sum, k, [left, right], taste),
      ...w.storeLane0(placeOf(sums, c), w.get(sum)),
    ]),
  ];
  return kernel;
}

function activateKernel(): KernelFunction {
  const kernel = new KernelFunction('activate', 4);
  const [rows, columns, matrix, biases] = [0, 1, 2, 3];
  const [row, k, pointer, bias] = [kernel.local(w.I32), kernel.local(w.I32), kernel.local(w.I32), kernel.local(w.I32)];
  kernel.body = [
    ...w.set(pointer, w.get(matrix)),
    ...w.countUp(row, w.int(0), w.get(rows), 1, [
      ...w.set(bias, w.get(biases)),
      ...w.countUp(k, w.int(0), w.get(columns), 4, [
        ...w.store4(w.get(pointer), relu(w.add4(w.load4(w.get(pointer)), w.load4(w.get(bias))))),
        ...w.forward(pointer, w.VECTOR_BYTES),
        ...w.forward(bias, w.VECTOR_BYTES),
      ]),
    ]),
  ];
  return kernel;
}

function readOutKernel(): KernelFunction {
  const kernel = new KernelFunction('readOut', 5);
  const [rows, columns, matrix, weights, sums] = [0, 1, 2, 3, 4];
  const [row, k, pointer, weight] = [
    kernel.local(w.I32),
    kernel.local(w.I32),
    kernel.local(w.I32),
    kernel.local(w.I32),
  ];
  const sum = kernel.local(w.V128);
  const place = placeOf(sums, row);
  kernel.body = [
    ...w.set(pointer, w.get(matrix)),
    ...w.countUp(row, w.int(0), w.get(rows), 1, [
      ...w.set(weight, w.get(weights)),
      ...w.dot4(sum, k, [pointer, weight], columns),
      ...w.storeLane0(place, w.add4(w.get(sum), w.loadSplat(place))),
    ]),
  ];
  return kernel;
}
