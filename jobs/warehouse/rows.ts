/**
 * From a record of the log to the rows it gives in each table, put into the table's columns. Same record, same rows.
 *
 * People appear by pseudonym only; what may name one in free form (page, referrer, coordinates, quoted values of a fault)
 * is left out. A record whose consent refuses analytics gives no row. A column without a value gets its default.
 */
import { lengthAt, mapAt, type RecordView } from '../../schemas/record-view.js';
import type {
  AnyRecord,
  Assignment,
  Consent,
  Context,
  Impression,
  Interaction,
  ItemDelete,
  ItemUpsert,
  RecordByKind,
  RecordKind,
  Versions,
} from '../../schemas/records.js';
import { TOPICS } from '../../schemas/topics.js';
import type { Columns } from '../../streams/warehouse/column-block.js';
import {
  type contextColumns,
  deadLetterColumns,
  type eventColumns,
  impressionColumns,
  interactionColumns,
  itemColumns,
  type policyColumns,
  rewardColumns,
  sessionColumns,
} from './columns.js';
import { clampTime, type RowFill } from './row-fill.js';
import type { TableName } from './tables.js';

/** What a record of one kind gives in a table with columns `C`. */
export interface KindMapping<V = RecordView<AnyRecord>, C = Columns> {
  /** Rows; their order is fixed: a row's place is part of its identity. */
  count(record: V): number;
  /** What the rows' partition goes by, ms since epoch. */
  time(record: V): number;
  /** Puts the rows `fill.row` to `fill.row + fill.count`, `count` of them. */
  put(record: V, columns: C, fill: RowFill): void;
}

/** Which records of which topic make up a table. */
export interface TableMapping {
  readonly table: TableName;
  readonly topic: keyof typeof TOPICS;
  /** Others are skipped by their header, undecoded. */
  readonly kinds: ReadonlyMap<RecordKind, KindMapping>;
  createColumns(): Columns;
}

type View<K extends RecordKind> = RecordView<RecordByKind[K]>;
type Kinds<C> = { readonly [K in RecordKind]?: KindMapping<View<K>, C> };

function mapping<C extends Columns>(
  table: TableName,
  topic: keyof typeof TOPICS,
  { createColumns, ...kinds }: Kinds<C> & { readonly createColumns: () => C },
): TableMapping {
  return {
    table,
    topic,
    kinds: new Map(Object.entries(kinds) as unknown as [RecordKind, KindMapping][]),
    createColumns,
  };
}

export const TABLE_MAPPINGS: readonly TableMapping[] = [
  mapping('interactions', 'userEvents', {
    createColumns: interactionColumns,
    Interaction: {
      count: ({ consent }) => (refusesAnalytics(consent) ? 0 : 1),
      time: ({ ts }) => clampTime(ts),
      put: putInteraction,
    },
  }),
  mapping('impressions', 'userEvents', {
    createColumns: impressionColumns,
    Impression: {
      count: ({ consent, slate }) => (refusesAnalytics(consent) ? 0 : slate.length),
      time: ({ ts }) => clampTime(ts),
      put: putImpression,
    },
  }),
  mapping('sessions', 'sessions', {
    createColumns: sessionColumns,
    SessionClosed: { count: () => 1, time: ({ start }) => clampTime(start), put: putSession },
  }),
  mapping('rewards', 'rewards', {
    createColumns: rewardColumns,
    Reward: {
      count: ({ outcomes }) => outcomes.length,
      time: ({ viewedAt }) => clampTime(viewedAt),
      put: putReward,
    },
  }),
  mapping('items', 'itemEvents', {
    createColumns: itemColumns,
    ItemUpsert: { count: () => 1, time: ({ ts }) => clampTime(ts), put: putItem },
    ItemDelete: { count: () => 1, time: ({ ts }) => clampTime(ts), put: putItemEvent },
  }),
  mapping('dead_letters', 'deadLetters', {
    createColumns: deadLetterColumns,
    DeadLetter: { count: () => 1, time: ({ at }) => clampTime(at), put: putDeadLetter },
  }),
];

