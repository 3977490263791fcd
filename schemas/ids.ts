/**
 * Branded ids, made in this one place, and the hashes that are computed from ids.
 *
 * A string that has not been through here is never an id: the makers hold every id to the same bounds, so that keys,
 * logs and metrics can rely on them. The hashes are part of stored data (partitions, session references): their results
 * may never change.
 */
import { EngineError } from './errors.js';

export { murmur2, partitionFor } from './murmur.js';

declare const brand: unique symbol;
type Id<Name extends string> = string & { readonly [brand]: Name };

export type UserId = Id<'UserId'>;
export type AnonymousId = Id<'AnonymousId'>;
export type ItemId = Id<'ItemId'>;
export type EventId = Id<'EventId'>;
export type SessionId = Id<'SessionId'>;
export type RequestId = Id<'RequestId'>;
export type ProducerId = Id<'ProducerId'>;

/** Longest id: keys are held in memory by the million and LMDB keys end at 1978 bytes, several ids to a key. */
export const ID_BYTES_MAX = 256;

/** Most characters of a refused id that an error quotes. */
const QUOTED_CHARACTERS_MAX = 60;

export const requireUserId = (value: unknown, field = 'userId'): UserId => requireId(value, field) as UserId;
export const requireAnonymousId = (value: unknown, field = 'anonymousId'): AnonymousId =>
  requireId(value, field) as AnonymousId;
export const requireItemId = (value: unknown, field = 'itemId'): ItemId => requireId(value, field) as ItemId;
export const requireEventId = (value: unknown, field = 'eventId'): EventId => requireId(value, field) as EventId;
export const requireSessionId = (value: unknown, field = 'sessionId'): SessionId =>
  requireId(value, field) as SessionId;
export const requireRequestId = (value: unknown, field = 'requestId'): RequestId =>
  requireId(value, field) as RequestId;
export const requireProducerId = (value: unknown, field = 'producerId'): ProducerId =>
  requireId(value, field) as ProducerId;

/** C0 and C1 control characters, DEL, and surrogates that are not part of a pair (they have no UTF-8). */
const FORBIDDEN = /[\p{Control}\p{Surrogate}]/u;

/** Checks the bounds that all ids share and returns the text; EVENT_INVALID names the field and what was expected. */
export function requireId(value: unknown, field: string): string {
  // Up to a third of the limit no text can be too long: UTF-8 takes at most 3 bytes a UTF-16 unit.
  if (typeof value === 'string' && value !== '' && !FORBIDDEN.test(value)) {
    if (value.length * 3 <= ID_BYTES_MAX || Buffer.byteLength(value, 'utf8') <= ID_BYTES_MAX) return value;
  }
  const quoted = typeof value === 'string' ? JSON.stringify(value.slice(0, QUOTED_CHARACTERS_MAX)) : typeof value;
  throw new EngineError(
    'EVENT_INVALID',
    `${field} is ${quoted}; expected text of 1 to ${ID_BYTES_MAX} UTF-8 bytes without control characters`,
    { context: { field } },
  );
}

/**
 * Deterministic 32-bit hash of a text, unsigned: FNV-1a over UTF-16 units (Fowler, Noll, Vo; two steps a unit, low byte
 * first) with the finaliser of MurmurHash3 (Appleby), which spreads the last characters over all bits.
 */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >>> 8), 0x01000193);
  }
  return finish32(hash);
}

/**
 * Names a session by one number: cyrb53 (bryc, public domain: two 32-bit lanes with the multipliers of MurmurHash3 and
 * xxHash and a crossed finaliser) over user id, a separator that no id may hold, and session id. 0 to 2^53 - 1.
 *
 * By the birthday bound, among a million sessions two share a number with probability 1e12 / 2^54 ≈ 6e-5; what is keyed
 * by it (neighbours by session) bears a stray collision, nothing exact may hang on it.
 */
export function sessionRef(user: string, session: string): number {
  let first = 0xdeadbeef;
  let second = 0x41c6ce57;
  for (let i = 0; i < user.length; i++) {
    const unit = user.charCodeAt(i);
    first = Math.imul(first ^ unit, 2654435761);
    second = Math.imul(second ^ unit, 1597334677);
  }
  // Unit 0 stands between the two: control characters are refused in ids, so ("ab", "c") is never ("a", "bc").
  first = Math.imul(first, 2654435761);
  second = Math.imul(second, 1597334677);
  for (let i = 0; i < session.length; i++) {
    const unit = session.charCodeAt(i);
    first = Math.imul(first ^ unit, 2654435761);
    second = Math.imul(second ^ unit, 1597334677);
  }
  const low = Math.imul(first ^ (first >>> 16), 2246822507) ^ Math.imul(second ^ (second >>> 13), 3266489909);
  const high = Math.imul(second ^ (second >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  return 4294967296 * (high & 0x1f_ffff) + (low >>> 0);
}

function finish32(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
