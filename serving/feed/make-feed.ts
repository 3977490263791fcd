/**
 * Makes one feed: the `push` pipeline for a subscription over a user's state, written out once as text.
 */
import type { Recommender, UserView } from '../node/ports.js';
import { itemAt, lengthOf, type ShownList } from '../http/slates.js';
import { formatVersion } from './feed-version.js';
import { feedText } from './protocol.js';
import type { Subscription } from './subscription.js';

export interface FeedSources {
  readonly recommender: Recommender;
  readonly generation: number;
  readonly newId: () => string;
}

export interface FeedState {
  readonly view: UserView;
  readonly revision: number;
  readonly now: number;
}

/** Shared by all subscriptions that asked for the same. */
export interface Made extends ShownList {
  readonly requestId: string;
  readonly text: string;
  readonly eligibleCount: number;
  readonly models?: Readonly<Record<string, string>> | undefined;
}

export function makeFeed(sources: FeedSources, subscription: Subscription, state: FeedState): Made {
  const { recommender, generation, newId } = sources;
  const { placement, limit, context, causes } = subscription;
  const { snapshot, partition, offset } = state.view;
  const { items, later, eligibleCount, models } = recommender.recommend({
    user: snapshot,
    personId: subscription.userId,
    placement,
    limit,
    // Told for the text alone: what was sent is remembered as numbers, a tenth of what it is in words.
    told: 0,
    pipeline: 'push',
    context,
    excluded: undefined,
    now: state.now,
  });
  const version = formatVersion({ generation, partition, offset, revision: state.revision });
  const requestId = newId();
  const shown = { items, later };
  const told = Array.from({ length: lengthOf(shown) }, (_, position) => itemAt(shown, position));
  const text = feedText({ placement, version, requestId, items: told, eventIds: causes });
  return { requestId, text, items, later, eligibleCount, models };
}
