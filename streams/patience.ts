/**
 * A step that is tried again while what stands in its way may pass: a broker that has just died, a leader not yet found.
 *
 * Bounded: the last failure is thrown once `PATIENCE_MS` are over; what is longer away will not be back by itself.
 */
import { isEngineError } from '../schemas/errors.js';
import type { Clock } from './clock.js';

export interface PatienceOptions {
  readonly clock: Clock;
  readonly retryMs: number;
  /** Told of each failure that is waited out. */
  readonly onFault?: (error: unknown) => void;
  /** Ends the patience: the failure of the step under way is thrown. */
  readonly signal?: AbortSignal;
}

/** A controller, or the leader of a topic, is replaced within this time. */
const PATIENCE_MS = 30_000;

/** The step's result; it must be one that may be repeated. Throws at once what is no retriable EngineError. */
export async function patiently<T>(options: PatienceOptions, step: () => Promise<T>): Promise<T> {
  const { clock, retryMs, onFault, signal } = options;
  const startMs = clock.monotonic();
  for (;;) {
    try {
      return await step();
    } catch (error) {
      const isPassing = isEngineError(error) && error.retriable && clock.monotonic() - startMs < PATIENCE_MS;
      if (!isPassing || signal?.aborted === true) throw error;
      onFault?.(error);
      await clock.sleep(retryMs, signal).catch(() => undefined);
    }
  }
}
