/** The feed over real sockets: pushes, conflation, resume, limits, close codes. */
import { afterEach, describe, expect, it } from 'vitest';
import { connectFeed, type FeedClient } from '../../harness/feed-client.js';
import { ServingEngine, type ServingEngineOptions, USER_EVENTS } from '../../harness/serving-engine.js';

let engine: ServingEngine;
const clients: FeedClient[] = [];
const start = async (options: ServingEngineOptions = {}): Promise<ServingEngine> =>
  (engine = await new ServingEngine(options).start());
const connect = async (options = {}): Promise<FeedClient> => {
  const client = await connectFeed(engine.feedUrl, options);
  clients.push(client);
  return client;
};
const ids = (feed: { items: readonly { itemId: string }[] }): string[] => feed.items.map((item) => item.itemId);
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await engine.stop();
});

describe('a subscription', () => {
  it('gets the whole feed at once, and again with its cause when the user moves', async () => {
    await start();
    const client = await connect();
    client.subscribe('ada', { limit: 3 });
    const first = await client.feed();
    expect(first).toMatchObject({ type: 'feed', v: 1, placement: 'home', cause: { eventIds: [] } });
    expect(ids(first)).toEqual(['item-0', 'item-1', 'item-2']);
    expect(Object.keys(first.items[0]!)).toEqual(['itemId', 'score', 'confidence', 'reasons']);
    engine.move('ada', 'e1', 'item-20');
    const second = await client.feed();
    expect(ids(second)).toEqual(['item-20', 'item-0', 'item-1']);
    expect(second.cause.eventIds).toEqual(['e1']);
    expect(second.version).toBe(first.version.replace(/-0$/, '-1'));
    expect(second.requestId).not.toBe(first.requestId);
  });

  it('is pushed by an event that was posted', async () => {
    await start();
    engine.foldEvents();
    const client = await connect();
    client.subscribe('ada');
    await client.feed();
    const { body } = await engine.call('POST', '/v1/events', { type: 'click', userId: 'ada', itemId: 'item-33' });
    const feed = await client.feed();
    expect(feed.cause.eventIds).toEqual([body.eventId]);
    expect(feed.items[0]!.itemId).toBe('item-33');
    expect(engine.node.hub.pushLatency.p50).toBeLessThan(1_000);
  });

  it('names an event that an earlier feed showed without knowing of it', async () => {
    await start();
    const client = await connect();
    client.subscribe('ada');
    await client.feed();
    engine.move('ada', 'e1', 'item-20');
    const shown = await client.feed();
    // Its state was read between its commit and its hint.
    engine.node.hub.onHints([{ key: 'ada', partition: 0, offset: 1, eventIds: ['e2'] }]);
    const named = await client.feed();
    expect(named.cause.eventIds).toEqual(['e2']);
    expect([named.version, ids(named)]).toEqual([`${shown.version}.1`, ids(shown)]);
  });

  it('is not disturbed by other users, and ends', async () => {
    await start();
    const client = await connect();
    client.subscribe('ada');
    await client.feed();
    engine.move('bob', 'e1');
    client.send({ type: 'unsubscribe', placement: 'home' });
    await client.flushed();
    engine.move('ada', 'e2');
    await engine.node.hub.settled();
    await client.flushed();
    expect(client.received).toHaveLength(1);
    expect(engine.node.hub.subscriptionCount).toBe(0);
  });

  it('to the same feed on many connections is ranked and written once', async () => {
    await start();
    const all = await Promise.all([connect(), connect(), connect()]);
    for (const client of all) client.subscribe('ada');
    for (const client of all) await client.feed();
    engine.recommendCalls = 0;
    engine.move('ada', 'e1', 'item-9');
    const feeds = await Promise.all(all.map((client) => client.feed()));
    expect(engine.recommendCalls).toBe(1);
    expect(new Set(feeds.map((feed) => JSON.stringify(feed))).size).toBe(1);
  });

  it('sees a withdrawn item leave at once, under a version that is newer', async () => {
    await start();
    const client = await connect();
    client.subscribe('ada', { limit: 3 });
    const first = await client.feed();
    engine.withdrawn.add('item-1').add('item-40');
    engine.node.onWithdrawn(['item-40']);
    await engine.node.hub.settled();
    engine.node.onWithdrawn(['item-1']);
    const second = await client.feed();
    expect(ids(second)).toEqual(['item-0', 'item-2', 'item-3']);
    expect(second.version).toBe(`${first.version}.1`);
  });
});

