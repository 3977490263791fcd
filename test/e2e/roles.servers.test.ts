/**
 * Stages and edge in processes of their own, on a real Kafka and a real Redis: what was acknowledged is counted once
 * though a stream worker is killed, another goes on without a restore, and feeds follow.
 */
import { afterAll, afterEach, it } from 'vitest';
import { useCluster } from '../harness/cluster.js';
import { describeWithKafka, needsRedis } from '../harness/servers/needs.js';
import { tryParseVersion } from '../../serving/feed/feed-version.js';
import { connectFeed } from '../harness/feed-client.js';
import type { FeedClient } from '../harness/feed-client.js';
import { FreshetProcess, killAll, removeTemporaryDirectories, startUp, temporaryDirectory } from './freshet.js';
import { Producer } from './producer.js';
import { until } from './until.js';

const EVENTS = 600;
const USERS = 12;
const LIST = 20;
const WATCHED = 'p-user-0';
/** A worker's session with Kafka, and a margin for a machine that does other things. */
const TAKE_OVER_MS = 30_000;

describeWithKafka('roles on a cluster', () => {
  const cluster = useCluster();

  afterEach(killAll);
  afterAll(removeTemporaryDirectories);

  it('a killed worker is replaced, and every acknowledged event is counted once', async (context) => {
    needsRedis(context);
    const config = cluster.writeConfig(temporaryDirectory(), { storage: 'distributed' });
    const worker = (): FreshetProcess =>
      new FreshetProcess(['up', '--roles', 'stream', '--config', config, '--data', temporaryDirectory()]);
    const workers = [worker(), worker()];
    const edge = await startUp(temporaryDirectory(), '--roles', 'serve', '--config', config);
    for (const process of workers) await process.says(/partitions assigned/, 60_000);
    const producer = new Producer('p', USERS);
    const client = await connectFeed(`${edge.url.replace('http', 'ws')}/v1/feed`);
    client.subscribe(WATCHED);
    while (producer.acknowledged.size < EVENTS) {
      await producer.post(edge.url, LIST);
      if (producer.acknowledged.size === EVENTS / 2) await workers[0]!.kill();
    }
    for (const [userId, expected] of producer.byUser()) {
      await until(`${userId} at ${expected}`, async () => (await countOf(edge.url, userId)) === expected, TAKE_OVER_MS);
    }
    await until('the feed of the latest state', async () => {
      const { version } = await stateOf(edge.url, WATCHED);
      return offsetOfLatest(client) === version + 1;
    });
    await client.close();
  });
});

interface UserState {
  readonly version: number;
  readonly operators: { readonly profile?: { readonly counts: readonly number[] } };
}

async function stateOf(url: string, userId: string): Promise<UserState> {
  return (await (await fetch(`${url}/v1/users/${userId}/state`)).json()) as UserState;
}

/** Interactions that the state of a person holds. */
async function countOf(url: string, userId: string): Promise<number> {
  const { operators } = await stateOf(url, userId);
  return operators.profile?.counts.reduce((sum, count) => sum + count, 0) ?? 0;
}

/** Of the state that the latest feed was made from. */
function offsetOfLatest(client: FeedClient): number | undefined {
  const latest = client.received.findLast((message) => message.type === 'feed');
  return latest === undefined ? undefined : tryParseVersion(latest.version)?.offset;
}
