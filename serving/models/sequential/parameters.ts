/**
 * The numbers a sequence model learns: dense matrices with their gradients, and one table of item vectors whose gradient
 * touches few rows a step.
 *
 * Invariant: a parameter's name is unique and says what it is; the order of declaration is the order in files and in
 * optimizer steps, so equal gradients give equal bytes.
 */
import { EngineError, invariant } from '../../../schemas/errors.js';
import type { Random } from '../../../streams/random.js';
import type { ModelArtefact, ModelFiles } from '../model.js';
import { bytesOf, readFloats } from '../model-files.js';
import type { Kernels, Matrix } from '../tensors/kernels.js';

export interface Parameter {
  readonly name: string;
  readonly value: Matrix;
  readonly gradient: Matrix;
  /** Whether weight decay applies: to weights, not to biases and gains. */
  readonly decays: boolean;
}

/**
 * Short vectors turn faster: a step of the optimizer is of one length, and for cosines only the direction counts. With 1/√d
 * the first epochs went into undoing the start.
 */
const ITEM_DEVIATION = 0.02;
/** Vectors are padded to this many rows so that the table can be the right side of a product. */
const ROW_MULTIPLE = 8;

export class Parameters {
  readonly dense: Parameter[] = [];
  readonly items: Matrix;
  readonly itemGradient: SparseRows;

  constructor(
    readonly kernels: Kernels,
    readonly itemCount: number,
    readonly dimensions: number,
  ) {
    const rows = Math.ceil(itemCount / ROW_MULTIPLE) * ROW_MULTIPLE;
    const values = kernels.floats(rows * dimensions);
    this.items = { rows, columns: dimensions, stride: dimensions, values };
    this.itemGradient = new SparseRows(itemCount, dimensions);
  }

  /** A weight matrix, zero until `initialise`. */
  weight(name: string, rows: number, columns: number): Parameter {
    return this.add(name, rows, columns, true);
  }

  /** A bias or gain: one row, every element `start`. */
  vector(name: string, columns: number, start: number): Parameter {
    const parameter = this.add(name, 1, columns, false);
    parameter.value.values.fill(start);
    return parameter;
  }

  /** Weights from N(0, 1/rows), which keeps variance through a product; item vectors small. */
  initialise(random: Random): void {
    for (const { name, value, decays } of this.dense) {
      if (!decays) continue;
      const stream = random.stream(name);
      const deviation = 1 / Math.sqrt(value.rows);
      for (let i = 0; i < value.values.length; i++) value.values[i] = deviation * stream.gaussian();
    }
    const stream = random.stream('items');
    const deviation = ITEM_DEVIATION;
    for (let i = 0; i < this.itemCount * this.dimensions; i++) this.items.values[i] = deviation * stream.gaussian();
  }

  clearGradients(): void {
    for (const { gradient } of this.dense) gradient.values.fill(0);
    this.itemGradient.clear();
  }

  /** Item vectors without the padding. */
  get itemValues(): Float32Array {
    return this.items.values.subarray(0, this.itemCount * this.dimensions);
  }

  /** Everything as files, one a parameter. */
  save(): ModelFiles {
    const files: Record<string, Uint8Array> = { 'items.f32': bytesOf(this.itemValues) };
    for (const { name, value } of this.dense) files[`${name}.f32`] = bytesOf(value.values);
    return files;
  }

  /** Reads what `save` wrote; throws MODEL_INVALID. */
  restore(artefact: ModelArtefact): void {
    this.itemValues.set(requireFinite(readFloats(artefact, 'items.f32', this.itemValues.length), 'items.f32'));
    for (const { name, value } of this.dense) {
      value.values.set(requireFinite(readFloats(artefact, `${name}.f32`, value.values.length), name));
    }
  }

  private add(name: string, rows: number, columns: number, decays: boolean): Parameter {
    invariant(
      this.dense.every((other) => other.name !== name),
      `Parameter '${name}' is declared twice`,
    );
    const zeros = (): Matrix => ({ rows, columns, stride: columns, values: this.kernels.floats(rows * columns) });
    const parameter = { name, value: zeros(), gradient: zeros(), decays };
    this.dense.push(parameter);
    return parameter;
  }
}

function requireFinite(values: Float32Array, file: string): Float32Array {
  if (values.every(Number.isFinite)) return values;
  throw new EngineError('MODEL_INVALID', `File '${file}' of a sequence model holds a value that is not a number.`);
}

/** Rows of a large table that were touched, in order of first touch. */
export class SparseRows {
  /** Table rows, in the first `count` places. */
  readonly rows: Int32Array;
  count = 0;
  /** Slot s holds the gradient of table row rows[s]. */
  values: Float32Array;
  private readonly slots: Int32Array;

  constructor(
    tableRows: number,
    readonly width: number,
  ) {
    this.rows = new Int32Array(tableRows);
    this.slots = new Int32Array(tableRows).fill(-1);
    this.values = new Float32Array(FIRST_SLOTS * width);
  }

  /** Offset in `values` of a row's gradient, zeroed when first asked for. */
  offsetOf(row: number): number {
    const known = this.slots[row]!;
    if (known >= 0) return known * this.width;
    const slot = this.count++;
    this.slots[row] = slot;
    this.rows[slot] = row;
    const offset = slot * this.width;
    if (offset + this.width > this.values.length) this.grow();
    this.values.fill(0, offset, offset + this.width);
    return offset;
  }

  clear(): void {
    for (let slot = 0; slot < this.count; slot++) this.slots[this.rows[slot]!] = -1;
    this.count = 0;
  }

  private grow(): void {
    const values = new Float32Array(2 * this.values.length);
    values.set(this.values);
    this.values = values;
  }
}

const FIRST_SLOTS = 1_024;
