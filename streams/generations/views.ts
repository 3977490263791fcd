/** Log and state through the generation in force, and the topics of those before it for whoever has not read them yet. */
import type { EventLog } from '../log/event-log.js';
import type { StateStore } from '../state/state-store.js';
import { GenerationLog } from './generation-log.js';
import { GenerationStore } from './generation-store.js';
import { ownerOf } from './layout.js';
import type { Layout } from './layout.js';

export interface LogAndStore {
  readonly log: EventLog;
  readonly store: StateStore;
}

/** A topic as one generation wrote it. */
export interface TopicGeneration {
  readonly log: EventLog;
  /** Names its offsets: changes with the physical topic, and only with it. */
  readonly identity: string;
}

/** `documents`: as for GenerationStore. */
export function viewOf(
  physical: LogAndStore,
  { layout, number = layout.inForce }: { readonly layout: Layout; readonly number?: number },
  documents: readonly string[],
): LogAndStore {
  const log = new GenerationLog(physical.log, layout, number);
  return { log, store: new GenerationStore(physical.store, log, number, documents) };
}

/** Every physical topic that a logical one has had, oldest first; the last is the one in force. */
export function topicGenerations(log: EventLog, layout: Layout, topic: string): readonly TopicGeneration[] {
  const owners = new Set(
    layout.generations
      .filter(({ number, hasServed }) => hasServed && number <= layout.inForce)
      .map(({ number }) => ownerOf(layout, number, topic)),
  );
  return [...owners].map(({ number, identity }) => ({ log: new GenerationLog(log, layout, number), identity }));
}
