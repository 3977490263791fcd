/**
 * What a failed Redis call means: whether to try again, where, and which EngineError it becomes when trying ends.
 *
 * Redis errors begin with a code in capitals; that decides, never the words behind it. Anything without such a code came
 * from the connection: the outcome of the call is unknown, which every call here can bear, as repeating changes nothing.
 */
import { EngineError } from '../../schemas/errors.js';

export type RedisReaction =
  /** The script is not known there: send it with its source. */
  | { readonly kind: 'send-source' }
  /** The slot lives elsewhere: for good, or for this one call. */
  | { readonly kind: 'moved' | 'ask'; readonly address: string }
  /** May pass: `code` for metrics. With `reconnect`, the connection itself is of no use any more. */
  | { readonly kind: 'again'; readonly code: string; readonly reconnect: boolean }
  | { readonly kind: 'fail'; readonly error: EngineError };

/**
 * The node cannot answer now: starting, failing over, moving keys, running somebody's long script, or without the
 * replicas it was told to have. Nothing was done.
 */
const PASSING = new Set(['CLUSTERDOWN', 'LOADING', 'TRYAGAIN', 'MASTERDOWN', 'BUSY', 'NOREPLICAS', 'UNKILLABLE']);
/** OOM: maxmemory is reached. MISCONF: the disk does not take what has to be saved. Nothing was done. */
const FULL = new Set(['OOM', 'MISCONF']);
/** Script errors carry the code of what failed inside. */
const CODE = /^([A-Z]+) /;

export function reactionTo(error: unknown, what: string): RedisReaction {
  if (error instanceof EngineError) return { kind: 'fail', error };
  const message = error instanceof Error ? error.message : String(error);
  const isReply = error instanceof Error && error.name === 'ReplyError';
  const code = isReply ? (CODE.exec(message)?.[1] ?? '') : undefined;
  if (code === undefined) return { kind: 'again', code: 'CONNECTION', reconnect: false };
  if (code === 'NOSCRIPT') return { kind: 'send-source' };
  if (code === 'MOVED' || code === 'ASK') {
    return { kind: code === 'MOVED' ? 'moved' : 'ask', address: message.split(' ')[2] ?? '' };
  }
  // What was the master is a replica now: another node has to be asked.
  if (code === 'READONLY') return { kind: 'again', code, reconnect: true };
  if (PASSING.has(code)) return { kind: 'again', code, reconnect: false };
  return { kind: 'fail', error: failure(code, message, what, error) };
}

function failure(code: string, message: string, what: string, cause: unknown): EngineError {
  const options = { cause, context: { redisCode: code } };
  if (FULL.has(code)) {
    return new EngineError(
      'STORAGE_FULL',
      `Redis takes no more data (${what}): ${message}; nothing was written.`,
      options,
    );
  }
  if (code === 'WRONGTYPE') {
    return new EngineError(
      'STATE_CORRUPT',
      `A key of the state store holds something else than the engine put there (${what}): ${message}; nothing was written.`,
      options,
    );
  }
  return new EngineError('STORE_REFUSED', `Redis refused ${what}: ${message}`, options);
}

export function storeUnavailable(what: string, waitedMs: number, cause: unknown): EngineError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new EngineError(
    'STORE_UNAVAILABLE',
    `Redis gave no answer to ${what} within ${Math.round(waitedMs)} ms; the last reason was: ${reason}`,
    { cause },
  );
}