function putInteraction(
  record: View<'Interaction'>,
  columns: ReturnType<typeof interactionColumns>,
  fill: RowFill,
): void {
  const { row } = fill;
  putEvent(record, columns, fill);
  columns.type.putSymbol(row, 1, record.type);
  fill.text(columns.itemId, record.itemId);
  fill.number(columns.value, record.value);
  fill.text(columns.currency, record.currency);
  fill.number(columns.quantity, record.quantity);
  fill.number(columns.dwellMs, record.dwellMs);
  putContext(record.context, columns, fill);
  const { attribution } = record;
  if (attribution === null) return;
  fill.text(columns.requestId, attribution.requestId);
  fill.text(columns.placement, attribution.placement);
  fill.number(columns.position, attribution.position);
  fill.number(columns.propensity, attribution.propensity);
  putPolicy(attribution, columns, fill);
}

function putImpression(record: View<'Impression'>, columns: ReturnType<typeof impressionColumns>, fill: RowFill): void {
  const { row, count } = fill;
  putEvent(record, columns, fill);
  columns.stage.putSymbol(row, count, record.stage);
  fill.text(columns.requestId, record.requestId);
  fill.text(columns.placement, record.placement);
  columns.slateSize.put(row, count, count);
  putContext(record.context, columns, fill);
  putPolicy(record, columns, fill);
  for (let i = 0; i < count; i++) {
    const place = record.slate[i]!;
    const at = row + i;
    columns.position.put(at, 1, place.position);
    columns.itemId.put(at, 1, fill.textAt(place.itemId));
    if (place.propensity !== null) columns.propensity.at(at, 1).put(at, 1, place.propensity);
    if (place.source !== null) columns.source.put(at, 1, fill.textAt(place.source));
  }
}

function putSession(record: View<'SessionClosed'>, columns: ReturnType<typeof sessionColumns>, fill: RowFill): void {
  const { row } = fill;
  fill.time(columns.appendedAt, fill.appendedAt);
  fill.user(columns.user, record.userId);
  fill.session(columns.session, record.userId, record.sessionId);
  columns.revision.put(row, 1, record.revision);
  columns.withdrawn.put(row, 1, record.withdrawn);
  fill.time(columns.start, record.start);
  fill.time(columns.end, record.end);
  columns.durationMs.put(row, 1, record.durationMs);
  columns.pageViews.put(row, 1, record.pageViews);
  columns.interactions.put(row, 1, record.interactions);
  columns.conversions.put(row, 1, record.conversions);
  columns.bounced.put(row, 1, record.bounced);
  fill.texts(columns.lastItems, record.lastItems);
  fill.texts(columns.categories, record.categories);
}

function putReward(record: View<'Reward'>, columns: ReturnType<typeof rewardColumns>, fill: RowFill): void {
  const { row } = fill;
  fill.time(columns.appendedAt, fill.appendedAt);
  fill.user(columns.user, record.userId);
  fill.text(columns.requestId, record.requestId);
  fill.text(columns.placement, record.placement);
  fill.time(columns.viewedAt, record.viewedAt);
  fill.time(columns.settledAt, record.settledAt);
  putContext(record.context, columns, fill);
  putPolicy(record, columns, fill);
  record.outcomes.forEach((outcome, i) => {
    const at = row + i;
    columns.position.put(at, 1, outcome.position);
    columns.itemId.put(at, 1, fill.textAt(outcome.itemId));
    columns.reward.put(at, 1, outcome.reward);
    const first = columns.feedback.extend(at, outcome.feedback.length);
    outcome.feedback.forEach((type, n) => columns.feedback.elements.putSymbol(first + n, 1, type));
    if (outcome.propensity !== null) columns.propensity.at(at, 1).put(at, 1, outcome.propensity);
  });
}

type ItemColumns = ReturnType<typeof itemColumns>;

function putItem(record: View<'ItemUpsert'>, columns: ItemColumns, fill: RowFill): void {
  putItemEvent(record, columns, fill);
  columns.available.put(fill.row, 1, record.available);
  fill.texts(columns.categories, record.categories);
  fill.texts(columns.tags, record.tags);
  fill.map(columns.attributes, mapAt(fill.bytes, record.attributes));
  fill.text(columns.title, record.title);
  fill.text(columns.description, record.description);
  fill.text(columns.brand, record.brand);
  fill.number(columns.price, record.price);
  fill.text(columns.currency, record.currency);
  if (record.publishedAt !== null) fill.time(columns.publishedAt.at(fill.row, 1), record.publishedAt);
  fill.text(columns.imageUrl, record.imageUrl);
}

