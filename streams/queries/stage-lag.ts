/**
 * How far the stages of a topology are behind their input, read from log and store: for processes that run no task
 * themselves, such as serving nodes of a cluster.
 */
import type { EventLog } from '../log/event-log.js';
import type { Topology } from '../runtime/topology.js';
import type { StateStore } from '../state/state-store.js';

/** Input records that no commit covers yet, over all partitions of all stages. One read a partition. */
export async function stageLag(topology: Topology, log: EventLog, store: StateStore): Promise<number> {
  const lags = topology.stages.flatMap(({ name, input }) =>
    Array.from({ length: log.topic(input).partitions }, async (_, partition) => {
      const [head, { start, end }] = await Promise.all([
        store.head({ stage: name, partition }),
        log.bounds(input, partition),
      ]);
      return Math.max(0, end - (head?.offset ?? start));
    }),
  );
  return (await Promise.all(lags)).reduce((sum, lag) => sum + lag, 0);
}
