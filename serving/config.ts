/**
 * Settings of a serving node: where it listens, who may talk to it, and how much it takes.
 */
import { defineSection, type SectionValues, setting, z } from '../streams/config.js';
import { API_KEY_PATTERN, isLoopback } from './http/access.js';

const texts = (pattern: RegExp, message: string) => z.array(z.string().regex(pattern, message)).default([]);

export const servingSection = defineSection(
  'serving',
  {
    host: setting.text({
      description: 'Address to listen on. Anything but a loopback address needs API keys.',
      default: '127.0.0.1',
      address: 'FRESHET_HOST',
    }),
    port: setting.integer({
      description: 'Port to listen on; 0 picks a free one.',
      default: 8080,
      min: 0,
      max: 65_535,
    }),
    apiKeys: setting.of(texts(API_KEY_PATTERN, 'name:secret, the secret 16 to 256 of A-Z a-z 0-9 _ -'), {
      description: 'API keys as name:secret; the name becomes the producer id. Empty: open, on loopback only.',
      secret: 'FRESHET_API_KEYS',
    }),
    allowedOrigins: setting.of(texts(/^https?:\/\/[^/]+$/, 'an origin such as https://shop.example'), {
      description: 'Origins besides the node itself whose pages may open feeds.',
    }),
    bodyBytesMax: setting.integer({
      description: 'Longest request body, and longest line of a stream; held in memory while it is read.',
      unit: 'bytes',
      default: 5 << 20,
      min: 1 << 10,
      max: 64 << 20,
    }),
    listEventsMax: setting.integer({
      description: 'Most events or items in one list.',
      default: 10_000,
      min: 1,
      max: 100_000,
    }),
    requestTimeoutMs: setting.integer({
      description: 'A request must have arrived within this time; also bounds a stream of lines.',
      unit: 'ms',
      default: 300_000,
      min: 1_000,
      max: 86_400_000,
    }),
    futureToleranceMs: setting.integer({
      description: 'Event time ahead of the clock by at most this is set to the clock; more is refused.',
      unit: 'ms',
      default: 300_000,
      min: 0,
      max: 86_400_000,
    }),
    inFlightMax: setting.integer({
      description: 'Requests under way at once; more get 429.',
      default: 2_000,
      min: 1,
      max: 100_000,
    }),
    unsyncedBytesMax: setting.integer({
      description: 'Bytes taken and not yet durable; more get 429.',
      unit: 'bytes',
      default: 64 << 20,
      min: 1 << 20,
      max: 4 * 2 ** 30,
    }),
    streamLagMax: setting.integer({
      description: 'Records the stream stages may be behind before writes get 429.',
      unit: 'records',
      default: 1_000_000,
      min: 1,
      max: 1e12,
    }),
    freeDiskBytesMin: setting.integer({
      description: 'Disk kept in reserve; below it writes get 503.',
      unit: 'bytes',
      default: 512 << 20,
      min: 0,
      max: 1e15,
    }),
    readyLagMax: setting.integer({
      description: 'Table records the node may be behind and still be ready.',
      unit: 'records',
      default: 50_000,
      min: 0,
      max: 1e12,
    }),
    slatesMax: setting.integer({
      description: 'Served lists kept for paging; about 10 KB each.',
      default: 10_000,
      min: 1,
      max: 1_000_000,
    }),
    slateTtlMs: setting.integer({
      description: 'How long a cursor is valid.',
      unit: 'ms',
      default: 600_000,
      min: 1_000,
      max: 86_400_000,
    }),
    feedConnectionsMax: setting.integer({
      description: 'Open feed connections; more are closed with 4429.',
      default: 20_000,
      min: 1,
      max: 1_000_000,
    }),
    feedSubscriptionsPerConnectionMax: setting.integer({
      description: 'Placements one connection may subscribe to.',
      default: 16,
      min: 1,
      max: 1_000,
    }),
    feedSubscriptionsPerUserMax: setting.integer({
      description: 'Subscriptions of one user over all connections.',
      default: 64,
      min: 1,
      max: 10_000,
    }),
    feedMessageBytesMax: setting.integer({
      description: 'Longest message of a client; a longer one closes the connection.',
      unit: 'bytes',
      default: 16_384,
      min: 256,
      max: 1 << 20,
    }),
    feedMessagesPerSecondMax: setting.integer({
      description: 'Messages a second of one connection; more close it with 4429.',
      default: 50,
      min: 1,
      max: 10_000,
    }),
    feedHeartbeatMs: setting.integer({
      description: 'Time between pings; a client silent for two of them is closed.',
      unit: 'ms',
      default: 25_000,
      min: 1_000,
      max: 600_000,
    }),
    feedResumableMax: setting.integer({
      description: 'Users whose last feed is remembered for resuming.',
      default: 20_000,
      min: 0,
      max: 1_000_000,
    }),
  },
  {
    description: 'The HTTP and WebSocket edge.',
    check: ({ host, apiKeys }) =>
      apiKeys.length > 0 || isLoopback(host)
        ? []
        : [
            {
              path: 'apiKeys',
              value: undefined,
              expected: `at least one key, because host is ${host}; or host 127.0.0.1`,
            },
          ],
  },
);

export type ServingConfig = SectionValues<typeof servingSection>;
