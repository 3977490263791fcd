/** The whole configuration: every package's section, composed. */
import { operatorsSection } from '../operators/config.js';
import { servingSection } from '../serving/config.js';
import { defineConfig } from '../streams/config.js';
import type { ConfigOf } from '../streams/config.js';
import { kafkaSection } from '../streams/kafka/index.js';
import { redisSection } from '../streams/redis/index.js';
import { streamsSection } from '../streams/section.js';
import { operationsSection } from './engine/operations-section.js';
import { trainingSection } from './train/training-section.js';
import { warehouseSection } from './warehouse/section.js';

export const freshetConfig = defineConfig(
  {
    streams: streamsSection,
    operators: operatorsSection,
    serving: servingSection,
    warehouse: warehouseSection,
    training: trainingSection,
    kafka: kafkaSection,
    redis: redisSection,
    operations: operationsSection,
  },
  ({ streams, kafka }) =>
    streams.storage === 'distributed' && kafka.brokers === ''
      ? [{ path: 'kafka.brokers', value: kafka.brokers, expected: 'brokers, since streams.storage is distributed' }]
      : [],
);

export type FreshetConfig = ConfigOf<typeof freshetConfig>;
