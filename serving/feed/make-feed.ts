/**
 * Makes one feed: the `push` pipeline for a subscription over a user's state, written out once as text.
 */
import type { RankedList, Recommender, UserView } from '../node/ports.js';
import { formatVersion } from './feed-version.js';
import { feedText } from './protocol.js';
import type { Subscription } from './subscription.js';

export interface FeedSources {
  readonly recommender: Recommender;
  readonly generation: () => number;
  readonly newId: () => string;
}

export interface FeedState {
  readonly view: UserView;
  readonly revision: number;
  readonly now: number;
}

/** Shared by all subscriptions that asked for the same. */
export interface Made {
  readonly requestId: string;
  readonly text: string;
  readonly list: RankedList;
  readonly eligibleCount: number;
  readonly models?: Readonly<Record<string, string>> | undefined;
}

export function makeFeed(sources: FeedSources, subscription: Subscription, state: FeedState): Made {
  const { recommender, generation, newId } = sources;
  const { placement, limit, context, causes } = subscription;
  const { snapshot, partition, offset } = state.view;
  const { list, eligibleCount, models } = recommender.rank({
    user: snapshot,
    personId: subscription.userId,
    placement,
    limit,
    pipeline: 'push',
    context,
    excluded: undefined,
    now: state.now,
  });
  const version = formatVersion({ generation: generation(), partition, offset, revision: state.revision });
  const requestId = newId();
  const items = Array.from({ length: list.length }, (_, place) => list.at(place));
  const text = feedText({ placement, version, requestId, items, eventIds: causes });
  return { requestId, text, list, eligibleCount, models };
}
