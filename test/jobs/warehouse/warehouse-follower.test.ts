/**
 * From the log to SQL, on the embedded warehouse: the tables are right after kills, restarts and failures.
 *
 * The child process runs compiled, so this needs an up-to-date dist/ (npm test builds first).
 */
import { createRequire } from 'node:module';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openWarehouse } from '../../../jobs/warehouse/open-warehouse.js';
import { createPseudonyms } from '../../../jobs/warehouse/pseudonyms.js';
import { TABLE_MAPPINGS } from '../../../jobs/warehouse/rows.js';
import { createSqlHandler } from '../../../jobs/warehouse/sql-handler.js';
import { applyRetention, WAREHOUSE_MIGRATIONS } from '../../../jobs/warehouse/tables.js';
import { WarehouseFollower } from '../../../jobs/warehouse/warehouse-follower.js';
import type { WarehouseFollowerOptions } from '../../../jobs/warehouse/warehouse-follower.js';
import { engineTopics } from '../../../operators/engine-topology.js';
import { encodeRecord } from '../../../schemas/codec.js';
import { EngineError } from '../../../schemas/errors.js';
import { GenerationLog } from '../../../streams/generations/generation-log.js';
import type { Layout } from '../../../streams/generations/layout.js';
import { topicGenerations } from '../../../streams/generations/views.js';
import { systemClock } from '../../../streams/clock.js';
import { createLogger, silentLogger } from '../../../streams/logger.js';
import type { Logger } from '../../../streams/logger.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import type { Warehouse } from '../../../streams/warehouse/warehouse.js';

function missingBinary(): string | undefined {
  try {
    createRequire(import.meta.url).resolve(`@chdb/lib-${process.platform}-${process.arch}-gnu/package.json`);
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return undefined;
    return `no chDB binary for ${process.platform}-${process.arch}: the embedded warehouse is not tested`;
  }
}

const missing = missingBinary();
if (missing !== undefined) process.stderr.write(`${missing}\n`);

const at = 1_760_000_000_000;
let data: string;
let log: MemoryLog;
let pids: number[];
const followers: WarehouseFollower[] = [];

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'freshet-follower-'));
  log = new MemoryLog({ clock: systemClock, identity: 'aaaaaaaabbbb' });
  await log.createTopics(engineTopics('default', 2));
  pids = [];
});
afterEach(async () => {
  for (const follower of followers.splice(0)) await follower.stop();
  await rm(data, { recursive: true, force: true });
});

const open = (): Promise<Warehouse> =>
  openWarehouse({
    ...{ data, namespace: 'default', clock: systemClock, logger: silentLogger, retentionDays: 365 },
    onProcess: (pid) => pids.push(pid),
  });

interface FollowOptions {
  open?: () => Promise<Warehouse>;
  blockRows?: number;
  log?: MemoryLog;
  generations?: WarehouseFollowerOptions['topicGenerations'];
  logger?: Logger;
}

function follow({ log: followed = log, generations, ...options }: FollowOptions = {}) {
  const follower = new WarehouseFollower({
    ...{ namespace: 'default', open, clock: systemClock, blockWaitMs: 50, blockRows: 200 },
    topicGenerations: generations ?? (() => [{ log: followed, identity: followed.identity }]),
    pseudonyms: createPseudonyms(Buffer.alloc(32, 7)),
    flushed: () => Promise.resolve(),
    ...options,
  });
  followers.push(follower);
  follower.start();
  return { follower, sql: createSqlHandler(follower.sql) };
}

async function caughtUp(follower: WarehouseFollower): Promise<void> {
  while ((await follower.lag()).records !== 0) await systemClock.sleep(20);
}

async function click(from: number, to: number, target: Pick<MemoryLog, 'append'> = log): Promise<void> {
  const records = Array.from({ length: to - from }, (_, i) => {
    const userId = `user-${(from + i) % 50}`;
    const event = { eventId: `e${from + i}`, userId, ts: at + from + i, receivedAt: at, producerId: 'p' };
    return { key: userId, value: encodeRecord('Interaction', { ...event, type: 'click', itemId: 'i1' }) };
  });
  await target.append('default.user-events', records);
}

const count = async (sql: ReturnType<typeof createSqlHandler>, from = 'interactions') =>
  (await sql(`SELECT count() AS n, uniqExact(eventId) AS ids FROM ${from}`)).rows[0];

