/**
 * Contract of windowed aggregation: what a caller brings, and what it is told about each window.
 *
 * Windows are kept per key and cut by the event time of that key's records alone. A window closes when the event time
 * of the partition has passed everything that could still belong to it; records later than that correct it until it is
 * final, `allowedLatenessMs` after. Readers keep, per (key, start), the output of the highest revision and forget the
 * window when that one is withdrawn: then they end up with the windows of the records sorted by time, whatever order
 * they came in, as long as no record is later than allowed and `windowsMax` is not reached.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Context, StateCodec } from '../runtime/operator.js';

/**
 * How records of type R become a value of type V. For windows that do not depend on the order of arrival, `add` and
 * `merge` must not either (sums, counts, extremes, sets; not 'the last one' unless it looks at `time`).
 */
export interface WindowAggregate<R, A, V> {
  initial(): A;
  /** Folds a record in: changes `aggregate` and returns it, or returns another one. Must stay bounded. */
  add(aggregate: A, record: R, time: number): A;
  /** Folds `from` into `into`, which comes of sessions that grew together, or of keys that became one. */
  merge(into: A, from: A): A;
  result(aggregate: A): V;
  /** Stored form of an aggregate. Raise its version with the layout; older ones are decoded when read. */
  readonly codec: StateCodec<A>;
}

interface WindowPlace {
  readonly key: string;
  /** Inclusive, ms since epoch; names the window. Of a session: time of its first record. */
  readonly start: number;
  /** Tumbling and hopping: exclusive. Of a session: time of its last record. */
  readonly end: number;
  /** 0 for the first output of this (key, start), then 1, 2, … */
  readonly revision: number;
}

/** What readers are told. Withdrawn: a session that others have been told of became part of an earlier one. */
export type WindowOutput<V> =
  | (WindowPlace & { readonly withdrawn: false; readonly value: V })
  | (WindowPlace & { readonly withdrawn: true; readonly value: undefined });

/**
 * When a window is sent.
 *   update: after every record that changes it.
 *   close:  once when it closes, and again for every record that corrects it afterwards.
 *   final:  once, when nothing can change it any more: never a revision above 0, never withdrawn.
 */
export type WindowEmission = 'update' | 'close' | 'final';

export interface WindowOptions<R, A, V> {
  /** Name of the operator: unique in its stage, lower-case kebab. */
  readonly name: string;
  readonly aggregate: WindowAggregate<R, A, V>;
  readonly emission: WindowEmission;
  /** How long after its close a window can be corrected, event time in ms; ≥ 0. */
  readonly allowedLatenessMs: number;
  /** Windows kept a key; with more the earliest becomes final at once. Default WINDOWS_MAX. */
  readonly windowsMax?: number;
  /** Records this operator is about; all when left out. */
  readonly accepts?: (record: R) => boolean;
  /** Sends an output, by `context.emit` or `context.publish`. */
  readonly send: (output: WindowOutput<V>, context: Context) => void;
  /** Told of records whose windows are all final; they change nothing. */
  readonly late?: (record: R, context: Context) => void;
}

/** Two days of hourly windows with room; a bound on what one key costs, not a target. */
export const WINDOWS_MAX = 64;

/** Throws TOPOLOGY_INVALID where an option is out of range. */
export function requireWindowOptions(options: {
  readonly name: string;
  readonly allowedLatenessMs: number;
  readonly windowsMax?: number;
}): void {
  requireMs(options.name, 'allowedLatenessMs', options.allowedLatenessMs, 0);
  if (options.windowsMax !== undefined) requireMs(options.name, 'windowsMax', options.windowsMax, 1);
}

/** A whole number of at least `min`; throws TOPOLOGY_INVALID. */
export function requireMs(operator: string, option: string, value: number, min: number): void {
  if (Number.isSafeInteger(value) && value >= min) return;
  throw new EngineError(
    'TOPOLOGY_INVALID',
    `Operator '${operator}': ${option} is ${value}, expected a whole number of at least ${min}.`,
    { context: { operator } },
  );
}
