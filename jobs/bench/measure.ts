/** What a benchmark run cost: wall time, CPU of this process and its threads, peak memory. */
import type { Clock } from '../../streams/clock.js';

export interface Cost {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly maxRssBytes: number;
}

/** Runs something once and says what it cost. */
export async function measure(clock: Clock, run: () => Promise<void>): Promise<Cost> {
  const cpu = process.cpuUsage();
  const start = clock.monotonic();
  await run();
  const seconds = (clock.monotonic() - start) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (user + system) / 1e6, maxRssBytes: process.resourceUsage().maxRSS * 1_024 };
}
