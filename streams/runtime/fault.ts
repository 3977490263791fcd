/**
 * What went wrong with one record or timer, in the form that dead letters and metrics need.
 */
import { encodeRecord } from '../../schemas/codec.js';
import { isEngineError } from '../../schemas/errors.js';
import type { ErrorCode } from '../../schemas/errors.js';

export interface Fault {
  readonly code: ErrorCode;
  readonly message: string;
  readonly operator: string | undefined;
}

/** Messages longer than this are cut in dead letters: the bytes themselves are kept whole. */
const REASON_LENGTH_MAX = 1_000;

export function faultOf(error: unknown): Fault {
  if (isEngineError(error)) {
    const { operator } = error.context;
    return { code: error.code, message: error.message, operator: typeof operator === 'string' ? operator : undefined };
  }
  return { code: 'TASK_FAILED', message: `An operator threw: ${String(error)}`, operator: undefined };
}

export interface RecordPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
}

/** The dead-letter record of a fault. `at` is event time, so a replay writes the same bytes. */
export function deadLetterBytes(fault: Fault, place: RecordPlace, value: Buffer | undefined, at: number): Buffer {
  return encodeRecord('DeadLetter', {
    ...place,
    code: fault.code,
    reason: fault.message.slice(0, REASON_LENGTH_MAX),
    operator: fault.operator ?? null,
    at: Number.isFinite(at) ? at : 0,
    value: value ?? Buffer.alloc(0),
  });
}
