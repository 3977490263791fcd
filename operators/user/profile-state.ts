/**
 * What stage 1 remembers of a person as facts: the latest interactions, what was seen, blocked and disliked, counts,
 * segments and consent. Tastes computed from them live in affinity.ts and user-embedding.ts.
 */
import { hash32 } from '../../schemas/ids.js';
import { INTERACTION_TYPES, type Consent } from '../../schemas/records.js';
import { PackedTexts } from '../packed-texts.js';
import { decodedArrays } from '../pooled-arrays.js';
import { createLayoutCodec, type BinaryReader } from '../state-layout.js';
import {
  readLength,
  readNullableString,
  readRing,
  readStrings,
  readTimes,
  writeNullableString,
  writeRing,
  writeStrings,
  writeTimes,
} from './state-bytes.js';

export interface ProfileState {
  /** Latest interactions, oldest first: item, type (index in INTERACTION_TYPES) and time, in parallel. */
  readonly recentItems: PackedTexts;
  readonly recentTypes: number[];
  readonly recentTimes: number[];
  /** Ring of 32-bit hashes of the items interacted with; the first `seenCount` are used. */
  seen: Uint32Array;
  seenCount: number;
  seenOldest: number;
  /** Oldest first. */
  readonly blockedItems: string[];
  readonly dislikedItems: string[];
  /** Interactions by type, in the order of INTERACTION_TYPES. */
  readonly counts: number[];
  /** From the last user upsert. */
  segments: readonly string[];
  segmentsAt: number;
  device: string | null;
  country: string | null;
  consent: Consent | null;
  consentAt: number;
  /** Highest event time of any record of this person. */
  lastAt: number;
  /** Time of the armed idle timer, 0 for none. */
  timer: number;
  /** `device/…`, `country/…` and the segments: derived, never stored; undefined until asked for. */
  labels: readonly string[] | undefined;
}

const SEEN_AT_START = 16;
const NO_CONSENT = 0;
const CONSENT_KNOWN = 1;
const CONSENT_PERSONALIZATION = 2;
const CONSENT_ANALYTICS = 4;

export function emptyProfileState(): ProfileState {
  return {
    recentItems: new PackedTexts(),
    recentTypes: [],
    recentTimes: [],
    seen: new Uint32Array(SEEN_AT_START),
    seenCount: 0,
    seenOldest: 0,
    blockedItems: [],
    dislikedItems: [],
    counts: INTERACTION_TYPES.map(() => 0),
    segments: [],
    segmentsAt: 0,
    device: null,
    country: null,
    consent: null,
    consentAt: 0,
    lastAt: 0,
    timer: 0,
    labels: undefined,
  };
}

/** Whether tastes may be learned and used: yes, unless the person said no. */
export function mayPersonalize(profile: ProfileState | undefined): boolean {
  return profile?.consent?.personalization !== false;
}

/** Segments of a person as `kind/name`: device, country, then those of the user upsert. */
export function segmentLabels(profile: ProfileState): readonly string[] {
  if (profile.labels !== undefined) return profile.labels;
  const { device, country, segments } = profile;
  const place: string[] = [];
  if (device !== null) place.push(`device/${device}`);
  if (country !== null) place.push(`country/${country}`);
  profile.labels = segments.length === 0 ? place : [...place, ...segments];
  return profile.labels;
}

/** Whether the hash of an item is in the ring. A stranger is taken for seen with probability 200 / 2^32. */
export function hasSeen(profile: ProfileState, itemHash: number): boolean {
  return holds(profile.seen, profile.seenCount, itemHash);
}

/**
 * `hasSeen` for many items: the ring is looked through only for one whose bit is set, which the bits of 200 others do to a
 * third of the strangers.
 */
export function createSeenTest(profile: ProfileState): (itemHash: number) => boolean {
  const bits = new Uint32Array(SEEN_TEST_WORDS);
  for (let i = 0; i < profile.seenCount; i++) {
    const hash = profile.seen[i]!;
    bits[wordOf(hash)]! |= 1 << (hash & 31);
  }
  return (hash) => (bits[wordOf(hash)]! & (1 << (hash & 31))) !== 0 && hasSeen(profile, hash);
}

/** 64 bytes: as much as V8 keeps on its heap. */
const SEEN_TEST_WORDS = 16;

const wordOf = (hash: number): number => (hash >>> 5) % SEEN_TEST_WORDS;

export function addSeen(profile: ProfileState, itemHash: number, max: number): void {
  if (hasSeen(profile, itemHash)) return;
  if (profile.seenCount >= max) {
    profile.seen[profile.seenOldest] = itemHash;
    profile.seenOldest = (profile.seenOldest + 1) % profile.seenCount;
    return;
  }
  if (profile.seenCount === profile.seen.length) {
    const larger = new Uint32Array(Math.min(max, profile.seen.length * 2));
    larger.set(profile.seen);
    profile.seen = larger;
  }
  profile.seen[profile.seenCount++] = itemHash;
}

