/**
 * Operator `user-sample`: the latest user vectors that passed through this partition, one cell for all items.
 *
 * Implicit feedback has no negatives: somebody who did not meet an item says nothing, but somebody drawn at random
 * very likely does not care for it. `item-embedding` draws its negatives from this ring. It is scoped to the partition
 * because an item's own cell only ever sees people who liked the item.
 */
import { copyInto } from '../../schemas/binary-writer.js';
import type { Operator } from '../../streams/runtime/operator.js';
import { dequantizeVector, quantizedLength } from '../item-vectors.js';
import type { ItemEvent } from './item-events.js';
import { lastingArrays } from '../pooled-arrays.js';
import { createLayoutCodec } from '../state-layout.js';

/** 64 vectors of 64 dimensions are 4.4 kB; a negative is as recent as the last few dozen signals. */
export const USER_SAMPLE_SIZE = 64;

export interface UserSampleConfig {
  readonly space: string;
  readonly sampleSize?: number;
}

export interface UserSampleState {
  /** Vectors ever taken in; the next goes to this modulo the size. */
  total: number;
  readonly vectors: SampledVector[];
}

export interface SampledVector {
  /** As it arrived, and as it is stored. */
  readonly quantized: Buffer;
  /** The same taken apart, once, because it is drawn several times. */
  readonly floats: Float32Array;
  /** Of its Euclidean length. */
  square: number;
}

export function createUserSampleOperator(config: UserSampleConfig): Operator<ItemEvent, UserSampleState> {
  const { space, sampleSize = USER_SAMPLE_SIZE } = config;
  return {
    name: 'user-sample',
    // Its input carries user vectors, and those were made by reading a table.
    purity: 'table-reading',
    scope: 'partition',
    state: stateCodec,
    process(record, cell) {
      if (record.kind !== 'ItemInteraction' || record.userVector === null || record.space !== space) return;
      const state = cell.getOr(() => ({ total: 0, vectors: [] }));
      const place = state.total % sampleSize;
      if (!replace(state.vectors[place], record.userVector)) {
        const sampled = sampleOf(copyInto(lastingArrays, record.userVector));
        if (sampled === undefined) return;
        state.vectors[place] = sampled;
      }
      state.total++;
      cell.changed();
    },
    merge(target, source) {
      const own = target.get();
      target.set(own === undefined ? source : mergedSamples(own, source, sampleSize));
    },
  };
}

/** The latest of both, in turn: neither knows how old the other's are. */
function mergedSamples(left: UserSampleState, right: UserSampleState, sampleSize: number): UserSampleState {
  const [ours, theirs] = [newestFirst(left), newestFirst(right)];
  const kept: SampledVector[] = [];
  for (let i = 0; i < sampleSize; i++) {
    kept.push(...ours.slice(i, i + 1), ...theirs.slice(i, i + 1));
  }
  const vectors = kept.slice(0, sampleSize).reverse();
  return { total: vectors.length, vectors };
}

function newestFirst({ total, vectors }: UserSampleState): SampledVector[] {
  const oldest = total % vectors.length || 0;
  return [...vectors.slice(oldest), ...vectors.slice(0, oldest)].reverse();
}

/** Takes a new vector in where an old one was; false when it does not fit there. Nobody looks at the old one any more. */
function replace(sampled: SampledVector | undefined, quantized: Buffer): boolean {
  if (sampled === undefined || !dequantizeVector(quantized, sampled.floats)) return false;
  sampled.quantized.set(quantized);
  sampled.square = squareOf(sampled.floats);
  return true;
}

/** undefined when the vector is not usable. */
function sampleOf(quantized: Buffer): SampledVector | undefined {
  const floats = lastingArrays.floats(Math.max(0, quantized.length - quantizedLength(0)));
  return dequantizeVector(quantized, floats) ? { quantized, floats, square: squareOf(floats) } : undefined;
}

function squareOf(vector: Float32Array): number {
  let square = 0;
  for (let k = 0; k < vector.length; k++) square += vector[k]! * vector[k]!;
  return square;
}

const stateCodec = createLayoutCodec<UserSampleState>({
  name: 'user-sample',
  version: 1,
  write(state, writer) {
    writer.writeLong(state.total);
    writer.writeLong(state.vectors.length);
    for (const { quantized } of state.vectors) writer.writeBytes(quantized);
  },
  read(reader) {
    const total = reader.readLong();
    const vectors = Array.from({ length: reader.readCount(1) }, () => {
      return sampleOf(reader.readBytes(lastingArrays)) ?? reader.fail('a user vector is not finite');
    });
    return { total, vectors };
  },
});
