/** Records of stage 1 as the codec returns them, with everything a test does not care about filled in. */
import { decodeRecord, encodeRecord } from '../../../schemas/codec.js';
import type { ImpressionDraft, InteractionDraft, InteractionType, UserUpsertDraft } from '../../../schemas/records.js';
import type { UserEvent } from '../../../operators/user/user-events.js';

let nextEvent = 0;

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const T0 = 1_750_000_000_000;

export function interaction(
  userId: string,
  ts: number,
  itemId = 'item-1',
  fields: Partial<InteractionDraft> & { type?: InteractionType } = {},
): UserEvent {
  const draft = { eventId: `e${nextEvent++}`, userId, ts, receivedAt: ts, producerId: 'test', itemId };
  return roundTrip('Interaction', { ...draft, type: 'click', ...fields });
}

export function impression(
  userId: string,
  ts: number,
  stage: 'served' | 'viewed',
  fields: Partial<ImpressionDraft> & { items?: readonly string[] } = {},
): UserEvent {
  const { items = ['item-1', 'item-2'], ...rest } = fields;
  return roundTrip('Impression', {
    eventId: `e${nextEvent++}`,
    userId,
    ts,
    receivedAt: ts,
    producerId: 'test',
    stage,
    requestId: 'request-1',
    placement: 'home',
    slate: items.map((itemId, position) => ({ itemId, position })),
    ...rest,
  });
}

export function upsert(userId: string, ts: number, fields: Partial<UserUpsertDraft> = {}): UserEvent {
  return roundTrip('UserUpsert', {
    eventId: `e${nextEvent++}`,
    userId,
    ts,
    receivedAt: ts,
    producerId: 'test',
    ...fields,
  });
}

export function identify(anonymousId: string, userId: string, ts: number): UserEvent {
  return roundTrip('Identify', {
    eventId: `e${nextEvent++}`,
    anonymousId,
    userId,
    ts,
    receivedAt: ts,
    producerId: 'test',
  });
}

export function erase(userId: string, ts: number): UserEvent {
  return roundTrip('Erase', { eventId: `e${nextEvent++}`, userId, ts, receivedAt: ts });
}

function roundTrip<K extends Parameters<typeof encodeRecord>[0]>(
  kind: K,
  draft: Parameters<typeof encodeRecord<K>>[1],
): UserEvent {
  return decodeRecord(encodeRecord(kind, draft)) as UserEvent;
}
