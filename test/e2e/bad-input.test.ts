/**
 * What nobody should send, to a real engine: it is refused with its code and place, the process stays up, and what was
 * good beside it is counted.
 */
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { encodeRecord } from '../../schemas/codec.js';
import { systemClock } from '../../streams/clock.js';
import { seededRandom } from '../../streams/random.js';
import {
  killAll,
  removeTemporaryDirectories,
  runFreshet,
  startUp,
  temporaryDirectory,
  untilProcessed,
} from './freshet.js';
import { inspect, interactionsOf } from './inspect.js';

afterEach(killAll);
afterAll(removeTemporaryDirectories);

const GOOD = { type: 'click', userId: 'u', itemId: 'i' };

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly message: string;
}

async function post(url: string, body: string | Buffer, type = 'application/json'): Promise<Answer> {
  const response = await fetch(`${url}/v1/events`, { method: 'POST', headers: { 'content-type': type }, body });
  const { error } = (await response.json()) as { error?: { code: string; message: string } };
  return { status: response.status, code: error?.code, message: error?.message ?? '' };
}

describe('bad requests', () => {
  const now = systemClock.now();
  const event = (change: object): string => JSON.stringify({ ...GOOD, ...change });
  const REFUSED: readonly (readonly [what: string, body: string | Buffer, code: string])[] = [
    ['a number for an id', event({ userId: 7 }), 'EVENT_INVALID'],
    ['an object for an id', event({ itemId: {} }), 'EVENT_INVALID'],
    ['an empty id', event({ userId: '' }), 'EVENT_INVALID'],
    ['an id of 100,000 characters', event({ userId: 'u'.repeat(100_000) }), 'EVENT_INVALID'],
    ['control characters', event({ userId: 'u\u0000' }), 'EVENT_INVALID'],
    ['half of a surrogate pair', '{"type":"click","userId":"\\ud800","itemId":"i"}', 'EVENT_INVALID'],
    ['NaN', '{"type":"purchase","userId":"u","itemId":"i","value":NaN}', 'REQUEST_INVALID'],
    ['a number beyond all bounds', '{"type":"purchase","userId":"u","itemId":"i","value":1e999}', 'EVENT_INVALID'],
    ['text for a number', event({ value: '12' }), 'EVENT_INVALID'],
    ['an unknown type', event({ type: 'teleport' }), 'EVENT_INVALID'],
    ['an unknown field', event({ colour: 'red' }), 'EVENT_INVALID'],
    ['a prototype', '{"type":"click","userId":"u","itemId":"i","__proto__":{"a":1}}', 'EVENT_INVALID'],
    ['a time a day ahead', event({ ts: now + 86_400_000 }), 'EVENT_TIME_INVALID'],
    ['seconds for milliseconds', event({ ts: Math.round(now / 1_000) }), 'EVENT_TIME_INVALID'],
    ['a time that is none', event({ ts: 'yesterday' }), 'EVENT_TIME_INVALID'],
    [
      'a slate without end',
      event({ type: 'impression.viewed', requestId: 'r', slate: Array(5_000).fill({ itemId: 'i' }) }),
      'EVENT_INVALID',
    ],
    ['no object', '"click"', 'EVENT_INVALID'],
    ['null', 'null', 'EVENT_INVALID'],
    ['nothing', '', 'EVENT_INVALID'],
    ['half of a body', '{"type":"click"', 'REQUEST_INVALID'],
    ['an empty list', '[]', 'REQUEST_INVALID'],
    ['brackets in brackets', '['.repeat(50_000) + ']'.repeat(50_000), 'EVENT_INVALID'],
    ['10 MB', event({ context: { page: 'x'.repeat(10 << 20) } }), 'BODY_TOO_LARGE'],
    ['noise', Buffer.from(seededRandom('noise').bytes(5_000)), 'REQUEST_INVALID'],
  ];

  it('are refused one by one, with a code, and nothing else suffers', async () => {
    const data = temporaryDirectory();
    const { url, process } = await startUp(data);
    const wrong: string[] = [];
    for (const [what, body, code] of REFUSED) {
      const answer = await post(url, body);
      if (answer.code !== code || answer.status < 400 || answer.status >= 500)
        wrong.push(`${what}: ${JSON.stringify(answer)}`);
      if (answer.message.length > 1_000) wrong.push(`${what}: an answer of ${answer.message.length} characters`);
    }
    expect(wrong).toEqual([]);
    expect((await post(url, event({}), 'text/plain')).code).toBe('REQUEST_INVALID');

    // Bad ones in a list, and bad lines of a stream, do not take the good ones with them.
    const list = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify([GOOD, { ...GOOD, itemId: 5 }, GOOD]),
    });
    expect([list.status, await list.json()]).toMatchObject([202, { accepted: 2, rejected: 1 }]);
    const invalid = Buffer.concat([
      Buffer.from('{"type":"click","userId":"'),
      Buffer.from([0xff, 0xc0]),
      Buffer.from('","itemId":"i"}'),
    ]);
    const lines = Buffer.concat([
      Buffer.from(`${event({})}\nnot json\n`),
      invalid,
      Buffer.from(`\n${event({ eventId: 'once' })}\n${event({ eventId: 'once' })}\n`),
    ]);
    const stream = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: lines,
    });
    const told = (await stream.json()) as { accepted: number; rejected: number };
    expect([stream.status, told.accepted + told.rejected]).toEqual([202, 5]);
    // A clock slightly ahead is set right; the past is history.
    expect((await post(url, event({ ts: now + 60_000 }))).status).toBe(202);
    expect((await post(url, event({ ts: now - 86_400_000 }))).status).toBe(202);

    expect(process.end).toBeUndefined();
    expect((await process.stop()).code).toBe(0);
    const users = await inspect(data, (inspection) => inspection.users());
    const user = users.find(({ key }) => key === 'u')!;
    // Two of the list, one line, one of the two with the same id, two with other times.
    expect([interactionsOf(user), user.dedupe?.duplicates]).toEqual([6, 1]);
    expect(process.stderr).not.toMatch(/a request failed|INVARIANT/);
  });
});

