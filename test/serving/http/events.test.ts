/** What `POST /v1/events` takes, refuses, and writes. */
import { Readable } from 'node:stream';
import { request as httpRequest } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineError } from '../../../schemas/errors.js';
import { ITEM_EVENTS, ServingEngine, USER_EVENTS } from '../../harness/serving-engine.js';

let engine: ServingEngine;
beforeEach(async () => {
  engine = await new ServingEngine().start();
});
afterEach(() => engine.stop());

const CLICK = { type: 'click', userId: 'ada', itemId: 'item-1' };

describe('a single event', () => {
  it('is in the log when the answer comes, stamped by the edge', async () => {
    const before = Date.now(); // eslint-disable-line no-restricted-properties -- the edge runs on the machine's clock here
    const { status, body } = await engine.call('POST', '/v1/events', {
      ...CLICK,
      eventId: 'e1',
      ts: before - 1_000,
      value: 2.5,
    });
    expect(status).toBe(202);
    expect(body).toEqual({ eventId: 'e1', status: 'accepted' });
    const [record] = engine.records(USER_EVENTS);
    expect(record).toMatchObject({
      eventId: 'e1',
      userId: 'ada',
      itemId: 'item-1',
      type: 'click',
      ts: before - 1_000,
      value: 2.5,
      producerId: 'http',
    });
    expect((record as { receivedAt: number }).receivedAt).toBeGreaterThanOrEqual(before);
  });

  it('gets an id and the time of arrival when it brings none', async () => {
    const { body } = await engine.call('POST', '/v1/events', CLICK);
    const [record] = engine.records(USER_EVENTS);
    expect(record).toMatchObject({ eventId: body.eventId });
    expect(body.eventId).toMatch(/^[0-9a-f]{24}$/);
    expect((record as { ts: number }).ts).toBe((record as { receivedAt: number }).receivedAt);
  });

  it('carries every part of its form', async () => {
    const full = {
      ...CLICK,
      type: 'purchase',
      anonymousId: 'anon-1',
      utcOffset: -180,
      sessionId: 's1',
      value: 10,
      currency: 'EUR',
      quantity: 2,
      dwellMs: 1_500,
      consent: { personalization: true, analytics: false },
      context: {
        device: 'phone',
        country: 'BR',
        latitude: -8.05,
        longitude: -34.9,
        weather: 'rain',
        attributes: { campaign: 'x' },
      },
      attribution: {
        requestId: 'r1',
        placement: 'home',
        position: 3,
        propensity: 0.25,
        assignments: [{ experiment: 'e', variant: 'b' }],
      },
    };
    expect((await engine.call('POST', '/v1/events', full)).status).toBe(202);
    expect(engine.records(USER_EVENTS)[0]).toMatchObject(full);
  });

  it('may be an impression, an identification, an erasure or a profile', async () => {
    const slate = [{ itemId: 'a' }, { itemId: 'b', position: 7 }];
    const events = [
      { type: 'impression.viewed', userId: 'ada', requestId: 'r1', slate },
      { type: 'identify', userId: 'ada', anonymousId: 'anon-1' },
      { type: 'erase', userId: 'bob', reason: 'asked' },
      { type: 'user', userId: 'ada', segments: ['plan/premium'], traits: { city: 'Recife' } },
    ];
    expect((await engine.call('POST', '/v1/events', events)).body.accepted).toBe(4);
    const byKind = new Map(engine.records(USER_EVENTS).map((record) => [record.kind, record]));
    expect(byKind.get('Impression')).toMatchObject({
      stage: 'viewed',
      slate: [
        { itemId: 'a', position: 0 },
        { itemId: 'b', position: 7 },
      ],
    });
    expect(byKind.get('Identify')).toMatchObject({ anonymousId: 'anon-1', userId: 'ada' });
    expect(byKind.get('Erase')).toMatchObject({ userId: 'bob', reason: 'asked' });
    expect(byKind.get('UserUpsert')).toMatchObject({ segments: ['plan/premium'] });
  });

  it("is taken twice when sent twice with one id: repeats are the engine's to drop", async () => {
    for (const _ of [1, 2])
      expect((await engine.call('POST', '/v1/events', { ...CLICK, eventId: 'same' })).status).toBe(202);
    expect(engine.records(USER_EVENTS)).toHaveLength(2);
  });

  it('ahead of the clock within the tolerance is set to the clock', async () => {
    // eslint-disable-next-line no-restricted-properties -- the edge runs on the machine's clock here
    await engine.call('POST', '/v1/events', { ...CLICK, ts: Date.now() + 60_000 });
    const [record] = engine.records(USER_EVENTS) as unknown as { ts: number; receivedAt: number }[];
    expect(record!.ts).toBe(record!.receivedAt);
  });
});

