/**
 * Operator `co-visitation`: which items are met in the same sessions as this one, as decayed weights of a bounded
 * number of neighbours.
 *
 * Each pair adds its weight to one neighbour: in full when the other item came after this one, times `backwardShare`
 * when it came before. Weights are kept under a fast and a slow half-life (10 min: what is read together now; 14 d: what
 * belongs together), with the sum over all pairs, evicted neighbours included, beside them. The estimate published is
 *   share(other) = Σ_h mixture_h × weight_h(other) / (total_h + shrink)        ≈ P(other | this item)
 * in which both decay alike, so a published share needs no clock. Worked example, one half-life, shrink 1: pairs with
 * b, b, c: shares 2/4 and 1/4.
 *
 * Forward decay (Cormode et al., ICDE 2009): weights are stored in units of a landmark time, an amount at time t enters
 * as amount × 2^((t − landmark) / halfLife). So a pair touches one neighbour instead of all hundred, and the landmark is
 * moved before the units overflow.
 *
 * When the list is full the neighbour with the least slow weight (of equals the greatest hash) makes room. Published when
 * the share of the pair's neighbour moved by more than max(epsilon × published, floor), or the pairs since the last
 * publication are more than `totalEpsilon` of a total (which bounds how far the other shares are off): cold items
 * publish at each pair, growth from 0 to n pairs publishes O(log n) times.
 */
import { encodeRecord } from '../../schemas/codec.js';
import { hash32 } from '../../schemas/ids.js';
import type { Operator, PublishContext } from '../../streams/runtime/operator.js';
import type { ItemEvent } from './item-events.js';
import { PackedTexts } from '../packed-texts.js';
import { lastingArrays } from '../pooled-arrays.js';
import { createLayoutCodec, readFloats, writeFloats } from '../state-layout.js';
import { tableKey, WITHDRAWN } from './table-key.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Half-lives: fast and slow. */
const HALF_LIVES = 2;
const SLOW = 1;

export interface CoVisitationConfig {
  readonly topic: string;
  /** Fast and slow. */
  readonly halfLivesMs?: readonly [number, number];
  /** How much each half-life counts in a share; sums to 1. */
  readonly mixture?: readonly [number, number];
  /** Decayed pairs added to a total: an item known from few pairs is sure of none of them. */
  readonly shrink?: number;
  /** Most neighbours kept of an item. */
  readonly neighboursMax?: number;
  /** Most neighbours published: the strongest; the others wait in the state until they are. */
  readonly publishedMax?: number;
  /** Share of a pair's weight that counts when the other item came before. */
  readonly backwardShare?: number;
  /** Relative change of a share that is published; with `floor` 0 as well, every change. */
  readonly epsilon?: number;
  /** Change of a share that is too small to be published. */
  readonly floor?: number;
  /** Pairs since the last publication, relative to a total, that are published whatever they changed. */
  readonly totalEpsilon?: number;
}

export interface CoVisitationState {
  /** By half-life: time whose units the weights and totals are in, ms. */
  readonly landmarks: Float64Array;
  readonly totals: Float64Array;
  /** Amounts added since the last publication, in the same units. */
  readonly unpublished: Float64Array;
  /** Latest pair, ms. */
  refTime: number;
  /** Number of neighbours; the arrays below hold that many. */
  count: number;
  /** A neighbour keeps its place until another takes it; order is found out when there is something to publish. */
  readonly ids: PackedTexts;
  /** hash32 of the ids. Longer than `count` by what is left to grow into, like the arrays below. */
  hashes: Int32Array;
  fast: Float32Array;
  slow: Float32Array;
  /** Share last published; 0 when it never was. */
  published: Float32Array;
}

/** Half-lives a landmark may lie back before weights are brought to a new one; 2^60 is far inside an f32. */
const LANDMARK_AGE_MAX = 60;

