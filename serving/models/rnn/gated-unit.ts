/** The arithmetic of one gated recurrent unit at one position, and its gradient; formula in rnn-encoder.ts. */

export interface UnitValues {
  /** [rows × 3d]: x·W + b on entry, z, r and n afterwards. */
  readonly gates: Float32Array;
  /** [rows × 3d]: h·U + c. */
  readonly recurrent: Float32Array;
  /** [rows × d]: h, the state before. */
  readonly before: Float32Array;
}

export interface UnitGradients {
  /** [rows × d]: by the state after, h'. */
  readonly after: Float32Array;
  /** Written: by x·W + b, and by h·U + c. */
  readonly gates: Float32Array;
  readonly recurrent: Float32Array;
}

/** Writes h' of a row. */
export function stepRow(values: UnitValues, after: Float32Array, row: number, width: number): void {
  const { gates, recurrent, before } = values;
  const at = row * width;
  const g = 3 * at;
  for (let i = 0; i < width; i++) {
    const z = sigmoid(gates[g + i]! + recurrent[g + i]!);
    const r = sigmoid(gates[g + width + i]! + recurrent[g + width + i]!);
    const n = Math.tanh(gates[g + 2 * width + i]! + r * recurrent[g + 2 * width + i]!);
    after[at + i] = (1 - z) * n + z * before[at + i]!;
    gates[g + i] = z;
    gates[g + width + i] = r;
    gates[g + 2 * width + i] = n;
  }
}

export function stepRowGradient(values: UnitValues, gradients: UnitGradients, row: number, width: number): void {
  const { gates, recurrent, before } = values;
  const at = row * width;
  const g = 3 * at;
  for (let i = 0; i < width; i++) {
    const z = gates[g + i]!;
    const r = gates[g + width + i]!;
    const n = gates[g + 2 * width + i]!;
    const given = gradients.after[at + i]!;
    const dn = given * (1 - z) * (1 - n * n);
    const dz = given * (before[at + i]! - n) * z * (1 - z);
    const dr = dn * recurrent[g + 2 * width + i]! * r * (1 - r);
    gradients.gates[g + i] = gradients.recurrent[g + i] = dz;
    gradients.gates[g + width + i] = gradients.recurrent[g + width + i] = dr;
    gradients.gates[g + 2 * width + i] = dn;
    gradients.recurrent[g + 2 * width + i] = dn * r;
  }
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
