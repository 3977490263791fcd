/**
 * Operator `popularity`: exponentially decayed weighted counts of an item over several half-lives, overall and for a
 * bounded number of segments (device, country, ...).
 *
 * A count halves every half-life (operators/decay.ts), so the state is a handful of numbers however long the item has
 * been around, and short and long half-lives side by side give the trend (see `trendOf`). Negative weights (dislikes)
 * do not lower popularity: they are the profile's business.
 *
 * Published only when one of the overall counts has moved by more than `epsilon` (5 %) from what serving computes from
 * the last published value; so a cold item publishes at each signal and a hot one a few times a minute. Serving's
 * overall counts are within epsilon of the state; its segment counts are behind by at most epsilon × the overall count.
 * What is published are the counts that were found to have moved, not those of the commit that carries them.
 */
import { encodeRecord } from '../../schemas/codec.js';
import type { Operator } from '../../streams/runtime/operator.js';
import { decayFactor } from '../decay.js';
import type { ItemEvent } from './item-events.js';
import { lastingArrays } from '../pooled-arrays.js';
import { createLayoutCodec, readFloats, writeFloats } from '../state-layout.js';
import { tableKey, WITHDRAWN } from './table-key.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** 10 min, 1 h, 6 h, 24 h, 7 d: serving reads counts by their place here. */
export const POPULARITY_HALF_LIVES_MS: readonly number[] = [
  10 * MINUTE_MS,
  HOUR_MS,
  6 * HOUR_MS,
  24 * HOUR_MS,
  168 * HOUR_MS,
];
/** 1 h, 24 h: a segment holds a share of the traffic, minutes would be noise. */
export const SEGMENT_HALF_LIVES_MS: readonly number[] = [HOUR_MS, 24 * HOUR_MS];

export interface PopularityConfig {
  readonly topic: string;
  readonly halfLivesMs?: readonly number[];
  readonly segmentHalfLivesMs?: readonly number[];
  /** Most segments kept of an item; the weakest by its longest half-life goes first. */
  readonly segmentsMax?: number;
  /** Relative change that is published; 0 publishes every change. */
  readonly epsilon?: number;
}

export interface PopularityState {
  /** The counts are valid at this time, ms. */
  refTime: number;
  counts: Float64Array;
  publishedTime: number;
  /** All zero before the first publication. */
  publishedCounts: Float64Array;
  /** In order of arrival. */
  segments: SegmentState[];
}

export interface SegmentState {
  readonly name: string;
  refTime: number;
  counts: Float64Array;
}

export function createPopularityOperator(config: PopularityConfig): Operator<ItemEvent, PopularityState> {
  const halfLives = config.halfLivesMs ?? POPULARITY_HALF_LIVES_MS;
  const segmentHalfLives = config.segmentHalfLivesMs ?? SEGMENT_HALF_LIVES_MS;
  const { topic, epsilon = 0.05, segmentsMax = 12 } = config;
  const initial = (): PopularityState => ({
    refTime: 0,
    counts: lastingArrays.doubles(halfLives.length),
    publishedTime: 0,
    publishedCounts: lastingArrays.doubles(halfLives.length),
    segments: [],
  });
  return {
    name: 'popularity',
    purity: 'log-pure',
    state: createStateCodec(halfLives.length, segmentHalfLives.length),
    process(record, cell, context) {
      if (record.kind === 'ItemDelete') {
        cell.remove();
        context.publish(topic, tableKey(context.key, 'popularity'), WITHDRAWN);
        return;
      }
      if (record.kind !== 'ItemInteraction' || !(record.weight > 0)) return;
      const state = cell.getOr(initial);
      state.refTime = addToAll(state.counts, state.refTime, record.weight, context.time, halfLives);
      for (let i = 0; i < record.segments.length; i++) {
        const segment = segmentOf(state, record.segments[i]!, context.time, segmentHalfLives, segmentsMax);
        segment.refTime = addToAll(segment.counts, segment.refTime, record.weight, context.time, segmentHalfLives);
      }
      cell.changed();
      if (!hasMoved(state, halfLives, epsilon)) return;
      state.publishedTime = state.refTime;
      state.publishedCounts.set(state.counts);
      context.publishLater();
    },
    publish(state, context) {
      context.publish(topic, tableKey(context.key, 'popularity'), encodeTableValue(context.key, context.offset, state));
    },
  };
}

/**
 * How much more an item is met now than over the long run, per unit of time:
 *   trend = (short / shortHalfLife) / (long / longHalfLife + prior),   prior = 1 signal per long half-life
 * 1 is steady, 4 is four times the usual rate, below 1 is fading.
 */
export function trendOf(short: number, shortHalfLifeMs: number, long: number, longHalfLifeMs: number): number {
  return short / shortHalfLifeMs / ((long + 1) / longHalfLifeMs);
}