describe('damaged bytes in the log', () => {
  it('become dead letters that tell where and why, and take nothing good with them', async () => {
    const data = temporaryDirectory();
    const first = await startUp(data);
    expect((await post(first.url, JSON.stringify(GOOD))).status).toBe(202);
    expect((await first.process.stop()).code).toBe(0);

    const random = seededRandom('damage');
    const { topic, partition, damaged } = await inspect(data, async (inspection) => {
      const name = inspection.topic('userEvents');
      const ts = systemClock.now();
      const good = (n: number): Buffer =>
        encodeRecord('Interaction', {
          eventId: `e${n}`,
          userId: 'u',
          ts,
          receivedAt: ts,
          producerId: 'p',
          type: 'click',
          itemId: `i${n}`,
        });
      const whole = good(0);
      const flipped = Buffer.from(whole);
      flipped[3]! ^= 0xff;
      const bad = [
        Buffer.alloc(0),
        Buffer.from('junk'),
        whole.subarray(0, whole.length - 3),
        flipped,
        Buffer.from(random.bytes(300)),
      ];
      const values = bad.flatMap((value, i) => [value, good(i + 1)]);
      const [receipt] = await inspection.storage.log.append(
        name,
        values.map((value) => ({ key: 'u', value })),
      );
      return { topic: name, partition: receipt!.partition, damaged: bad.map((_, i) => receipt!.offset + 2 * i) };
    });

    const { url, process } = await startUp(data);
    await untilProcessed(url);
    const listed = await runFreshet('dead-letters', 'list', '--data', data);
    const letters = listed.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(letters.map((letter) => [letter['topic'], letter['partition'], letter['offset']])).toEqual(
      damaged.map((offset) => [topic, partition, offset]),
    );
    for (const { reason, code } of letters)
      expect([code, String(reason).length > 10]).toEqual([expect.stringMatching(/^[A-Z_]+$/), true]);
    expect((await post(url, JSON.stringify(GOOD))).status).toBe(202);
    expect((await process.stop()).code).toBe(0);
    const [user] = await inspect(data, (inspection) => inspection.users());
    expect(interactionsOf(user!)).toBe(1 + damaged.length + 1);
  });
});
