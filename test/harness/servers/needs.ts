/** Tests that need a real server: run where it can be had, and skipped with the reason told where not. */
import { describe, it, type TestContext } from 'vitest';
import { kafkaMissing } from './kafka.js';
import { redisMissing } from './redis.js';

/** `describe`, where Kafka can be started. */
export function describeWithKafka(name: string, body: () => void): void {
  describeUnless(kafkaMissing(), name, body);
}

/** `describe`, where Redis can be started. */
export function describeWithRedis(name: string, body: () => void): void {
  describeUnless(redisMissing(), name, body);
}

/** For single tests, and hooks of a suite whose servers are started by each test. */
export function needsRedis(context: Pick<TestContext, 'skip'>): void {
  const missing = redisMissing();
  if (missing !== undefined) context.skip(missing);
}

function describeUnless(missing: string | undefined, name: string, body: () => void): void {
  if (missing === undefined) describe(name, body);
  else it(name, (context) => context.skip(missing));
}
