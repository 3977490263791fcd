/**
 * Last operator of stage 1: tells serving that what a person's feed depends on moved. Keeps no state.
 *
 * Interactions, user upserts, merged state and erasures move a feed. Impressions do not: a pushed feed is viewed, and if
 * that were to push the feed again it would never rest. Hints may be lost: versions repair it.
 */
import type { Operator } from '../../streams/runtime/operator.js';
import { NO_STATE } from '../state-layout.js';
import type { UserEvent } from './user-events.js';

export interface FeedHintDeps {
  /** Physical name of the hint topic. */
  readonly feedHintsTopic: string;
}

export function createFeedHintOperator(deps: FeedHintDeps): Operator<UserEvent, never> {
  return {
    name: 'feed-hint',
    purity: 'log-pure',
    state: NO_STATE,
    process(record, _cell, context) {
      const { kind } = record;
      if (kind === 'Interaction' || kind === 'UserUpsert' || kind === 'StateMerge' || kind === 'Erase') {
        context.hint(deps.feedHintsTopic, record.eventId);
      }
    },
  };
}