describe.skipIf(missing !== undefined)('WarehouseFollower', () => {
  it('fills every table and the views answer', async () => {
    await fillEverything();
    const { follower, sql } = follow();
    await caughtUp(follower);
    expect((await sql('SELECT * FROM sessions_latest')).rows).toMatchObject([{ revision: 1, pageViews: 4 }]);
    expect((await sql('SELECT itemId, title FROM items_latest')).rows).toEqual([{ itemId: 'i1', title: 'new' }]);
    expect((await sql('SELECT position, source, views, clicks FROM ctr_by_place ORDER BY position')).rows).toEqual([
      { position: 0, source: 'trending', views: 1, clicks: 1 },
      { position: 1, source: 'fresh', views: 1, clicks: 0 },
    ]);
    // The click was sent twice under one id.
    expect((await sql('SELECT served, viewed, clicks FROM hourly_funnel')).rows).toEqual([
      { served: 2, viewed: 2, clicks: 1 },
    ]);
    expect((await sql('SELECT sessions, bounceRate FROM session_quality')).rows).toEqual([
      { sessions: 1, bounceRate: 0 },
    ]);
    expect((await sql('SELECT places, meanReward FROM reward_by_policy')).rows).toEqual([{ places: 1, meanReward: 1 }]);
    expect((await sql('SELECT places, viewed FROM reaction_latency')).rows).toEqual([{ places: 2, viewed: 2 }]);
    // Nobody is in an experiment; the view answers.
    expect((await sql('SELECT variant FROM experiment_metrics')).rows).toEqual([]);
    expect((await sql('SELECT sum(events) AS events FROM event_latency')).rows).toEqual([{ events: 1 }]);
    expect((await sql('SELECT code FROM dead_letters')).rows).toEqual([{ code: 'CODEC_CORRUPT' }]);
    await expect(sql('SELECT * FROM nope')).rejects.toThrow(/'nope'\. There are: .*interactions/);
    await expect(sql('DROP TABLE items')).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    expect(await sql('SELECT itemId FROM items WHERE 0')).toEqual({ columns: ['itemId'], rows: [], truncated: false });
  });

  it('gives every column the type that its table has, and leaves none of them out', async () => {
    const warehouse = await open();
    try {
      for (const { table, createColumns } of TABLE_MAPPINGS) {
        const stored = await warehouse.query<{ name: string; type: string }>(
          `SELECT name, type FROM system.columns
           WHERE database = currentDatabase() AND table = {table:String} AND NOT startsWith(name, '_') ORDER BY name`,
          { table },
        );
        const ours = Object.entries(createColumns()).map(([name, { type }]) => ({ name, type }));
        expect(
          ours.sort((a, b) => (a.name < b.name ? -1 : 1)),
          table,
        ).toEqual(stored);
      }
    } finally {
      await warehouse.close();
    }
  });

  it('stores every row once although the database is killed in the middle', async () => {
    const { follower, sql } = follow();
    for (let kills = 0; kills < 3; kills++) {
      while (pids.length <= kills) await systemClock.sleep(5);
      await click(kills * 1_000, (kills + 1) * 1_000);
      // At another moment of the inserts each time; 200 rows to a block, they take longer than this together.
      await systemClock.sleep(100 + 60 * kills);
      process.kill(pids[kills]!, 'SIGKILL');
    }
    await click(3_000, 4_000);
    await caughtUp(follower);
    expect(pids.length).toBe(4);
    expect(await count(sql)).toEqual({ n: 4_000, ids: 4_000 });
  });

  it('takes what it had not read before a repartition from the old topic, and the rest from the new one', async () => {
    await click(0, 300);
    const first = follow();
    await caughtUp(first.follower);
    await first.follower.stop();
    await click(300, 500);
    const topic = 'default.user-events';
    const layout: Layout = {
      format: 1,
      inForce: 2,
      generations: [
        { number: 1, identity: log.identity, topics: [], hasServed: true },
        { number: 2, identity: 'second-generation', topics: [topic], hasServed: true },
      ],
    };
    const current = new GenerationLog(log, layout, 2);
    await current.createTopics([{ ...log.topic(topic), partitions: 3 }]);
    for (let partition = 0; partition < 3; partition++) await current.beginAt(topic, partition, 700);
    await click(500, 800, current);
    const errors: string[] = [];
    const logger = createLogger({ level: 'error', format: 'json', write: (line) => void errors.push(line) });
    const { follower, sql } = follow({ generations: (of) => topicGenerations(log, layout, of), logger });
    await caughtUp(follower);
    expect(await count(sql)).toEqual({ n: 800, ids: 800 });
    expect(errors).toEqual([]);
  });

  it('goes on at the stored position after a restart, and apart from it when the log was made anew', async () => {
    await click(0, 500);
    const first = follow();
    await caughtUp(first.follower);
    await first.follower.stop();
    await click(500, 900);
    const second = follow();
    await caughtUp(second.follower);
    expect(await count(second.sql)).toEqual({ n: 900, ids: 900 });
    await second.follower.stop();
    log = new MemoryLog({ clock: systemClock, identity: 'ccccccccdddd' });
    await log.createTopics(engineTopics('default', 2));
    await click(900, 1_000);
    const third = follow({ log });
    await caughtUp(third.follower);
    expect(await count(third.sql)).toEqual({ n: 1_000, ids: 1_000 });
  });

  it('waits without failing while the warehouse cannot be opened, and then catches up', async () => {
    await click(0, 10);
    let failures = 1;
    const { follower, sql } = follow({
      open: () => (failures-- > 0 ? Promise.reject(new EngineError('WAREHOUSE_UNAVAILABLE', 'no')) : open()),
    });
    expect(await follower.lag()).toEqual({ records: undefined, tables: {} });
    await expect(sql('SELECT 1')).rejects.toMatchObject({ code: 'WAREHOUSE_UNAVAILABLE' });
    await caughtUp(follower);
    expect(await count(sql)).toEqual({ n: 10, ids: 10 });
  });

  it('migrates forwards only and follows the configured retention', async () => {
    const warehouse = await open();
    try {
      await warehouse.migrate(WAREHOUSE_MIGRATIONS);
      const edited = WAREHOUSE_MIGRATIONS.map((migration) => ({ ...migration, statements: ['SELECT 1'] }));
      await expect(warehouse.migrate(edited)).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' });
      await expect(warehouse.migrate(WAREHOUSE_MIGRATIONS.slice(0, 1))).rejects.toMatchObject({
        code: 'MANIFEST_MISMATCH',
      });
      const retained = async () => {
        const sql = `SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND engine_full LIKE '%toIntervalDay(%'`;
        return (await warehouse.query<{ n: number }>(sql))[0]!.n;
      };
      expect(await retained()).toBe(5);
      await applyRetention(warehouse, 0);
      expect(await retained()).toBe(0);
    } finally {
      await warehouse.close();
    }
  });
});

