/**
 * Operator `co-visitation`: which items are met in the same sessions as this one, as decayed weights of a bounded
 * number of neighbours.
 *
 * Each pair adds its weight to one neighbour: in full when the other item came after this one, times `backwardShare`
 * when it came before. `total` adds up the same amounts over all pairs, evicted neighbours included, so that
 * weight / total estimates P(other | this item): the normalisation serving uses. Both decay alike, so the quotient
 * needs no clock.
 *
 * Forward decay (Cormode et al., ICDE 2009): weights are stored in units of a landmark time, an amount at time t enters
 * as amount × 2^((t − landmark) / halfLife). So a pair touches one number instead of all hundred, order between
 * neighbours never changes by itself, and the landmark is moved before the units overflow. The list is kept sorted: the
 * neighbour that gained moves up, so publishing sorts nothing and the weakest is the last.
 *
 * When the list is full the weakest neighbour (of equals the greatest id) makes room. Published when the neighbour's weight
 * differs from the published one by more than max(epsilon × published, floor × total), or the total by more than
 * epsilon: each published weight is within that bound of the state. Growth from 0 to n pairs so publishes O(log n)
 * times, with at most 1 / floor publications a doubling.
 */
import { encodeRecord } from '../../schemas/codec.js';
import { hash32 } from '../../schemas/ids.js';
import type { Context, Operator } from '../../streams/runtime/operator.js';
import type { ItemEvent } from './item-events.js';
import { createPackedCodec, readFloats, writeFloats } from './packed-state.js';
import { tableKey, WITHDRAWN } from './table-key.js';

const DAY_MS = 86_400_000;

export interface CoVisitationConfig {
  readonly topic: string;
  readonly halfLifeMs?: number;
  /** Most neighbours kept and published of an item. */
  readonly neighboursMax?: number;
  /** Share of a pair's weight that counts when the other item came before. */
  readonly backwardShare?: number;
  /** Relative change of a weight that is published; with `floor` 0 as well, every change. */
  readonly epsilon?: number;
  /** Change, as a share of the total, below which a single neighbour is not worth a publication. */
  readonly floor?: number;
}

export interface CoVisitationState {
  /** Time whose units the weights are in, ms. */
  landmark: number;
  /** Latest pair, ms. */
  refTime: number;
  /** Number of neighbours; the arrays hold that many. */
  count: number;
  readonly ids: string[];
  readonly hashes: Uint32Array;
  readonly weights: Float32Array;
  /** Weight last published, in the same units; 0 when it never was. */
  readonly published: Float32Array;
  total: number;
  publishedTotal: number;
}

/** Half-lives a landmark may lie back before weights are brought to a new one; 2^60 is far inside an f32. */
const LANDMARK_AGE_MAX = 60;

export function createCoVisitationOperator(config: CoVisitationConfig): Operator<ItemEvent, CoVisitationState> {
  const { topic, halfLifeMs = DAY_MS, neighboursMax = 100, backwardShare = 0.5, epsilon = 0.08, floor = 0.01 } = config;
  return {
    name: 'co-visitation',
    purity: 'log-pure',
    state: createStateCodec(neighboursMax),
    process(record, cell, context) {
      if (record.kind === 'ItemDelete') {
        cell.remove();
        context.publish(topic, tableKey(context.key, 'neighbours'), WITHDRAWN);
        return;
      }
      if (record.kind !== 'ItemPair' || !(record.weight > 0) || record.otherItemId === context.key) return;
      const state = cell.getOr(() => emptyState(neighboursMax));
      if (state.count === 0) state.landmark = context.time;
      moveLandmarkIfNeeded(state, context.time, halfLifeMs);
      state.refTime = Math.max(state.refTime, context.time);
      const share = record.following ? 1 : backwardShare;
      const amount = record.weight * share * 2 ** ((context.time - state.landmark) / halfLifeMs);
      const found = placeOf(state, record.otherItemId, neighboursMax);
      state.weights[found] = state.weights[found]! + amount;
      state.total += amount;
      const place = moveUp(state, found);
      cell.changed();
      const published = state.published[place]!;
      const moved = state.weights[place]! - published > Math.max(epsilon * published, floor * state.total);
      if (moved || state.total - state.publishedTotal > epsilon * state.publishedTotal) publish(state, context);
    },
  };

  function publish(state: CoVisitationState, context: Context): void {
    state.published.set(state.weights);
    state.publishedTotal = state.total;
    const scale = 2 ** ((state.landmark - state.refTime) / halfLifeMs);
    context.publish(topic, tableKey(context.key, 'neighbours'), encodeTableValue(context, state, scale));
  }
}

