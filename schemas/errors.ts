/**
 * The one table of error codes, and the one error class that carries them.
 *
 * Every failure a person can meet has a row here: what it means, whether trying again can help, and which HTTP
 * status it maps to at the edge. Callers branch on `code`, never on the message. The message names the thing,
 * quotes the value, and says what was expected and what to do.
 */

/** What one row of the table says about a code. */
export interface ErrorCodeEntry {
  /** Whether the same call may succeed later without being changed. */
  readonly retriable: boolean;
  /** HTTP status used when the error reaches the edge. */
  readonly status: number;
  /** One sentence for the reference documentation. */
  readonly meaning: string;
}

const entry = (status: number, retriable: boolean, meaning: string): ErrorCodeEntry => ({ status, retriable, meaning });

export const ERROR_CODES = {
  // Words: schemas and codec
  CODEC_CORRUPT: entry(400, false, 'The bytes are not a record of the expected schema.'),
  CODEC_UNKNOWN_SCHEMA: entry(400, false, 'The schema fingerprint or registry id is not known to this build.'),
  SCHEMA_INCOMPATIBLE: entry(500, false, 'A schema change breaks readers or writers of the previous version.'),
  EVENT_INVALID: entry(400, false, 'An event does not satisfy its schema or its bounds.'),
  EVENT_TIME_INVALID: entry(400, false, 'An event timestamp is outside the accepted range.'),
  // Runtime: log, state, tasks
  INVARIANT_VIOLATED: entry(500, false, 'A condition the code relies on does not hold; the task stops.'),
  TASK_FENCED: entry(
    409,
    false,
    'Another owner went on with this partition, or the store fell back; the task drops its cache and is acquired again once its group confirms it.',
  ),
  TASK_FAILED: entry(500, false, 'A task stopped on an error that its policy does not absorb.'),
  OFFSET_OUT_OF_RANGE: entry(500, false, 'The requested offset is no longer, or not yet, in the log.'),
  LOG_UNAVAILABLE: entry(503, true, 'The log did not answer in time; what was being appended may or may not be there.'),
  LOG_REFUSED: entry(500, false, 'The log refused a request for good: credentials, rights, or a limit of its own.'),
  REGISTRY_FAILED: entry(503, true, 'The schema registry did not answer, or refused.'),
  TOPIC_UNKNOWN: entry(404, false, 'The topic does not exist.'),
  TOPIC_MISMATCH: entry(500, false, 'An existing topic differs from its declaration.'),
  MANIFEST_MISMATCH: entry(500, false, 'The stored state belongs to another log, partition count or build.'),
  ENGINE_RUNNING: entry(
    409,
    false,
    'Log or state moved, or are not drained, where an operation needs them to stand still; nothing was changed.',
  ),
  REPARTITIONING: entry(
    503,
    true,
    'The number of partitions is being changed and nothing is taken meanwhile; what was sent may be there, and is counted once when it is sent again under the same event id.',
  ),
  STATE_CORRUPT: entry(500, false, 'A stored state value cannot be decoded.'),
  STATE_VERSION_UNKNOWN: entry(500, false, 'A stored state value was written by a version this build cannot read.'),
  DATA_DIRECTORY_LOCKED: entry(503, true, 'Another process holds the data directory.'),
  DATA_DIRECTORY_INVALID: entry(500, false, 'The data directory cannot be used.'),
  STORAGE_FULL: entry(503, true, 'The disk, or the configured share of it, is full; nothing was acknowledged.'),
  STORE_UNAVAILABLE: entry(503, true, 'The state store did not answer in time; what was being written may be there.'),
  STORE_REFUSED: entry(
    500,
    false,
    'The state store refused a request for good: settings, credentials, rights, or a version without what is needed.',
  ),
  TOPOLOGY_INVALID: entry(500, false, 'The declared topology contradicts itself.'),
  // Warehouse
  WAREHOUSE_UNAVAILABLE: entry(503, true, 'The warehouse process is not reachable.'),
  WAREHOUSE_QUERY_FAILED: entry(400, false, 'The warehouse rejected the statement.'),
  // Configuration and command line
  CONFIG_INVALID: entry(500, false, 'The configuration has faults; all of them are listed.'),
  USAGE_INVALID: entry(400, false, 'The command was called with arguments it does not accept.'),
  MAPPING_INVALID: entry(400, false, 'A mapping file does not describe the data it is applied to.'),
  FILE_UNREADABLE: entry(
    400,
    false,
    'A file to be imported is missing, damaged, or cut short; nothing of it was taken.',
  ),
  ROW_INVALID: entry(400, false, 'A row of an imported file does not fit its mapping.'),
  SNAPSHOT_INVALID: entry(400, false, 'A partition snapshot is damaged or does not fit this store.'),
  // Models
  TRAINING_SET_INVALID: entry(400, false, 'There is nothing in the training data that the algorithm could learn from.'),
  TRAINING_CANCELLED: entry(499, false, 'Training was told to stop; its last checkpoint is kept.'),
  MODEL_TOO_LARGE: entry(400, false, 'The data or settings need more memory than training is allowed to use.'),
  MODEL_INVALID: entry(400, false, 'The bytes of a saved model are missing, damaged or of another model.'),
  MODEL_REFUSED: entry(409, false, 'A model is worse than the published one by more than the margin; nothing changed.'),
  MODEL_UNKNOWN: entry(404, false, 'No algorithm or published model has this name.'),
  WORKERS_UNAVAILABLE: entry(503, true, 'No training worker was connected to Redis for too long.'),
  SHARD_FAILED: entry(500, true, 'A shard of training was given up: workers died over it again and again.'),
  BACKEND_UNAVAILABLE: entry(
    500,
    false,
    'The tensor library has no backend that works here, or not the one asked for.',
  ),
  EVALUATION_INVALID: entry(400, false, 'An evaluation file asks for what its data, protocol or models do not have.'),
  // Edge
  REQUEST_INVALID: entry(400, false, 'The request does not match the documented schema.'),
  BODY_TOO_LARGE: entry(413, false, 'The request body exceeds the configured limit.'),
  UNAUTHORIZED: entry(401, false, 'A valid API key is required.'),
  FORBIDDEN: entry(403, false, 'The request comes from a page or host that may not talk to this node.'),
  NOT_FOUND: entry(404, false, 'The addressed user, item or route does not exist.'),
  OVERLOADED: entry(429, true, 'The engine is behind; try again after Retry-After seconds.'),
  NOT_READY: entry(503, true, 'The node is starting, draining or catching up.'),
  CURSOR_EXPIRED: entry(410, false, 'The paging cursor is no longer held; start again without it.'),
  FEED_PROTOCOL: entry(400, false, 'A feed message is malformed or out of turn.'),
  INTERNAL: entry(500, false, 'The request failed unexpectedly; the log of the node says why.'),
  FEED_LIMIT: entry(429, false, 'A connection or user exceeded its feed limits.'),
} as const satisfies Record<string, ErrorCodeEntry>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Ids that help a person find the failing thing; only what applies is set. */
export type ErrorContext = Readonly<Record<string, string | number | boolean | undefined>>;

export interface EngineErrorOptions {
  readonly cause?: unknown;
  readonly context?: ErrorContext;
}

/** The only error class thrown on purpose by the engine. */
export class EngineError extends Error {
  readonly code: ErrorCode;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, message: string, options: EngineErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'EngineError';
    this.code = code;
    this.context = options.context ?? {};
  }

  get retriable(): boolean {
    return ERROR_CODES[this.code].retriable;
  }

  get status(): number {
    return ERROR_CODES[this.code].status;
  }
}

/** Narrows an unknown throwable to an EngineError of one of the given codes (of any code when none is given). */
export function isEngineError(error: unknown, ...codes: ErrorCode[]): error is EngineError {
  return error instanceof EngineError && (codes.length === 0 || codes.includes(error.code));
}

/** States what our own code relies on. A failure is a bug of ours: it stops the task, also in production. */
export function invariant(condition: unknown, message: string, context?: ErrorContext): asserts condition {
  if (!condition) throw new EngineError('INVARIANT_VIOLATED', message, context === undefined ? {} : { context });
}
