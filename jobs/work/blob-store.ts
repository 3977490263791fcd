/**
 * Bytes on Redis: inputs of shards, shared by many or not, and answers.
 *
 * A blob has an owner, so that nobody forgets what somebody else needs; an owner's bytes are written again at most with what
 * they are. What is read is checked against its hash. Blobs live `BLOB_TTL_MS` after the last `put` or `keep`, so that
 * those of a coordinator that died go by themselves.
 */
import { createHash } from 'node:crypto';
import { EngineError } from '../../schemas/errors.js';
import { slotOfTag } from '../../streams/redis/index.js';
import type { RedisClient } from '../../streams/redis/index.js';

export interface BlobRef {
  /** Unique to whoever put it. */
  readonly owner: string;
  /** SHA-256, hex. */
  readonly hash: string;
  readonly bytes: number;
}

/** Longer than any half-sweep or batch of rankings takes; trials keep what they need. */
const BLOB_TTL_MS = 6 * 3_600_000;
/** One command each: small enough to be answered in time over a slow network. */
const CHUNK_BYTES = 1 << 20;
/** Of one blob: a training set of some fifty million interactions. */
const BLOB_BYTES_MAX = 1 << 30;

export class BlobStore {
  constructor(
    private readonly client: RedisClient,
    private readonly namespace: string,
  ) {}

  /** Idempotent. Throws MODEL_TOO_LARGE, STORE_UNAVAILABLE. */
  async put(owner: string, bytes: Uint8Array): Promise<BlobRef> {
    if (bytes.length > BLOB_BYTES_MAX) {
      throw new EngineError(
        'MODEL_TOO_LARGE',
        `A training worker would have to be sent ${bytes.length} bytes; at most ${BLOB_BYTES_MAX} are. Train without --workers.`,
      );
    }
    const ref = { owner, hash: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
    for (const [chunk, key] of this.keysOf(ref).entries()) {
      const value = Buffer.from(bytes.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES));
      await this.call(ref, { command: 'SET', args: [key, value, 'PX', String(BLOB_TTL_MS)] });
    }
    return ref;
  }

  /** Starts its time to live anew. */
  async keep(ref: BlobRef): Promise<void> {
    for (const key of this.keysOf(ref)) await this.call(ref, { command: 'PEXPIRE', args: [key, String(BLOB_TTL_MS)] });
  }

  /** Throws STORE_UNAVAILABLE when it is not there, or not what was put. */
  async get(ref: BlobRef): Promise<Uint8Array> {
    const bytes = new Uint8Array(ref.bytes);
    for (const [chunk, key] of this.keysOf(ref).entries()) {
      const value = await this.call(ref, { command: 'GET', args: [key] });
      if (Buffer.isBuffer(value)) bytes.set(value.subarray(0, bytes.length - chunk * CHUNK_BYTES), chunk * CHUNK_BYTES);
    }
    if (createHash('sha256').update(bytes).digest('hex') === ref.hash) return bytes;
    throw new EngineError(
      'STORE_UNAVAILABLE',
      `${ref.bytes} bytes for a shard of training are not, or no longer, on Redis.`,
      {
        context: { hash: ref.hash },
      },
    );
  }

  /** Idempotent. */
  async forget(ref: BlobRef): Promise<void> {
    await this.call(ref, { command: 'DEL', args: this.keysOf(ref) });
  }

  private async call({ owner }: BlobRef, call: { command: string; args: (string | Buffer)[] }): Promise<unknown> {
    return (await this.client.call(slotOfTag(owner), [call]))[0];
  }

  /** Of one slot. An empty blob has a chunk, so that it can be told from a missing one. */
  private keysOf({ owner, bytes }: BlobRef): string[] {
    const chunks = Math.max(1, Math.ceil(bytes / CHUNK_BYTES));
    return Array.from({ length: chunks }, (_, chunk) => `${this.namespace}:train:{${owner}}:${chunk}`);
  }
}
