/**
 * Versions of feeds as clients see them: `generation-partition-offset`, and `.revision` where the feed was renewed
 * without the user's state having moved (an item was withdrawn).
 *
 * Of one user, a later feed has the greater version; clients compare for equality and keep the last one.
 */
export interface FeedVersion {
  /** Of the log: grows when it was made anew. */
  readonly generation: number;
  readonly partition: number;
  /** After the input record that last changed the user's state. */
  readonly offset: number;
  readonly revision: number;
}

/** Also in the AsyncAPI document. */
export const FEED_VERSION_PATTERN = /^(\d{1,15})-(\d{1,6})-(\d{1,15})(?:\.(\d{1,9}))?$/;

export function formatVersion({ generation, partition, offset, revision }: FeedVersion): string {
  return revision === 0 ? `${generation}-${partition}-${offset}` : `${generation}-${partition}-${offset}.${revision}`;
}

export function tryParseVersion(text: string): FeedVersion | undefined {
  const parts = FEED_VERSION_PATTERN.exec(text);
  if (parts === null) return undefined;
  return {
    generation: Number(parts[1]),
    partition: Number(parts[2]),
    offset: Number(parts[3]),
    revision: Number(parts[4] ?? 0),
  };
}

/** Negative when the first is older. */
export function compareVersions(left: FeedVersion, right: FeedVersion): number {
  return left.generation - right.generation || left.offset - right.offset || left.revision - right.revision;
}
