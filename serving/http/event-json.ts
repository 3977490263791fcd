/**
 * The JSON form of events: what `POST /v1/events` takes, checked field by field and turned into encoded records.
 *
 * Every event is read by the branch of its `type` into a draft of one fixed shape and straight on into bytes; nothing
 * is kept. The edge sets receivedAt and producerId, makes an eventId where there is none, takes `now` for a missing
 * `ts`, and never lets event time run ahead of receivedAt: a little ahead is clamped, more is EVENT_TIME_INVALID.
 */
import { encodeRecord } from '../../schemas/codec.js';
import { EngineError } from '../../schemas/errors.js';
import { INTERACTION_TYPES, type ImpressionStage, type InteractionType } from '../../schemas/records.js';
import { invalid, isObject, orNull, pathOf, quote, type JsonObject } from './check.js';
import {
  CONSENT,
  ERASE,
  EVENT_COMMON_FIELDS,
  IDENTIFY,
  IMPRESSION,
  INTERACTION,
  TIME,
  USER,
  USER_FIELDS,
} from './event-fields.js';

/** What the edge adds to each event of a request. */
export interface EdgeStamp {
  /** When the edge took the request, ms since epoch. */
  readonly receivedAt: number;
  readonly producerId: string;
  readonly futureToleranceMs: number;
  readonly newEventId: () => string;
}

/** An event on its way into the log. */
export interface EncodedEvent {
  readonly eventId: string;
  /** Partition key. */
  readonly key: string;
  readonly value: Buffer;
}

/** Older than this is a broken clock or a unit mistake (seconds for milliseconds), not history. */
export const EVENT_AGE_MS_MAX = 10 * 365.25 * 86_400_000;
const EVENT_TYPES = [...INTERACTION_TYPES, 'impression.served', 'impression.viewed', 'identify', 'erase', 'user'];
const INTERACTIONS: ReadonlySet<string> = new Set(INTERACTION_TYPES);

/** @param at path of the event in the request, '' for the body itself. @throws EVENT_INVALID, EVENT_TIME_INVALID */
export function encodeEvent(event: unknown, at: string, stamp: EdgeStamp): EncodedEvent {
  if (!isObject(event)) throw invalid(at, 'event', event, 'an object with type and userId');
  const { type } = event;
  if (typeof type === 'string' && INTERACTIONS.has(type))
    return encodeInteraction(event, type as InteractionType, at, stamp);
  switch (type) {
    case 'impression.served':
      return encodeImpression(event, 'served', at, stamp);
    case 'impression.viewed':
      return encodeImpression(event, 'viewed', at, stamp);
    case 'identify':
      return encodeIdentify(event, at, stamp);
    case 'erase':
      return encodeErase(event, at, stamp);
    case 'user':
      return encodeUser(event, at, stamp);
    default:
      throw invalid(at, 'type', type, `one of ${EVENT_TYPES.join(', ')}`);
  }
}

function encodeInteraction(event: JsonObject, type: InteractionType, at: string, stamp: EdgeStamp): EncodedEvent {
  const { fields } = INTERACTION;
  INTERACTION.requireShape(event, '', at);
  const eventId = eventIdOf(event, at, stamp);
  const userId = fields.userId.read(event['userId'], at, 'userId');
  const value = encodeRecord('Interaction', {
    eventId,
    userId,
    anonymousId: orNull(fields.anonymousId, event, at, 'anonymousId'),
    ts: eventTime(event, at, stamp),
    receivedAt: stamp.receivedAt,
    utcOffset: orNull(fields.utcOffset, event, at, 'utcOffset'),
    producerId: stamp.producerId,
    sessionId: orNull(fields.sessionId, event, at, 'sessionId'),
    type,
    itemId: fields.itemId.read(event['itemId'], at, 'itemId'),
    value: orNull(fields.value, event, at, 'value'),
    currency: orNull(fields.currency, event, at, 'currency'),
    quantity: orNull(fields.quantity, event, at, 'quantity'),
    dwellMs: orNull(fields.dwellMs, event, at, 'dwellMs'),
    consent: orNull(fields.consent, event, at, 'consent'),
    context: orNull(fields.context, event, at, 'context'),
    attribution: orNull(fields.attribution, event, at, 'attribution'),
  });
  return { eventId, key: userId, value };
}

