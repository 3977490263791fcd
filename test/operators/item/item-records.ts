/** Item events for tests, as decoded records: fields that do not matter have defaults. */
import type { ItemDelete, ItemExposure, ItemInteraction, ItemPair, ItemUpsert } from '../../../schemas/records.js';

/** 2024-01-01T00:00Z, also a whole day. */
export const T0 = 1_704_067_200_000;
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const met = (itemId: string, ts: number, fields: Partial<ItemInteraction> = {}): ItemInteraction => ({
  kind: 'ItemInteraction',
  itemId,
  ts,
  type: 'click',
  weight: 1,
  sessionRef: 1,
  categories: [],
  segments: [],
  attributed: false,
  space: null,
  userVector: null,
  ...fields,
});

export const pair = (itemId: string, otherItemId: string, ts: number, fields: Partial<ItemPair> = {}): ItemPair => ({
  kind: 'ItemPair',
  itemId,
  otherItemId,
  ts,
  weight: 1,
  following: true,
  ...fields,
});

export const exposed = (itemId: string, ts: number, position = 0): ItemExposure => ({
  kind: 'ItemExposure',
  itemId,
  ts,
  position,
  placement: 'home',
});

export const upserted = (itemId: string, ts: number, fields: Partial<ItemUpsert> = {}): ItemUpsert => ({
  kind: 'ItemUpsert',
  eventId: `${itemId}-${ts}`,
  itemId,
  ts,
  receivedAt: ts,
  producerId: 'test',
  title: null,
  description: null,
  categories: [],
  brand: null,
  tags: [],
  price: null,
  currency: null,
  available: true,
  publishedAt: null,
  imageUrl: null,
  attributes: {},
  ...fields,
});

export const deleted = (itemId: string, ts: number): ItemDelete => ({
  kind: 'ItemDelete',
  eventId: `${itemId}-${ts}`,
  itemId,
  ts,
  receivedAt: ts,
  producerId: 'test',
});