function putItemEvent(record: RecordView<ItemUpsert | ItemDelete>, columns: ItemColumns, fill: RowFill): void {
  fill.time(columns.appendedAt, fill.appendedAt);
  fill.event(columns.eventId, record.eventId);
  fill.time(columns.ts, record.ts);
  fill.text(columns.producer, record.producerId);
  fill.text(columns.itemId, record.itemId);
  columns.deleted.put(fill.row, 1, record.kind === 'ItemDelete');
}

function putDeadLetter(record: View<'DeadLetter'>, columns: ReturnType<typeof deadLetterColumns>, fill: RowFill): void {
  const { row } = fill;
  const topic = fill.textAt(record.topic).text;
  const name = topic.slice(topic.indexOf('.') + 1);
  const keyKind = Object.values(TOPICS).find((candidate) => candidate.name === name)?.key;
  fill.time(columns.appendedAt, fill.appendedAt);
  fill.time(columns.at, record.at);
  fill.text(columns.sourceTopic, record.topic);
  columns.sourcePartition.put(row, 1, record.partition);
  columns.sourceOffset.put(row, 1, record.offset);
  fill.text(columns.code, record.code);
  fill.text(columns.reason, withoutQuotes(fill.textAt(record.reason).text));
  columns.valueBytes.put(row, 1, lengthAt(fill.bytes, record.value));
  fill.text(columns.operator, record.operator);
  if (keyKind === 'user') fill.user(columns.user.at(row, 1), record.key);
  if (keyKind === 'item') fill.text(columns.itemId, record.key);
}

/** Messages quote the value at fault, which may be somebody's id. Without it, equal faults also group together. */
function withoutQuotes(reason: string): string {
  return reason.replace(/"(?:[^"\\]|\\.)*("|$)|(?<!\w)'[^']*('|$)/g, '…');
}

function putEvent(
  record: RecordView<Interaction | Impression>,
  columns: ReturnType<typeof eventColumns>,
  fill: RowFill,
): void {
  const { row, count } = fill;
  fill.time(columns.appendedAt, fill.appendedAt);
  fill.event(columns.eventId, record.eventId);
  fill.time(columns.ts, record.ts);
  fill.time(columns.receivedAt, record.receivedAt);
  fill.user(columns.user, record.userId);
  fill.text(columns.producer, record.producerId);
  fill.number(columns.utcOffsetMinutes, record.utcOffset);
  if (record.anonymousId !== null) fill.user(columns.anonymousUser.at(row, count), record.anonymousId);
  if (record.sessionId !== null) fill.session(columns.session.at(row, count), record.userId, record.sessionId);
}

function putContext(
  context: RecordView<Context> | null,
  columns: ReturnType<typeof contextColumns>,
  fill: RowFill,
): void {
  if (context === null) return;
  fill.text(columns.device, context.device);
  fill.text(columns.os, context.os);
  fill.text(columns.country, context.country);
  fill.text(columns.region, context.region);
  fill.text(columns.language, context.language);
  fill.text(columns.weather, context.weather);
}

interface Provenance {
  readonly eligibleCount: number | null;
  readonly versions: RecordView<Versions> | null;
  readonly assignments: readonly RecordView<Assignment>[];
}

function putPolicy(
  { eligibleCount, versions, assignments }: Provenance,
  columns: ReturnType<typeof policyColumns>,
  fill: RowFill,
): void {
  fill.number(columns.eligibleCount, eligibleCount);
  if (versions !== null) {
    fill.map(columns.models, mapAt(fill.bytes, versions.models));
    fill.text(columns.policy, versions.policy);
    fill.text(columns.features, versions.features);
    fill.text(columns.space, versions.space);
  }
  if (assignments.length === 0) return;
  // An experiment that is named twice counts as what was said last.
  const variants = new Map<string, string>();
  for (const { experiment, variant } of assignments) {
    variants.set(fill.textAt(experiment).text, fill.textAt(variant).text);
  }
  fill.map(columns.assignments, variants);
}

/** Who was not asked, or whose source does not say, counts as before the question existed: allowed. */
const refusesAnalytics = (consent: RecordView<Consent> | null): boolean => consent !== null && !consent.analytics;
