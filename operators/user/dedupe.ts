/**
 * Second operator of stage 1: drops events whose id this person's last N events already had.
 *
 * Producers repeat what was not acknowledged, so repeats are close together: a ring of hashes a person suffices, and
 * nothing grows with history. A hash has 48 bits of (producerId, eventId): within a ring of 64 the chance that a new
 * event is taken for a repeat is 64 / 2^48, one in 4 × 10^12. Transport records (StateMerge, Forwarded) need no check
 * of their own: the runtime delivers outputs once.
 */
import { sessionRef } from '../../schemas/ids.js';
import type { Operator } from '../../streams/runtime/operator.js';
import { createLayoutCodec } from '../state-layout.js';
import { readLength, readRing, writeRing } from './state-bytes.js';
import type { UserEvent } from './user-events.js';

export interface DedupeConfig {
  /** Events remembered a person; default 64. */
  readonly ringSize: number;
}

export const DEFAULT_DEDUPE: DedupeConfig = { ringSize: 64 };

export interface DedupeState {
  /** Ring of hashes, low 32 and high 16 bits; the first `count` are used. Grows up to the configured size. */
  low: Uint32Array;
  high: Uint16Array;
  count: number;
  /** Where the next hash goes once the ring is full: the oldest one. */
  oldest: number;
  /** Events dropped so far. */
  duplicates: number;
}

const RING_AT_START = 8;
const TWO_32 = 2 ** 32;
const HIGH_BITS = 0xffff;

export function createDedupeOperator(config: DedupeConfig = DEFAULT_DEDUPE): Operator<UserEvent, DedupeState> {
  const { ringSize } = config;
  return {
    name: 'dedupe',
    purity: 'log-pure',
    state: dedupeCodec,
    process(record, cell, context) {
      if (record.kind !== 'Interaction' && record.kind !== 'Impression' && record.kind !== 'UserUpsert') return;
      const state = cell.getOr(emptyDedupeState);
      const hash = eventHash(record.producerId, record.eventId);
      if (contains(state, hash)) {
        state.duplicates++;
        context.stop();
      } else {
        remember(state, hash, ringSize);
      }
      cell.changed();
    },
    merge(target, source) {
      const own = target.get();
      const merged = mergedRings(own ?? emptyDedupeState(), source, ringSize);
      merged.duplicates = (own?.duplicates ?? 0) + source.duplicates;
      target.set(merged);
    },
  };
}

export function emptyDedupeState(): DedupeState {
  return {
    low: new Uint32Array(RING_AT_START),
    high: new Uint16Array(RING_AT_START),
    count: 0,
    oldest: 0,
    duplicates: 0,
  };
}

/** 53 bits, of which a ring keeps the lower 48. */
export function eventHash(producerId: string, eventId: string): number {
  return sessionRef(producerId, eventId);
}

function contains(state: DedupeState, hash: number): boolean {
  const { low, high, count } = state;
  const hashLow = hash >>> 0;
  const hashHigh = (hash / TWO_32) & HIGH_BITS;
  for (let i = 0; i < count; i++) if (low[i] === hashLow && high[i] === hashHigh) return true;
  return false;
}

function remember(state: DedupeState, hash: number, ringSize: number): void {
  let place = state.count;
  if (place >= ringSize) {
    place = state.oldest;
    state.oldest = (place + 1) % state.count;
  } else {
    if (place === state.low.length) grow(state, Math.min(ringSize, place * 2));
    state.count++;
  }
  state.low[place] = hash >>> 0;
  state.high[place] = (hash / TWO_32) & HIGH_BITS;
}

function grow(state: DedupeState, size: number): void {
  const low = new Uint32Array(size);
  const high = new Uint16Array(size);
  low.set(state.low);
  high.set(state.high);
  state.low = low;
  state.high = high;
}

/** Both rings' newest hashes in turn, each once: neither side's recent events can push out the other's. */
function mergedRings(left: DedupeState, right: DedupeState, ringSize: number): DedupeState {
  const newestFirst: number[] = [];
  const seen = new Set<number>();
  for (let age = 0; age < Math.max(left.count, right.count); age++) {
    for (const side of [left, right]) {
      if (age >= side.count || newestFirst.length === ringSize) continue;
      const place = (side.oldest + side.count - 1 - age) % side.count;
      const hash = side.high[place]! * TWO_32 + side.low[place]!;
      if (seen.has(hash)) continue;
      seen.add(hash);
      newestFirst.push(hash);
    }
  }
  const merged = emptyDedupeState();
  for (let i = newestFirst.length - 1; i >= 0; i--) remember(merged, newestFirst[i]!, ringSize);
  return merged;
}

export const dedupeCodec = createLayoutCodec<DedupeState>({
  name: 'dedupe',
  version: 1,
  write(state, writer) {
    writer.writeLong(state.count);
    writer.writeLong(state.duplicates);
    writeRing(state.low, state, writer);
    writeRing(state.high, state, writer);
  },
  read(reader) {
    const count = readLength(reader);
    const duplicates = reader.readLong();
    const low = new Uint32Array(Math.max(RING_AT_START, count));
    const high = new Uint16Array(low.length);
    readRing(low, count, reader);
    readRing(high, count, reader);
    return { low, high, count, oldest: 0, duplicates };
  },
});
