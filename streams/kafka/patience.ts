/** Steps of opening a log, repeated while a cluster that is there has lost a broker and not yet found another to take its place. */
import type { Clock } from '../clock.js';
import { patiently } from '../patience.js';
import { kafkaFault } from './kafka-error.js';

const RETRY_MS = 100;

/**
 * The step's result. It must be one that may be repeated.
 * @param what was to be done, for the error: LOG_UNAVAILABLE after the last try, LOG_REFUSED at once
 */
export function patientlyOnKafka<T>(clock: Clock, what: string, step: () => Promise<T>): Promise<T> {
  return patiently({ clock, retryMs: RETRY_MS }, async () => {
    try {
      return await step();
    } catch (error) {
      throw kafkaFault(error, what);
    }
  });
}
