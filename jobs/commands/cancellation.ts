/** Long commands end at a signal with a clear error, after they put away what they had. */
import { EngineError } from '../../schemas/errors.js';

export interface Cancellation {
  /** Aborted with TRAINING_CANCELLED at the first of the signals. */
  readonly signal: AbortSignal;
  /** Leaves signals to others again. */
  release(): void;
}

export function cancelledBy(...signals: readonly NodeJS.Signals[]): Cancellation {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(new EngineError('TRAINING_CANCELLED', 'Stopped by a signal.'));
  for (const signal of signals) process.once(signal, onSignal);
  return {
    signal: stop.signal,
    release() {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}
