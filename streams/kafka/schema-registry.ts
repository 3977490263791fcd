/**
 * Client of a schema registry's HTTP API, and its framing: 00, schema id (4 bytes, big-endian), Avro bytes.
 *
 * The codec decodes without waiting, so ids are learned before: `learn` fetches the schemas of ids that a batch names for
 * the first time, `lookup` then answers from memory. A schema never changes for an id, so nothing is asked twice.
 * API: https://docs.confluent.io/platform/current/schema-registry/develop/api.html
 */
import { RECORD_HEADER_BYTES, type SchemaLookup } from '../../schemas/codec.js';
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';

export interface SchemaRegistryOptions {
  /** Such as `http://registry:8081`. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly clock: Clock;
  readonly timeoutMs?: number;
}

export interface RegisteredSchema {
  readonly subject: string;
  readonly id: number;
  readonly version: number;
  readonly schema: string;
}

const MAGIC = 0x00;
const FRAME_BYTES = 5;
const TIMEOUT_MS = 10_000;
/** Hostile bytes may name any id: no more than this many are remembered. */
const IDS_MAX = 10_000;
const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json';
/** The registry's own number for "no such subject", "no such version", "no such schema". */
const NOT_FOUND = new Set([40_401, 40_402, 40_403]);

export class SchemaRegistry {
  /** undefined: the registry knows no such id. */
  private readonly schemas = new Map<number, string | undefined>();

  constructor(private readonly options: SchemaRegistryOptions) {}

  /** For the codec: the schemas learned so far. */
  readonly lookup: SchemaLookup = (id) => this.schemas.get(id);

  /** Fetches the schemas these values name and that are not known yet. Throws REGISTRY_FAILED. */
  async learn(values: Iterable<Uint8Array>): Promise<void> {
    const unknown = new Set<number>();
    for (const value of values) {
      const id = frameId(value);
      if (id !== undefined && !this.schemas.has(id)) unknown.add(id);
    }
    for (const id of unknown) {
      if (this.schemas.size >= IDS_MAX) this.schemas.clear();
      this.schemas.set(id, await this.schemaById(id));
    }
  }

  async schemaById(id: number): Promise<string | undefined> {
    const answer = await this.call('GET', `/schemas/ids/${id}`);
    return answer?.['schema'] as string | undefined;
  }

  /** Id of a schema under a subject, registered where it is new. Throws SCHEMA_INCOMPATIBLE. */
  async register(subject: string, schema: string): Promise<number> {
    const answer = await this.call('POST', `/subjects/${encodeURIComponent(subject)}/versions`, { schema });
    return Number(answer?.['id']);
  }

  async latest(subject: string): Promise<RegisteredSchema | undefined> {
    const answer = await this.call('GET', `/subjects/${encodeURIComponent(subject)}/versions/latest`);
    return answer as RegisteredSchema | undefined;
  }

  async subjects(): Promise<readonly string[]> {
    return (await this.call('GET', '/subjects')) as unknown as readonly string[];
  }

  /** Whether the registry would take a schema as the subject's next one. */
  async isCompatible(subject: string, schema: string): Promise<boolean> {
    const path = `/compatibility/subjects/${encodeURIComponent(subject)}/versions/latest`;
    const answer = await this.call('POST', path, { schema });
    // A subject without versions takes anything.
    return answer === undefined || answer['is_compatible'] === true;
  }

  /** undefined where the registry has no such thing. */
  private async call(method: string, path: string, body?: object): Promise<Record<string, unknown> | undefined> {
    const { url, username, password = '', clock, timeoutMs = TIMEOUT_MS } = this.options;
    const controller = new AbortController();
    const timer = clock.setTimer(timeoutMs, () => controller.abort(new Error(`no answer within ${timeoutMs} ms`)));
    const login = username === undefined ? undefined : Buffer.from(`${username}:${password}`).toString('base64');
    try {
      const response = await fetch(url.replace(/\/$/, '') + path, {
        method,
        signal: controller.signal,
        headers: {
          accept: MEDIA_TYPE,
          ...(login === undefined ? {} : { authorization: `Basic ${login}` }),
          ...(body === undefined ? {} : { 'content-type': MEDIA_TYPE }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const answer = (await response.json()) as Record<string, unknown>;
      if (response.ok) return answer;
      if (NOT_FOUND.has(Number(answer['error_code']))) return undefined;
      throw refused(response.status, path, answer);
    } catch (error) {
      if (error instanceof EngineError) throw error;
      throw new EngineError('REGISTRY_FAILED', `The schema registry ${url} did not answer ${method} ${path}.`, {
        cause: error,
      });
    } finally {
      timer.cancel();
    }
  }
}

function refused(status: number, path: string, answer: Record<string, unknown>): EngineError {
  const reason = `${String(answer['error_code'])} ${String(answer['message'])}`;
  return status === 409
    ? new EngineError('SCHEMA_INCOMPATIBLE', `The schema registry refused ${path}: ${reason}`)
    : new EngineError('REGISTRY_FAILED', `The schema registry answered ${status} to ${path}: ${reason}`);
}

/** The schema id that a value in the registry's framing names. */
export function frameId(value: Uint8Array): number | undefined {
  if (value.length < FRAME_BYTES || value[0] !== MAGIC) return undefined;
  return ((value[1]! << 24) | (value[2]! << 16) | (value[3]! << 8) | value[4]!) >>> 0;
}

/** A record as the codec wrote it, in the registry's framing instead of the single-object header. */
export function frameRecord(record: Buffer, id: number): Buffer {
  const framed = Buffer.allocUnsafe(record.length - RECORD_HEADER_BYTES + FRAME_BYTES);
  framed[0] = MAGIC;
  framed.writeUInt32BE(id, 1);
  record.copy(framed, FRAME_BYTES, RECORD_HEADER_BYTES);
  return framed;
}