const long = 'x'.repeat(100_000);
const REFUSED: readonly [what: string, body: unknown, code: string, says: string][] = [
  ['corrupt JSON', '{"type": "click", ', 'REQUEST_INVALID', 'not JSON'],
  ['no body', '', 'EVENT_INVALID', 'event is absent'],
  [
    'NaN, which JSON does not have',
    '{"type":"click","userId":"a","itemId":"b","value":NaN}',
    'REQUEST_INVALID',
    'not JSON',
  ],
  [
    'a number beyond all bounds',
    '{"type":"click","userId":"a","itemId":"b","value":1e999}',
    'EVENT_INVALID',
    'value is Infinity',
  ],
  ['a text for a number', { ...CLICK, value: '12' }, 'EVENT_INVALID', 'value is "12"'],
  ['a number for an id', { ...CLICK, userId: 7 }, 'EVENT_INVALID', 'userId is 7'],
  ['an empty id', { ...CLICK, itemId: '' }, 'EVENT_INVALID', 'itemId'],
  ['an id of 100,000 characters', { ...CLICK, userId: long }, 'EVENT_INVALID', '256'],
  ['an id with a control character', { ...CLICK, userId: 'a\nb' }, 'EVENT_INVALID', 'control characters'],
  ['an absent id', { type: 'click', itemId: 'b' }, 'EVENT_INVALID', 'userId is absent'],
  ['an unknown type', { ...CLICK, type: 'clicked' }, 'EVENT_INVALID', 'type is "clicked"'],
  ['an unknown field', { ...CLICK, user_id: 'a' }, 'EVENT_INVALID', 'user_id is not a known field'],
  [
    'an unknown field inside',
    { ...CLICK, context: { devise: 'phone' } },
    'EVENT_INVALID',
    'context.devise is not a known field',
  ],
  [
    'a prototype in disguise',
    '{"type":"click","userId":"a","itemId":"b","__proto__":{}}',
    'EVENT_INVALID',
    '__proto__',
  ],
  ['a latitude off the globe', { ...CLICK, context: { latitude: 91 } }, 'EVENT_INVALID', 'context.latitude is 91'],
  ['a time far ahead', { ...CLICK, ts: 4_102_444_800_000 }, 'EVENT_TIME_INVALID', 'ts is 4102444800000'],
  ['a time in seconds', { ...CLICK, ts: 1_700_000_000 }, 'EVENT_TIME_INVALID', '10 years'],
  ['a time that is none', { ...CLICK, ts: 'yesterday' }, 'EVENT_TIME_INVALID', '"yesterday"'],
  [
    'a slate without items',
    { type: 'impression.viewed', userId: 'a', requestId: 'r', slate: [] },
    'EVENT_INVALID',
    'slate',
  ],
  [
    'a fault in a slate',
    { type: 'impression.viewed', userId: 'a', requestId: 'r', slate: [{ itemId: 'x' }, {}] },
    'EVENT_INVALID',
    'slate[1].itemId',
  ],
  [
    'an identification with itself',
    { type: 'identify', userId: 'a', anonymousId: 'a' },
    'EVENT_INVALID',
    'anonymousId',
  ],
  ['an empty list', [], 'REQUEST_INVALID', '0 events'],
  ['a text', '"click"', 'EVENT_INVALID', 'expected an object'],
];

describe('a request with bad input', () => {
  it.each(REFUSED)('%s is refused, and nothing is written', async (_what, body, code, says) => {
    const { status, body: answer } = await engine.call('POST', '/v1/events', body);
    expect(status).toBe(400);
    expect(answer.error.code).toBe(code);
    expect(answer.error.message).toContain(says);
    expect(answer.error.message.length).toBeLessThan(1_000);
    expect(engine.records(USER_EVENTS)).toEqual([]);
  });

  it('of another content type is refused', async () => {
    const { status, body } = await engine.call('POST', '/v1/events', 'type=click', {
      'content-type': 'application/x-www-form-urlencoded',
    });
    expect([status, body.error.code]).toEqual([400, 'REQUEST_INVALID']);
  });

  it('of 10 MB is refused clearly on a real connection that goes on sending', async () => {
    const { status, text } = await post(engine, Buffer.alloc(10 << 20, 0x20));
    expect(status).toBe(413);
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'BODY_TOO_LARGE' } });
    expect((await engine.call('POST', '/v1/events', CLICK)).status).toBe(202);
  });
});

describe('a list of events', () => {
  it('takes the valid ones and says of each other one where and why', async () => {
    const list = Array.from({ length: 300 }, (_, i) => ({
      ...CLICK,
      eventId: `e${i}`,
      ...(i === 200 && { ts: 'never' }),
      ...(i === 7 && { nope: 1 }),
    }));
    const { status, body } = await engine.call('POST', '/v1/events', list);
    expect([status, body.accepted, body.rejected, body.results.length]).toEqual([202, 298, 2, 300]);
    expect(body.results[7]).toMatchObject({ status: 'rejected', index: 7, code: 'EVENT_INVALID' });
    expect(body.results[7]!.reason).toContain('events[7].nope');
    expect(body.results[200]).toMatchObject({ code: 'EVENT_TIME_INVALID' });
    expect(engine.records(USER_EVENTS)).toHaveLength(298);
  });

  it('of which nothing is valid is an error', async () => {
    const { status, body } = await engine.call('POST', '/v1/events', [{}, 7, null]);
    expect([status, body.error.code, body.results.length]).toEqual([400, 'EVENT_INVALID', 3]);
  });

  it('that is too long is refused whole', async () => {
    const { status, body } = await engine.call('POST', '/v1/events', JSON.stringify(new Array(10_001).fill(0)));
    expect([status, body.error.code]).toEqual([400, 'REQUEST_INVALID']);
    expect(body.error.message).toContain('x-ndjson');
  });
});

