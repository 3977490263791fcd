/**
 * The JSON form of catalogue items: what `PUT /v1/items/:id` and `POST /v1/items` take, turned into encoded records.
 */
import { encodeRecord } from '../../schemas/codec.js';
import { EVENT_COMMON_FIELDS } from './event-fields.js';
import { eventIdOf, eventTime, type EdgeStamp, type EncodedEvent } from './event-json.js';
import {
  flag,
  id,
  integer,
  isObject,
  list,
  number,
  object,
  orNull,
  text,
  textMap,
  invalid,
  type JsonSchema,
} from './check.js';

const { ts, eventId } = EVENT_COMMON_FIELDS;

/** Long enough for an inlined picture of a demo catalogue. */
const IMAGE_URL_MAX = 65_536;

const ITEM_FIELDS = {
  title: text('Shown to people.', 2_048),
  description: text('Longer text.', 65_536),
  categories: list('Most specific first.', text('Category.', 256), 32),
  brand: text('Brand.', 256),
  tags: list('Tags.', text('Tag.', 256), 64),
  price: number('Price.', 0, 1e12),
  currency: text('ISO 4217.', 3),
  available: flag('Whether it may be shown; true when absent.'),
  publishedAt: integer('When it appeared, ms since 1970.', 0, 8.64e15),
  imageUrl: text('Picture: http(s) or data URL.', IMAGE_URL_MAX),
  attributes: textMap('Anything else.', 64, 2_048),
  eventId,
  ts,
};

/** Body of `PUT /v1/items/:id`. */
export const ITEM = object('What the catalogue says of an item; replaces what was there.', ITEM_FIELDS);

/** Entry of `POST /v1/items`. */
export const LISTED_ITEM = object('An item with its id.', { itemId: id('The item.'), ...ITEM_FIELDS }, ['itemId']);

export const LISTED_ITEM_SCHEMA: JsonSchema = LISTED_ITEM.schema;

export function encodeListedItem(item: unknown, at: string, stamp: EdgeStamp): EncodedEvent {
  if (!isObject(item)) throw invalid(at, 'item', item, 'an object with itemId');
  LISTED_ITEM.requireShape(item, '', at);
  const itemId = LISTED_ITEM.fields.itemId.read(item['itemId'], at, 'itemId');
  return encodeItem(itemId, item, at, stamp);
}

export function encodeItemBody(itemId: string, body: unknown, stamp: EdgeStamp): EncodedEvent {
  return encodeItem(itemId, ITEM.requireShape(body, '', ''), '', stamp);
}

export function encodeItemDelete(itemId: string, stamp: EdgeStamp): EncodedEvent {
  const { receivedAt, producerId } = stamp;
  const draft = { eventId: stamp.newEventId(), itemId, ts: receivedAt, receivedAt, producerId };
  return { eventId: draft.eventId, key: itemId, value: encodeRecord('ItemDelete', draft) };
}

function encodeItem(
  itemId: string,
  item: Readonly<Record<string, unknown>>,
  at: string,
  stamp: EdgeStamp,
): EncodedEvent {
  const made = eventIdOf(item, at, stamp);
  const value = encodeRecord('ItemUpsert', {
    eventId: made,
    itemId,
    ts: eventTime(item, at, stamp),
    receivedAt: stamp.receivedAt,
    producerId: stamp.producerId,
    title: orNull(ITEM_FIELDS.title, item, at, 'title'),
    description: orNull(ITEM_FIELDS.description, item, at, 'description'),
    categories: orNull(ITEM_FIELDS.categories, item, at, 'categories') ?? [],
    brand: orNull(ITEM_FIELDS.brand, item, at, 'brand'),
    tags: orNull(ITEM_FIELDS.tags, item, at, 'tags') ?? [],
    price: orNull(ITEM_FIELDS.price, item, at, 'price'),
    currency: orNull(ITEM_FIELDS.currency, item, at, 'currency'),
    available: orNull(ITEM_FIELDS.available, item, at, 'available') ?? true,
    publishedAt: orNull(ITEM_FIELDS.publishedAt, item, at, 'publishedAt'),
    imageUrl: orNull(ITEM_FIELDS.imageUrl, item, at, 'imageUrl'),
    attributes: orNull(ITEM_FIELDS.attributes, item, at, 'attributes') ?? {},
  });
  return { eventId: made, key: itemId, value };
}
