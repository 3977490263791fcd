/**
 * The session index on the serving node: the table says item → latest sessions, retrieval also needs session → items,
 * so applying a block transposes it.
 *
 * Sessions live in slots, given out in turn: sequence number s has slot s modulo capacity, and a full table recycles the
 * slot of the oldest session. Rings keep sequence numbers, so an entry whose session is gone shows by itself. Items of
 * a session stand in order of time, equal times in the order of their hashes, so blocks may be applied in any order; once the table recycles,
 * which sessions are kept depends on that order, within the same bound.
 *
 * Memory per session: itemsPerSession × 8 + 24 bytes (280 at 32), per block of a ring 200, allocated as needed.
 */
import { SESSION_BLOCKS, SESSIONS_PER_BLOCK } from '../../operators/item/session-index.js';
import type { ItemSessionsState } from '../../schemas/records.js';
import type { ItemInterner } from './item-interner.js';
import { SessionMap } from './session-map.js';
import type { TieBreak } from './top-n.js';
import { grown } from '../../streams/typed-growth.js';

export interface SessionTableConfig {
  /** Most sessions kept. */
  readonly sessionsMax?: number;
  /** Items kept of a session; the latest when it has more. */
  readonly itemsPerSession?: number;
}

const NONE = 0xffffffff;
const NO_BLOCK = -1;
/** Items' times are kept as ms from the session's first sighting, in 31 bits. */
const SESSION_SPAN_MS_MAX = 2 ** 31 - 1;

export class SessionTable implements TieBreak {
  readonly sessionsMax: number;
  readonly itemsPerSession: number;
  // By slot.
  private sequences: Uint32Array;
  private refs: Float64Array;
  private bases: Float64Array;
  /** Items of slot s start at s × itemsPerSession, earliest first. */
  items: Int32Array;
  private offsets: Int32Array;
  lengths: Uint8Array;
  /** When the session last met an item, ms. */
  lastTimes: Float64Array;
  private readonly slotOf = new SessionMap();
  private nextSequence = 0;
  // By item.
  private blocksOf = new Int32Array(0);
  private latestBlock = new Uint8Array(0);
  // By block.
  private blockSequences = new Uint32Array(0);
  private blockRefs = new Float64Array(0);
  private blockCounts = new Uint8Array(0);
  private blockVersions = new Float64Array(0);
  private blockCount = 0;

  constructor(
    private readonly interner: ItemInterner,
    config: SessionTableConfig = {},
  ) {
    this.sessionsMax = config.sessionsMax ?? 300_000;
    this.itemsPerSession = Math.min(255, config.itemsPerSession ?? 32);
    const capacity = Math.min(1024, this.sessionsMax);
    this.sequences = new Uint32Array(capacity).fill(NONE);
    this.refs = new Float64Array(capacity);
    this.bases = new Float64Array(capacity);
    this.items = new Int32Array(capacity * this.itemsPerSession);
    this.offsets = new Int32Array(capacity * this.itemsPerSession);
    this.lengths = new Uint8Array(capacity);
    this.lastTimes = new Float64Array(capacity);
  }

  get sessionCount(): number {
    return this.slotOf.size;
  }

  get slotCount(): number {
    return this.sequences.length;
  }

  /** Applies one block of an item's ring; only its new entries cost more than a comparison. */
  apply(item: number, record: ItemSessionsState): void {
    const ring = record.block % SESSION_BLOCKS;
    this.ensureItem(item);
    const at = item * SESSION_BLOCKS + ring;
    let block = this.blocksOf[at]!;
    if (block === NO_BLOCK) block = this.blocksOf[at] = this.createBlock();
    const start = block * SESSIONS_PER_BLOCK;
    const { sessions } = record;
    const count = Math.min(sessions.length, SESSIONS_PER_BLOCK);
    const before = this.blockCounts[block]!;
    for (let i = 0; i < count; i++) {
      const { sessionRef, ts } = sessions[i]!;
      if (i < before && this.blockRefs[start + i] === sessionRef) continue;
      this.blockRefs[start + i] = sessionRef;
      this.blockSequences[start + i] = this.addToSession(sessionRef, item, ts);
    }
    this.blockCounts[block] = count;
    this.blockVersions[block] = record.version;
    const latest = this.blocksOf[item * SESSION_BLOCKS + this.latestBlock[item]!]!;
    if (latest === NO_BLOCK || record.version >= this.blockVersions[latest]!) this.latestBlock[item] = ring;
  }