describe('a stream of lines', () => {
  const headers = { 'content-type': 'application/x-ndjson' };

  it('is taken over chunk borders, blank lines and bad lines', async () => {
    const lines = [
      JSON.stringify(CLICK),
      '',
      '{"broken"',
      JSON.stringify({ ...CLICK, itemId: 'ü'.repeat(20) }),
      JSON.stringify({ ...CLICK, x: 1 }),
    ];
    const { status, body } = await engine.call('POST', '/v1/events', lines.join('\r\n'), headers);
    expect([status, body.accepted, body.rejected]).toEqual([202, 2, 2]);
    expect(body.errors.map((error) => [error.line, error.code])).toEqual([
      [3, 'REQUEST_INVALID'],
      [5, 'EVENT_INVALID'],
    ]);
  });

  it('is not bounded by the limit of a body, and every line is durable', async () => {
    const line = `${JSON.stringify({ ...CLICK, context: { page: 'p'.repeat(1_000) } })}\n`;
    const count = 6_000;
    const { status, text } = await post(engine, Readable.from(Array.from({ length: count }, () => line)), headers);
    expect(status).toBe(202);
    expect(JSON.parse(text)).toMatchObject({ accepted: count, rejected: 0 });
    expect(engine.records(USER_EVENTS)).toHaveLength(count);
  });

  it('stops at a line that is too long and says what was taken', async () => {
    const { status, body } = await engine.call(
      'POST',
      '/v1/events',
      `${JSON.stringify(CLICK)}\n${'x'.repeat(6 << 20)}`,
      headers,
    );
    expect([status, body.error.code]).toEqual([413, 'BODY_TOO_LARGE']);
    expect(body.error.message).toContain('Line 2');
  });
});

describe('a full or failing log', () => {
  it('acknowledges nothing: 503 with Retry-After', async () => {
    engine.log.append = () => Promise.reject(new EngineError('STORAGE_FULL', 'the disk is full'));
    for (const body of [CLICK, [CLICK, CLICK]]) {
      const answer = await engine.call('POST', '/v1/events', body);
      expect([answer.status, answer.body.error.code, answer.headers['retry-after']]).toEqual([
        503,
        'STORAGE_FULL',
        '1',
      ]);
    }
  });

  it('that fails in an unexpected way is told without its insides', async () => {
    engine.log.append = () => Promise.reject(new Error('secret path'));
    const { status, body } = await engine.call('POST', '/v1/events', CLICK);
    expect([status, body.error.code]).toEqual([500, 'INTERNAL']);
    expect(JSON.stringify(body)).not.toContain('secret');
  });
});

describe('items', () => {
  it('are created, replaced, removed, and taken in bulk', async () => {
    expect((await engine.call('PUT', '/v1/items/a%2Fb', { title: 'A', categories: ['x'], price: 3 })).status).toBe(202);
    expect((await engine.call('DELETE', '/v1/items/a%2Fb')).status).toBe(202);
    expect((await engine.call('POST', '/v1/items', [{ itemId: 'c', title: 'C' }])).body.accepted).toBe(1);
    const records = engine.records(ITEM_EVENTS);
    expect(records.map((record) => record.kind).sort()).toEqual(['ItemDelete', 'ItemUpsert', 'ItemUpsert']);
    expect(records.find((record) => record.kind === 'ItemUpsert' && record.itemId === 'a/b')).toMatchObject({
      title: 'A',
      available: true,
    });
  });

  it.each([
    [{ title: 'A', colour: 'red' }, 'colour is not a known field'],
    [{ itemId: 'other' }, 'itemId is not a known field'],
    [{ price: -1 }, 'price is -1'],
    [{ categories: 'x' }, 'categories'],
    [{ attributes: { a: 1 } }, 'attributes.a is 1'],
    ['[]', 'expected an object'],
  ])('%j is refused', async (body, says) => {
    const answer = await engine.call('PUT', '/v1/items/x', body);
    expect(answer.status).toBe(400);
    expect(answer.body.error.message).toContain(says);
  });
});

/** Over a real connection, writing everything before reading, as many clients do. */
function post(
  to: ServingEngine,
  body: Buffer | Readable,
  headers: Record<string, string> = { 'content-type': 'application/json' },
) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const length = Buffer.isBuffer(body) ? { 'content-length': body.length } : {};
    const outgoing = httpRequest(
      `${to.url}/v1/events`,
      { method: 'POST', headers: { ...headers, ...length } },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        answer.on('end', () => resolve({ status: answer.statusCode!, text }));
      },
    );
    outgoing.on('error', reject);
    if (Buffer.isBuffer(body)) outgoing.end(body);
    else body.pipe(outgoing);
  });
}
