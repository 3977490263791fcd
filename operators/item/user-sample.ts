/**
 * Operator `user-sample`: the latest user vectors that passed through this partition, one cell for all items.
 *
 * Implicit feedback has no negatives: somebody who did not meet an item says nothing, but somebody drawn at random
 * very likely does not care for it. `item-embedding` draws its negatives from this ring. It is scoped to the partition
 * because an item's own cell only ever sees people who liked the item.
 */
import type { Operator } from '../../streams/runtime/operator.js';
import { dequantizeVector, quantizedLength } from '../item-vectors.js';
import type { ItemEvent } from './item-events.js';
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
      const sampled = sampleOf(record.userVector, state.vectors[place]?.floats);
      if (sampled === undefined) return;
      state.vectors[place] = sampled;
      state.total++;
      cell.changed();
    },
  };
}

/** undefined when the vector is not usable. `reusable` is memory that nobody looks at any more. */
function sampleOf(quantized: Buffer, reusable?: Float32Array): SampledVector | undefined {
  const dimensions = Math.max(0, quantized.length - quantizedLength(0));
  const floats = reusable?.length === dimensions ? reusable : new Float32Array(dimensions);
  return dequantizeVector(quantized, floats) ? { quantized, floats } : undefined;
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
      return sampleOf(reader.readBytes()) ?? reader.fail('a user vector is not finite');
    });
    return { total, vectors };
  },
});
