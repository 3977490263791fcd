/**
 * JSON as a stage's input and as operator state: for first steps, tests and small states.
 *
 * Avro (schemas/record-type.ts) or bytes of one's own are smaller and faster; a stage changes over by raising the
 * version of its state and decoding the old one. Keys of objects are written in the order in which they were made, so
 * states that must be equal to the byte must be built the same way.
 */
import { EngineError } from '../schemas/errors.js';
import type { StateCodec } from './runtime/operator.js';
import type { InputCodec, RecordTimes, RuntimeRecord } from './runtime/topology.js';

/** Member that marks a record of the runtime. */
const RUNTIME = '~runtime';

export interface JsonInputOptions<R> {
  /** When a record happened; `receivedAt` undefined where nobody recorded it. */
  readonly times: (record: R) => RecordTimes;
  /** Throws for records that do not have the expected shape; they go the way of the stage's fault policy. */
  readonly check?: (record: unknown) => R;
}

export function jsonInput<R>(options: JsonInputOptions<R>): InputCodec<R> {
  return {
    decode(value) {
      const record = parse(value, 'CODEC_CORRUPT', 'An input record');
      if (runtimeRecordOf(record) !== undefined) return record as R;
      return options.check === undefined ? (record as R) : options.check(record);
    },
    times: options.times,
    runtimeRecord: runtimeRecordOf,
    encodeRuntimeRecord: (record) => Buffer.from(JSON.stringify({ [RUNTIME]: record })),
  };
}

/** `migrate` makes today's state of an earlier version's. */
export function jsonState<S>(version = 1, migrate?: (old: unknown, version: number) => S): StateCodec<S> {
  return {
    version,
    decodesByCopy: true,
    encode: (state) => Buffer.from(JSON.stringify(state)),
    decode(bytes, stored) {
      const state = parse(bytes, 'STATE_CORRUPT', 'A stored state');
      if (stored === version) return state as S;
      if (migrate !== undefined) return migrate(state, stored);
      throw new EngineError('STATE_VERSION_UNKNOWN', `A state has version ${stored}; this codec reads ${version}.`);
    },
  };
}

function runtimeRecordOf(record: unknown): RuntimeRecord | undefined {
  return (record as { readonly [RUNTIME]?: RuntimeRecord } | null)?.[RUNTIME];
}

function parse(bytes: Buffer, code: 'CODEC_CORRUPT' | 'STATE_CORRUPT', what: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new EngineError(code, `${what} of ${bytes.length} bytes is not JSON.`, { cause });
  }
}
