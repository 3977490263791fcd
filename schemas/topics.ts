/**
 * The one table of topics: what flows where, under which key, with which delivery class and which records.
 *
 * Physical names carry the namespace (`default.user-events`). Delivery classes:
 *   event  identified by its output id, every one matters, readers drop repeats
 *   table  key and version; the highest version of a key wins, older ones may be conflated or compacted away
 *   hint   never stored; may be lost, versions repair it
 */
import type { RecordKind } from './records.js';

export type DeliveryClass = 'event' | 'table' | 'hint';

export interface TopicDeclaration {
  readonly name: string;
  /** What the partition key is, in words. */
  readonly key: 'user' | 'item' | 'name' | 'source';
  readonly class: DeliveryClass;
  /** Outside readers see each record once: written by transactions where the log has them. */
  readonly exact: boolean;
  /** Age after which records may be removed, ms; undefined keeps them (tables are compacted instead). */
  readonly retentionMs: number | undefined;
  readonly records: readonly RecordKind[];
}

const DAY_MS = 86_400_000;

const topic = (
  name: string,
  key: TopicDeclaration['key'],
  deliveryClass: DeliveryClass,
  records: readonly RecordKind[],
  options: { exact?: boolean; retentionMs?: number } = {},
): TopicDeclaration => ({
  name,
  key,
  class: deliveryClass,
  exact: options.exact ?? false,
  retentionMs: options.retentionMs,
  records,
});

export const TOPICS = {
  userEvents: topic(
    'user-events',
    'user',
    'event',
    ['Interaction', 'Impression', 'UserUpsert', 'Identify', 'StateMerge', 'Forwarded', 'Erase', 'Tick', 'Control'],
    { retentionMs: 30 * DAY_MS },
  ),
  itemEvents: topic(
    'item-events',
    'item',
    'event',
    ['ItemUpsert', 'ItemDelete', 'ItemInteraction', 'ItemExposure', 'ItemPair', 'Tick', 'Control'],
    { retentionMs: 7 * DAY_MS },
  ),
  sessions: topic('sessions', 'user', 'event', ['SessionClosed'], { exact: true, retentionMs: 30 * DAY_MS }),
  rewards: topic('rewards', 'user', 'event', ['Reward'], { exact: true, retentionMs: 30 * DAY_MS }),
  itemState: topic('item-state', 'item', 'table', [
    'ItemCatalogueState',
    'ItemPopularityState',
    'ItemCtrState',
    'ItemNeighboursState',
    'ItemSessionsState',
    'ItemEmbeddingState',
  ]),
  feedHints: topic('feed-hints', 'user', 'hint', ['FeedHint']),
  models: topic('models', 'name', 'table', ['ModelPublished']),
  deadLetters: topic('dead-letters', 'source', 'event', ['DeadLetter'], { retentionMs: 90 * DAY_MS }),
} as const satisfies Record<string, TopicDeclaration>;

/** Longest namespace accepted; it becomes part of topic, database and metric names. */
export const NAMESPACE_PATTERN = /^[a-z][a-z0-9]{0,31}$/;

/** `default` + `user-events` → `default.user-events`. */
export function topicName(namespace: string, declaration: TopicDeclaration): string {
  return `${namespace}.${declaration.name}`;
}
