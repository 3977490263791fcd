/** The columns of each table that the follower fills, with the types that tables.ts gives them. */
import { FlagColumn, FloatColumn, IntegerColumn, LongColumn, UuidColumn } from '../../streams/warehouse/column.js';
import { ListColumn, MapColumn, NullableColumn } from '../../streams/warehouse/nested-column.js';
import { TextColumn, WordColumn } from '../../streams/warehouse/text-column.js';

const time = (): LongColumn => new LongColumn('DateTime64(3)');
const integer = (): IntegerColumn => new IntegerColumn('Int32');
const count = (): IntegerColumn => new IntegerColumn('UInt32');
const long = (): LongColumn => new LongColumn('Int64');
const float = (): FloatColumn => new FloatColumn();
const flag = (): FlagColumn => new FlagColumn();
const uuid = (): UuidColumn => new UuidColumn();
const text = (): TextColumn => new TextColumn();
const word = (): WordColumn => new WordColumn();
const words = (): ListColumn<WordColumn> => new ListColumn(word());
const labels = (): MapColumn<WordColumn, WordColumn> => new MapColumn(word(), word());

export const contextColumns = () => ({
  device: word(),
  os: word(),
  country: word(),
  region: word(),
  language: word(),
  weather: word(),
});

export const policyColumns = () => ({
  eligibleCount: new NullableColumn(integer()),
  policy: word(),
  models: labels(),
  features: word(),
  space: word(),
  assignments: labels(),
});

export const eventColumns = () => ({
  appendedAt: time(),
  eventId: uuid(),
  ts: time(),
  receivedAt: time(),
  utcOffsetMinutes: new NullableColumn(integer()),
  user: uuid(),
  anonymousUser: new NullableColumn(uuid()),
  session: new NullableColumn(uuid()),
  producer: word(),
});

export const interactionColumns = () => ({
  ...eventColumns(),
  type: word(),
  itemId: text(),
  value: new NullableColumn(float()),
  currency: word(),
  quantity: new NullableColumn(float()),
  dwellMs: new NullableColumn(long()),
  ...contextColumns(),
  requestId: text(),
  placement: word(),
  position: new NullableColumn(integer()),
  propensity: new NullableColumn(float()),
  ...policyColumns(),
});

export const impressionColumns = () => ({
  ...eventColumns(),
  stage: word(),
  requestId: text(),
  placement: word(),
  position: integer(),
  itemId: text(),
  propensity: new NullableColumn(float()),
  source: word(),
  slateSize: count(),
  ...contextColumns(),
  ...policyColumns(),
});

export const sessionColumns = () => ({
  appendedAt: time(),
  user: uuid(),
  session: uuid(),
  revision: integer(),
  withdrawn: flag(),
  start: time(),
  end: time(),
  durationMs: long(),
  pageViews: integer(),
  interactions: integer(),
  conversions: integer(),
  bounced: flag(),
  lastItems: new ListColumn(text()),
  categories: words(),
});

export const rewardColumns = () => ({
  appendedAt: time(),
  user: uuid(),
  requestId: text(),
  placement: word(),
  viewedAt: time(),
  settledAt: time(),
  position: integer(),
  itemId: text(),
  propensity: new NullableColumn(float()),
  reward: float(),
  feedback: words(),
  ...contextColumns(),
  ...policyColumns(),
});

export const itemColumns = () => ({
  appendedAt: time(),
  eventId: uuid(),
  ts: time(),
  producer: word(),
  itemId: text(),
  deleted: flag(),
  title: text(),
  description: text(),
  categories: words(),
  brand: word(),
  tags: words(),
  price: new NullableColumn(float()),
  currency: word(),
  available: flag(),
  publishedAt: new NullableColumn(time()),
  imageUrl: text(),
  attributes: new MapColumn(word(), text()),
});

export const deadLetterColumns = () => ({
  appendedAt: time(),
  at: time(),
  sourceTopic: word(),
  sourcePartition: integer(),
  sourceOffset: long(),
  code: word(),
  reason: text(),
  operator: word(),
  user: new NullableColumn(uuid()),
  itemId: text(),
  valueBytes: count(),
});
