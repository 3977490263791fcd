/** Every route but the event intake: recommendations and paging, users, items, operation, documents, access, overload. */
import { afterEach, describe, expect, it } from 'vitest';
import { ITEM_EVENTS, ServingEngine, type ServingEngineOptions, USER_EVENTS } from '../../harness/serving-engine.js';
import { ManualClock } from '../../../streams/clock.js';
import { EngineError } from '../../../schemas/errors.js';

let engine: ServingEngine;
const start = async (options: ServingEngineOptions = {}): Promise<ServingEngine> =>
  (engine = await new ServingEngine(options).start());
afterEach(() => engine.stop());

const KEY = 'app:0123456789abcdef';

describe('recommendations', () => {
  it('say where they come from and are logged as served', async () => {
    await start();
    engine.move('ada', 'e1', 'item-30');
    const { status, body } = await engine.call(
      'GET',
      '/v1/users/ada/recommendations?limit=3&placement=home&lat=-8&lon=-34.9&device=phone',
    );
    expect(status).toBe(200);
    expect(body.items.map((item) => [item.itemId, item.position])).toEqual([
      ['item-30', 0],
      ['item-0', 1],
      ['item-1', 2],
    ]);
    expect(body.version).toMatch(/^1-\d-1$/);
    expect(body.generatedAt).toBeGreaterThan(0);
    await engine.stop();
    expect(engine.records(USER_EVENTS)).toMatchObject([
      {
        stage: 'served',
        userId: 'ada',
        requestId: body.requestId,
        placement: 'home',
        slate: [{ itemId: 'item-30', position: 0 }, {}, {}],
        context: { device: 'phone', latitude: -8 },
      },
    ]);
  });

  it('are paged over a frozen list, each page with a requestId of its own', async () => {
    await start();
    const seen: string[] = [];
    const requestIds = new Set<string>();
    let cursor: string | undefined = '';
    while (cursor !== undefined) {
      const { body } = await engine.call(
        'GET',
        `/v1/users/ada/recommendations?limit=10${cursor && `&cursor=${cursor}`}`,
      );
      seen.push(...body.items.map((item) => item.itemId));
      requestIds.add(body.requestId);
      engine.move('ada', 'e', 'item-49');
      cursor = body.cursor;
    }
    expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => `item-${i}`));
    expect(requestIds.size).toBe(5);
    expect(engine.recommendCalls).toBe(1);
  });

  it('leave out on later pages what was withdrawn meanwhile', async () => {
    await start();
    const first = await engine.call('GET', '/v1/users/ada/recommendations?limit=2');
    engine.withdrawn.add('item-3');
    const { body } = await engine.call('GET', `/v1/users/ada/recommendations?limit=2&cursor=${first.body.cursor}`);
    expect(body.items.map((item) => item.itemId)).toEqual(['item-2', 'item-4']);
  });

  it('refuse a cursor that is too old, of another user, or none at all', async () => {
    const clock = new ManualClock();
    await start({ clock, config: { slateTtlMs: 1_000 } });
    const { body } = await engine.call('GET', '/v1/users/ada/recommendations?limit=2');
    const at = (user: string, cursor: string) =>
      engine.call('GET', `/v1/users/${user}/recommendations?cursor=${cursor}`);
    expect((await at('bob', body.cursor!)).body.error.code).toBe('REQUEST_INVALID');
    expect((await at('ada', 'rubbish')).body.error.code).toBe('REQUEST_INVALID');
    await clock.advance(1_001);
    const expired = await at('ada', body.cursor!);
    expect([expired.status, expired.body.error.code]).toEqual([410, 'CURSOR_EXPIRED']);
  });

  it.each([
    'limit=0',
    'limit=101',
    'limit=-1',
    'limit=ten',
    'limit=1e1',
    'limit=5&limit=6',
    'lat=1',
    'lat=91&lon=0',
    'offset=-5',
    'placement=',
  ])('?%s is refused', async (query) => {
    await start();
    const { status, body } = await engine.call('GET', `/v1/users/ada/recommendations?${query}`);
    expect([status, body.error.code]).toEqual([400, 'REQUEST_INVALID']);
  });

  it('do not wait for a log that is stuck, and give up what cannot be logged', async () => {
    await start();
    engine.log.append = () => Promise.reject(new EngineError('STORAGE_FULL', 'full'));
    expect((await engine.call('GET', '/v1/users/ada/recommendations')).status).toBe(200);
  });
});

