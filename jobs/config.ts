/** The whole configuration: every package's section, composed. */
import { operatorsSection } from '../operators/config.js';
import { servingSection } from '../serving/config.js';
import { defineConfig } from '../streams/config.js';
import type { ConfigOf } from '../streams/config.js';
import { kafkaSection } from '../streams/kafka/kafka-section.js';
import { streamsSection } from '../streams/section.js';
import { warehouseSection } from './warehouse/section.js';

export const freshetConfig = defineConfig({
  streams: streamsSection,
  kafka: kafkaSection,
  operators: operatorsSection,
  serving: servingSection,
  warehouse: warehouseSection,
});

export type FreshetConfig = ConfigOf<typeof freshetConfig>;
