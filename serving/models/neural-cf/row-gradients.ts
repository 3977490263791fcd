/**
 * Gradients of the few rows of a large table that a batch touched, and Adam's step for them alone.
 *
 * Adam over whole tables costs rows × width a step, nearly all of it for gradients of zero; here a row's moments stand
 * still while it is not touched ("lazy" Adam), with the bias correction of the global step. Kingma, Ba: "Adam" (2015).
 *
 * Invariant: rows come in the order in which the batch first touched them.
 */
export class RowGradients {
  /** Sums of the touched rows, one after another. */
  sums: Float32Array;
  /** Indexes of the touched rows, `length` of them. */
  readonly touched: Int32Array;
  length = 0;
  private readonly places: Int32Array;

  constructor(
    rows: number,
    readonly width: number,
  ) {
    this.places = new Int32Array(rows).fill(-1);
    this.touched = new Int32Array(rows);
    this.sums = new Float32Array(Math.min(rows, ROWS_AT_FIRST) * width);
  }

  clear(): void {
    for (let t = 0; t < this.length; t++) this.places[this.touched[t]!] = -1;
    this.sums.fill(0, 0, this.length * this.width);
    this.length = 0;
  }

  /** Where the sums of a row begin; `sums` may be another array afterwards. */
  startOf(row: number): number {
    const place = this.places[row]!;
    if (place >= 0) return place * this.width;
    const fresh = this.length++;
    this.places[row] = fresh;
    this.touched[fresh] = row;
    if (this.length * this.width > this.sums.length) {
      const larger = new Float32Array(2 * this.sums.length);
      larger.set(this.sums);
      this.sums = larger;
    }
    return fresh * this.width;
  }
}

const ROWS_AT_FIRST = 1024;

/** First and second moments of one array of parameters. */
export interface Moments {
  readonly mean: Float32Array;
  readonly square: Float32Array;
}

export interface AdamOptions {
  readonly learningRate: number;
  /** Steps taken, this one included. */
  readonly step: number;
}

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/** One step for the touched rows of a table. */
export function adamRows(
  table: Float32Array,
  rows: RowGradients,
  { mean, square }: Moments,
  options: AdamOptions,
): void {
  const { width, touched, sums } = rows;
  const [rate, correction] = ratesOf(options);
  for (let t = 0; t < rows.length; t++) {
    const start = touched[t]! * width;
    const from = t * width;
    for (let k = 0; k < width; k++) {
      const gradient = sums[from + k]!;
      const m = BETA1 * mean[start + k]! + (1 - BETA1) * gradient;
      const v = BETA2 * square[start + k]! + (1 - BETA2) * gradient * gradient;
      mean[start + k] = m;
      square[start + k] = v;
      table[start + k]! -= (rate * m) / (Math.sqrt(v * correction) + EPSILON);
    }
  }
}

/** One step for a whole array. */
export function adamDense(
  values: Float32Array,
  gradients: Float32Array,
  { mean, square }: Moments,
  options: AdamOptions,
): void {
  const [rate, correction] = ratesOf(options);
  for (let i = 0; i < values.length; i++) {
    const gradient = gradients[i]!;
    const m = BETA1 * mean[i]! + (1 - BETA1) * gradient;
    const v = BETA2 * square[i]! + (1 - BETA2) * gradient * gradient;
    mean[i] = m;
    square[i] = v;
    values[i]! -= (rate * m) / (Math.sqrt(v * correction) + EPSILON);
  }
}

function ratesOf({ learningRate, step }: AdamOptions): [rate: number, squareCorrection: number] {
  return [learningRate / (1 - BETA1 ** step), 1 / (1 - BETA2 ** step)];
}
