/** Waits for something to become true by looking again and again, with a deadline: in place of sleeps. */
import { systemClock } from '../../streams/clock.js';

const LOOK_MS = 20;

/** Resolves with the first answer that is neither undefined nor false; a check that throws is tried again. */
export async function until<T>(
  what: string,
  check: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 120_000,
): Promise<T> {
  const end = systemClock.monotonic() + deadlineMs;
  let last: string;
  for (;;) {
    try {
      const answer = await check();
      if (answer !== undefined && answer !== false) return answer;
      last = '';
    } catch (error) {
      last = `: ${error instanceof Error ? error.message : 'an error'}`;
    }
    if (systemClock.monotonic() > end) {
      throw new Error(`Waited ${deadlineMs} ms in vain for ${what}${last}`);
    }
    await systemClock.sleep(LOOK_MS);
  }
}
