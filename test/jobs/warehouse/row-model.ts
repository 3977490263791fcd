/**
 * What rows a record gives, said as plainly as possible: from decoded records to objects, a column without a value left out.
 * The engine goes from bytes to columns (jobs/warehouse/rows.ts), and must come to the same.
 */
import type {
  AnyRecord,
  Assignment,
  Consent,
  Context,
  DeadLetter,
  Impression,
  Interaction,
  ItemDelete,
  ItemUpsert,
  RecordKind,
  Reward,
  SessionClosed,
  Versions,
} from '../../../schemas/records.js';
import { TOPICS } from '../../../schemas/topics.js';
import type { WarehouseRow } from '../../../streams/warehouse/warehouse.js';
import type { TableName } from '../../../jobs/warehouse/tables.js';

/** As UUIDs in text. */
export interface TextPseudonyms {
  user(id: string): string;
  session(userId: string, sessionId: string): string;
  event(id: string): string;
}

export interface RowSource {
  /** When the record was logged, ms since epoch. */
  readonly appendedAt: number;
  readonly pseudonyms: TextPseudonyms;
}

type Makers = {
  readonly [K in RecordKind]?: (record: Extract<AnyRecord, { kind: K }>, source: RowSource) => WarehouseRow[];
};

const MAKERS: Readonly<Record<TableName, Makers>> = {
  interactions: { Interaction: interactionRows },
  impressions: { Impression: impressionRows },
  sessions: { SessionClosed: (record, source) => [sessionRow(record, source)] },
  rewards: { Reward: rewardRows },
  items: {
    ItemUpsert: (record, source) => [itemRow(record, source)],
    ItemDelete: (record, source) => [itemEventRow(record, source)],
  },
  dead_letters: { DeadLetter: (record, source) => [deadLetterRow(record, source)] },
};

export function modelRows(table: TableName, record: AnyRecord, source: RowSource): readonly WarehouseRow[] {
  const make = MAKERS[table][record.kind] as ((record: AnyRecord, source: RowSource) => WarehouseRow[]) | undefined;
  return make?.(record, source) ?? [];
}

type Row = Record<string, WarehouseRow[string]>;

function interactionRows(record: Interaction, source: RowSource): WarehouseRow[] {
  if (refusesAnalytics(record.consent)) return [];
  const { attribution, value, currency, quantity, dwellMs } = record;
  const row = eventRow(record, eventBase(record, source));
  row['type'] = record.type;
  row['itemId'] = record.itemId;
  if (value !== null) row['value'] = value;
  if (currency !== null) row['currency'] = currency;
  if (quantity !== null) row['quantity'] = quantity;
  if (dwellMs !== null) row['dwellMs'] = dwellMs;
  addContext(row, record.context);
  if (attribution === null) return [row];
  row['requestId'] = attribution.requestId;
  if (attribution.placement !== null) row['placement'] = attribution.placement;
  if (attribution.position !== null) row['position'] = attribution.position;
  if (attribution.propensity !== null) row['propensity'] = attribution.propensity;
  addPolicy(row, attribution);
  return [row];
}

function impressionRows(record: Impression, source: RowSource): WarehouseRow[] {
  if (refusesAnalytics(record.consent)) return [];
  const base = eventBase(record, source);
  return record.slate.map((place) => {
    const row = eventRow(record, base);
    row['stage'] = record.stage;
    row['requestId'] = record.requestId;
    row['placement'] = record.placement;
    row['slateSize'] = record.slate.length;
    addContext(row, record.context);
    addPolicy(row, record);
    row['position'] = place.position;
    row['itemId'] = place.itemId;
    if (place.propensity !== null) row['propensity'] = place.propensity;
    if (place.source !== null) row['source'] = place.source;
    return row;
  });
}

function sessionRow(record: SessionClosed, { appendedAt, pseudonyms }: RowSource): WarehouseRow {
  return {
    appendedAt: time(appendedAt),
    user: pseudonyms.user(record.userId),
    session: pseudonyms.session(record.userId, record.sessionId),
    revision: record.revision,
    withdrawn: record.withdrawn,
    start: time(record.start),
    end: time(record.end),
    durationMs: record.durationMs,
    pageViews: record.pageViews,
    interactions: record.interactions,
    conversions: record.conversions,
    bounced: record.bounced,
    lastItems: record.lastItems,
    categories: record.categories,
  };
}

function rewardRows(record: Reward, { appendedAt, pseudonyms }: RowSource): WarehouseRow[] {
  const times = { appendedAt: time(appendedAt), viewedAt: time(record.viewedAt), settledAt: time(record.settledAt) };
  const user = pseudonyms.user(record.userId);
  return record.outcomes.map((outcome) => {
    const row: Row = {
      appendedAt: times.appendedAt,
      user,
      requestId: record.requestId,
      placement: record.placement,
      viewedAt: times.viewedAt,
      settledAt: times.settledAt,
    };
    addContext(row, record.context);
    addPolicy(row, record);
    row['position'] = outcome.position;
    row['itemId'] = outcome.itemId;
    row['reward'] = outcome.reward;
    row['feedback'] = outcome.feedback;
    if (outcome.propensity !== null) row['propensity'] = outcome.propensity;
    return row;
  });
}

