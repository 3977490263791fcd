/** Contract of a network that turns a person's items so far into one vector a position. */
import type { Random } from '../../../streams/random.js';
import type { Matrix } from '../tensors/kernels.js';
import type { PackedBatch } from './packed-batch.js';
import type { Parameters } from './parameters.js';

export interface Encoder {
  readonly parameters: Parameters;
  /** Longest sequence of a batch. */
  readonly length: number;
  /** Bytes of activations a position of a training batch takes, about. */
  readonly bytesPerPosition: number;
  /**
   * Hidden rows [positions × dimensions]; row p has seen its sequence up to p and nothing else. With `random`, dropout is
   * applied and what `backward` needs is kept. Memory is taken from the kernels: the caller marks and releases.
   */
  forward(batch: PackedBatch, random?: Random): Matrix;
  /** Adds to the gradients of the parameters. After the `forward` of the same batch with `random`, once. */
  backward(gradient: Matrix): void;
  /** A person's state that takes one item after the other, for the live path. */
  createSteps(): EncoderSteps;
}

/** One encoder's arithmetic for single positions; the states are the caller's. Not reentrant. */
export interface EncoderSteps {
  /** Floats of a state. */
  readonly stateFloats: number;
  /** Whether a state that took `count` items must be started again from the newest of them. */
  isFull(count: number): boolean;
  /** Items a full state keeps when it is cut: the newest ones are taken again, in one batch. */
  readonly keptItems: number;
  /** Takes items as positions `count` … into the state and writes the last hidden row. */
  take(state: Float32Array, count: number, items: Int32Array, hidden: Float32Array): void;
}
