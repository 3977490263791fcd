/** Steps of opening a log, repeated while a cluster that is there has lost a broker and not yet found another to take its place. */
import type { Clock } from '../clock.js';
import { kafkaFault } from './kafka-error.js';

/** A controller, or the leader of a topic, is replaced within this time. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 100;

/**
 * The step's result. It must be one that may be repeated.
 * @param what was to be done, for the error: LOG_UNAVAILABLE after the last try, LOG_REFUSED at once
 */
export async function patiently<T>(clock: Clock, what: string, step: () => Promise<T>): Promise<T> {
  const startMs = clock.monotonic();
  for (;;) {
    try {
      return await step();
    } catch (error) {
      const fault = kafkaFault(error, what);
      if (!fault.retriable || clock.monotonic() - startMs >= PATIENCE_MS) throw fault;
      await clock.sleep(RETRY_MS);
    }
  }
}
