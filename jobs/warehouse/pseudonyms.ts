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

export interface Pseudonyms {
  /** Of a user id or an anonymous id: they share one space, as they do in the log. */
  user(id: string): string;
  /** Of a session, which is named by its user and its id together. */
  session(userId: string, sessionId: string): string;
  /** Of an event id: producers may have built it from a user's. */
  event(id: string): string;
}

const KEY_FILE = 'pseudonym.key';
const KEY_BYTES = 32;
/** A hash costs some µs and people come back soon; two generations of this size are kept, about 10 MB. */
const CACHED_USERS_MAX = 20_000;
/** Of a visit's session, told with each of its events. */
const CACHED_SESSIONS_MAX = 5_000;
/** Of SHA-256. */
const BLOCK_BYTES = 64;

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
  const keyed = new KeyedHash(key);
  const users = new RecentTexts(CACHED_USERS_MAX, (id) => uuidOf(keyed, 'user', id));
  const sessions = new RecentTexts(CACHED_SESSIONS_MAX, (ids) => uuidOf(keyed, 'session', ids));
  return {
    user: (id) => users.of(id),
    session: (userId, sessionId) => sessions.of(`${userId}\0${sessionId}`),
    event: (id) => uuidOf(keyed, 'event', id),
  };
}

/** Remembers what was made of the latest texts, in two generations of at most `most`. */
class RecentTexts {
  private recent = new Map<string, string>();
  private older = new Map<string, string>();

  constructor(
    private readonly most: number,
    private readonly make: (text: string) => string,
  ) {}

  of(text: string): string {
    const known = this.recent.get(text);
    if (known !== undefined) return known;
    const made = this.older.get(text) ?? this.make(text);
    if (this.recent.size >= this.most) {
      this.older = this.recent;
      this.recent = new Map();
    }
    this.recent.set(text, made);
    return made;
  }
}

/**
 * HMAC-SHA256 (RFC 2104) by two hashes of one call each, `H(k ^ 5c… || H(k ^ 36… || m))`: a hash object of the runtime costs
 * more than the hashing, and is one more thing to collect for every event.
 */
class KeyedHash {
  private inner: Buffer;
  private readonly outer = Buffer.alloc(BLOCK_BYTES + 32);

  /** @param key at most a block */
  constructor(key: Uint8Array) {
    this.inner = Buffer.alloc(8 * BLOCK_BYTES);
    for (let i = 0; i < BLOCK_BYTES; i++) {
      this.inner[i] = (key[i] ?? 0) ^ 0x36;
      this.outer[i] = (key[i] ?? 0) ^ 0x5c;
    }
  }

  /** In hex. */
  of(text: string): string {
    const bytesMax = BLOCK_BYTES + 3 * text.length;
    if (bytesMax > this.inner.length) this.inner = Buffer.concat([this.inner], 2 * bytesMax);
    const end = BLOCK_BYTES + this.inner.write(text, BLOCK_BYTES, 'utf8');
    this.outer.write(hash('sha256', this.inner.subarray(0, end), 'hex'), BLOCK_BYTES, 'hex');
    return hash('sha256', this.outer, 'hex');
  }
}

/** NUL separates: ids hold no control characters. The version and variant digits are fixed, 122 bits of the hash stay. */
function uuidOf(keyed: KeyedHash, domain: string, id: string): string {
  const hex = keyed.of(`${domain}\0${id}`);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
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
