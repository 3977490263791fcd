/**
 * Settings of a serving node: where it listens, who may talk to it, and how much it takes.
 */
import { defineSection, type SectionValues, setting, z } from '../streams/config.js';
import { API_KEY_PATTERN, isLoopback } from './http/access.js';

const texts = (pattern: RegExp, message: string) => z.array(z.string().regex(pattern, message)).default([]);

/** Published models in use at once: each has its place in every pipeline. */
export const MODELS_MAX = 8;

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
      description:
        'Records the stream stages may be behind before writes get 429. An event leads to some seven records.',
      unit: 'records',
      default: 5_000_000,
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
      description: 'Served lists kept for paging; about 2 KB each.',
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
    models: setting.of(
      z
        .array(
          z.strictObject({
            name: z.string().min(1),
            weight: z.number().min(0).max(10).optional(),
            push: z.boolean().optional(),
          }),
        )
        .max(MODELS_MAX)
        .default([]),
      {
        description:
          'Published models that are asked: name, weight in the fusion, push: whether feeds ask it on every event. Empty: every published one, up to 8, with modelWeight; feeds ask those that keep states of people.',
      },
    ),
    modelWeight: setting.number({
      description: 'Weight of a published model in the fusion; the live sources have 1 and less.',
      default: 0.4,
      min: 0,
      max: 10,
    }),
    modelScorer: setting.optionalText({
      description: 'Published model that ranks the best candidates of full requests again.',
    }),
    modelScorerWeight: setting.number({
      description: "Its share of a candidate's score.",
      unit: 'share',
      default: 0.5,
      min: 0,
      max: 1,
    }),
    modelBudgetMs: setting.number({
      description: 'Mean time of an answer above which a model is left out of full requests.',
      unit: 'ms',
      default: 25,
      min: 0.01,
      max: 10_000,
    }),
    modelPushBudgetMs: setting.number({
      description: 'The same for feeds that are pushed on every event.',
      unit: 'ms',
      default: 5,
      min: 0.01,
      max: 10_000,
    }),
    modelPauseMs: setting.integer({
      description: 'How long a model that fails or is slow is left out before it is tried again.',
      unit: 'ms',
      default: 30_000,
      min: 1,
      max: 86_400_000,
    }),
    modelStateBytes: setting.integer({
      description: 'Memory of people’s states (keys and values of a sequence model), each model.',
      unit: 'bytes',
      default: 64 << 20,
      min: 1 << 16,
      max: 64 * 2 ** 30,
    }),
    modelIndexFrom: setting.integer({
      description: 'Items of a model from which on it is searched through a vector index instead of whole.',
      unit: 'items',
      default: 20_000,
      min: 1,
      max: 1e9,
    }),
  },
  {
    description: 'The HTTP and WebSocket edge, and the published models it asks.',
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
