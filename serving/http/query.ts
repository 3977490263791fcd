/**
 * Reads query strings: texts become the numbers that the declared checks expect, then the checks decide.
 */
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { Fields, ObjectCheck } from './check.js';

/** @throws REQUEST_INVALID naming the parameter */
export function readQuery<F extends Fields>(
  check: ObjectCheck<F, never>,
  query: Readonly<Record<string, unknown>>,
): ReturnType<ObjectCheck<F, never>['read']> {
  const typed: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(query)) {
    const type = Object.hasOwn(check.fields, name) ? check.fields[name]!.schema['type'] : undefined;
    // A parameter given twice arrives as a list, which no check takes.
    typed[name] = (type === 'number' || type === 'integer') && typeof value === 'string' ? toNumber(value) : value;
  }
  return asRequestFault(() => check.read(typed, '', 'query'));
}

/** Turns what a check says of a field into a fault of the request as a whole. */
export function asRequestFault<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isEngineError(error, 'EVENT_INVALID')) throw error;
    throw new EngineError('REQUEST_INVALID', error.message, { cause: error, context: error.context });
  }
}

const DECIMAL = /^-?\d{1,20}(\.\d{1,20})?$/;

function toNumber(text: string): unknown {
  return DECIMAL.test(text) ? Number(text) : text;
}
