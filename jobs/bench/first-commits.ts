/**
 * When a partition has a new owner that works: its first commit after the old owner was killed, seen where commits are
 * kept, in the store.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import { taskName } from '../../streams/state/state-store.js';
import type { StateStore, TaskId } from '../../streams/state/state-store.js';

export interface FirstCommitsOptions {
  readonly clock: Clock;
  readonly store: Pick<StateStore, 'head'>;
  /** Of the owner that was killed. */
  readonly tasks: readonly TaskId[];
  /** Monotonic time of the kill. */
  readonly killedMs: number;
  /**
   * What the dead owner had sent is in after this long, ms, and nobody has taken over yet: between a round trip to the
   * store and a session with the group.
   */
  readonly inFlightMs: number;
  /** Given up when a task has none this long after the kill, ms. */
  readonly waitMsMax: number;
}

/** Answers are this fine. */
const LOOK_MS = 10;

/** Ms from the kill to the first commit, by task. Throws NOT_READY when one does not come. */
export async function awaitFirstCommits(options: FirstCommitsOptions): Promise<ReadonlyMap<string, number>> {
  const { clock, store, tasks, killedMs, inFlightMs, waitMsMax } = options;
  await clock.sleep(Math.max(0, killedMs + inFlightMs - clock.monotonic()));
  const commitOf = async (task: TaskId): Promise<string | undefined> => (await store.head(task))?.commitId;
  const waiting = new Map<TaskId, string | undefined>();
  await Promise.all(tasks.map(async (task) => waiting.set(task, await commitOf(task))));
  const found = new Map<string, number>();
  for (;;) {
    await Promise.all(
      [...waiting].map(async ([task, last]) => {
        if ((await commitOf(task)) === last) return;
        found.set(taskName(task), clock.monotonic() - killedMs);
        waiting.delete(task);
      }),
    );
    if (waiting.size === 0) return found;
    if (clock.monotonic() - killedMs > waitMsMax) {
      const names = [...waiting.keys()].map(taskName).join();
      throw new EngineError('NOT_READY', `Nobody committed on ${names} within ${waitMsMax} ms.`);
    }
    await clock.sleep(LOOK_MS);
  }
}