describe('viewed', () => {
  it('takes places and placement from what was served', async () => {
    await start();
    const { body } = await engine.call('GET', '/v1/users/ada/recommendations?limit=5&placement=home');
    const report = { userId: 'ada', requestId: body.requestId, itemIds: ['item-3', 'item-1', 'item-7'] };
    expect((await engine.call('POST', '/v1/viewed', report)).status).toBe(202);
    const viewed = engine
      .records(USER_EVENTS)
      .find((record) => record.kind === 'Impression' && record.stage === 'viewed');
    expect(viewed).toMatchObject({
      placement: 'home',
      eligibleCount: 50,
      slate: [
        { itemId: 'item-3', position: 3, source: 'fake' },
        { itemId: 'item-1', position: 1 },
        { itemId: 'item-7', position: 7, source: 'fake' },
      ],
    });
  });

  it('refuses positions that do not fit, another user, and unknown fields', async () => {
    await start();
    const { body } = await engine.call('GET', '/v1/users/ada/recommendations');
    const report = { userId: 'ada', requestId: body.requestId, itemIds: ['item-1'] };
    for (const bad of [{ ...report, positions: [1, 2] }, { ...report, userId: 'bob' }, { ...report, item: 'x' }, {}]) {
      expect((await engine.call('POST', '/v1/viewed', bad)).status).toBe(400);
    }
  });
});

describe('users and items', () => {
  it('are upserted, erased and looked into', async () => {
    await start();
    expect((await engine.call('PUT', '/v1/users/ada', { segments: ['a/b'] })).status).toBe(202);
    expect((await engine.call('DELETE', '/v1/users/bob')).status).toBe(202);
    expect((await engine.call('PUT', '/v1/users/ada', { userId: 'eve' })).status).toBe(400);
    expect(
      engine
        .records(USER_EVENTS)
        .map((record) => record.kind)
        .sort(),
    ).toEqual(['Erase', 'UserUpsert']);
    engine.move('ada', 'e1', 'item-1');
    const { body } = await engine.call('GET', '/v1/users/ada/state');
    expect(body.operators).toEqual({ session: { items: ['item-1'] }, profile: { seen: [1, 2], blocked: ['x'] } });
    expect((await engine.call('GET', '/v1/users/nobody/state')).status).toBe(404);
  });

  it('are listed, and what goes with an item', async () => {
    await start();
    expect((await engine.call('GET', '/v1/trending?limit=2')).body.items).toHaveLength(2);
    expect((await engine.call('GET', '/v1/popular?category=x')).body.items).toHaveLength(10);
    expect((await engine.call('GET', '/v1/items/item-1/similar?limit=3')).body.items).toHaveLength(3);
    expect((await engine.call('GET', '/v1/items/unknown/similar')).status).toBe(404);
    expect((await engine.call('GET', '/v1/items?ids=item-1,nope')).body.items.map((item) => item.title)).toEqual([
      'Title of item-1',
    ]);
    expect(engine.records(ITEM_EVENTS)).toEqual([]);
  });
});

describe('operation', () => {
  it('tells health, readiness, metrics and status', async () => {
    let tableLag = 0;
    await start({ tableLag: () => tableLag });
    expect((await engine.call('GET', '/healthz')).status).toBe(200);
    expect((await engine.call('GET', '/readyz')).status).toBe(200);
    tableLag = 1e9;
    const behind = await engine.call('GET', '/readyz');
    expect([behind.status, behind.body.error.code, behind.headers['retry-after']]).toEqual([503, 'NOT_READY', '1']);
    await engine.call('POST', '/v1/events', { type: 'click', userId: 'ada', itemId: 'x' });
    expect((await engine.call('GET', '/metrics')).text).toContain('freshet_test_events_accepted_total 1');
    engine.move('ada', 'e1');
    expect((await engine.call('GET', '/v1/status')).body.activeUsers).toEqual(['ada']);
  });

  it('answers unknown paths and methods with one form of error', async () => {
    await start();
    for (const [method, url] of [
      ['GET', '/nope'],
      ['DELETE', '/v1/events'],
      ['GET', '/v1/users/%zz/state'],
    ] as const) {
      const { status, body } = await engine.call(method, url);
      expect([400, 404]).toContain(status);
      expect(body.error.message).not.toBe('');
    }
  });

  it('refuses writes without room and says when to come back', async () => {
    let lag = 0;
    let free = Infinity;
    const clock = new ManualClock();
    await start({ clock, streamLag: () => lag, freeDiskBytes: () => free });
    const event = { type: 'click', userId: 'ada', itemId: 'x' };
    lag = 6_000_000;
    await clock.advance(250);
    const behind = await engine.call('POST', '/v1/events', event);
    expect([behind.status, behind.body.error.code, behind.headers['retry-after']]).toEqual([429, 'OVERLOADED', '1']);
    expect((await engine.call('GET', '/v1/trending')).status).toBe(200);
    [lag, free] = [0, 1_000];
    await clock.advance(250);
    const full = await engine.call('POST', '/v1/events', event);
    expect([full.status, full.body.error.code]).toEqual([503, 'STORAGE_FULL']);
    free = Infinity;
    await clock.advance(250);
    expect((await engine.call('POST', '/v1/events', event)).status).toBe(202);
  });

  it('refuses more requests than may be under way, and lets go of each that ended', async () => {
    await start({ config: { inFlightMax: 1 } });
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const { append } = engine.log;
    const appending = new Promise<void>((resolve) => {
      engine.log.append = async (topic, records) => {
        resolve();
        await finished;
        return append.call(engine.log, topic, records);
      };
    });
    const event = { type: 'click', userId: 'ada', itemId: 'x' };
    const first = engine.call('POST', '/v1/events', event);
    await appending;
    expect((await engine.call('GET', '/v1/trending')).status).toBe(429);
    finish();
    expect((await first).status).toBe(202);
    expect((await engine.call('GET', '/v1/trending')).status).toBe(200);
  });
});

