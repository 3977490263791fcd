/** Skips a test, with the reason told, where a real server cannot be had. `beforeEach(needsRedis)` */
import type { TestContext } from 'vitest';
import { kafkaMissing } from './kafka.js';
import { redisMissing } from './redis.js';

const kafka = kafkaMissing();
const redis = redisMissing();

export function needsKafka(context: Pick<TestContext, 'skip'>): void {
  if (kafka !== undefined) context.skip(kafka);
}

export function needsRedis(context: Pick<TestContext, 'skip'>): void {
  if (redis !== undefined) context.skip(redis);
}
