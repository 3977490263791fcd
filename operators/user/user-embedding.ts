/**
 * Sixth operator of stage 1: a person's vector in the space of the items, moved by every positive interaction.
 *
 * Online implicit matrix factorisation (ISGD: Vinagre, Jorge and Gama, Fast Incremental Matrix Factorization for
 * Recommendation with Positive-Only Feedback, UMAP 2014), with sampled negatives. For an interaction of weight w with
 * item i, and k items j drawn uniformly:
 *
 *   u ← u + η c (1 − u·i) i                    c = min(1, w / confidenceAt)
 *   u ← u + η c ν (0 − u·j) j                  for each j ≠ i, ν = negativeWeight
 *   u ← u (1 − η λ), then |u| ≤ normMax
 *
 * Items learn from their side, in their own stage. u and the rows i, j have `dimensions` numbers. Worked example with
 * one dimension, η = .1, c = 1, no negatives, λ = 0: u = .2, i = .5 gives u·i = .1 and u = .2 + .1 × .9 × .5 = .245.
 *
 * Draws are a function of the event's id and of the table, the first vector one of the person's id. A vector carries
 * its space; when the items' space is another one, it starts anew and is folded in from the latest interactions.
 * Invariants: numbers are finite, the norm is bounded. Not learned without consent.
 */
import { hash32 } from '../../schemas/ids.js';
import type { Context, Operator } from '../../streams/runtime/operator.js';
import { decodedArrays, lastingArrays } from '../pooled-arrays.js';
import { DEFAULT_INTEREST_WEIGHTS, interestWeight, typeAt, type EventWeights } from './event-weights.js';
import { mayPersonalize, type ProfileState } from './profile-state.js';
import { createLayoutCodec, readFloats } from '../state-layout.js';
import { readLength } from './state-bytes.js';
import type { UserEvent } from './user-events.js';

/** Item vectors as this operator reads them; ItemVectorTable has this shape. */
export interface ItemVectors {
  readonly space: string;
  readonly dimensions: number;
  /** Row-major; row i starts at i × dimensions. */
  readonly vectors: Float32Array;
  /** −1 when the item has no vector. */
  indexOf(itemId: string): number;
  /** A row drawn by an unsigned 32-bit hash; −1 when there is none. */
  sampleIndex(hash: number): number;
}

export interface UserEmbeddingConfig {
  /** η; default .05. */
  readonly learningRate: number;
  /** λ; default .01. */
  readonly regularization: number;
  /** k, sampled items a step; default 3. */
  readonly negatives: number;
  /** ν; default .3. */
  readonly negativeWeight: number;
  /** Interest weight that counts in full; default 4. */
  readonly confidenceAt: number;
  /** Largest Euclidean norm; default 4. */
  readonly normMax: number;
  /** Standard deviation of a new vector's numbers; default .1. */
  readonly initialScale: number;
  readonly weights: EventWeights;
}

export const DEFAULT_USER_EMBEDDING: UserEmbeddingConfig = {
  learningRate: 0.05,
  regularization: 0.01,
  negatives: 3,
  negativeWeight: 0.3,
  confidenceAt: 4,
  normMax: 4,
  initialScale: 0.1,
  weights: DEFAULT_INTEREST_WEIGHTS,
};

export interface UserEmbeddingDeps {
  /** The current item vectors; undefined while no space is set. Asked for at every record: spaces are switched. */
  readonly itemVectors: () => ItemVectors | undefined;
  readonly profile: Operator<never, ProfileState>;
}

export interface UserEmbeddingState {
  space: string;
  vector: Float32Array;
  /** Steps taken in this space. */
  updates: number;
}