async function fillEverything(): Promise<void> {
  const event = { userId: 'ann', ts: at, receivedAt: at, producerId: 'p' };
  const user = (value: Buffer) => ({ key: 'ann', value });
  const slate = { requestId: 'r1', placement: 'home' };
  const places = (source: boolean) =>
    ['trending', 'fresh'].map((name, position) => ({ itemId: `i${position}`, position, source: source ? name : null }));
  const clicked = encodeRecord('Interaction', {
    ...{ ...event, eventId: 'c', type: 'click', itemId: 'i0', attribution: { requestId: 'r1', position: 0 } },
  });
  await log.append('default.user-events', [
    user(encodeRecord('Impression', { ...event, ...slate, eventId: 's', stage: 'served', slate: places(true) })),
    user(encodeRecord('Impression', { ...event, ...slate, eventId: 'v', stage: 'viewed', slate: places(false) })),
    user(clicked),
    user(clicked),
    user(Buffer.from('no record')),
  ]);
  const session = { userId: 'ann', start: at, end: at, durationMs: 1, interactions: 1, conversions: 0, bounced: false };
  const closed = (sessionId: string, revision: number, pageViews: number, withdrawn = false) =>
    user(
      encodeRecord('SessionClosed', {
        ...session,
        sessionId,
        revision,
        pageViews,
        withdrawn,
        lastItems: [],
        categories: [],
      }),
    );
  await log.append('default.sessions', [
    closed('a', 0, 2),
    closed('b', 0, 1),
    closed('a', 1, 4),
    closed('b', 1, 1, true),
  ]);
  const outcomes = [{ itemId: 'i0', position: 0, reward: 1, feedback: ['click' as const] }];
  const reward = encodeRecord('Reward', { userId: 'ann', ...slate, viewedAt: at, settledAt: at, outcomes });
  await log.append('default.rewards', [user(reward)]);
  const item = { ts: at, receivedAt: at, producerId: 'p' };
  const upsert = (itemId: string, title: string) => ({
    key: itemId,
    value: encodeRecord('ItemUpsert', { ...item, eventId: `${itemId}${title}`, itemId, title }),
  });
  const gone = { key: 'i2', value: encodeRecord('ItemDelete', { ...item, eventId: 'd', itemId: 'i2' }) };
  await log.append('default.item-events', [upsert('i1', 'old'), upsert('i1', 'new'), upsert('i2', 'x'), gone]);
  const letter = { topic: 'default.user-events', partition: 0, offset: 4, key: 'ann', code: 'CODEC_CORRUPT' };
  const value = encodeRecord('DeadLetter', { ...letter, reason: 'no header', at, value: Buffer.from('no record') });
  await log.append('default.dead-letters', [{ key: 'ann', value }]);
}