function itemRow(record: ItemUpsert, source: RowSource): WarehouseRow {
  const { title, description, brand, price, currency, publishedAt, imageUrl } = record;
  const row = itemEventRow(record, source);
  row['available'] = record.available;
  row['categories'] = record.categories;
  row['tags'] = record.tags;
  row['attributes'] = record.attributes;
  if (title !== null) row['title'] = title;
  if (description !== null) row['description'] = description;
  if (brand !== null) row['brand'] = brand;
  if (price !== null) row['price'] = price;
  if (currency !== null) row['currency'] = currency;
  if (publishedAt !== null) row['publishedAt'] = time(publishedAt);
  if (imageUrl !== null) row['imageUrl'] = imageUrl;
  return row;
}

function itemEventRow(record: ItemUpsert | ItemDelete, { appendedAt, pseudonyms }: RowSource): Row {
  return {
    appendedAt: time(appendedAt),
    eventId: pseudonyms.event(record.eventId),
    ts: time(record.ts),
    producer: record.producerId,
    itemId: record.itemId,
    deleted: record.kind === 'ItemDelete',
  };
}

function deadLetterRow(record: DeadLetter, { appendedAt, pseudonyms }: RowSource): WarehouseRow {
  const name = record.topic.slice(record.topic.indexOf('.') + 1);
  const keyKind = Object.values(TOPICS).find((topic) => topic.name === name)?.key;
  const row: Row = {
    appendedAt: time(appendedAt),
    at: time(record.at),
    sourceTopic: record.topic,
    sourcePartition: record.partition,
    sourceOffset: record.offset,
    code: record.code,
    reason: withoutQuotes(record.reason),
    valueBytes: record.value.length,
  };
  if (record.operator !== null) row['operator'] = record.operator;
  if (keyKind === 'user') row['user'] = pseudonyms.user(record.key);
  if (keyKind === 'item') row['itemId'] = record.key;
  return row;
}

/** Messages quote the value at fault, which may be somebody's id. Without it, equal faults also group together. */
function withoutQuotes(reason: string): string {
  return reason.replace(/"(?:[^"\\]|\\.)*("|$)|(?<!\w)'[^']*('|$)/g, '…');
}

interface EventBase {
  readonly appendedAt: Date;
  readonly ts: Date;
  readonly receivedAt: Date;
  readonly eventId: string;
  readonly user: string;
  readonly anonymousUser: string | undefined;
  readonly session: string | undefined;
}

/** What takes some work, once for all rows of a record. */
function eventBase(record: Interaction | Impression, { appendedAt, pseudonyms }: RowSource): EventBase {
  const { userId, anonymousId, sessionId } = record;
  return {
    appendedAt: time(appendedAt),
    ts: time(record.ts),
    receivedAt: time(record.receivedAt),
    eventId: pseudonyms.event(record.eventId),
    user: pseudonyms.user(userId),
    anonymousUser: anonymousId === null ? undefined : pseudonyms.user(anonymousId),
    session: sessionId === null ? undefined : pseudonyms.session(userId, sessionId),
  };
}

function eventRow({ producerId, utcOffset }: Interaction | Impression, base: EventBase): Row {
  const { appendedAt, eventId, ts, receivedAt, user, anonymousUser, session } = base;
  const row: Row = { appendedAt, eventId, ts, receivedAt, user, producer: producerId };
  if (utcOffset !== null) row['utcOffsetMinutes'] = utcOffset;
  if (anonymousUser !== undefined) row['anonymousUser'] = anonymousUser;
  if (session !== undefined) row['session'] = session;
  return row;
}

function addContext(row: Row, context: Context | null): void {
  if (context === null) return;
  const { device, os, country, region, language, weather } = context;
  if (device !== null) row['device'] = device;
  if (os !== null) row['os'] = os;
  if (country !== null) row['country'] = country;
  if (region !== null) row['region'] = region;
  if (language !== null) row['language'] = language;
  if (weather !== null) row['weather'] = weather;
}

interface Provenance {
  readonly eligibleCount: number | null;
  readonly versions: Versions | null;
  readonly assignments: readonly Assignment[];
}

function addPolicy(row: Row, { eligibleCount, versions, assignments }: Provenance): void {
  if (eligibleCount !== null) row['eligibleCount'] = eligibleCount;
  if (versions !== null) {
    row['models'] = versions.models;
    if (versions.policy !== null) row['policy'] = versions.policy;
    if (versions.features !== null) row['features'] = versions.features;
    if (versions.space !== null) row['space'] = versions.space;
  }
  if (assignments.length === 0) return;
  row['assignments'] = Object.fromEntries(assignments.map(({ experiment, variant }) => [experiment, variant]));
}

/** Who was not asked, or whose source does not say, counts as before the question existed: allowed. */
const refusesAnalytics = (consent: Consent | null): boolean => consent !== null && !consent.analytics;

/** What DateTime64 can hold; a time outside would get the whole row refused. */
const TIME_MIN = Date.UTC(1900, 0, 1);
const TIME_MAX = Date.UTC(2299, 11, 31);

function time(ms: number): Date {
  return new Date(Math.min(TIME_MAX, Math.max(TIME_MIN, ms)));
}
