/**
 * The last feed of connections that ended, so that a client that comes back with its version gets nothing twice.
 *
 * A user's entries are forgotten when the user moves: what is left is what is still current. Bounded; the oldest goes.
 */
import type { FeedVersion } from './feed-version.js';
import type { SentFeed, Subscription } from './subscription.js';

interface HeldFeed {
  readonly generation: number;
  readonly offset: number;
  readonly revision: number;
  readonly shareKey: string;
  readonly feed: SentFeed;
}

export class RecentFeeds {
  /** By user, then placement; users in the order in which they left. */
  private readonly byUser = new Map<string, Map<string, HeldFeed>>();

  constructor(private readonly usersMax: number) {}

  keep(subscription: Subscription, generation: number): void {
    const feed = subscription.sent.at(-1);
    if (feed === undefined || subscription.isDirty) return;
    const { userId, placement, offset, revision, shareKey } = subscription;
    const held = this.byUser.get(userId) ?? new Map<string, HeldFeed>();
    held.set(placement, { generation, offset, revision, shareKey, feed });
    this.byUser.delete(userId);
    this.byUser.set(userId, held);
    if (this.byUser.size > this.usersMax) this.byUser.delete(this.byUser.keys().next().value as string);
  }

  /** The feed the client has, if it is the very one that is still current and was asked for in the same way. */
  resumable(subscription: Subscription, since: FeedVersion, generation: number): HeldFeed | undefined {
    const held = this.byUser.get(subscription.userId)?.get(subscription.placement);
    if (held === undefined || held.shareKey !== subscription.shareKey) return undefined;
    const isSame =
      since.generation === generation &&
      held.generation === generation &&
      held.offset === since.offset &&
      held.revision === since.revision;
    return isSame ? held : undefined;
  }

  forgetUser(userId: string): void {
    this.byUser.delete(userId);
  }
}
