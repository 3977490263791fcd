/** Several brokers, one of which is gone. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithKafka } from '../../harness/servers/needs.js';
import { broker, openLog, startBroker, stopBroker } from './kafka-harness.js';

describeWithKafka('a cluster of which a broker was just killed', () => {
  beforeAll(() => startBroker({ brokers: 3, isShortLived: true }));
  afterAll(stopBroker);

  it('opens a log, makes topics and appends, whichever broker it was', async () => {
    for (const [partition, { process }] of broker().nodes.entries()) {
      await process.kill();
      const log = await openLog({ tuning: { replicas: 3, replicasMin: 2 } });
      await log.createTopics([{ name: 'events', partitions: 3, class: 'event' }]);
      const value = `without ${process.name}`;
      await log.append('events', [{ key: 'k', value: Buffer.from(value), partition }]);
      const { records } = await log.read('events', partition, 0, { recordsMax: 10, bytesMax: 1_000 });
      expect(records.map((record) => String(record.value))).toEqual([value]);
      await log.close();
      process.restart();
      await broker().inSync();
    }
  });
});
