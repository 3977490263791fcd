/**
 * Fewer dimensions by principal component analysis: vectors seen along the axes in which they differ most.
 *
 * axes = strongest eigenvectors of XᵀX (not centred, so that scalar products keep their meaning); reduced = X · axes.
 */
import { EngineError } from '../../../schemas/errors.js';
import { gramOfVectors } from '../collaborative/factor-scorer.js';
import { symmetricEigen } from '../kernels/symmetric-eigen.js';

export class PrincipalAxes {
  private constructor(
    readonly dimensions: number,
    readonly reduced: number,
    /** Row a is axis a. */
    private readonly axes: Float64Array,
    /** Share of the squares that the axes keep, 0 to 1. */
    readonly kept: number,
  ) {}

  /** @param vectors row-major, of `dimensions` each */
  static learn(vectors: Float32Array, dimensions: number, reduced: number): PrincipalAxes {
    if (reduced < 1 || reduced > dimensions) {
      throw new EngineError('REQUEST_INVALID', `${dimensions} dimensions cannot be reduced to ${reduced}.`);
    }
    const { values, vectors: axes } = symmetricEigen(gramOfVectors(vectors, dimensions), dimensions);
    const total = values.reduce((sum, value) => sum + Math.max(0, value), 0);
    const kept = values.subarray(0, reduced).reduce((sum, value) => sum + Math.max(0, value), 0);
    return new PrincipalAxes(dimensions, reduced, axes.slice(0, reduced * dimensions), total > 0 ? kept / total : 1);
  }

  /** Any number of vectors, row-major. */
  reduce(vectors: Float32Array): Float32Array {
    const rows = vectors.length / this.dimensions;
    const result = new Float32Array(rows * this.reduced);
    for (let row = 0; row < rows; row++) {
      for (let axis = 0; axis < this.reduced; axis++) {
        let sum = 0;
        for (let k = 0; k < this.dimensions; k++) {
          sum += vectors[row * this.dimensions + k]! * this.axes[axis * this.dimensions + k]!;
        }
        result[row * this.reduced + axis] = sum;
      }
    }
    return result;
  }
}