function emptyState(neighboursMax: number): CoVisitationState {
  return {
    landmark: 0,
    refTime: 0,
    count: 0,
    ids: [],
    hashes: new Uint32Array(neighboursMax),
    weights: new Float32Array(neighboursMax),
    published: new Float32Array(neighboursMax),
    total: 0,
    publishedTotal: 0,
  };
}

function moveLandmarkIfNeeded(state: CoVisitationState, time: number, halfLifeMs: number): void {
  const age = (time - state.landmark) / halfLifeMs;
  if (age <= LANDMARK_AGE_MAX) return;
  const scale = 2 ** -age;
  for (let i = 0; i < state.count; i++) {
    state.weights[i] = state.weights[i]! * scale;
    state.published[i] = state.published[i]! * scale;
  }
  state.total *= scale;
  state.publishedTotal *= scale;
  state.landmark = time;
}

/** Place of a neighbour; a new one gets the next place, or the last's when all are taken. */
function placeOf(state: CoVisitationState, otherItemId: string, neighboursMax: number): number {
  const { hashes, ids, count } = state;
  const hash = hash32(otherItemId);
  for (let i = 0; i < count; i++) if (hashes[i] === hash && ids[i] === otherItemId) return i;
  const place = count < neighboursMax ? state.count++ : count - 1;
  ids[place] = otherItemId;
  hashes[place] = hash;
  state.weights[place] = 0;
  state.published[place] = 0;
  return place;
}

/** Restores the order, weight descending then id, after one weight grew; returns the new place. */
function moveUp(state: CoVisitationState, from: number): number {
  const { ids, hashes, weights, published } = state;
  const id = ids[from]!;
  const hash = hashes[from]!;
  const weight = weights[from]!;
  const publishedWeight = published[from]!;
  let place = from;
  for (; place > 0; place--) {
    const above = place - 1;
    if (weight < weights[above]! || (weight === weights[above] && id > ids[above]!)) break;
    ids[place] = ids[above]!;
    hashes[place] = hashes[above]!;
    weights[place] = weights[above]!;
    published[place] = published[above]!;
  }
  ids[place] = id;
  hashes[place] = hash;
  weights[place] = weight;
  published[place] = publishedWeight;
  return place;
}

/** Reused by every publication; grown to the longest list. */
const drafts: { itemId: string; weight: number }[] = [];

function encodeTableValue(context: Context, state: CoVisitationState, scale: number): Uint8Array {
  const { ids, weights, count } = state;
  while (drafts.length < count) drafts.push({ itemId: '', weight: 0 });
  const neighbours = drafts.slice(0, count);
  for (let i = 0; i < count; i++) {
    neighbours[i]!.itemId = ids[i]!;
    neighbours[i]!.weight = weights[i]! * scale;
  }
  return encodeRecord('ItemNeighboursState', {
    itemId: context.key,
    version: context.offset,
    refTime: state.refTime,
    total: state.total * scale,
    neighbours,
  });
}

function createStateCodec(neighboursMax: number) {
  return createPackedCodec<CoVisitationState>('co-visitation', {
    version: 1,
    write(writer, state) {
      writer.writeLong(state.landmark);
      writer.writeLong(state.refTime);
      writer.writeDouble(state.total);
      writer.writeDouble(state.publishedTotal);
      writer.writeLong(state.count);
      for (let i = 0; i < state.count; i++) writer.writeString(state.ids[i]!);
      writeFloats(writer, state.weights, state.count);
      writeFloats(writer, state.published, state.count);
    },
    read(reader) {
      const state = emptyState(neighboursMax);
      state.landmark = reader.readLong();
      state.refTime = reader.readLong();
      state.total = reader.readDouble();
      state.publishedTotal = reader.readDouble();
      const stored = reader.readCount(9);
      // A smaller limit than the state was written with keeps the strongest.
      state.count = Math.min(stored, neighboursMax);
      for (let i = 0; i < stored; i++) {
        const id = reader.readString();
        if (i < state.count) {
          state.ids.push(id);
          state.hashes[i] = hash32(id);
        }
      }
      state.weights.set(readFloats(reader, new Float32Array(stored)).subarray(0, state.count));
      state.published.set(readFloats(reader, new Float32Array(stored)).subarray(0, state.count));
      return state;
    },
  });
}
