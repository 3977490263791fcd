/**
 * Port: hints between processes. A hint says that a user's state moved; it may be lost.
 *
 * A log that has no such channel of its own (Kafka: too slow and too dear for what may be lost) is handed one. What was
 * lost is repaired by version: `onGap` says where something may be missing, and HintRepair compares versions now and then.
 */
import type { GapListener, Hint, HintsListener } from './event-log.js';

export interface HintListener {
  readonly onHints: HintsListener;
  readonly onGap: GapListener;
}

export interface HintBus {
  /** Returns at once; may lose them. */
  send(topic: string, hints: readonly Hint[]): void;

  /** Listens to all partitions of a topic. Returns unsubscribe. */
  listen(topic: string, partitions: number, listener: HintListener): () => void;
}
