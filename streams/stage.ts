/**
 * A stage declared by what matters, the rest as most stages want it: nothing is late by itself (windows and joins have
 * their own lateness), event time may run a minute ahead of receipt, and what cannot be processed goes to dead letters
 * where there is a topic for it, and stops the task where there is none: nothing is ever lost silently.
 */
import type { StageDeclaration } from './runtime/topology.js';

type Required = 'name' | 'input' | 'codec' | 'operators' | 'outputs';

/** How far clocks of senders and receivers are apart in earnest. */
const CLOCK_TOLERANCE_MS = 60_000;

export function defineStage<R>(
  declared: Pick<StageDeclaration<R>, Required> & Partial<Omit<StageDeclaration<R>, Required>>,
): StageDeclaration<R> {
  return {
    clockToleranceMs: CLOCK_TOLERANCE_MS,
    allowedLatenessMs: Infinity,
    latePolicy: 'process',
    faultPolicy: declared.deadLetters === undefined ? 'fail' : 'dead-letter',
    deadLetters: undefined,
    ...declared,
  };
}