export function createCoVisitationOperator(config: CoVisitationConfig): Operator<ItemEvent, CoVisitationState> {
  const { topic, halfLivesMs = [10 * MINUTE_MS, 14 * DAY_MS], mixture = [0.6, 0.4], shrink = 1 } = config;
  const { neighboursMax = 100, publishedMax = 32, backwardShare = 0.5 } = config;
  const { epsilon = 0.2, floor = 0.03, totalEpsilon = 0.2 } = config;
  /** Factors from a weight to its part of a share, by half-life, at the time of the record. */
  const scales = new Float64Array(HALF_LIVES);
  const initial = (): CoVisitationState => emptyState(Math.min(NEIGHBOURS_AT_START, neighboursMax));
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
      const state = cell.getOr(initial);
      cell.changed();
      const place = placeOf(state, record.otherItemId, neighboursMax);
      const isDue = add(state, place, record.weight * (record.following ? 1 : backwardShare), context.time);
      const published = state.published[place]!;
      const moved = Math.abs(shareOf(state, place) - published) > Math.max(epsilon * published, floor);
      if (!moved && !isDue) return;
      settleShares(state);
      context.publishLater();
    },
    publish(state, context) {
      const unit = 2 ** ((state.refTime - state.landmarks[SLOW]!) / halfLivesMs[SLOW]);
      const value = encodeTableValue(context, state, publishedMax, unit);
      context.publish(topic, tableKey(context.key, 'neighbours'), value);
    },
  };

  /** Folds one pair in, sets `scales`, and tells whether a total moved enough to publish. */
  function add(state: CoVisitationState, place: number, weight: number, time: number): boolean {
    let isDue = false;
    for (let h = 0; h < HALF_LIVES; h++) {
      if (state.totals[h] === 0) state.landmarks[h] = time;
      moveLandmarkIfNeeded(state, h, time, halfLivesMs[h]!);
      const unit = 2 ** ((time - state.landmarks[h]!) / halfLivesMs[h]!);
      const amount = weight * unit;
      const weights = h === SLOW ? state.slow : state.fast;
      weights[place] = weights[place]! + amount;
      state.totals[h] = state.totals[h]! + amount;
      state.unpublished[h] = state.unpublished[h]! + amount;
      scales[h] = mixture[h]! / (state.totals[h]! + shrink * unit);
      isDue ||= state.unpublished[h]! > totalEpsilon * (state.totals[h]! - state.unpublished[h]!);
    }
    state.refTime = Math.max(state.refTime, time);
    return isDue;
  }

  function shareOf(state: CoVisitationState, place: number): number {
    return scales[0]! * state.fast[place]! + scales[SLOW]! * state.slow[place]!;
  }

  /** Takes the shares as they are now for the published ones. */
  function settleShares(state: CoVisitationState): void {
    state.unpublished.fill(0);
    for (let i = 0; i < state.count; i++) state.published[i] = shareOf(state, i);
  }
}

/** Most items have few neighbours. */
const NEIGHBOURS_AT_START = 8;

function emptyState(capacity: number): CoVisitationState {
  return {
    landmarks: lastingArrays.doubles(HALF_LIVES),
    totals: lastingArrays.doubles(HALF_LIVES),
    unpublished: lastingArrays.doubles(HALF_LIVES),
    refTime: 0,
    count: 0,
    ids: new PackedTexts(),
    hashes: lastingArrays.ints(capacity),
    fast: lastingArrays.floats(capacity),
    slow: lastingArrays.floats(capacity),
    published: lastingArrays.floats(capacity),
  };
}

function grow(state: CoVisitationState, capacity: number): void {
  const hashes = lastingArrays.ints(capacity);
  hashes.set(state.hashes);
  state.hashes = hashes;
  for (const name of ['fast', 'slow', 'published'] as const) {
    const larger = lastingArrays.floats(capacity);
    larger.set(state[name]);
    state[name] = larger;
  }
}

function moveLandmarkIfNeeded(state: CoVisitationState, h: number, time: number, halfLifeMs: number): void {
  const age = (time - state.landmarks[h]!) / halfLifeMs;
  if (age <= LANDMARK_AGE_MAX) return;
  const scale = 2 ** -age;
  const weights = h === SLOW ? state.slow : state.fast;
  for (let i = 0; i < state.count; i++) weights[i] = weights[i]! * scale;
  state.totals[h] = state.totals[h]! * scale;
  state.unpublished[h] = state.unpublished[h]! * scale;
  state.landmarks[h] = time;
}