describe('documents and pages', () => {
  it('describe exactly what is served', async () => {
    await start();
    const { text } = await engine.call('GET', '/docs/json');
    const { paths } = JSON.parse(text) as { paths: Record<string, Record<string, { security?: unknown }>> };
    expect(Object.keys(paths)).toContain('/v1/users/{id}/recommendations');
    for (const [path, operations] of Object.entries(paths)) {
      for (const method of Object.keys(operations)) {
        const answer = await engine.call(
          method.toUpperCase() as 'GET',
          path.replaceAll('{id}', 'x'),
          method === 'get' ? undefined : {},
        );
        expect(answer.body.error?.message ?? '', `${method} ${path}`).not.toContain('There is no');
      }
    }
    expect(JSON.parse((await engine.call('GET', '/docs/asyncapi.json')).text)).toMatchObject({ asyncapi: '3.0.0' });
  });

  it('load nothing from elsewhere and forbid it', async () => {
    await start();
    for (const path of ['/', '/docs', '/page/page.js', '/page/docs.js', '/page/page.css']) {
      const { status, text, headers } = await engine.call('GET', path);
      expect(status).toBe(200);
      expect(text).not.toMatch(/https?:\/\/|@import|\son\w+="|style="/);
      expect(headers['content-security-policy']).toContain("default-src 'none'");
    }
  });
});

describe('access', () => {
  const status = async (headers: Record<string, string>, url = '/v1/trending') =>
    (await engine.call('GET', url, undefined, headers)).status;

  it('with keys needs one, in either header, for all but public routes', async () => {
    await start({ config: { apiKeys: [KEY, 'other:fedcba9876543210'] } });
    expect(await status({})).toBe(401);
    expect(await status({ authorization: 'Bearer wrong' })).toBe(401);
    expect(await status({ authorization: 'Bearer 0123456789abcdef' })).toBe(200);
    expect(await status({ 'x-api-key': 'fedcba9876543210' })).toBe(200);
    expect(await status({}, '/healthz')).toBe(200);
    expect(await status({}, '/')).toBe(200);
    expect(await status({}, '/metrics')).toBe(401);
    const body = { type: 'click', userId: 'a', itemId: 'b' };
    await engine.call('POST', '/v1/events', body, { 'x-api-key': 'fedcba9876543210', 'x-freshet-producer': 'web' });
    expect(engine.records(USER_EVENTS)[0]).toMatchObject({ producerId: 'other/web' });
  });

  it('without keys refuses rebound names and pages of others, and sends no CORS header', async () => {
    await start();
    expect(await status({ host: 'evil.example:8080' })).toBe(403);
    expect(await status({ host: '127.0.0.1:8080' })).toBe(200);
    expect(await status({ host: '[::1]:8080' })).toBe(200);
    expect(await status({ host: 'localhost:8080', origin: 'http://evil.example' })).toBe(403);
    expect(await status({ host: 'localhost:8080', origin: 'null' })).toBe(403);
    expect(await status({ host: 'localhost:8080', origin: 'http://localhost:8080' })).toBe(200);
    expect(await status({ 'sec-fetch-site': 'cross-site' })).toBe(403);
    const { headers } = await engine.call('GET', '/v1/trending');
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  it('without keys is never given to an address that others reach', () => {
    expect(() => new ServingEngine({ config: { host: '0.0.0.0' } })).toThrow(/apiKeys is empty/);
    expect(() => new ServingEngine({ config: { host: '0.0.0.0', apiKeys: [KEY] } })).not.toThrow();
  });
});
