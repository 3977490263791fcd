/**
 * Users: upsert, erasure, recommendations, what they saw, and what is held of them.
 */
import { EngineError } from '../../schemas/errors.js';
import { requireUserId } from '../../schemas/ids.js';
import type { StateInspector } from '../node/ports.js';
import { id, integer, list, number, object, text } from './check.js';
import { EVENT_COMMON_FIELDS, USER_FIELDS } from './event-fields.js';
import { encodeEvent } from './event-json.js';
import type { Ingest } from './ingest.js';
import { asRequestFault, readQuery } from './query.js';
import type { Recommendations } from './recommendations.js';
import { ok, type Route } from './route.js';
import { toPlainJson } from './plain-json.js';

export interface UserRoutesDeps {
  readonly ingest: Ingest;
  readonly recommendations: Recommendations;
  readonly states: StateInspector;
  /** Name of the stage that keeps users. */
  readonly userStage: string;
}

const { ts, eventId } = EVENT_COMMON_FIELDS;
const USER_BODY = object('A profile; replaces what was there.', { ...USER_FIELDS, eventId, ts });

const RECOMMENDATIONS_QUERY = object('', {
  limit: integer('Items a page; 10 when absent.', 1, 100),
  placement: text('Where they are shown; default when absent.', 256),
  cursor: text('From an earlier answer: the next page of the same list.', 512),
  itemId: id('Item of the page being looked at.'),
  device: text('phone, tablet, desktop, tv, …', 256),
  country: text('ISO 3166-1 alpha-2.', 256),
  region: text('Region or state.', 256),
  lat: number('Latitude, degrees.', -90, 90),
  lon: number('Longitude, degrees.', -180, 180),
  weather: text('Such as rain.', 256),
  language: text('BCP 47.', 256),
  time: integer('Time the request is about, ms since 1970; now when absent.', 0, 8.64e15),
});

const VIEWED = object(
  'What a person saw of a recommendation.',
  {
    userId: id('The person.'),
    requestId: id('requestId of the answer or feed.'),
    itemIds: list('Items seen.', id('Item.'), 200, 1),
    positions: list(
      '0-based places, one an item; taken from what was served when absent.',
      integer('', 0, 100_000),
      200,
    ),
    placement: text('Placement; taken from what was served when absent.', 256),
  },
  ['userId', 'requestId', 'itemIds'],
);

const userIdOf = (params: Readonly<Record<string, string>>): string =>
  asRequestFault(() => requireUserId(params['id'], 'id'));

export function createUserRoutes(deps: UserRoutesDeps): Route[] {
  return [...profileRoutes(deps), recommendationsRoute(deps), viewedRoute(deps), stateRoute(deps)];
}

function profileRoutes({ ingest }: UserRoutesDeps): Route[] {
  return [
    {
      method: 'PUT',
      path: '/v1/users/:id',
      summary: 'Create or replace a profile',
      tag: 'users',
      access: 'write',
      body: 'json',
      bodySchema: USER_BODY.schema,
      answers: { 202: 'Durable: {eventId, status}.' },
      handle: async ({ params, body, producerId }) => {
        const profile = USER_BODY.requireShape(body, '', '');
        return {
          status: 202,
          body: await ingest.one({ ...profile, type: 'user', userId: userIdOf(params) }, producerId),
        };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/users/:id',
      summary: "Erase a person's state",
      tag: 'users',
      access: 'write',
      body: 'none',
      answers: { 202: 'Durable: {eventId, status}. The state is gone once the engine has read the record.' },
      handle: async ({ params, producerId }) => {
        const event = encodeEvent({ type: 'erase', userId: userIdOf(params) }, '', ingest.stamp(producerId));
        return { status: 202, body: await ingest.encoded(event) };
      },
    },
  ];
}

function recommendationsRoute({ recommendations }: UserRoutesDeps): Route {
  return {
    method: 'GET',
    path: '/v1/users/:id/recommendations',
    summary: 'Recommendations for a person, page by page over a frozen list',
    tag: 'recommendations',
    access: 'key',
    body: 'none',
    query: RECOMMENDATIONS_QUERY,
    answers: {
      200: '{requestId, version, generatedAt, items: [{itemId, score, confidence, reasons, source, position}], eligibleCount, models, leftOut?, cursor?}',
    },
    handle: async ({ params, query, producerId }) => {
      const {
        limit = 10,
        placement = 'default',
        cursor,
        time,
        lat,
        lon,
        ...context
      } = readQuery(RECOMMENDATIONS_QUERY, query);
      const userId = userIdOf(params);
      if ((lat === undefined) !== (lon === undefined))
        throw new EngineError('REQUEST_INVALID', 'lat and lon belong together; one of them is absent');
      const where = { ...context, latitude: lat, longitude: lon };
      return ok(await recommendations.page({ userId, placement, limit, cursor, time, context: where, producerId }));
    },
  };
}

function viewedRoute({ recommendations }: UserRoutesDeps): Route {
  return {
    method: 'POST',
    path: '/v1/viewed',
    summary: 'Say what was seen: only that counts as exposure',
    tag: 'events',
    access: 'write',
    body: 'json',
    bodySchema: VIEWED.schema,
    answers: { 202: 'Durable: {status}.' },
    handle: async ({ body, producerId }) => {
      const report = VIEWED.read(body, '', '');
      const { positions, itemIds } = report;
      if (positions !== undefined && positions.length !== itemIds.length) {
        throw new EngineError(
          'REQUEST_INVALID',
          `positions has ${positions.length} entries, itemIds has ${itemIds.length}; expected as many`,
        );
      }
      await recommendations.viewed({ ...report, producerId });
      return { status: 202, body: { status: 'accepted' } };
    },
  };
}

function stateRoute({ states, userStage }: UserRoutesDeps): Route {
  return {
    method: 'GET',
    path: '/v1/users/:id/state',
    summary: 'Everything the stream operators hold of a person, as of the last commit',
    tag: 'users',
    access: 'key',
    body: 'none',
    answers: { 200: '{userId, partition, version, operators: {name: state}}' },
    handle: async ({ params }) => {
      const userId = userIdOf(params);
      const state = await states.get(userStage, userId);
      if (state === undefined) throw new EngineError('NOT_FOUND', `Nothing is held of user ${JSON.stringify(userId)}`);
      const { partition, version, operators } = state;
      return ok({ userId, partition, version, operators: toPlainJson(operators) });
    },
  };
}
