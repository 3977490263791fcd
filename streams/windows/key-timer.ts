/**
 * One timer a key, for whatever is due first under it.
 *
 * It is re-armed lazily: something that is put off leaves the timer where it is, and the operator looks again when it
 * fires. So a key that is active all day sets a timer now and then, not one a record.
 */
import type { Context } from '../runtime/operator.js';

/** No timer is set. */
export const NO_TIMER = Number.MIN_SAFE_INTEGER;

/** Makes the key's timer fire at `due` or earlier. */
export function armTimer(state: { timer: number }, due: number, context: Context): void {
  if (state.timer !== NO_TIMER) {
    if (state.timer <= due) return;
    context.clearTimer(state.timer);
  }
  state.timer = due;
  context.setTimer(due);
}
