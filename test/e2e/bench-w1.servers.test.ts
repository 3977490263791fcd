/** `freshet bench w1` on a real Kafka and a real Redis: the sessions it writes are those of the clicks that it found. */
import { afterEach, expect, it } from 'vitest';
import { clickType } from '../../jobs/bench/w1-sessions.js';
import { systemClock } from '../../streams/clock.js';
import { openKafkaLog } from '../../streams/kafka/index.js';
import { createLogger } from '../../streams/logger.js';
import { createMetrics } from '../../streams/metrics.js';
import { systemRandom } from '../../streams/random.js';
import { useCluster } from '../harness/cluster.js';
import { describeWithKafka, needsRedis } from '../harness/servers/needs.js';
import { killAll, resultOf, runFreshet } from './freshet.js';

const CLICKS = 12_000;
const USERS = 700;
/** Some clicks of a user lie further apart than the gap of a session, some do not. */
const STEP_MS = 4_000;

interface Result {
  readonly events: number;
  readonly isCorrect: boolean;
  readonly cpuSeconds: number;
  readonly redisCpuSeconds: number;
  readonly maxRssBytes: number;
}

describeWithKafka('bench w1 on servers', () => {
  const cluster = useCluster();

  afterEach(killAll);

  async function fillClicks(): Promise<void> {
    const log = await openKafkaLog({
      brokers: cluster.kafka.brokers,
      clock: systemClock,
      random: systemRandom(),
      logger: createLogger({ level: 'error' }),
      metrics: createMetrics({ namespace: 'test', includeProcess: false }),
    });
    await log.createTopics([{ name: 'clicks', partitions: 4, class: 'event' }]);
    const clicks = Array.from({ length: CLICKS }, (_, i) => {
      const user = `u${(i * 7919 + (i >> 6)) % USERS}`;
      return { key: user, value: clickType.encode({ user, item: `i${i % 50}`, ts: 1_506_826_800_000 + i * STEP_MS }) };
    });
    await log.append('clicks', clicks);
    await log.close();
  }

  it('counts every click once, and refuses a topic with records in it', async (context) => {
    needsRedis(context);
    await fillClicks();
    const args = ['bench', 'w1', '--kafka', cluster.kafka.brokers.join(), '--redis', cluster.redis.address];
    const result = await resultOf<Result>(...args);
    expect(result).toMatchObject({ events: CLICKS, isCorrect: true });
    for (const cost of [result.cpuSeconds, result.redisCpuSeconds, result.maxRssBytes]) expect(cost).toBeGreaterThan(0);
    const second = await runFreshet(...args);
    expect(second.code).toBe(2);
    expect(second.stderr).toContain("Topic 'sessions' holds records already");
  });
});