describe('conflation', () => {
  it('gives a stalled reader one latest feed with the merged causes, and holds no queue', async () => {
    await start();
    const client = await connect();
    client.subscribe('ada', { limit: 50 });
    await client.feed();
    client.socket.pause();
    let moves = 0;
    // Until the network has taken all it can and the hub begins to hold back.
    const pushed = (): number => engine.node.hub.pushed;
    for (let stuck = 0; stuck < 50; moves++) {
      const before = pushed();
      engine.move('ada', `e${moves}`, `item-${moves % 50}`);
      await engine.node.hub.settled();
      await new Promise((resolve) => setImmediate(resolve)); // eslint-disable-line no-restricted-globals -- lets the socket write
      stuck = pushed() === before ? stuck + 1 : 0;
      if (moves > 20_000) throw new Error('the reader never stalled');
    }
    const held = pushed();
    client.socket.resume();
    let last = await client.feed();
    while (!last.cause.eventIds.includes(`e${moves - 1}`)) last = await client.feed();
    expect(last.cause.eventIds.length).toBe(16);
    expect(last.version.endsWith(`-${moves}`)).toBe(true);
    expect(pushed()).toBeLessThanOrEqual(held + 1);
    expect(client.received.length).toBeLessThan(moves);
  });

  it('keeps to minIntervalMs and merges what came between', async () => {
    await start();
    const client = await connect();
    client.subscribe('ada', { minIntervalMs: 150 });
    await client.feed();
    const startedMs = performance.now(); // eslint-disable-line no-restricted-properties -- measures a promise made in wall time
    for (let i = 0; i < 5; i++) engine.move('ada', `e${i}`, `item-${i + 20}`);
    const feed = await client.feed();
    // eslint-disable-next-line no-restricted-properties -- as above
    expect(performance.now() - startedMs).toBeGreaterThan(100);
    expect(feed.cause.eventIds).toEqual(['e0', 'e1', 'e2', 'e3', 'e4']);
    expect(feed.items[0]!.itemId).toBe('item-24');
  });
});

describe('resuming', () => {
  it('with the current version sends nothing until something changes', async () => {
    await start();
    const first = await connect();
    first.subscribe('ada');
    const { version } = await first.feed();
    await first.close();
    const again = await connect();
    again.subscribe('ada', { sinceVersion: version });
    await again.flushed();
    await engine.node.hub.settled();
    expect(again.received).toEqual([]);
    engine.move('ada', 'e1');
    expect((await again.feed()).cause.eventIds).toEqual(['e1']);
  });

  it('works when the node that sent the feed is another one', async () => {
    await start();
    engine.move('ada', 'e1');
    const client = await connect();
    client.subscribe('ada', { sinceVersion: (await versionOf('ada')).version });
    await client.flushed();
    await engine.node.hub.settled();
    expect(client.received).toEqual([]);
  });

  it.each(['0-0-0', '1-0-99', '2-0-1'])('with another version (%s) sends the feed', async (sinceVersion) => {
    await start();
    engine.move('ada', 'e1');
    const client = await connect();
    client.subscribe('ada', { sinceVersion });
    expect((await client.feed()).version).toMatch(/^1-\d-1$/);
  });

  it('sends the feed when an item of it was withdrawn meanwhile', async () => {
    await start();
    const first = await connect();
    first.subscribe('ada');
    const { version } = await first.feed();
    await first.close();
    while (engine.node.hub.subscriptionCount > 0) await new Promise((resolve) => setImmediate(resolve)); // eslint-disable-line no-restricted-globals -- lets the socket close
    engine.withdrawn.add('item-1');
    const again = await connect();
    again.subscribe('ada', { sinceVersion: version });
    expect((await again.feed()).version).toBe(`${version}.1`);
  });

  const versionOf = async (userId: string) => (await engine.call('GET', `/v1/users/${userId}/recommendations`)).body;
});

describe('viewed', () => {
  it('is recorded with the places of the feed it names', async () => {
    await start();
    const client = await connect();
    client.subscribe('ada');
    const feed = await client.feed();
    client.send({ type: 'viewed', requestId: feed.requestId, itemIds: ['item-2', 'item-0'] });
    await client.flushed();
    await engine.stop();
    expect(engine.records(USER_EVENTS)).toMatchObject([
      {
        stage: 'viewed',
        userId: 'ada',
        requestId: feed.requestId,
        placement: 'home',
        slate: [
          { itemId: 'item-2', position: 2 },
          { itemId: 'item-0', position: 0 },
        ],
      },
    ]);
  });

  it('of what was not sent is refused', async () => {
    await start();
    const client = await connect();
    client.subscribe('ada');
    const { requestId } = await client.feed();
    client.send({ type: 'viewed', requestId, itemIds: ['item-49'] });
    expect((await client.error()).code).toBe('FEED_PROTOCOL');
    client.send({ type: 'viewed', requestId: 'other', itemIds: ['item-1'] });
    expect((await client.error()).message).toContain('requestId');
  });
});

