/** A short chaos run on real servers: one broker, a Redis master and its replica, a few thousand events. */
import { expect, it } from 'vitest';
import { describeWithKafka, needsRedis } from '../harness/servers/needs.js';
import { runChaos, SHORT_SIZE } from './chaos-run.js';

const EVENTS = 3_000;
const FAULTS = 10;
const TIMEOUT_MS = 600_000;

describeWithKafka('under kills, pauses and failovers', () => {
  it('every acknowledged event counts once, and every feed is the latest', { timeout: TIMEOUT_MS }, async (context) => {
    needsRedis(context);
    const lines: string[] = [];
    const say = (line: string): void => void lines.push(line);
    const load = { events: EVENTS, faults: FAULTS, users: 60, requestsAtOnce: 2 };
    const result = await runChaos({ seed: 1, size: SHORT_SIZE, ...load, say });
    expect(result.violations, lines.join('\n')).toEqual([]);
    expect(result).toMatchObject({ lost: 0, doubled: 0, staleSubscribers: 0 });
    expect(result.acknowledged).toBeGreaterThanOrEqual(EVENTS);
  });
});
