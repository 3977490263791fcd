/**
 * The AsyncAPI 3.0 document of the feed, built from the checks that messages are read with. `asyncapi.yaml` beside
 * this file is its rendering; a test holds the two together.
 */
import type { JsonSchema } from '../http/check.js';
import { FEED_VERSION_PATTERN } from './feed-version.js';
import {
  CLOSE,
  FEED_ITEMS_MAX,
  FEED_PATH,
  FEED_SUBPROTOCOL,
  PONG,
  SUBSCRIBE,
  UNSUBSCRIBE,
  VIEWED,
} from './protocol.js';
import { CAUSES_MAX } from './subscription.js';

const TEXT = { type: 'string' };
const REQUEST_ID = {
  type: 'string',
  description: 'Names this feed in viewed messages and in the attribution of events.',
};

const FEED: JsonSchema = {
  type: 'object',
  description: 'The whole feed; replaces the one before. Those between may have been merged into it.',
  required: ['type', 'v', 'placement', 'version', 'requestId', 'items', 'cause'],
  properties: {
    type: { const: 'feed' },
    v: { const: 1 },
    placement: TEXT,
    version: {
      type: 'string',
      pattern: FEED_VERSION_PATTERN.source,
      description: 'generation-partition-offset: send it as sinceVersion to resume.',
    },
    requestId: REQUEST_ID,
    items: {
      type: 'array',
      maxItems: FEED_ITEMS_MAX,
      items: {
        type: 'object',
        required: ['itemId', 'score', 'confidence', 'reasons'],
        properties: {
          itemId: TEXT,
          score: { type: 'number' },
          confidence: { type: 'number', minimum: 0, maximum: 1 },
          reasons: { type: 'array', items: TEXT },
        },
      },
    },
    cause: {
      type: 'object',
      required: ['eventIds'],
      properties: {
        eventIds: {
          type: 'array',
          items: TEXT,
          maxItems: CAUSES_MAX,
          description: 'Events folded in since the feed before; the latest last.',
        },
      },
    },
  },
};

const ERROR: JsonSchema = {
  type: 'object',
  description: 'A message was refused; the connection lives on.',
  required: ['type', 'code', 'message'],
  properties: { type: { const: 'error' }, code: TEXT, message: TEXT },
};

const PING: JsonSchema = {
  type: 'object',
  description: 'Answer with pong; a client that says nothing for two pings is closed.',
  required: ['type'],
  properties: { type: { const: 'ping' } },
};

const CLIENT_MESSAGES = {
  subscribe: SUBSCRIBE.schema,
  unsubscribe: UNSUBSCRIBE.schema,
  viewed: VIEWED.schema,
  pong: PONG.schema,
};
const SERVER_MESSAGES = { feed: FEED, error: ERROR, ping: PING };

export function buildAsyncApi(): JsonSchema {
  const references = (names: readonly string[]): { $ref: string }[] =>
    names.map((name) => ({ $ref: `#/channels/feed/messages/${name}` }));
  const messages = Object.entries({ ...CLIENT_MESSAGES, ...SERVER_MESSAGES }).map(([name, payload]) => [
    name,
    { name, payload },
  ]);
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Freshet feed',
      version: '1',
      description: [
        `JSON messages over one WebSocket at ${FEED_PATH}, subprotocol ${FEED_SUBPROTOCOL} (optional).`,
        'With API keys: a header as in the HTTP API, or the further subprotocol freshet.key.<secret>.',
        `Close codes: ${Object.entries(CLOSE)
          .map(([name, code]) => `${code} ${name}`)
          .join(', ')}; 1009 for a message that is too long.`,
        'The reason of a draining close says after how many milliseconds to reconnect.',
      ].join('\n'),
    },
    defaultContentType: 'application/json',
    channels: { feed: { address: FEED_PATH, messages: Object.fromEntries(messages) as JsonSchema } },
    operations: {
      receiveFromClient: {
        action: 'receive',
        channel: { $ref: '#/channels/feed' },
        messages: references(Object.keys(CLIENT_MESSAGES)),
      },
      sendToClient: {
        action: 'send',
        channel: { $ref: '#/channels/feed' },
        messages: references(Object.keys(SERVER_MESSAGES)),
      },
    },
  };
}
