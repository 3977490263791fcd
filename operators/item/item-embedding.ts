/**
 * Operator `item-embedding`: the item's side of an incremental implicit matrix factorisation; the user stage keeps the
 * other side, and the vectors meet in the signals (`userVector`).
 *
 * Step for an item vector q and a user vector p, with error e = target − p·q (ISGD: Vinagre, Jorge, Gama: Fast
 * incremental matrix factorization for recommendation with positive-only feedback, UMAP 2014):
 *   q ← q + η_n · c · (e · p − λ · q)
 * target 1, c = weight for the person who interacted; target 0, c = `negativeShare` for `negatives` people drawn from
 * the partition's latest (missing entries as weak negatives: eALS, He et al., SIGIR 2016). A dislike has target 0.
 * A step is divided by |p|² where that is above 1, as in normalised least mean squares, so it cannot overshoot.
 * The rate falls with the item's steps n, η_n = max(η_min, η / sqrt(1 + n / 10)): a new item moves at once, an old one
 * settles and so publishes seldom.
 *
 * Worked example, one dimension, η_0 = .1, λ = 0: q = .2, p = 1: e = .8, q = .28.
 *
 * Invariants: the state holds finite numbers only — a step that would not be finite or longer than the bound
 * is dropped; vectors of another space are ignored, and a state of another space starts anew. Published when the vector
 * moved by more than `epsilon` of its norm from the published one.
 */
import { encodeRecord } from '../../schemas/codec.js';
import { hash32 } from '../../schemas/ids.js';
import type { ItemInteraction } from '../../schemas/records.js';
import type { Operator } from '../../streams/runtime/operator.js';
import { lastingArrays } from '../pooled-arrays.js';
import type { ItemEvent } from './item-events.js';
import { createLayoutCodec, readFloats, writeFloats } from '../state-layout.js';
import { tableKey, WITHDRAWN } from './table-key.js';
import type { SampledVector, UserSampleState } from './user-sample.js';

export interface ItemEmbeddingConfig {
  readonly topic: string;
  /** Id of the space; part of what is published. */
  readonly space: string;
  readonly dimensions?: number;
  readonly learningRate?: number;
  readonly learningRateMin?: number;
  readonly regularisation?: number;
  /** Weak negatives per positive. */
  readonly negatives?: number;
  /** Weight of a negative relative to a positive of weight 1. */
  readonly negativeShare?: number;
  /** Norm of a vector before its first step. */
  readonly initialNorm?: number;
  /** Longest a vector may become. */
  readonly normMax?: number;
  /** Move relative to the norm that is published; 0 publishes every change. */
  readonly epsilon?: number;
}

export interface ItemEmbeddingState {
  readonly space: string;
  /** Gradient steps taken. */
  updates: number;
  readonly vector: Float32Array;
  /** All zero before the first publication. */
  readonly published: Float32Array;
}

/** Weights of purchases and the like; beyond this a single signal would overshoot. */
const SIGNAL_WEIGHT_MAX = 3;
const STEPS_TO_SETTLE = 10;

