/**
 * Second operator of stage 1: drops events whose id this person's last N events already had.
 *
 * Producers repeat what was not acknowledged, so repeats are close together: a ring of hashes a person suffices, and
 * nothing grows with history. What was repeated counts as the newest, since it may be repeated again: only what comes
 * between two tries can push it out, however many tries it takes. A hash has 48 bits of (producerId, eventId): within a
 * ring of 64 the chance that a new event is taken for a repeat is 64 / 2^48, one in 4 × 10^12. Transport records
 * (StateMerge, Forwarded) need no check of their own: the runtime delivers outputs once.
 */
import { sessionRef } from '../../schemas/ids.js';
import type { Operator } from '../../streams/runtime/operator.js';
import { createLayoutCodec } from '../state-layout.js';
import { LIST_MAX, readLength } from './state-bytes.js';
import type { UserEvent } from './user-events.js';

export interface DedupeConfig {
  /** Events remembered a person; default 64. */
  readonly ringSize: number;
}

export const DEFAULT_DEDUPE: DedupeConfig = { ringSize: 64 };

export interface DedupeState {
  /** Ring of hashes, 48 bits each. Grows up to the configured size. */
  readonly hashes: number[];
  /** Where the next hash goes once the ring is full: the oldest one. */
  oldest: number;
  /** Events dropped so far. */
  duplicates: number;
}

const TWO_32 = 2 ** 32;
const TWO_48 = 2 ** 48;

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
      const place = state.hashes.indexOf(hash);
      if (place < 0) {
        remember(state, hash, ringSize);
      } else {
        makeNewest(state, place);
        state.duplicates++;
        context.stop();
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
  return { hashes: [], oldest: 0, duplicates: 0 };
}

/** 48 of the 53 bits that a session reference has. */
export function eventHash(producerId: string, eventId: string): number {
  return sessionRef(producerId, eventId) % TWO_48;
}

function remember(state: DedupeState, hash: number, ringSize: number): void {
  const { hashes, oldest } = state;
  if (hashes.length < ringSize) {
    hashes.push(hash);
    return;
  }
  hashes[oldest] = hash;
  state.oldest = (oldest + 1) % hashes.length;
}

function makeNewest(state: DedupeState, place: number): void {
  const { hashes } = state;
  const [hash] = hashes.splice(place, 1);
  if (place < state.oldest) state.oldest--;
  // The newest lies before the oldest, and at the end of a ring that begins at its start.
  if (state.oldest === 0) {
    hashes.push(hash!);
  } else {
    hashes.splice(state.oldest, 0, hash!);
    state.oldest = (state.oldest + 1) % hashes.length;
  }
}

/** Both rings' newest hashes in turn, each once: neither side's recent events can push out the other's. */
function mergedRings(left: DedupeState, right: DedupeState, ringSize: number): DedupeState {
  const newestFirst = new Set<number>();
  for (let age = 0; age < Math.max(left.hashes.length, right.hashes.length); age++) {
    for (const { hashes, oldest } of [left, right]) {
      if (age >= hashes.length || newestFirst.size === ringSize) continue;
      newestFirst.add(hashes[(oldest + hashes.length - 1 - age) % hashes.length]!);
    }
  }
  const merged = emptyDedupeState();
  for (const hash of [...newestFirst].reverse()) remember(merged, hash, ringSize);
  return merged;
}

/** On their way to and from bytes: the low 32 bits of all hashes, then the high 16. */
const low = new Uint32Array(LIST_MAX);
const high = new Uint16Array(LIST_MAX);

export const dedupeCodec = createLayoutCodec<DedupeState>({
  name: 'dedupe',
  version: 1,
  /** Oldest first. */
  write({ hashes, oldest, duplicates }, writer) {
    const count = hashes.length;
    for (let i = 0; i < count; i++) {
      const hash = hashes[(oldest + i) % count]!;
      low[i] = hash >>> 0;
      high[i] = hash / TWO_32;
    }
    writer.writeLong(count);
    writer.writeLong(duplicates);
    writer.writeNumbers(low, 0, count);
    writer.writeNumbers(high, 0, count);
  },
  read(reader) {
    const count = readLength(reader);
    const duplicates = reader.readLong();
    reader.readNumbers(low, count);
    reader.readNumbers(high, count);
    const hashes: number[] = [];
    for (let i = 0; i < count; i++) hashes.push(high[i]! * TWO_32 + low[i]!);
    return { hashes, oldest: 0, duplicates };
  },
});