function encodeImpression(event: JsonObject, stage: ImpressionStage, at: string, stamp: EdgeStamp): EncodedEvent {
  const { fields } = IMPRESSION;
  IMPRESSION.requireShape(event, '', at);
  const eventId = eventIdOf(event, at, stamp);
  const userId = fields.userId.read(event['userId'], at, 'userId');
  const places = fields.slate.read(event['slate'], at, 'slate');
  const value = encodeRecord('Impression', {
    eventId,
    userId,
    anonymousId: orNull(fields.anonymousId, event, at, 'anonymousId'),
    ts: eventTime(event, at, stamp),
    receivedAt: stamp.receivedAt,
    utcOffset: orNull(fields.utcOffset, event, at, 'utcOffset'),
    producerId: stamp.producerId,
    sessionId: orNull(fields.sessionId, event, at, 'sessionId'),
    stage,
    requestId: fields.requestId.read(event['requestId'], at, 'requestId'),
    placement: orNull(fields.placement, event, at, 'placement') ?? 'default',
    slate: places.map((place, i) => ({ ...place, position: place.position ?? i })),
    eligibleCount: orNull(fields.eligibleCount, event, at, 'eligibleCount'),
    assignments: orNull(fields.assignments, event, at, 'assignments') ?? [],
    consent: orNull(fields.consent, event, at, 'consent'),
    context: orNull(fields.context, event, at, 'context'),
  });
  return { eventId, key: userId, value };
}

function encodeIdentify(event: JsonObject, at: string, stamp: EdgeStamp): EncodedEvent {
  const { fields } = IDENTIFY;
  IDENTIFY.requireShape(event, '', at);
  const eventId = eventIdOf(event, at, stamp);
  const userId = fields.userId.read(event['userId'], at, 'userId');
  const anonymousId = fields.anonymousId.read(event['anonymousId'], at, 'anonymousId');
  if (anonymousId === userId) throw invalid(at, 'anonymousId', anonymousId, 'another id than userId');
  const { receivedAt, producerId } = stamp;
  const draft = { eventId, anonymousId, userId, ts: eventTime(event, at, stamp), receivedAt, producerId };
  return { eventId, key: anonymousId, value: encodeRecord('Identify', draft) };
}

function encodeErase(event: JsonObject, at: string, stamp: EdgeStamp): EncodedEvent {
  ERASE.requireShape(event, '', at);
  const eventId = eventIdOf(event, at, stamp);
  const userId = ERASE.fields.userId.read(event['userId'], at, 'userId');
  const reason = orNull(ERASE.fields.reason, event, at, 'reason');
  const draft = { eventId, userId, ts: eventTime(event, at, stamp), receivedAt: stamp.receivedAt, reason };
  return { eventId, key: userId, value: encodeRecord('Erase', draft) };
}

function encodeUser(event: JsonObject, at: string, stamp: EdgeStamp): EncodedEvent {
  USER.requireShape(event, '', at);
  const eventId = eventIdOf(event, at, stamp);
  const userId = USER.fields.userId.read(event['userId'], at, 'userId');
  const value = encodeRecord('UserUpsert', {
    eventId,
    userId,
    ts: eventTime(event, at, stamp),
    receivedAt: stamp.receivedAt,
    producerId: stamp.producerId,
    segments: orNull(USER_FIELDS.segments, event, at, 'segments') ?? [],
    traits: orNull(USER_FIELDS.traits, event, at, 'traits') ?? {},
    consent: orNull(CONSENT, event, at, 'consent'),
  });
  return { eventId, key: userId, value };
}

export function eventIdOf(event: JsonObject, at: string, stamp: EdgeStamp): string {
  return orNull(EVENT_COMMON_FIELDS.eventId, event, at, 'eventId') ?? stamp.newEventId();
}

/** Event time of a body, within what the edge accepts. */
export function eventTime(event: JsonObject, at: string, stamp: EdgeStamp): number {
  const ts = orNull(TIME, event, at, 'ts');
  if (ts === null) return stamp.receivedAt;
  const aheadMs = ts - stamp.receivedAt;
  if (aheadMs <= 0 && -aheadMs <= EVENT_AGE_MS_MAX) return ts;
  if (aheadMs > 0 && aheadMs <= stamp.futureToleranceMs) return stamp.receivedAt;
  const expected =
    aheadMs > 0
      ? `at most ${stamp.futureToleranceMs} ms after the edge's clock`
      : 'at most 10 years ago, in milliseconds';
  throw new EngineError('EVENT_TIME_INVALID', `${pathOf(at, 'ts')} is ${quote(event['ts'])}; expected ${expected}`, {
    context: { field: pathOf(at, 'ts') },
  });
}