/** Folds `amount` into counts of several half-lives; returns the new reference time. A late amount is decayed itself. */
function addToAll(
  counts: Float64Array,
  refTime: number,
  amount: number,
  time: number,
  halfLives: readonly number[],
): number {
  const elapsed = time - refTime;
  for (let h = 0; h < counts.length; h++) {
    const halfLife = halfLives[h]!;
    counts[h] =
      elapsed >= 0
        ? counts[h]! * decayFactor(elapsed, halfLife) + amount
        : counts[h]! + amount * decayFactor(-elapsed, halfLife);
  }
  return elapsed >= 0 ? time : refTime;
}

function hasMoved(state: PopularityState, halfLives: readonly number[], epsilon: number): boolean {
  for (let h = 0; h < halfLives.length; h++) {
    const served = state.publishedCounts[h]! * decayFactor(state.refTime - state.publishedTime, halfLives[h]!);
    if (Math.abs(state.counts[h]! - served) > epsilon * served) return true;
  }
  return false;
}

function segmentOf(
  state: PopularityState,
  name: string,
  time: number,
  halfLives: readonly number[],
  segmentsMax: number,
): SegmentState {
  const { segments } = state;
  for (let i = 0; i < segments.length; i++) if (segments[i]!.name === name) return segments[i]!;
  const added = { name, refTime: time, counts: lastingArrays.doubles(halfLives.length) };
  if (segments.length < segmentsMax) segments.push(added);
  else segments[weakestSegment(segments, time, halfLives)] = added;
  return added;
}

function weakestSegment(segments: readonly SegmentState[], time: number, halfLives: readonly number[]): number {
  const longest = halfLives.length - 1;
  let weakest = 0;
  let least = Infinity;
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!;
    const worth = segment.counts[longest]! * decayFactor(time - segment.refTime, halfLives[longest]!);
    if (worth < least || (worth === least && segment.name > segments[weakest]!.name)) {
      weakest = i;
      least = worth;
    }
  }
  return weakest;
}

interface SegmentDraft {
  segment: string;
  refTime: number;
  readonly counts: number[];
}

/** Reused by every publication: a hot path must not make an object a segment. */
const countsDraft: number[] = [];
const segmentDrafts: SegmentDraft[] = [];

function encodeTableValue(itemId: string, version: number, state: PopularityState): Uint8Array {
  copyInto(countsDraft, state.publishedCounts);
  while (segmentDrafts.length < state.segments.length) segmentDrafts.push({ segment: '', refTime: 0, counts: [] });
  const segments = segmentDrafts.slice(0, state.segments.length);
  for (let i = 0; i < segments.length; i++) {
    const draft = segments[i]!;
    const segment = state.segments[i]!;
    draft.segment = segment.name;
    draft.refTime = segment.refTime;
    copyInto(draft.counts, segment.counts);
  }
  return encodeRecord('ItemPopularityState', {
    itemId,
    version,
    refTime: state.publishedTime,
    counts: countsDraft,
    segments,
  });
}

function copyInto(target: number[], source: Float64Array): void {
  target.length = source.length;
  for (let i = 0; i < source.length; i++) target[i] = source[i]!;
}

function createStateCodec(count: number, segmentCount: number) {
  return createLayoutCodec<PopularityState>({
    name: 'popularity',
    version: 1,
    write(state, writer) {
      writer.writeLong(state.refTime);
      writer.writeLong(state.counts.length);
      writeFloats(writer, state.counts);
      writer.writeLong(state.publishedTime);
      writeFloats(writer, state.publishedCounts);
      writer.writeLong(state.segments.length);
      for (const { name, refTime, counts } of state.segments) {
        writer.writeString(name);
        writer.writeLong(refTime);
        writer.writeLong(counts.length);
        writeFloats(writer, counts);
      }
    },
    read(reader) {
      const refTime = reader.readLong();
      const stored = reader.readCount(8);
      if (stored !== count) reader.fail(`${stored} half-lives are stored and ${count} configured: rebuild the state`);
      const counts = readFloats(reader, lastingArrays.doubles(count));
      const publishedTime = reader.readLong();
      const publishedCounts = readFloats(reader, lastingArrays.doubles(count));
      const segments = Array.from({ length: reader.readCount(10) }, () => {
        const name = reader.readString();
        const segmentRefTime = reader.readLong();
        const storedCounts = reader.readCount(8);
        if (storedCounts !== segmentCount)
          reader.fail(`${storedCounts} segment half-lives are stored and ${segmentCount} configured`);
        return { name, refTime: segmentRefTime, counts: readFloats(reader, lastingArrays.doubles(segmentCount)) };
      });
      return { refTime, counts, publishedTime, publishedCounts, segments };
    },
  });
}