export function createItemEmbeddingOperator(
  config: ItemEmbeddingConfig,
  userSample: Operator<ItemEvent, UserSampleState>,
): Operator<ItemEvent, ItemEmbeddingState> {
  const { topic, space, dimensions = 64, epsilon = 0.02, normMax = 4, initialNorm = 0.1 } = config;
  const { learningRate = 0.1, learningRateMin = 0.01, regularisation = 0.02 } = config;
  const { negatives = 2, negativeShare = 0.3 } = config;
  return {
    name: 'item-embedding',
    // Its input carries user vectors, and those were made by reading a table.
    purity: 'table-reading',
    state: createStateCodec(),
    reads: [userSample.name],
    process(record, cell, context) {
      if (record.kind === 'ItemDelete') {
        cell.remove();
        context.publish(topic, tableKey(context.key, 'embedding'), WITHDRAWN);
        return;
      }
      if (record.kind !== 'ItemInteraction' || record.userVector === null || record.space !== space) return;
      const sample = context.peek(userSample);
      const person = newestOf(sample);
      // The sample has just taken this record's vector in, unless it was of no use.
      if (person?.floats.length !== dimensions || !person.quantized.equals(record.userVector)) return;
      let state = cell.get();
      if (state === undefined || state.space !== space || state.vector.length !== dimensions) {
        state = initialState(context.key);
        cell.set(state);
      }
      learn(state, record, sample!, context.offset);
      cell.changed();
      if (!hasMoved(state, epsilon)) return;
      state.published.set(state.vector);
      context.publishLater();
    },
    publish({ published, updates }, context) {
      const { key, offset } = context;
      const vector = Buffer.from(published.buffer as ArrayBuffer, published.byteOffset, published.byteLength);
      const value = { itemId: key, version: offset, space, vector, updates };
      context.publish(topic, tableKey(key, 'embedding'), encodeRecord('ItemEmbeddingState', value));
    },
  };

  /** `sample` holds the person of the record as its newest. */
  function learn(state: ItemEmbeddingState, record: ItemInteraction, sample: UserSampleState, offset: number): void {
    const rate = Math.max(learningRateMin, learningRate / Math.sqrt(1 + state.updates / STEPS_TO_SETTLE));
    const strength = Math.min(Math.abs(record.weight), SIGNAL_WEIGHT_MAX);
    const { total, vectors } = sample;
    step(state.vector, vectors[(total - 1) % vectors.length]!, record.weight > 0 ? 1 : 0, rate * strength);
    state.updates++;
    const eligible = Math.min(total, vectors.length) - 1;
    if (eligible < 1) return;
    for (let n = 0; n < negatives; n++) {
      const back = 2 + (hashOf(offset, n) % eligible);
      const drawn = vectors[(total - back + vectors.length) % vectors.length]!;
      if (drawn.floats.length === dimensions) step(state.vector, drawn, 0, rate * negativeShare);
    }
  }

  function step(vector: Float32Array, person: SampledVector, target: number, rate: number): void {
    const towards = person.floats;
    let product = 0;
    let own = 0;
    for (let k = 0; k < dimensions; k++) {
      const value = vector[k]!;
      product += value * towards[k]!;
      own += value * value;
    }
    // A dislike or a negative only pushes away from where the vector points, never further than that.
    if (target === 0 && product <= 0) return;
    const gain = (rate * (target - product)) / Math.max(1, person.square);
    const keep = 1 - rate * regularisation;
    // |keep · q + gain · p|², from what is known already.
    const square = keep * keep * own + 2 * keep * gain * product + gain * gain * person.square;
    if (!Number.isFinite(square)) return;
    const scale = square > normMax * normMax ? normMax / Math.sqrt(square) : 1;
    for (let k = 0; k < dimensions; k++) vector[k] = scale * (keep * vector[k]! + gain * towards[k]!);
  }

  /** A direction of its own for each item, the same in every replay. */
  function initialState(itemId: string): ItemEmbeddingState {
    const vector = lastingArrays.floats(dimensions);
    const seed = hash32(itemId);
    const amplitude = initialNorm * Math.sqrt(3 / dimensions);
    for (let k = 0; k < dimensions; k++) vector[k] = amplitude * (hashOf(seed, k) / 2 ** 31 - 1);
    return { space, updates: 0, vector, published: lastingArrays.floats(dimensions) };
  }
}

function newestOf(sample: UserSampleState | undefined): SampledVector | undefined {
  return sample === undefined ? undefined : sample.vectors[(sample.total - 1) % sample.vectors.length];
}

function hasMoved(state: ItemEmbeddingState, epsilon: number): boolean {
  let distance = 0;
  let norm = 0;
  for (let k = 0; k < state.vector.length; k++) {
    distance += (state.vector[k]! - state.published[k]!) ** 2;
    norm += state.published[k]! ** 2;
  }
  return distance > epsilon * epsilon * norm;
}

/** Mixes two numbers into an unsigned 32-bit hash (finaliser of MurmurHash3). */
function hashOf(seed: number, index: number): number {
  let mixed = Math.imul((seed ^ Math.floor(seed / 2 ** 32)) + Math.imul(index + 1, 0x9e3779b9), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

function createStateCodec() {
  return createLayoutCodec<ItemEmbeddingState>({
    name: 'item-embedding',
    version: 1,
    write(state, writer) {
      writer.writeString(state.space);
      writer.writeLong(state.updates);
      writer.writeLong(state.vector.length);
      writeFloats(writer, state.vector);
      writeFloats(writer, state.published);
    },
    read(reader) {
      const space = reader.readString();
      const updates = reader.readLong();
      const length = reader.readCount(8);
      const vector = readFloats(reader, lastingArrays.floats(length));
      return { space, updates, vector, published: readFloats(reader, lastingArrays.floats(length)) };
    },
  });
}
