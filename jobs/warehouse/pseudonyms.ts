/**
 * Stands between people's ids and the warehouse: every id becomes a keyed hash before a row is made of it.
 *
 *   pseudonym = first 128 bits of HMAC-SHA256(key, domain NUL id), written as a UUID (RFC 9562, version 8)
 *
 * One person has one pseudonym in all tables, so they join; without the key nobody can go from a pseudonym to an id,
 * nor test a guessed one. The key lies in the data directory, never in the warehouse. Deleting it makes the rows that
 * are there anonymous for good, and new rows do not join with them.
 */
import { hash } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import type { Random } from '../../streams/random.js';
import { TextDictionary } from '../../streams/warehouse/text-dictionary.js';
import { copySlice, type Utf8Slice } from '../../streams/warehouse/utf8-slice.js';

/** The 16 bytes of each UUID: not to be changed, and read before the next one is asked for. */
export interface Pseudonyms {
  /** Of a user id or an anonymous id: they share one space, as they do in the log. */
  user(id: Utf8Slice): Uint8Array;
  /** Of a session, which is named by its user and its id together. */
  session(userId: Utf8Slice, sessionId: Utf8Slice): Uint8Array;
  /** Of an event id: producers may have built it from a user's. */
  event(id: Utf8Slice): Uint8Array;
}

const KEY_FILE = 'pseudonym.key';
const KEY_BYTES = 32;
/** A hash costs some µs and people come back soon; two generations of this size are kept, about 10 MB. */
const CACHED_USERS_MAX = 20_000;
/** Of a visit's session, told with each of its events. */
const CACHED_SESSIONS_MAX = 5_000;
/** Of SHA-256. */
const BLOCK_BYTES = 64;
const HASH_BYTES = 32;
const UUID_BYTES = 16;
/** Longer ones are rare. */
const HEAD_BYTES_MAX = 512;

/**
 * Reads the key of a data directory, or makes it. Safe when several processes start together: one key wins.
 * @param random must descend from `systemRandom()`
 * @throws DATA_DIRECTORY_INVALID when the file is no key
 */
export async function openPseudonyms(directory: string, random: Random): Promise<Pseudonyms> {
  const path = join(directory, KEY_FILE);
  const text = (await readKey(path)) ?? (await makeKey(directory, path, random));
  if (!/^[0-9a-f]{64}\n?$/.test(text)) {
    throw new EngineError(
      'DATA_DIRECTORY_INVALID',
      `'${path}' is not ${2 * KEY_BYTES} hex digits; restore it from a copy, or delete it so that users get new pseudonyms`,
      { context: { directory } },
    );
  }
  return createPseudonyms(Buffer.from(text.trim(), 'hex'));
}

export function createPseudonyms(key: Uint8Array): Pseudonyms {
  const users = new RecentPseudonyms(CACHED_USERS_MAX, new KeyedHash(key, 'user'));
  const sessions = new RecentPseudonyms(CACHED_SESSIONS_MAX, new KeyedHash(key, 'session'));
  const events = new KeyedHash(key, 'event');
  const pair = new IdPair();
  return {
    user: (id) => users.of(id),
    session: (userId, sessionId) => sessions.of(pair.join(userId, sessionId)),
    event: (id) => events.uuidOf(id),
  };
}

/** Remembers what was made of the latest ids, in two generations of at most `most`. */
class RecentPseudonyms {
  private recent: Generation = new Generation();
  private older: Generation = new Generation();

  constructor(
    private readonly most: number,
    private readonly keyed: KeyedHash,
  ) {}

  of(id: Utf8Slice): Uint8Array {
    const { recent } = this;
    const index = recent.ids.add(id);
    const known = recent.made[index];
    if (known !== undefined) return known;
    const made = this.older.made[this.older.ids.find(id)] ?? this.keyed.uuidOf(id).slice();
    recent.made.push(made);
    if (recent.made.length >= this.most) {
      this.older = recent;
      this.recent = new Generation();
    }
    return made;
  }
}

