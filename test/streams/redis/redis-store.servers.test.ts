/** The store keeps its contract on one server and on a cluster, whether commits fit one script or have to be staged. */
import { afterAll, beforeAll, beforeEach, describe } from 'vitest';
import { needsRedis } from '../../harness/servers/needs.js';
import { redisMissing, startRedis, startRedisCluster } from '../../harness/servers/redis.js';
import type { RedisCluster, RedisServer } from '../../harness/servers/redis.js';
import { describeStore } from '../state/state-conformance.js';
import { openStore, topologyOf } from './redis-harness.js';

/** Every commit that changes more than one row or timer is staged and moved in one field at a time. */
const TINY = { keysMax: 1, bytesMax: 40 };

describe('on one server', () => {
  let server: RedisServer;
  beforeAll(async () => {
    if (redisMissing() === undefined) server = await startRedis();
  });
  beforeEach(needsRedis);
  afterAll(() => server?.stop());

  describeStore('redis', () => openStore(topologyOf(server)));
  describeStore('redis (all commits staged)', () => openStore(topologyOf(server), { limits: TINY }));
});

describe('on a cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    if (redisMissing() === undefined) cluster = await startRedisCluster({ masters: 3, replicasPerMaster: 1 });
  });
  beforeEach(needsRedis);
  afterAll(() => cluster?.stop());

  describeStore('redis cluster', () => openStore(topologyOf(cluster)));
});
