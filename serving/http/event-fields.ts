/**
 * The fields of events as JSON: what is read, within which bounds, and what the documents say of it.
 */
import { INTERACTION_TYPES } from '../../schemas/records.js';
import { choice, fault, flag, id, integer, list, number, object, pathOf, text, textMap } from './check.js';
import type { Check, JsonSchema } from './check.js';

const SLATE_ITEMS_MAX = 200;
const SHORT_TEXT_MAX = 256;
const LONG_TEXT_MAX = 2_048;

const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)$/;

/** Shape only; the accepted range depends on the edge's clock and is checked by `eventTime`. */
export const TIME: Check<number> = {
  schema: {
    oneOf: [{ type: 'integer' }, { type: 'string', format: 'date-time' }],
    description: 'Event time: ms since 1970, or ISO 8601 with offset. Now when absent.',
  },
  read(value, at, name) {
    const ms = typeof value === 'string' && ISO_TIME.test(value) ? Date.parse(value) : value;
    if (typeof ms === 'number' && Number.isFinite(ms)) return Math.round(ms);
    throw fault('EVENT_TIME_INVALID', pathOf(at, name), value, 'ms since 1970 or an ISO 8601 time with offset');
  },
};

export const CONSENT = object(
  'What the person allowed when the event happened.',
  { personalization: flag('Tastes may be learned and used.'), analytics: flag('May be counted in analytics.') },
  ['personalization', 'analytics'],
);

export const CONTEXT = object('Where and how it happened.', {
  device: text('phone, tablet, desktop, tv, or your own word.', SHORT_TEXT_MAX),
  os: text('Operating system.', SHORT_TEXT_MAX),
  country: text('ISO 3166-1 alpha-2.', SHORT_TEXT_MAX),
  region: text('Region or state.', SHORT_TEXT_MAX),
  latitude: number('Degrees.', -90, 90),
  longitude: number('Degrees.', -180, 180),
  weather: text('Such as rain.', SHORT_TEXT_MAX),
  referrer: text('Where the person came from.', LONG_TEXT_MAX),
  page: text('Page or screen.', LONG_TEXT_MAX),
  language: text('BCP 47.', SHORT_TEXT_MAX),
  attributes: textMap('Anything else worth keeping.', 32, SHORT_TEXT_MAX),
});

const ASSIGNMENT = object(
  'An experiment the person was in.',
  {
    experiment: text('Name of the experiment.', SHORT_TEXT_MAX),
    variant: text('Name of the variant.', SHORT_TEXT_MAX),
  },
  ['experiment', 'variant'],
);

const ATTRIBUTION = object(
  'The recommendation this answers.',
  {
    requestId: id('requestId of the recommendation.'),
    placement: text('Placement it was shown in.', SHORT_TEXT_MAX),
    position: integer('0-based place in the slate.', 0, 100_000),
    propensity: number('Probability of that place under the policy.', 0, 1),
    eligibleCount: integer('How many items could have been chosen.', 0, 2 ** 31 - 1),
    assignments: list('Experiments.', ASSIGNMENT, 32),
  },
  ['requestId'],
);

const SLATE_ITEM = object(
  'One place of the slate.',
  {
    itemId: id('Item shown.'),
    position: integer('0-based; its index in the list when absent.', 0, 100_000),
    propensity: number('Probability of that place under the policy.', 0, 1),
    source: text('Retrieval source.', SHORT_TEXT_MAX),
  },
  ['itemId'],
);

export const EVENT_COMMON_FIELDS = {
  eventId: id('Idempotence key, unique per producer; made when absent.'),
  userId: id('The person.'),
  ts: TIME,
};

const SITUATION = {
  anonymousId: id('Id before login, when both are known.'),
  utcOffset: integer('Local time minus UTC, minutes.', -1_080, 1_080),
  sessionId: id('Explicit session; wins over the gap.'),
  consent: CONSENT,
  context: CONTEXT,
};

export const INTERACTION = object(
  'A person did something with an item.',
  {
    type: choice('What was done.', INTERACTION_TYPES),
    ...EVENT_COMMON_FIELDS,
    itemId: id('The item.'),
    ...SITUATION,
    value: number('Price paid, rating given, …', -1e12, 1e12),
    currency: text('ISO 4217.', 3),
    quantity: number('How many.', 0, 1e9),
    dwellMs: number('How long, ms.', 0, 7 * 86_400_000),
    attribution: ATTRIBUTION,
  },
  ['type', 'userId', 'itemId'],
);

export const IMPRESSION = object(
  'A slate was served to, or viewed by, a person.',
  {
    type: choice('Served was sent; viewed was seen, and only that is exposure.', [
      'impression.served',
      'impression.viewed',
    ]),
    ...EVENT_COMMON_FIELDS,
    requestId: id('The recommendation.'),
    placement: text('Where it was shown; default when absent.', SHORT_TEXT_MAX),
    slate: list('What was shown.', SLATE_ITEM, SLATE_ITEMS_MAX, 1),
    eligibleCount: integer('How many items could have been chosen.', 0, 2 ** 31 - 1),
    assignments: list('Experiments.', ASSIGNMENT, 32),
    ...SITUATION,
  },
  ['type', 'userId', 'requestId', 'slate'],
);

export const IDENTIFY = object(
  'An anonymous id turned out to be a known user.',
  { type: choice('', ['identify']), ...EVENT_COMMON_FIELDS, anonymousId: id('The id whose state moves to userId.') },
  ['type', 'userId', 'anonymousId'],
);

export const ERASE = object(
  "A person's state is to be removed.",
  { type: choice('', ['erase']), ...EVENT_COMMON_FIELDS, reason: text('Kept with the record.', SHORT_TEXT_MAX) },
  ['type', 'userId'],
);

export const USER_FIELDS = {
  segments: list('Such as plan/premium.', text('Segment.', SHORT_TEXT_MAX), 64),
  traits: textMap('Facts about the person.', 64, LONG_TEXT_MAX),
  consent: CONSENT,
};

export const USER = object(
  'A profile was created or replaced.',
  { type: choice('', ['user']), ...EVENT_COMMON_FIELDS, ...USER_FIELDS },
  ['type', 'userId'],
);

/** For the OpenAPI document. */
export const EVENT_SCHEMA: JsonSchema = {
  oneOf: [INTERACTION.schema, IMPRESSION.schema, IDENTIFY.schema, ERASE.schema, USER.schema],
  discriminator: { propertyName: 'type' },
};
