/**
 * What a client is told of a failure: code, message, and the ids that help; never a stack, never an inner message of
 * something unexpected.
 */
import { ERROR_CODES, EngineError, type ErrorCode, type ErrorContext } from '../../schemas/errors.js';

export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string; readonly retriable: boolean } & ErrorContext;
}

/** Seconds after which a refused client may try again. */
export const RETRY_AFTER_S = 1;

/** Codes of the HTTP library that have one of ours. */
const LIBRARY_CODES: Readonly<Record<string, readonly [code: ErrorCode, message: string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['BODY_TOO_LARGE', 'The request body is larger than the configured limit'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'REQUEST_INVALID',
    'The body has a content type that this route does not take; expected application/json',
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['REQUEST_INVALID', 'The body is not as long as Content-Length says'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['REQUEST_INVALID', 'The body is empty; expected JSON'],
  FST_ERR_BAD_URL: ['REQUEST_INVALID', 'The path is not a valid URL'],
};

/** Our error for anything thrown; undefined for what nobody expected. */
export function toEngineError(error: unknown): EngineError | undefined {
  if (error instanceof EngineError) return error;
  const known = LIBRARY_CODES[(error as { code?: string }).code ?? ''];
  return known === undefined ? undefined : new EngineError(known[0], known[1], { cause: error });
}

export function errorBody(error: EngineError): ErrorBody {
  // The context cannot overwrite what clients branch on.
  return { error: { ...error.context, code: error.code, message: error.message, retriable: error.retriable } };
}

export const UNEXPECTED_BODY: ErrorBody = errorBody(new EngineError('INTERNAL', ERROR_CODES.INTERNAL.meaning));