export function createUserEmbeddingOperator(
  config: UserEmbeddingConfig,
  deps: UserEmbeddingDeps,
): Operator<UserEvent, UserEmbeddingState> {
  return {
    name: 'user-embedding',
    purity: 'table-reading',
    state: userEmbeddingCodec,
    reads: ['profile'],
    process(record, cell, context) {
      if (record.kind !== 'Interaction') return;
      const items = deps.itemVectors();
      if (items === undefined) return;
      const weight = interestWeight(config.weights, record);
      if (weight <= 0) return;
      const profile = context.peek(deps.profile);
      if (!mayPersonalize(profile)) return;
      let state = cell.get();
      if (state?.space !== items.space || state.vector.length !== items.dimensions) {
        state = startVector(items, context.key, config.initialScale);
        cell.set(state);
        // The record in process is the profile's latest: it gets its own step, with negatives, below.
        if (profile !== undefined) foldIn(state, items, profile);
      }
      const index = items.indexOf(record.itemId);
      if (index < 0) return;
      learn(state, items, index, weight);
      pushAway(state, items, index, { weight, seed: hash32(record.eventId) });
      finish(state, context);
      cell.changed();
    },
    /** Of one space: the mean, weighted by steps taken. Otherwise the receiving vector stays, if there is one. */
    merge(target, source) {
      const own = target.get();
      if (own === undefined) {
        target.set(source);
        return;
      }
      if (own.space !== source.space || own.vector.length !== source.vector.length) return;
      const total = own.updates + source.updates;
      if (total === 0) return;
      for (let k = 0; k < own.vector.length; k++) {
        own.vector[k] = (own.vector[k]! * own.updates + source.vector[k]! * source.updates) / total;
      }
      own.updates = total;
      target.changed();
    },
  };

  function rate(weight: number): number {
    return config.learningRate * Math.min(1, weight / config.confidenceAt);
  }

  function learn(state: UserEmbeddingState, items: ItemVectors, index: number, weight: number): void {
    step(state.vector, items, index, { target: 1, rate: rate(weight) });
    state.updates++;
  }

  function pushAway(
    state: UserEmbeddingState,
    items: ItemVectors,
    positive: number,
    draw: { readonly weight: number; readonly seed: number },
  ): void {
    const scaled = { target: 0, rate: rate(draw.weight) * config.negativeWeight };
    for (let k = 0; k < config.negatives; k++) {
      const index = items.sampleIndex(drawn(draw.seed, k));
      if (index >= 0 && index !== positive) step(state.vector, items, index, scaled);
    }
  }

  /** Shrinks, bounds the norm, and starts anew should a number not be finite. */
  function finish(state: UserEmbeddingState, context: Context): void {
    const { vector } = state;
    const keep = 1 - config.learningRate * config.regularization;
    let square = 0;
    for (let k = 0; k < vector.length; k++) {
      const value = vector[k]! * keep;
      vector[k] = value;
      square += value * value;
    }
    if (!(square < Infinity)) {
      vector.set(initialVector(context.key, state.space, vector.length, config.initialScale));
      state.updates = 0;
    } else if (square > config.normMax * config.normMax) {
      const scale = config.normMax / Math.sqrt(square);
      for (let k = 0; k < vector.length; k++) vector[k]! *= scale;
    }
  }

  /** A vector in a new space from what is known already, oldest first; at most the profile's 50 interactions. */
  function foldIn(state: UserEmbeddingState, items: ItemVectors, profile: ProfileState): void {
    const { recentTypes } = profile;
    const recentItems = profile.recentItems.all();
    for (let i = 0; i < recentItems.length - 1; i++) {
      const weight = config.weights[typeAt(recentTypes[i]!)];
      const index = weight > 0 ? items.indexOf(recentItems[i]!) : -1;
      if (index >= 0) learn(state, items, index, weight);
    }
  }
}

/** u += rate × (target − u·row) × row. */
function step(
  vector: Float32Array,
  items: ItemVectors,
  index: number,
  { target, rate }: { readonly target: number; readonly rate: number },
): void {
  const { vectors } = items;
  const length = vector.length;
  const start = index * length;
  let product = 0;
  for (let k = 0; k < length; k++) product += vector[k]! * vectors[start + k]!;
  const amount = rate * (target - product);
  for (let k = 0; k < length; k++) vector[k] = vector[k]! + amount * vectors[start + k]!;
}

function startVector(items: ItemVectors, userId: string, scale: number): UserEmbeddingState {
  return { space: items.space, vector: initialVector(userId, items.space, items.dimensions, scale), updates: 0 };
}

/** Uniform numbers of the given standard deviation (half-width scale × √3), a function of person and space. */
export function initialVector(userId: string, space: string, dimensions: number, scale: number): Float32Array {
  const seed = hash32(userId) ^ hash32(space);
  const vector = lastingArrays.floats(dimensions);
  const width = scale * Math.sqrt(12);
  for (let k = 0; k < dimensions; k++) vector[k] = (drawn(seed, k) / 2 ** 32 - 0.5) * width;
  return vector;
}

/** The k-th 32-bit number of a seed: the finaliser of MurmurHash3 over seed + k × the golden ratio (splitmix). */
function drawn(seed: number, k: number): number {
  let h = (seed + Math.imul(k + 1, 0x9e3779b9)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export const userEmbeddingCodec = createLayoutCodec<UserEmbeddingState>({
  name: 'user-embedding',
  version: 1,
  write(state, writer) {
    writer.writeString(state.space);
    writer.writeLong(state.updates);
    writer.writeLong(state.vector.length);
    writer.writeNumbers(state.vector);
  },
  read(reader) {
    const space = reader.readString();
    const updates = reader.readLong();
    const length = readLength(reader);
    return { space, vector: readFloats(reader, decodedArrays.floats(length)), updates };
  },
});