  /** Version applied to a block of an item's ring; −1 when there is none. */
  versionOf(item: number, ring: number): number {
    const at = item * SESSION_BLOCKS + (ring % SESSION_BLOCKS);
    const block = at < this.blocksOf.length ? this.blocksOf[at]! : NO_BLOCK;
    return block === NO_BLOCK ? -1 : this.blockVersions[block]!;
  }

  remove(item: number, ring: number, version: number): void {
    this.ensureItem(item);
    const at = item * SESSION_BLOCKS + (ring % SESSION_BLOCKS);
    let block = this.blocksOf[at]!;
    // The empty block stays for its version: an older value that arrives later must not come back.
    if (block === NO_BLOCK) block = this.blocksOf[at] = this.createBlock();
    this.blockCounts[block] = 0;
    this.blockVersions[block] = version;
  }

  /** Copies the slots of the item's latest sessions, newest first, into `target`; returns how many. */
  latestSlots(item: number, target: Int32Array, limit: number): number {
    if (item < 0 || item >= this.latestBlock.length) return 0;
    const capacity = this.sequences.length;
    let found = 0;
    for (let back = 0; back < SESSION_BLOCKS && found < limit; back++) {
      const ring = (this.latestBlock[item]! - back + SESSION_BLOCKS) % SESSION_BLOCKS;
      const block = this.blocksOf[item * SESSION_BLOCKS + ring]!;
      if (block === NO_BLOCK) break;
      const start = block * SESSIONS_PER_BLOCK;
      for (let i = this.blockCounts[block]! - 1; i >= 0 && found < limit; i--) {
        const sequence = this.blockSequences[start + i]!;
        if (sequence === NONE) continue;
        const slot = sequence % capacity;
        if (this.sequences[slot] === sequence) target[found++] = slot;
      }
    }
    return found;
  }

  /** Slot of a session, or −1. */
  slotOfRef(ref: number): number {
    return this.slotOf.get(ref);
  }

  refOf(slot: number): number {
    return this.refs[slot]!;
  }

  /** Of sessions that are as good: the latest first, then by reference, so that the order is total. */
  precedes(slot: number, other: number): boolean {
    const time = this.lastTimes[slot]!;
    const otherTime = this.lastTimes[other]!;
    return time !== otherTime ? time > otherTime : this.refOf(slot) < this.refOf(other);
  }

  get bytes(): number {
    const slots = this.items.byteLength * 2 + this.sequences.length * 29;
    const blocks = this.blockVersions.length * (SESSIONS_PER_BLOCK * 12 + 9);
    return slots + blocks + this.blocksOf.byteLength + this.slotOf.bytes;
  }

  private addToSession(ref: number, item: number, ts: number): number {
    let slot = this.slotOf.get(ref);
    if (slot < 0) {
      slot = this.createSlot(ref, ts);
      if (slot < 0) return NONE;
    }
    this.lastTimes[slot] = Math.max(this.lastTimes[slot]!, ts);
    this.insertItem(slot, item, ts);
    return this.sequences[slot]!;
  }