class Generation {
  readonly ids = new TextDictionary();
  /** By the number of the id. */
  readonly made: Uint8Array[] = [];
}

/** `first NUL second`: ids hold no control characters. Valid until the next one. */
class IdPair {
  private bytes = Buffer.alloc(512);

  join(first: Utf8Slice, second: Utf8Slice): Utf8Slice {
    const end = first.end - first.start + 1 + second.end - second.start;
    if (end > this.bytes.length) this.bytes = Buffer.alloc(2 * end);
    const middle = copySlice(first, this.bytes, 0);
    this.bytes[middle] = 0;
    copySlice(second, this.bytes, middle + 1);
    return { bytes: this.bytes, start: 0, end };
  }
}

/**
 * HMAC-SHA256 (RFC 2104) by two hashes of one call each, `H(k ^ 5c… || H(k ^ 36… || domain NUL id))`: a hash object of the
 * runtime costs more than the hashing, and is one more thing to collect for every event.
 */
class KeyedHash {
  private inner: Buffer;
  /** The first bytes of `inner`, by their number: at most HEAD_BYTES_MAX of them. */
  private readonly heads = new Map<number, Uint8Array>();
  private readonly prefixBytes: number;
  private readonly outer = Buffer.alloc(BLOCK_BYTES + HASH_BYTES);
  private readonly made = new Uint8Array(UUID_BYTES);

  /** @param key at most a block */
  constructor(key: Uint8Array, domain: string) {
    this.inner = Buffer.alloc(8 * BLOCK_BYTES);
    for (let i = 0; i < BLOCK_BYTES; i++) {
      this.inner[i] = (key[i] ?? 0) ^ 0x36;
      this.outer[i] = (key[i] ?? 0) ^ 0x5c;
    }
    this.prefixBytes = BLOCK_BYTES + this.inner.write(`${domain}\0`, BLOCK_BYTES, 'latin1');
  }

  /** The version and variant digits are fixed, 122 bits of the hash stay. Valid until the next one. */
  uuidOf(id: Utf8Slice): Uint8Array {
    const length = this.prefixBytes + id.end - id.start;
    if (length > this.inner.length) this.grow(2 * length);
    copySlice(id, this.inner, this.prefixBytes);
    // As text: a buffer of the runtime's own costs three times as much as the hashing.
    this.outer.write(hash('sha256', this.headOf(length), 'binary'), BLOCK_BYTES, 'latin1');
    const made = hash('sha256', this.outer, 'binary');
    const uuid = this.made;
    for (let i = 0; i < UUID_BYTES; i++) uuid[i] = made.charCodeAt(i);
    uuid[6] = (uuid[6]! & 0x0f) | 0x80;
    uuid[8] = (uuid[8]! & 0x0f) | 0xa0;
    return uuid;
  }

  /** Ids have few lengths, and an array for each hash costs a tenth of it. */
  private headOf(length: number): Uint8Array {
    if (length > HEAD_BYTES_MAX) return this.inner.subarray(0, length);
    let head = this.heads.get(length);
    if (head === undefined) {
      head = this.inner.subarray(0, length);
      this.heads.set(length, head);
    }
    return head;
  }

  private grow(length: number): void {
    this.inner = Buffer.concat([this.inner], length);
    this.heads.clear();
  }
}

async function readKey(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new EngineError('DATA_DIRECTORY_INVALID', `'${path}' cannot be read`, { cause: error });
  }
}

/** Complete and on disk before it gets its name, and the name is given once: a link does not replace. */
async function makeKey(directory: string, path: string, random: Random): Promise<string> {
  await mkdir(directory, { recursive: true });
  const draft = `${path}.${random.hex(8)}`;
  try {
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(`${random.hex(KEY_BYTES)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(draft, path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
  } catch (cause) {
    throw new EngineError('DATA_DIRECTORY_INVALID', `'${path}' cannot be written`, { cause });
  } finally {
    await rm(draft, { force: true });
  }
  return (await readKey(path)) ?? '';
}
