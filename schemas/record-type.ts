/**
 * Avro for everybody else: record types of a caller's own schema, and codecs for operator state.
 *
 * Plain Avro binary without a header, so the one who stores the bytes keeps the version beside them (state cells carry
 * operator and schema version). Streams and operators use these two functions and never see Avro itself.
 */
import { parseSchema, type SchemaSource } from './avro.js';
import { BinaryType } from './binary-type.js';
import { EngineError, isEngineError } from './errors.js';

export interface RecordType<T, D = T> {
  readonly name: string;
  /** EVENT_INVALID when the value does not fit the schema. */
  encode(value: D): Buffer;
  /** End position, or -1 when the value does not fit; then bytes from `position` on are undefined. */
  encodeInto(value: D, target: Buffer, position: number): number;
  /** Reads from `position` to the end; CODEC_CORRUPT when the bytes are not exactly one value. */
  decode(bytes: Uint8Array, position?: number): T;
}

/** @throws SCHEMA_INCOMPATIBLE when the schema is not valid Avro */
export function createRecordType<T, D = T>(schema: SchemaSource): RecordType<T, D> {
  const parsed = parseSchema(schema);
  return new BinaryType<T, D>(nameOf(parsed.node), parsed);
}

export interface StateCodecOptions {
  /** Version of `schema`, stored beside the bytes by the caller; 1 when left out. */
  readonly version?: number;
  /** Earlier versions that stored values may still have, by version. */
  readonly previous?: Readonly<Record<number, SchemaSource>>;
}

export interface StateCodec<T> {
  readonly version: number;
  /** INVARIANT_VIOLATED when the value does not fit: state is ours, so that is a bug of ours. */
  encode(value: T): Buffer;
  /**
   * Reads a value of the current version, or of an earlier one, which comes out as if written today.
   * STATE_VERSION_UNKNOWN when nobody told this codec of the version, STATE_CORRUPT when the bytes do not fit it.
   */
  decode(bytes: Uint8Array, writerSchemaVersion?: number): T;
}

/** @throws SCHEMA_INCOMPATIBLE when an earlier version cannot be read as the current one */
export function createStateCodec<T>(schema: SchemaSource, options: StateCodecOptions = {}): StateCodec<T> {
  const version = options.version ?? 1;
  const parsed = parseSchema(schema);
  const type = new BinaryType<T>(nameOf(parsed.node), parsed, { invalidCode: 'INVARIANT_VIOLATED' });
  const decoders = new Map<number, (bytes: Uint8Array) => T>();
  for (const [previous, source] of Object.entries(options.previous ?? {})) {
    decoders.set(Number(previous), type.decoderOf(parseSchema(source)));
  }
  decoders.set(version, (bytes) => type.decode(bytes));
  return {
    version,
    encode: (value) => type.encode(value),
    decode(bytes, writerSchemaVersion = version) {
      const decode = decoders.get(writerSchemaVersion);
      if (decode === undefined) {
        const known = [...decoders.keys()].sort((a, b) => a - b).join(', ');
        throw new EngineError(
          'STATE_VERSION_UNKNOWN',
          `State ${type.name} has schema version ${writerSchemaVersion}; this build reads ${known}: rebuild it from the log, or run the release that wrote it`,
        );
      }
      try {
        return decode(bytes);
      } catch (error) {
        if (!isEngineError(error, 'CODEC_CORRUPT')) throw error;
        throw new EngineError(
          'STATE_CORRUPT',
          `State ${type.name} of version ${writerSchemaVersion}: ${error.message}`,
          {
            cause: error,
            context: error.context,
          },
        );
      }
    },
  };
}

const nameOf = (node: { readonly type: string; readonly name?: string }): string => node.name ?? node.type;
