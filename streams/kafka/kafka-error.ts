/**
 * Kafka's errors as ours: what passes (LOG_UNAVAILABLE), what the broker refuses for good (LOG_REFUSED).
 *
 * Requests of our own carry a broker's error number, kafkajs's errors a `type` of the same meaning.
 */
import { EngineError, isEngineError } from '../../schemas/errors.js';

/** Numbers of https://kafka.apache.org/protocol#protocol_error_codes that this adapter looks at. */
const NAMES = {
  1: 'OFFSET_OUT_OF_RANGE',
  2: 'CORRUPT_MESSAGE',
  3: 'UNKNOWN_TOPIC_OR_PARTITION',
  5: 'LEADER_NOT_AVAILABLE',
  6: 'NOT_LEADER_FOR_PARTITION',
  7: 'REQUEST_TIMED_OUT',
  9: 'REPLICA_NOT_AVAILABLE',
  10: 'MESSAGE_TOO_LARGE',
  17: 'INVALID_TOPIC_EXCEPTION',
  18: 'RECORD_LIST_TOO_LARGE',
  19: 'NOT_ENOUGH_REPLICAS',
  20: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  29: 'TOPIC_AUTHORIZATION_FAILED',
  31: 'CLUSTER_AUTHORIZATION_FAILED',
  32: 'INVALID_TIMESTAMP',
  45: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
  46: 'DUPLICATE_SEQUENCE_NUMBER',
  47: 'INVALID_PRODUCER_EPOCH',
  48: 'INVALID_TXN_STATE',
  49: 'INVALID_PRODUCER_ID_MAPPING',
  53: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  56: 'KAFKA_STORAGE_ERROR',
  59: 'UNKNOWN_PRODUCER_ID',
  74: 'FENCED_LEADER_EPOCH',
  75: 'UNKNOWN_LEADER_EPOCH',
  78: 'OFFSET_NOT_AVAILABLE',
  87: 'INVALID_RECORD',
  90: 'PRODUCER_FENCED',
} as const satisfies Record<number, string>;

const REFUSALS = new Set([
  'MESSAGE_TOO_LARGE',
  'INVALID_TOPIC_EXCEPTION',
  'RECORD_LIST_TOO_LARGE',
  'TOPIC_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  'POLICY_VIOLATION',
  'INVALID_TIMESTAMP',
  'INVALID_RECORD',
  'INVALID_REPLICATION_FACTOR',
  'INVALID_CONFIG',
  'INCONSISTENT_GROUP_PROTOCOL',
  'INVALID_SESSION_TIMEOUT',
]);

/** An error that a broker answered with, by number. */
export class BrokerError extends Error {
  readonly type: string;

  constructor(
    code: number,
    readonly what: string,
  ) {
    const type = (NAMES as Record<number, string>)[code] ?? `error ${code}`;
    super(`${what}: ${type}`);
    this.name = 'BrokerError';
    this.type = type;
  }
}

/** Kafka's name of an error, '' for what never was a broker's. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const { type } = error as { type?: unknown };
  if (typeof type === 'string') return type;
  return error.cause === undefined ? '' : errorType(error.cause);
}

/** The EngineError that a failed call throws; EngineErrors pass. */
export function kafkaFault(error: unknown, what: string): EngineError {
  if (isEngineError(error)) return error;
  const type = errorType(error);
  const reason = error instanceof Error ? error.message : String(error);
  const name = error instanceof Error ? error.name : '';
  if (REFUSALS.has(type) || name === 'KafkaJSSASLAuthenticationError') {
    return new EngineError('LOG_REFUSED', `Kafka refused ${what}: ${reason}`, { cause: error });
  }
  return new EngineError('LOG_UNAVAILABLE', `Kafka could not ${what}: ${reason}`, { cause: error });
}
