import { afterAll, beforeAll } from 'vitest';
import { openKafkaLog } from '../../../streams/kafka/index.js';
import { describeWithKafka } from '../../harness/servers/needs.js';
import { describeLog } from '../log/log-conformance.js';
import { kafkaLogOptions, startBroker, stopBroker, wallTimeOf } from './kafka-harness.js';

describeWithKafka('on a real broker', () => {
  beforeAll(() => startBroker());
  afterAll(stopBroker);

  describeLog(
    'kafka',
    async (clock) => {
      const options = kafkaLogOptions({ clock: wallTimeOf(clock) });
      let log = await openKafkaLog(options);
      return {
        log,
        reopen: async () => {
          await log.close();
          log = await openKafkaLog(options);
          return log;
        },
        close: () => log.close(),
      };
    },
    { cleans: false, tombstoneGraceMs: 0 },
  );
});
