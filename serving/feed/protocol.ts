/**
 * The feed protocol, version 1: JSON messages over one WebSocket, and the close codes.
 *
 *   client  subscribe · unsubscribe · viewed · pong
 *   server  feed · error · ping
 *
 * The checks here are what messages are read with and what the AsyncAPI document is made from. Errors are answered and
 * the connection lives on; one that keeps sending rubbish is closed.
 */
import { EngineError, isEngineError } from '../../schemas/errors.js';
import { CONTEXT } from '../http/event-fields.js';
import { choice, id, integer, isObject, list, object, text } from '../http/check.js';
import type { RecommendedItem, RequestContext } from '../node/ports.js';
import { FEED_VERSION_PATTERN, tryParseVersion, type FeedVersion } from './feed-version.js';

export const FEED_PATH = '/v1/feed';
export const FEED_SUBPROTOCOL = 'freshet.v1';

/** Why a connection ended; the close reason says it in words. */
export const CLOSE = {
  /** Too many malformed messages. */
  protocol: 4400,
  /** No, or an unknown, API key. */
  unauthorized: 4401,
  /** No message within two heartbeats. */
  silent: 4408,
  /** Too many messages, connections or bytes. */
  limit: 4429,
  /** The node is closing: connect again after the time in the reason, `reconnect in <ms> ms`. */
  draining: 4503,
} as const;

export const FEED_ITEMS_MAX = 100;

const VERSION = {
  schema: {
    type: 'string',
    pattern: FEED_VERSION_PATTERN.source,
    description: 'Version of the feed the client already has.',
  },
  read(value: unknown, _at: string, name: string): FeedVersion {
    const version = typeof value === 'string' ? tryParseVersion(value) : undefined;
    if (version === undefined)
      throw new EngineError('EVENT_INVALID', `${name} is not a feed version; expected what a feed said`);
    return version;
  },
};

export const SUBSCRIBE = object(
  'Ask for the feed of a placement; it comes at once and whenever it changes. Replaces an earlier subscription to the placement.',
  {
    type: choice('', ['subscribe']),
    userId: id('Whose feed.'),
    placement: text('Where it is shown.', 256),
    limit: integer('Items; 10 when absent.', 1, FEED_ITEMS_MAX),
    context: object('Where the person is.', { ...CONTEXT.fields, itemId: id('Item of the page being looked at.') }),
    sinceVersion: VERSION,
    minIntervalMs: integer('Least time between two feeds; those between are merged.', 0, 3_600_000),
  },
  ['type', 'userId', 'placement'],
);

export const UNSUBSCRIBE = object(
  'No more feeds of a placement.',
  { type: choice('', ['unsubscribe']), placement: text('Placement.', 256) },
  ['type', 'placement'],
);

export const VIEWED = object(
  'What of a feed was seen: only that counts as exposure.',
  {
    type: choice('', ['viewed']),
    requestId: id('requestId of the feed.'),
    itemIds: list('Items seen.', id('Item.'), FEED_ITEMS_MAX, 1),
  },
  ['type', 'requestId', 'itemIds'],
);

export const PONG = object('Answer to a ping.', { type: choice('', ['pong']) }, ['type']);

export interface SubscribeMessage {
  readonly type: 'subscribe';
  readonly userId: string;
  readonly placement: string;
  readonly limit: number | undefined;
  readonly context: RequestContext | undefined;
  readonly sinceVersion: FeedVersion | undefined;
  readonly minIntervalMs: number | undefined;
}

export type ClientMessage =
  | SubscribeMessage
  | { readonly type: 'unsubscribe'; readonly placement: string }
  | { readonly type: 'viewed'; readonly requestId: string; readonly itemIds: readonly string[] }
  | { readonly type: 'pong' };

/** @throws FEED_PROTOCOL */
export function parseClientMessage(data: string): ClientMessage {
  try {
    return readMessage(JSON.parse(data));
  } catch (error) {
    const reason = isEngineError(error) ? error.message : 'the message is not JSON';
    throw new EngineError('FEED_PROTOCOL', reason, { cause: error });
  }
}

function readMessage(message: unknown): ClientMessage {
  const type = isObject(message) ? message['type'] : undefined;
  switch (type) {
    case 'subscribe':
      return SUBSCRIBE.read(message, '', '');
    case 'unsubscribe':
      return UNSUBSCRIBE.read(message, '', '');
    case 'viewed':
      return VIEWED.read(message, '', '');
    case 'pong':
      return PONG.read(message, '', '');
    default:
      throw new EngineError('EVENT_INVALID', 'type is not known; expected subscribe, unsubscribe, viewed or pong');
  }
}

export interface FeedMessage {
  readonly placement: string;
  readonly version: string;
  readonly requestId: string;
  readonly items: readonly RecommendedItem[];
  readonly eventIds: readonly string[];
}

export function feedText({ placement, version, requestId, items, eventIds }: FeedMessage): string {
  return JSON.stringify({
    type: 'feed',
    v: 1,
    placement,
    version,
    requestId,
    items: items.map(({ itemId, score, confidence, reasons }) => ({
      itemId,
      score: rounded(score),
      confidence: rounded(confidence),
      reasons,
    })),
    cause: { eventIds },
  });
}

export const PING_TEXT = '{"type":"ping"}';

export function errorText(code: string, message: string): string {
  return JSON.stringify({ type: 'error', code, message });
}

/** Six digits: what nobody reads need not be sent. */
const rounded = (value: number): number => Math.round(value * 1e6) / 1e6;