/** Place of a neighbour; a new one gets the next place, or the weakest's when all are taken. */
function placeOf(state: CoVisitationState, otherItemId: string, neighboursMax: number): number {
  const { hashes, ids, count } = state;
  const hash = hash32(otherItemId) | 0;
  for (let i = 0; i < count; i++) if (hashes[i] === hash && ids.at(i) === otherItemId) return i;
  if (count === state.fast.length && count < neighboursMax) grow(state, Math.min(neighboursMax, count * 2));
  const place = count < neighboursMax ? state.count++ : weakestPlace(state);
  ids.set(place, otherItemId);
  state.hashes[place] = hash;
  state.fast[place] = 0;
  state.slow[place] = 0;
  state.published[place] = 0;
  return place;
}

function weakestPlace(state: CoVisitationState): number {
  const { slow, hashes } = state;
  let weakest = 0;
  for (let i = 1; i < state.count; i++) {
    if (slow[i]! < slow[weakest]! || (slow[i] === slow[weakest] && hashes[i]! > hashes[weakest]!)) weakest = i;
  }
  return weakest;
}

/** Places of the strongest, by published share descending, then hash; filled by `rank`. */
let ranked = new Int32Array(128);

/** Ranks neighbours that have a published share, at most `limit`; returns how many. */
function rank({ count, published, hashes }: CoVisitationState, limit: number): number {
  if (ranked.length < limit) ranked = new Int32Array(limit);
  const precedes = (place: number, other: number): boolean =>
    published[place]! > published[other]! || (published[place] === published[other] && hashes[place]! < hashes[other]!);
  let found = 0;
  for (let place = 0; place < count; place++) {
    // Those that came since the last publication have no share yet.
    if (published[place] === 0) continue;
    if (found === limit && !precedes(place, ranked[found - 1]!)) continue;
    let to = found < limit ? found++ : limit - 1;
    for (; to > 0 && precedes(place, ranked[to - 1]!); to--) ranked[to] = ranked[to - 1]!;
    ranked[to] = place;
  }
  return found;
}

/** Reused by every publication; grown to the longest list. */
const drafts: { itemId: string; weight: number }[] = [];

/** Weights are shares × total, so that weight / total is the share and weight itself the pairs behind it. */
function encodeTableValue(
  context: PublishContext,
  state: CoVisitationState,
  publishedMax: number,
  unit: number,
): Uint8Array {
  const { ids, published } = state;
  const total = state.totals[SLOW]! / unit;
  const count = rank(state, publishedMax);
  while (drafts.length < count) drafts.push({ itemId: '', weight: 0 });
  const neighbours = drafts.slice(0, count);
  for (let i = 0; i < count; i++) {
    const place = ranked[i]!;
    neighbours[i]!.itemId = ids.at(place);
    neighbours[i]!.weight = published[place]! * total;
  }
  const value = { itemId: context.key, version: context.offset, refTime: state.refTime, total, neighbours };
  return encodeRecord('ItemNeighboursState', value);
}

function createStateCodec(neighboursMax: number) {
  return createLayoutCodec<CoVisitationState>({
    name: 'co-visitation',
    version: 1,
    write(state, writer) {
      writeFloats(writer, state.landmarks);
      writeFloats(writer, state.totals);
      writeFloats(writer, state.unpublished);
      writer.writeLong(state.refTime);
      writer.writeLong(state.count);
      state.ids.write(writer);
      writeFloats(writer, state.fast, state.count);
      writeFloats(writer, state.slow, state.count);
      writeFloats(writer, state.published, state.count);
    },
    read(reader) {
      const state = emptyState(0);
      readFloats(reader, state.landmarks);
      readFloats(reader, state.totals);
      readFloats(reader, state.unpublished);
      state.refTime = reader.readLong();
      // One that was written under a larger limit stays as long as it is, and grows no more.
      const count = reader.readCount(13);
      const capacity = Math.max(count, Math.min(NEIGHBOURS_AT_START, neighboursMax));
      state.count = count;
      state.hashes = lastingArrays.ints(capacity);
      state.ids.read(reader, count, (id, place) => {
        state.hashes[place] = hash32(id) | 0;
      });
      state.fast = readFloats(reader, lastingArrays.floats(capacity), count);
      state.slow = readFloats(reader, lastingArrays.floats(capacity), count);
      state.published = readFloats(reader, lastingArrays.floats(capacity), count);
      return state;
    },
  });
}
