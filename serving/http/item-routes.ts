/**
 * Catalogue items: written one by one or in bulk, read as the cards that people see, and what goes with them.
 */
import { EngineError } from '../../schemas/errors.js';
import { requireItemId } from '../../schemas/ids.js';
import type { Clock } from '../../streams/clock.js';
import type { Catalogue, Recommender, ScoredItem } from '../node/ports.js';
import { integer, object, text } from './check.js';
import { takeBody } from './event-routes.js';
import type { Ingest } from './ingest.js';
import { encodeItemBody, encodeItemDelete, ITEM, LISTED_ITEM_SCHEMA } from './item-json.js';
import { asRequestFault, readQuery } from './query.js';
import { ok, type Route } from './route.js';

export interface ItemRoutesDeps {
  readonly ingest: Ingest;
  readonly catalogue: Catalogue;
  readonly recommender: Recommender;
  readonly clock: Clock;
}

const LIMIT = integer('How many; 10 when absent.', 1, 100);
const LIMIT_DEFAULT = 10;
const IDS_MAX = 100;

const LIMIT_QUERY = object('', { limit: LIMIT });
const LIST_QUERY = object('', { limit: LIMIT, category: text('Only of this category.', 256) });
const CARDS_QUERY = object('', { ids: text(`Up to ${IDS_MAX} item ids, separated by commas.`, 32_768) });

/** @throws REQUEST_INVALID */
export const itemIdOf = (params: Readonly<Record<string, string>>): string =>
  asRequestFault(() => requireItemId(params['id'], 'id'));

export function createItemRoutes(deps: ItemRoutesDeps): Route[] {
  return [...writeRoutes(deps), ...readRoutes(deps)];
}

function writeRoutes({ ingest }: ItemRoutesDeps): Route[] {
  return [
    {
      method: 'PUT',
      path: '/v1/items/:id',
      summary: 'Create or replace an item',
      tag: 'items',
      access: 'write',
      body: 'json',
      bodySchema: ITEM.schema,
      answers: { 202: 'Durable: {eventId, status}.' },
      handle: async ({ params, body, producerId }) => {
        const event = encodeItemBody(itemIdOf(params), body, ingest.stamp(producerId));
        return { status: 202, body: await ingest.encoded(event) };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/items/:id',
      summary: 'Remove an item; it leaves open feeds at once',
      tag: 'items',
      access: 'write',
      body: 'none',
      answers: { 202: 'Durable: {eventId, status}.' },
      handle: async ({ params, producerId }) => {
        const event = encodeItemDelete(itemIdOf(params), ingest.stamp(producerId));
        return { status: 202, body: await ingest.encoded(event) };
      },
    },
    {
      method: 'POST',
      path: '/v1/items',
      summary: 'Create or replace many items: one object, a list, or lines of JSON (application/x-ndjson)',
      tag: 'items',
      access: 'write',
      body: 'json-or-lines',
      bodySchema: LISTED_ITEM_SCHEMA,
      answers: { 202: 'Durable; the answer has the form of POST /v1/events.' },
      handle: (request) => takeBody(ingest, request),
    },
  ];
}

function readRoutes({ catalogue, recommender, clock }: ItemRoutesDeps): Route[] {
  const listRoute = (name: 'trending' | 'popular', summary: string): Route => ({
    method: 'GET',
    path: `/v1/${name}`,
    summary,
    tag: 'recommendations',
    access: 'key',
    body: 'none',
    query: LIST_QUERY,
    answers: { 200: '{items: [{itemId, score}]}, best first; the best has score 1.' },
    handle: ({ query }) => {
      const { limit = LIMIT_DEFAULT, category } = readQuery(LIST_QUERY, query);
      return answer(recommender[name]({ n: limit, category }), clock);
    },
  });
  return [
    {
      method: 'GET',
      path: '/v1/items',
      summary: 'What the catalogue shows of some items',
      tag: 'items',
      access: 'key',
      body: 'none',
      query: CARDS_QUERY,
      answers: { 200: '{items: [{itemId, title, category, price, currency, imageUrl}]}; unknown ids are left out.' },
      handle: ({ query }) => {
        const ids = (readQuery(CARDS_QUERY, query).ids ?? '').split(',').filter((id) => id !== '');
        if (ids.length > IDS_MAX)
          throw new EngineError('REQUEST_INVALID', `ids names ${ids.length} items; expected at most ${IDS_MAX}`);
        return ok({ items: ids.map((id) => catalogue.card(id)).filter((card) => card !== undefined) });
      },
    },
    {
      method: 'GET',
      path: '/v1/items/:id/similar',
      summary: 'What goes with an item',
      tag: 'recommendations',
      access: 'key',
      body: 'none',
      query: LIMIT_QUERY,
      answers: { 200: '{items: [{itemId, score}]}, best first.' },
      handle: ({ params, query }) => {
        const itemId = itemIdOf(params);
        const { limit = LIMIT_DEFAULT } = readQuery(LIMIT_QUERY, query);
        if (!catalogue.isKnown(itemId))
          throw new EngineError('NOT_FOUND', `Nothing is known of item ${JSON.stringify(itemId)}`);
        return answer(recommender.similarItems(itemId, limit, clock.now()), clock);
      },
    },
    listRoute('trending', 'What is rising now'),
    listRoute('popular', 'What is popular'),
  ];
}

function answer(items: readonly ScoredItem[], clock: Clock) {
  return ok({ generatedAt: clock.now(), items });
}