  /** Keeps the slot's items in order of time; an item that is there already keeps the earlier place. */
  private insertItem(slot: number, item: number, ts: number): void {
    const { items, offsets, itemsPerSession } = this;
    const start = slot * itemsPerSession;
    const offset = Math.max(-SESSION_SPAN_MS_MAX, Math.min(SESSION_SPAN_MS_MAX, ts - this.bases[slot]!));
    let length = this.lengths[slot]!;
    for (let i = start; i < start + length; i++) {
      if (items[i] !== item) continue;
      if (offsets[i]! <= offset) return;
      // Seen earlier than known: take it out, it is put in again below.
      items.copyWithin(i, i + 1, start + length);
      offsets.copyWithin(i, i + 1, start + length);
      length--;
      break;
    }
    if (length === itemsPerSession) {
      if (!this.standsAfter(offset, item, offsets[start]!, items[start]!)) return;
      items.copyWithin(start, start + 1, start + length);
      offsets.copyWithin(start, start + 1, start + length);
      length--;
    }
    let place = start + length;
    while (place > start && !this.standsAfter(offset, item, offsets[place - 1]!, items[place - 1]!)) {
      items[place] = items[place - 1]!;
      offsets[place] = offsets[place - 1]!;
      place--;
    }
    items[place] = item;
    offsets[place] = offset;
    this.lengths[slot] = length + 1;
  }

  private standsAfter(offset: number, item: number, otherOffset: number, otherItem: number): boolean {
    return offset > otherOffset || (offset === otherOffset && this.interner.precedes(otherItem, item));
  }

  /** Slot for a new session, recycling the oldest; −1 when the new one is older still. */
  private createSlot(ref: number, ts: number): number {
    if (this.nextSequence >= this.sequences.length) this.growSlots();
    const slot = this.nextSequence % this.sequences.length;
    if (this.sequences[slot] !== NONE) {
      if (ts < this.lastTimes[slot]!) return -1;
      this.slotOf.delete(this.refs[slot]!);
    }
    this.sequences[slot] = this.nextSequence;
    this.nextSequence = this.nextSequence + 1;
    // Sequence numbers are 32 bits; beyond that the ring starts over at a multiple of the capacity.
    if (this.nextSequence >= NONE) this.nextSequence %= this.sequences.length;
    this.refs[slot] = ref;
    this.bases[slot] = ts;
    this.lastTimes[slot] = ts;
    this.lengths[slot] = 0;
    this.slotOf.set(ref, slot);
    return slot;
  }

  private growSlots(): void {
    if (this.sequences.length >= this.sessionsMax) return;
    const capacity = Math.min(this.sessionsMax, this.sequences.length * 2);
    this.sequences = extended(this.sequences, capacity, NONE);
    this.refs = extended(this.refs, capacity);
    this.bases = extended(this.bases, capacity);
    this.items = extended(this.items, capacity * this.itemsPerSession);
    this.offsets = extended(this.offsets, capacity * this.itemsPerSession);
    this.lengths = extended(this.lengths, capacity);
    this.lastTimes = extended(this.lastTimes, capacity);
  }

  private ensureItem(item: number): void {
    if (item < this.latestBlock.length) return;
    this.latestBlock = grown(this.latestBlock, Math.max(256, item + 1));
    this.blocksOf = grown(this.blocksOf, this.latestBlock.length * SESSION_BLOCKS, NO_BLOCK);
  }

  private createBlock(): number {
    const block = this.blockCount++;
    this.blockSequences = grown(this.blockSequences, (block + 1) * SESSIONS_PER_BLOCK);
    this.blockRefs = grown(this.blockRefs, (block + 1) * SESSIONS_PER_BLOCK);
    this.blockCounts = grown(this.blockCounts, block + 1);
    this.blockVersions = grown(this.blockVersions, block + 1);
    return block;
  }
}

type TypedArray = Float64Array | Uint32Array | Int32Array | Uint8Array;

/** A copy of exactly `length` numbers: slots are addressed modulo their number, so the capacity must be exact. */
function extended<A extends TypedArray>(array: A, length: number, fill = 0): A {
  const longer = new (array.constructor as new (length: number) => A)(length);
  longer.set(array);
  if (fill !== 0) longer.fill(fill, array.length);
  return longer;
}