describe('a client that misbehaves', () => {
  it.each([
    ['not json', 'not JSON'],
    ['[]', 'type'],
    [{ type: 'hello' }, 'type'],
    [{ type: 'subscribe', placement: 'home' }, 'userId is absent'],
    [{ type: 'subscribe', userId: 'a', placement: 'home', limit: 1_000 }, 'limit is 1000'],
    [{ type: 'subscribe', userId: 'a', placement: 'home', sinceVersion: 'latest' }, 'sinceVersion'],
    [{ type: 'subscribe', userId: 'a', placement: 'home', context: { planet: 'mars' } }, 'context.planet'],
    [{ type: 'pong', at: 1 }, 'at is not a known field'],
    [{ type: 'unsubscribe', placement: 'nowhere' }, 'nowhere'],
  ])('%j is told what is wrong, and may go on', async (message, says) => {
    await start();
    const client = await connect();
    client.send(message);
    const error = await client.error();
    expect(error.code).toBe('FEED_PROTOCOL');
    expect(error.message).toContain(says);
    client.subscribe('ada');
    await client.feed();
  });

  it('again and again is closed with 4400', async () => {
    await start();
    const client = await connect();
    for (let i = 0; i < 5; i++) client.send('{}');
    expect((await client.closed).code).toBe(4400);
  });

  it('by flooding is closed with 4429, by a long message with 1009', async () => {
    await start({ config: { feedMessagesPerSecondMax: 5, feedMessageBytesMax: 256 } });
    const flooding = await connect();
    for (let i = 0; i < 20; i++) flooding.send({ type: 'pong' });
    expect((await flooding.closed).code).toBe(4429);
    const long = await connect();
    long.send(' '.repeat(1_000));
    expect((await long.closed).code).toBe(1009);
  });

  it('by silence is closed with 4408', async () => {
    await start({ config: { feedHeartbeatMs: 30 } });
    const client = await connect();
    expect((await client.closed).code).toBe(4408);
    expect(client.received).toEqual([{ type: 'ping' }, { type: 'ping' }]);
  });

  it('by too many subscriptions or connections is held to the limits', async () => {
    await start({
      config: { feedSubscriptionsPerConnectionMax: 2, feedSubscriptionsPerUserMax: 3, feedConnectionsMax: 2 },
    });
    const first = await connect();
    for (const placement of ['a', 'b']) first.subscribe('ada', { placement });
    await first.feed();
    await first.feed();
    first.subscribe('ada', { placement: 'c' });
    expect((await first.error()).code).toBe('FEED_LIMIT');
    first.subscribe('ada', { placement: 'b', limit: 2 });
    expect((await first.feed()).items).toHaveLength(2);
    const second = await connect();
    second.subscribe('ada', { placement: 'd' });
    await second.feed();
    second.subscribe('ada', { placement: 'e' });
    expect((await second.error()).code).toBe('FEED_LIMIT');
    expect((await (await connect()).closed).code).toBe(4429);
  });
});

describe('access and closing', () => {
  it('needs a key where there are keys, as a header or a subprotocol', async () => {
    await start({ config: { apiKeys: ['app:0123456789abcdef'] } });
    expect((await (await connect()).closed).code).toBe(4401);
    expect((await (await connect({ protocols: ['freshet.v1', 'freshet.key.wrong'] })).closed).code).toBe(4401);
    for (const options of [
      { protocols: ['freshet.v1', 'freshet.key.0123456789abcdef'] },
      { headers: { 'x-api-key': '0123456789abcdef' } },
    ]) {
      const client = await connect(options);
      client.subscribe('ada');
      await client.feed();
      expect(client.socket.protocol).not.toContain('key');
    }
  });

  it('refuses pages of another origin in the handshake, and other paths', async () => {
    await start();
    await expect(connectFeed(engine.feedUrl, { headers: { origin: 'http://evil.example' } })).rejects.toThrow('403');
    await expect(connectFeed(engine.feedUrl.replace('/v1/feed', '/other'))).rejects.toThrow();
  });

  it('tells everybody to come back, within a spread, when the node closes', async () => {
    await start();
    const all = await Promise.all([connect(), connect()]);
    for (const client of all) client.subscribe('ada');
    for (const client of all) await client.feed();
    const stopping = engine.stop();
    for (const client of all) {
      const { code, reason } = await client.closed;
      expect(code).toBe(4503);
      expect(reason).toMatch(/^reconnect in \d+ ms$/);
    }
    await stopping;
    expect(engine.node.hub.subscriptionCount).toBe(0);
  });
});
