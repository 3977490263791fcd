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
import { createLayoutCodec, readLength } from './state-bytes.js';
import type { UserEvent } from './user-events.js';

export interface DedupeConfig {
  /** Events remembered a person; default 64. */
  readonly ringSize: number;
}

export const DEFAULT_DEDUPE: DedupeConfig = { ringSize: 64 };

export interface DedupeState {
  /** Ring of hashes; the first `count` are used. Grows up to the configured size. */
  hashes: Float64Array;
  count: number;
  /** Where the next hash goes once the ring is full: the oldest one. */
  oldest: number;
  /** Events dropped so far. */
  duplicates: number;
}

const RING_AT_START = 8;
/** 53 bits to 48: six bytes stored. */
const HASH_DIVISOR = 32;
const HASH_BYTES = 6;

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
  return { hashes: new Float64Array(RING_AT_START), count: 0, oldest: 0, duplicates: 0 };
}

export function eventHash(producerId: string, eventId: string): number {
  return Math.floor(sessionRef(producerId, eventId) / HASH_DIVISOR);
}

function contains(state: DedupeState, hash: number): boolean {
  const { hashes, count } = state;
  for (let i = 0; i < count; i++) if (hashes[i] === hash) return true;
  return false;
}

function remember(state: DedupeState, hash: number, ringSize: number): void {
  if (state.count < ringSize) {
    if (state.count === state.hashes.length) {
      const larger = new Float64Array(Math.min(ringSize, state.hashes.length * 2));
      larger.set(state.hashes);
      state.hashes = larger;
    }
    state.hashes[state.count++] = hash;
  } else {
    state.hashes[state.oldest] = hash;
    state.oldest = (state.oldest + 1) % ringSize;
  }
}

/** Both rings' newest hashes in turn, each once: neither side's recent events can push out the other's. */
function mergedRings(left: DedupeState, right: DedupeState, ringSize: number): DedupeState {
  const newestFirst: number[] = [];
  const seen = new Set<number>();
  for (let age = 0; age < Math.max(left.count, right.count); age++) {
    for (const side of [left, right]) {
      if (age >= side.count || newestFirst.length === ringSize) continue;
      const hash = side.hashes[(side.oldest + side.count - 1 - age) % side.count]!;
      if (seen.has(hash)) continue;
      seen.add(hash);
      newestFirst.push(hash);
    }
  }
  const merged = emptyDedupeState();
  for (let i = newestFirst.length - 1; i >= 0; i--) remember(merged, newestFirst[i]!, ringSize);
  return merged;
}

const packed = Buffer.alloc(HASH_BYTES);

export const dedupeCodec = createLayoutCodec<DedupeState>({
  name: 'dedupe',
  version: 1,
  write(state, writer) {
    writer.writeLong(state.count);
    writer.writeLong(state.duplicates);
    // Oldest first, so that `oldest` need not be stored.
    for (let i = 0; i < state.count; i++) {
      packed.writeUIntLE(state.hashes[(state.oldest + i) % state.count]!, 0, HASH_BYTES);
      writer.writeFixed(packed);
    }
  },
  read(reader) {
    const count = readLength(reader);
    const duplicates = reader.readLong();
    const hashes = new Float64Array(Math.max(RING_AT_START, count));
    for (let i = 0; i < count; i++) hashes[i] = reader.readFixed(HASH_BYTES).readUIntLE(0, HASH_BYTES);
    return { hashes, count, oldest: 0, duplicates };
  },
});