export const profileCodec = createLayoutCodec<ProfileState>({
  name: 'profile',
  version: 1,
  write(state, writer) {
    writer.writeLong(state.recentTypes.length);
    state.recentItems.write(writer);
    for (let i = 0; i < state.recentTypes.length; i++) writer.writeLong(state.recentTypes[i]!);
    writeTimes(state.recentTimes, writer);
    if (seenFollowsFromRecent(state)) {
      writer.writeLong(SEEN_IN_RECENT);
    } else {
      writer.writeLong(state.seenCount);
      writeRing(state.seen, { oldest: state.seenOldest, count: state.seenCount }, writer);
    }
    writeStrings(state.blockedItems, writer);
    writeStrings(state.dislikedItems, writer);
    writer.writeLong(state.counts.length);
    for (let i = 0; i < state.counts.length; i++) writer.writeLong(state.counts[i]!);
    writeStrings(state.segments, writer);
    writer.writeLong(state.segmentsAt);
    writeNullableString(state.device, writer);
    writeNullableString(state.country, writer);
    writer.writeLong(consentFlags(state.consent));
    writer.writeLong(state.consentAt);
    writer.writeLong(state.lastAt - (state.recentTimes.at(-1) ?? 0));
    writer.writeLong(state.timer);
  },
  read(reader) {
    const count = readLength(reader);
    const recentItems = new PackedTexts();
    recentItems.readUnseen(reader, count);
    const recentTypes: number[] = [];
    for (let i = 0; i < count; i++) recentTypes.push(reader.readLong());
    const recentTimes = readTimes(reader, count);
    const { seen, seenCount } = readSeen(reader, recentItems);
    const blockedItems = readStrings(reader);
    const dislikedItems = readStrings(reader);
    // Types are appended to the schema's enum: an older state has fewer counts.
    const counts: number[] = INTERACTION_TYPES.map(() => 0);
    const known = readLength(reader);
    for (let i = 0; i < known; i++) counts[i] = reader.readLong();
    return {
      recentItems,
      recentTypes,
      recentTimes,
      seen,
      seenCount,
      seenOldest: 0,
      blockedItems,
      dislikedItems,
      counts,
      segments: readStrings(reader),
      segmentsAt: reader.readLong(),
      device: readNullableString(reader),
      country: readNullableString(reader),
      consent: consentOf(reader.readLong()),
      consentAt: reader.readLong(),
      lastAt: (recentTimes.at(-1) ?? 0) + reader.readLong(),
      timer: reader.readLong(),
      labels: undefined,
    };
  },
});

/** In place of a count: the ring holds the recent items' hashes, each once, in their order. */
const SEEN_IN_RECENT = -1;

/** True for people with few interactions: their ring need not be stored. */
function seenFollowsFromRecent(state: ProfileState): boolean {
  if (state.seenCount > state.recentTypes.length || state.seenOldest !== 0) return false;
  let matched = 0;
  for (const itemId of state.recentItems.all()) {
    const hash = hash32(itemId);
    if (matched < state.seenCount && state.seen[matched] === hash) matched++;
    else if (!holds(state.seen, matched, hash)) return false;
  }
  return matched === state.seenCount;
}

function readSeen(reader: BinaryReader, recentItems: PackedTexts): { seen: Uint32Array; seenCount: number } {
  const stored = reader.readLong();
  if (stored !== SEEN_IN_RECENT) {
    if (stored < 0 || stored > SEEN_STORED_MAX) reader.fail(`${stored} seen items; expected 0 to ${SEEN_STORED_MAX}`);
    const seen = decodedArrays.words(Math.max(SEEN_AT_START, stored));
    readRing(seen, stored, reader);
    return { seen, seenCount: stored };
  }
  const recent = recentItems.all();
  const seen = decodedArrays.words(Math.max(SEEN_AT_START, recent.length));
  let seenCount = 0;
  for (const itemId of recent) {
    const hash = hash32(itemId);
    if (!holds(seen, seenCount, hash)) seen[seenCount++] = hash;
  }
  return { seen, seenCount };
}

function holds(hashes: Uint32Array, count: number, hash: number): boolean {
  for (let i = 0; i < count; i++) if (hashes[i] === hash) return true;
  return false;
}

const SEEN_STORED_MAX = 4096;

function consentFlags(consent: Consent | null): number {
  if (consent === null) return NO_CONSENT;
  return (
    CONSENT_KNOWN |
    (consent.personalization ? CONSENT_PERSONALIZATION : 0) |
    (consent.analytics ? CONSENT_ANALYTICS : 0)
  );
}

function consentOf(flags: number): Consent | null {
  if ((flags & CONSENT_KNOWN) === 0) return null;
  return {
    personalization: (flags & CONSENT_PERSONALIZATION) !== 0,
    analytics: (flags & CONSENT_ANALYTICS) !== 0,
  };
}
